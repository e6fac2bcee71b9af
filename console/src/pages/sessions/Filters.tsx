import { Bookmark, Search, SlidersHorizontal, Trash2, X } from 'lucide-react';
import { type FormEvent, useState } from 'react';
import { PHASES, type Phase, type SessionsSearch } from '@/app/search';
import { useMyself } from '@/auth/myself';
import { Button } from '@/components/ui/button';
import { Dialog, DialogFooter } from '@/components/ui/dialog';
import { Input } from '@/components/ui/input';
import { Label } from '@/components/ui/label';
import { Menu, MenuItem, MenuLabel, MenuSeparator } from '@/components/ui/menu';
import { Select } from '@/components/ui/select';
import { showLine } from '@/lib/text';
import { useDebounced } from '@/lib/useDebounced';
import { phaseNames } from '@/strings/phases';
import { strings } from '@/strings/sessions';
import { deleteView, readViews, saveView } from './views';

interface FiltersProps {
  search: SessionsSearch;
  namespace: string | null;
  inputProblem: string;
  onChange: (search: SessionsSearch) => void;
}

type TextFilter = 'workflow' | 'createdBy' | 'labels' | 'input';

/** Every filter of the list; what they are is in the address. */
export function Filters({ search, namespace, inputProblem, onChange }: FiltersProps) {
  const [isOpened, setOpened] = useState(false);
  // A filter that holds is never hidden, whether it was typed, saved or in the address.
  const areMoreShown =
    isOpened ||
    search.createdBy !== undefined ||
    search.labels !== undefined ||
    search.workflow !== undefined;
  const set = (name: TextFilter, value: string): void => {
    const { [name]: _, ...rest } = search;
    onChange(value === '' ? rest : { ...rest, [name]: value });
  };
  const setPhase = (phase: string): void => {
    const { phase: _, ...rest } = search;
    onChange(phase === '' ? rest : { ...rest, phase: phase as Phase });
  };
  const { namespace: _, ...filters } = search;
  const isFiltered = Object.keys(filters).length > 0;
  return (
    <search className="border-b px-4 py-2 sm:px-6">
      <div className="flex flex-wrap items-center gap-2">
        <div className="relative min-w-44 flex-1 lg:max-w-sm">
          <Search
            aria-hidden
            className="text-muted-foreground absolute top-1/2 left-2.5 size-3.5 -translate-y-1/2"
          />
          <TextFilterField
            label={strings.input}
            hint={strings.inputHint}
            placeholder={strings.inputPlaceholder}
            value={search.input ?? ''}
            isDisabled={namespace === ''}
            isInvalid={inputProblem !== ''}
            className="pl-8 font-mono text-xs"
            isSearch
            onChange={(value) => {
              set('input', value);
            }}
          />
        </div>
        <Select
          aria-label={strings.phase}
          value={search.phase ?? ''}
          onChange={(event) => {
            setPhase(event.target.value);
          }}
        >
          <option value="">{strings.anyPhase}</option>
          {PHASES.map((phase) => (
            <option key={phase} value={phase}>
              {phaseNames[phase]}
            </option>
          ))}
        </Select>
        <Button
          variant={areMoreShown ? 'secondary' : 'outline'}
          aria-expanded={areMoreShown}
          aria-controls="more-filters"
          onClick={() => {
            setOpened(!isOpened);
          }}
        >
          <SlidersHorizontal aria-hidden />
          <span className="max-sm:sr-only">{strings.moreFilters}</span>
        </Button>
        <Views search={search} onChange={onChange} />
        {isFiltered && (
          <Button
            variant="ghost"
            onClick={() => {
              onChange(search.namespace === undefined ? {} : { namespace: search.namespace });
            }}
          >
            <X aria-hidden />
            {strings.clear}
          </Button>
        )}
      </div>
      {areMoreShown && (
        <div id="more-filters" className="mt-2 grid gap-2 sm:grid-cols-3 lg:max-w-3xl">
          {(['workflow', 'createdBy', 'labels'] as const).map((name) => (
            <div key={name}>
              <Label htmlFor={`filter-${name}`} className="text-muted-foreground text-xs">
                {strings[name]}
              </Label>
              <TextFilterField
                id={`filter-${name}`}
                value={search[name] ?? ''}
                placeholder={name === 'labels' ? 'team=rivers,stage!=test' : ''}
                className="font-mono text-xs"
                onChange={(value) => {
                  set(name, value);
                }}
              />
            </div>
          ))}
        </div>
      )}
      {inputProblem !== '' && (
        <p role="alert" className="text-destructive mt-1.5 text-xs">
          {inputProblem}
        </p>
      )}
    </search>
  );
}

interface FieldProps {
  id?: string;
  label?: string;
  hint?: string;
  value: string;
  placeholder: string;
  className: string;
  isDisabled?: boolean;
  isInvalid?: boolean;
  isSearch?: boolean;
  onChange: (value: string) => void;
}

function TextFilterField({
  id,
  label,
  hint,
  isDisabled = false,
  isInvalid = false,
  isSearch = false,
  value,
  onChange,
  ...props
}: FieldProps) {
  const [typed, setTyped] = useDebounced(value, onChange);
  return (
    <Input
      {...props}
      id={id}
      type={isSearch ? 'search' : 'text'}
      aria-label={label}
      title={hint}
      value={typed}
      disabled={isDisabled}
      aria-invalid={isInvalid || undefined}
      autoComplete="off"
      spellCheck={false}
      data-search={isSearch || undefined}
      onChange={(event) => {
        setTyped(event.target.value);
      }}
    />
  );
}

function Views({ search, onChange }: { search: SessionsSearch; onChange: (search: SessionsSearch) => void }) {
  const { data: myself } = useMyself();
  const [views, setViews] = useState(readViews);
  const [isSaving, setSaving] = useState(false);
  const place = search.namespace === undefined ? {} : { namespace: search.namespace };
  const builtIn: readonly [string, SessionsSearch][] = [
    [strings.builtInViews.all, {}],
    [strings.builtInViews.running, { phase: 'Running' }],
    [strings.builtInViews.waiting, { phase: 'WaitingForInput' }],
    [strings.builtInViews.failed, { phase: 'Failed' }],
    [strings.builtInViews.mine, { createdBy: myself?.username ?? '' }],
  ];
  const save = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const name = new FormData(event.currentTarget).get('name');
    if (typeof name !== 'string' || name.trim() === '') return;
    setViews(saveView({ name: name.trim(), search }));
    setSaving(false);
  };
  return (
    <>
      <Menu
        trigger={
          <Button variant="outline">
            <Bookmark aria-hidden />
            <span className="max-sm:sr-only">{strings.views}</span>
          </Button>
        }
      >
        {builtIn.map(([name, found]) => (
          <MenuItem
            key={name}
            onSelect={() => {
              onChange({ ...place, ...found });
            }}
          >
            {name}
          </MenuItem>
        ))}
        {views.length > 0 && (
          <>
            <MenuSeparator />
            <MenuLabel>{strings.savedViews}</MenuLabel>
          </>
        )}
        {views.map((view) => (
          <div key={view.name} className="flex items-center">
            <MenuItem
              className="flex-1"
              onSelect={() => {
                onChange(view.search);
              }}
            >
              {showLine(view.name)}
            </MenuItem>
            <MenuItem
              aria-label={strings.deleteView(view.name)}
              onSelect={(event) => {
                event.preventDefault();
                setViews(deleteView(view.name));
              }}
            >
              <Trash2 aria-hidden />
            </MenuItem>
          </div>
        ))}
        <MenuSeparator />
        <MenuItem
          onSelect={() => {
            setSaving(true);
          }}
        >
          {strings.saveView}
        </MenuItem>
      </Menu>
      <Dialog
        isOpen={isSaving}
        onClose={() => {
          setSaving(false);
        }}
        title={strings.saveViewTitle}
        description={strings.saveViewHint}
      >
        <form onSubmit={save}>
          <Label htmlFor="view-name">{strings.viewName}</Label>
          <Input
            id="view-name"
            name="name"
            required
            maxLength={80}
            autoFocus
            autoComplete="off"
            className="mt-1.5"
          />
          <DialogFooter>
            <Button type="submit">{strings.save}</Button>
          </DialogFooter>
        </form>
      </Dialog>
    </>
  );
}
