import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { FolderSearch, GitBranch, ListFilter, Play, Search } from 'lucide-react';
import { type ReactNode, useState } from 'react';
import { useShortcuts } from '@/app/keys';
import type { WorkflowsSearch } from '@/app/search';
import { useTitle } from '@/app/title';
import { useNamespace, useRights } from '@/auth/namespaces';
import { EmptyState } from '@/components/EmptyState';
import { PageHeader } from '@/components/PageHeader';
import { ProblemPanel } from '@/components/ProblemPanel';
import { Readiness } from '@/components/Readiness';
import { Shown } from '@/components/Shown';
import { Badge } from '@/components/ui/badge';
import { Button } from '@/components/ui/button';
import { Input } from '@/components/ui/input';
import { Select } from '@/components/ui/select';
import { Skeleton } from '@/components/ui/skeleton';
import { cn } from '@/lib/cn';
import { useDebounced } from '@/lib/useDebounced';
import { strings } from '@/strings/workflows';
import { CLUSTER, type Definition, matches } from './definitions';
import { StartButton } from './StartButton';
import { MOST_NAMESPACES, useDefinitions } from './useDefinitions';

export default function WorkflowsPage(): ReactNode {
  useTitle(strings.title);
  const search = useSearch({ from: '/shell/workflows' });
  const navigate = useNavigate({ from: '/workflows' });
  const { namespace, isPending: isChoosing } = useNamespace(search.namespace);
  const { definitions, isPending, error, isWithoutCluster, isCut, reload } = useDefinitions(namespace);
  const [cursor, setCursor] = useState(-1);

  const change = (changed: Partial<Record<'q' | 'ready', string>>): void => {
    setCursor(-1);
    const found = Object.entries({ ...search, ...changed }).filter(([, value]) => value !== '');
    void navigate({ search: Object.fromEntries(found) as WorkflowsSearch, replace: true });
  };
  const [typed, setTyped] = useDebounced(search.q ?? '', (q) => {
    change({ q });
  });
  const shown = definitions.filter(
    (each) =>
      matches(each, search.q ?? '') &&
      (search.ready === undefined || (each.readiness === 'ready') === (search.ready === 'yes')),
  );
  const current = shown[cursor];
  useShortcuts({
    j: () => {
      setCursor((old) => Math.min(old + 1, shown.length - 1));
    },
    k: () => {
      setCursor((old) => Math.max(old - 1, 0));
    },
    Enter: (event) => {
      const control =
        event.target instanceof HTMLElement ? event.target.closest<HTMLElement>('a, button') : null;
      if (control !== null) control.click();
      else if (current) void navigate({ to: '/workflows/$namespace/$name', params: current });
    },
  });
  const isFiltered = search.q !== undefined || search.ready !== undefined;
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <PageHeader title={strings.title}>
        <span role="status" className="text-muted-foreground text-xs tabular-nums">
          {!isPending && strings.count(shown.length)}
        </span>
      </PageHeader>
      <search className="flex flex-wrap gap-2 border-b px-4 py-2 sm:px-6">
        <div className="relative min-w-44 flex-1 lg:max-w-sm">
          <Search
            aria-hidden
            className="text-muted-foreground absolute top-1/2 left-2.5 size-3.5 -translate-y-1/2"
          />
          <Input
            type="search"
            data-search
            aria-label={strings.search}
            placeholder={strings.search}
            autoComplete="off"
            value={typed}
            className="pl-8"
            onChange={(event) => {
              setTyped(event.target.value);
            }}
          />
        </div>
        <Select
          aria-label={strings.readiness}
          value={search.ready ?? ''}
          onChange={(event) => {
            change({ ready: event.target.value });
          }}
        >
          <option value="">{strings.anyReadiness}</option>
          <option value="yes">{strings.ready}</option>
          <option value="no">{strings.notReady}</option>
        </Select>
      </search>
      {error !== null && (
        <ProblemPanel error={error} onRetry={reload} namespace={namespace ?? ''} className="m-4 sm:mx-6" />
      )}
      {namespace === null && !isChoosing && shown.length === 0 ? (
        <EmptyState icon={FolderSearch} title={strings.chooseTitle}>
          {strings.choose}
        </EmptyState>
      ) : isPending || isChoosing ? (
        <Waiting />
      ) : shown.length > 0 ? (
        <ul className="min-h-0 flex-1 overflow-y-auto">
          {shown.map((definition, place) => (
            <Row
              key={definition.key}
              definition={definition}
              namespace={namespace ?? ''}
              isShowingNamespace={namespace === ''}
              isCurrent={place === cursor}
            />
          ))}
        </ul>
      ) : error !== null ? null : isFiltered ? (
        <EmptyState
          icon={ListFilter}
          title={strings.noneFoundTitle}
          action={
            <Button
              variant="outline"
              onClick={() => {
                change({ q: '', ready: '' });
              }}
            >
              {strings.clear}
            </Button>
          }
        >
          {strings.noneFound}
        </EmptyState>
      ) : (
        <EmptyState
          icon={GitBranch}
          title={strings.emptyTitle}
          command={strings.emptyCommand(namespace ?? '')}
        >
          {strings.empty}
        </EmptyState>
      )}
      {!isPending && (isWithoutCluster || isCut) && (
        <p className="text-muted-foreground border-t px-4 py-2 text-xs sm:px-6">
          {isCut ? strings.overMany(MOST_NAMESPACES) : strings.mayNotList}
        </p>
      )}
    </div>
  );
}

interface RowProps {
  definition: Definition;
  namespace: string;
  isShowingNamespace: boolean;
  isCurrent: boolean;
}

function Row({ definition, namespace, isShowingNamespace, isCurrent }: RowProps) {
  const { name, displayName, description, version, tags, readiness, why } = definition;
  const isOfCluster = definition.namespace === CLUSTER;
  const target = isOfCluster ? namespace : definition.namespace;
  const rights = useRights(target);
  return (
    <li
      className={cn(
        'hover:bg-accent/60 relative flex items-start gap-4 border-b px-4 py-3 sm:px-6',
        isCurrent && 'bg-accent shadow-[inset_2px_0_0_var(--primary)]',
      )}
    >
      <div className="min-w-0 flex-1">
        <div className="flex flex-wrap items-center gap-x-2.5 gap-y-1">
          <Link
            to="/workflows/$namespace/$name"
            params={definition}
            className="text-[13px] font-medium after:absolute after:inset-0"
          >
            <Shown text={displayName || name} />
          </Link>
          <span className="text-muted-foreground font-mono text-xs">
            {isShowingNamespace && !isOfCluster ? definition.key : displayName === '' ? '' : name}
          </span>
          <Readiness value={readiness} />
          {isOfCluster && <Badge>{strings.ofCluster}</Badge>}
          {version !== '' && (
            <span className="text-muted-foreground text-xs">
              <Shown text={strings.version(version)} />
            </span>
          )}
        </div>
        {description !== '' && (
          <p className="text-muted-foreground mt-1 line-clamp-2 max-w-3xl text-[13px] leading-5">
            <Shown text={description} />
          </p>
        )}
        {why !== '' && (
          <p className="text-destructive mt-1 line-clamp-2 max-w-3xl text-xs">
            <Shown text={why} />
          </p>
        )}
        {tags.length > 0 && (
          <ul className="mt-1.5 flex flex-wrap gap-1">
            {tags.map((tag) => (
              <li key={tag} className="relative z-10">
                <Link to="/workflows" search={(old) => ({ ...old, q: tag })}>
                  <Badge className="hover:text-foreground">
                    <Shown text={tag} />
                  </Badge>
                </Link>
              </li>
            ))}
          </ul>
        )}
      </div>
      <StartButton definition={definition} namespace={target} rights={rights} icon={Play} />
    </li>
  );
}

function Waiting() {
  return (
    <div role="status" aria-label={strings.loading}>
      {Array.from({ length: 4 }, (_, place) => (
        <div key={place} className="space-y-2 border-b px-4 py-3.5 sm:px-6">
          <Skeleton className="h-4 w-56" />
          <Skeleton className="h-3 w-full max-w-lg" />
        </div>
      ))}
    </div>
  );
}
