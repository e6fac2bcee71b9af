import { useQuery } from '@tanstack/react-query';
import { useNavigate, useParams, useRouterState, useSearch } from '@tanstack/react-router';
import { ChevronsUpDown } from 'lucide-react';
import { type FormEvent, useState } from 'react';
import { keepLastNamespace, namespacesQuery, useNamespace } from '@/auth/namespaces';
import { Button } from '@/components/ui/button';
import { Dialog, DialogFooter } from '@/components/ui/dialog';
import { Input } from '@/components/ui/input';
import { Label } from '@/components/ui/label';
import { Menu, MenuChoice, MenuItem, MenuSeparator } from '@/components/ui/menu';
import { strings } from '@/strings/app';

const FILTERED = ['/inbox', '/sessions', '/workflows'] as const;

/** Which namespace is shown, and how to show another one. */
export function NamespacePicker() {
  const navigate = useNavigate();
  const search = useSearch({ strict: false });
  const params = useParams({ strict: false });
  const pathname = useRouterState({ select: (state) => state.location.pathname });
  const { data } = useQuery(namespacesQuery);
  const [isNaming, setNaming] = useState(false);
  const named = params.namespace ?? search.namespace;
  // The inbox goes over all namespaces by itself, whoever looks.
  const isOverAll = pathname === '/inbox';
  const { namespace } = useNamespace(named === '-' ? undefined : (named ?? (isOverAll ? '*' : undefined)));

  const choose = (chosen: string): void => {
    keepLastNamespace(chosen);
    const page = FILTERED.find((each) => each === pathname) ?? '/sessions';
    void navigate({ to: page, search: (old) => ({ ...old, namespace: chosen === '' ? '*' : chosen }) });
  };
  const nameIt = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const value = new FormData(event.currentTarget).get('namespace');
    if (typeof value !== 'string' || value.trim() === '') return;
    setNaming(false);
    choose(value.trim());
  };
  const label =
    namespace === null ? strings.chooseNamespace : namespace === '' ? strings.allNamespaces : namespace;
  return (
    <>
      <Menu
        trigger={
          <Button
            variant="outline"
            className="max-w-52 min-w-0 justify-between md:w-full md:max-w-none"
            data-namespace-picker
            aria-label={`${strings.namespace}: ${label}`}
          >
            <span className="truncate">{label}</span>
            <ChevronsUpDown aria-hidden className="text-muted-foreground" />
          </Button>
        }
      >
        {(data?.mayListAll === true || isOverAll) && (
          <MenuChoice
            isChosen={namespace === ''}
            onSelect={() => {
              choose('');
            }}
          >
            {strings.allNamespaces}
          </MenuChoice>
        )}
        {data?.items.map((each) => (
          <MenuChoice
            key={each}
            isChosen={each === namespace}
            onSelect={() => {
              choose(each);
            }}
          >
            {each}
          </MenuChoice>
        ))}
        <MenuSeparator />
        <MenuItem
          onSelect={() => {
            setNaming(true);
          }}
        >
          {strings.otherNamespace}
        </MenuItem>
      </Menu>
      <Dialog
        isOpen={isNaming}
        onClose={() => {
          setNaming(false);
        }}
        title={strings.otherNamespaceTitle}
        description={strings.otherNamespaceHint}
      >
        <form onSubmit={nameIt}>
          <Label htmlFor="other-namespace">{strings.namespace}</Label>
          <Input
            id="other-namespace"
            name="namespace"
            autoFocus
            autoComplete="off"
            spellCheck={false}
            maxLength={63}
            pattern="[a-z0-9]([a-z0-9\-]*[a-z0-9])?"
            className="mt-1.5 font-mono"
          />
          <DialogFooter>
            <Button type="submit">{strings.open}</Button>
          </DialogFooter>
        </form>
      </Dialog>
    </>
  );
}
