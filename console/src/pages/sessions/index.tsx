import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { FolderSearch, Layers, ListFilter, Plus } from 'lucide-react';
import { type ReactNode, useCallback, useMemo, useState } from 'react';
import { useShortcuts } from '@/app/keys';
import type { SessionsSearch } from '@/app/search';
import { useTitle } from '@/app/title';
import { useNamespace } from '@/auth/namespaces';
import { EmptyState } from '@/components/EmptyState';
import { PageHeader } from '@/components/PageHeader';
import { ProblemPanel } from '@/components/ProblemPanel';
import { Button } from '@/components/ui/button';
import { Select } from '@/components/ui/select';
import { Skeleton } from '@/components/ui/skeleton';
import { strings } from '@/strings/sessions';
import { BulkBar } from './BulkBar';
import { Filters } from './Filters';
import { readInput } from './inputs';
import { type Order, sortRows } from './rows';
import { SessionTable } from './SessionTable';
import { useSessions } from './useSessions';

function findInputProblem(namespace: string | null, search: SessionsSearch): string {
  if (search.input === undefined) return '';
  if (namespace === '') return strings.inputNeedsNamespace;
  if (readInput(search.input) === null) return strings.inputMalformed;
  return search.labels === undefined ? '' : strings.inputWithLabels;
}

export default function SessionsPage(): ReactNode {
  useTitle(strings.title);
  const search = useSearch({ from: '/shell/sessions' });
  const navigate = useNavigate({ from: '/sessions' });
  const { namespace, isPending: isChoosing } = useNamespace(search.namespace);
  const inputProblem = findInputProblem(namespace, search);
  const { input: typed, ...others } = search;
  const input = typed === undefined || inputProblem !== '' ? null : readInput(typed);
  const wanted: SessionsSearch = input === null ? others : { ...others, input };
  const { rows, isPending, isFetchingMore, hasMore, error, loadMore, reload } = useSessions(
    namespace,
    wanted,
  );

  const [order, setOrder] = useState<Order>('newest');
  const sorted = useMemo(() => sortRows(rows, order), [rows, order]);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  // The row that the keys are at stays that one when others come before it.
  const [marked, setMarked] = useState('');
  const cursor = sorted.findIndex(({ key }) => key === marked);
  const chosen = useMemo(() => sorted.filter((row) => selected.has(row.key)), [sorted, selected]);

  const change = useCallback(
    (found: SessionsSearch) => {
      setMarked('');
      void navigate({ search: found, replace: true });
    },
    [navigate],
  );
  const select = useCallback((keys: readonly string[], isSelected: boolean) => {
    setSelected((old) => {
      const found = new Set(old);
      keys.forEach((key) => (isSelected ? found.add(key) : found.delete(key)));
      return found;
    });
  }, []);
  const current = sorted[cursor];
  useShortcuts({
    j: () => {
      setMarked(sorted[Math.min(cursor + 1, sorted.length - 1)]?.key ?? '');
    },
    k: () => {
      setMarked(sorted[Math.max(cursor - 1, 0)]?.key ?? '');
    },
    x: () => {
      if (current) select([current.key], !selected.has(current.key));
    },
    Enter: (event) => {
      // A link or button that has the focus does what it says.
      if (event.target instanceof HTMLElement && event.target.closest('a, button') !== null) {
        (event.target.closest('a, button') as HTMLElement).click();
      } else if (current) {
        void navigate({
          to: '/sessions/$namespace/$name',
          params: { namespace: current.namespace, name: current.name },
        });
      }
    },
    Escape: () => {
      setSelected(new Set());
    },
  });

  const { namespace: _, ...filters } = search;
  const isFiltered = Object.keys(filters).length > 0;
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <PageHeader title={strings.title}>
        <span role="status" className="text-muted-foreground text-xs tabular-nums" title={strings.liveHint}>
          {namespace !== null && !isPending && error === null && strings.count(rows.length, !hasMore)}
        </span>
        <Select
          aria-label={strings.order}
          value={order}
          onChange={(event) => {
            setOrder(event.target.value === 'name' ? 'name' : 'newest');
          }}
        >
          <option value="newest">{strings.newestFirst}</option>
          <option value="name">{strings.byName}</option>
        </Select>
        <Button asChild>
          <Link
            to="/workflows"
            search={search.namespace === undefined ? {} : { namespace: search.namespace }}
          >
            <Plus aria-hidden />
            {strings.toWorkflows}
          </Link>
        </Button>
      </PageHeader>
      <Filters search={search} namespace={namespace} inputProblem={inputProblem} onChange={change} />
      {chosen.length > 0 && (
        <BulkBar
          rows={chosen}
          onClear={() => {
            setSelected(new Set());
          }}
        />
      )}
      {error !== null && (
        <ProblemPanel error={error} onRetry={reload} namespace={namespace ?? ''} className="m-4 sm:mx-6" />
      )}
      {namespace === null && !isChoosing ? (
        <EmptyState icon={FolderSearch} title={strings.chooseTitle}>
          {strings.choose}
        </EmptyState>
      ) : isPending || isChoosing ? (
        <Waiting />
      ) : rows.length > 0 ? (
        <SessionTable
          rows={sorted}
          isShowingNamespace={namespace === ''}
          selected={selected}
          onSelect={select}
          cursor={cursor}
          onEndSeen={loadMore}
        />
      ) : error !== null ? null : isFiltered ? (
        <EmptyState
          icon={ListFilter}
          title={strings.noneFoundTitle}
          action={
            <Button
              variant="outline"
              onClick={() => {
                change(search.namespace === undefined ? {} : { namespace: search.namespace });
              }}
            >
              {strings.clear}
            </Button>
          }
        >
          {strings.noneFound}
        </EmptyState>
      ) : (
        <EmptyState icon={Layers} title={strings.emptyTitle} command={strings.emptyCommand(namespace ?? '')}>
          {strings.empty}
        </EmptyState>
      )}
      {isFetchingMore && (
        <p role="status" className="text-muted-foreground border-t px-6 py-1.5 text-xs">
          {strings.loading}
        </p>
      )}
    </div>
  );
}

function Waiting() {
  return (
    <div role="status" aria-label={strings.loading} className="space-y-px px-4 pt-3 sm:px-6">
      {Array.from({ length: 8 }, (_, place) => (
        <div key={place} className="flex h-11 items-center gap-4">
          <Skeleton className="h-4 w-4" />
          <Skeleton className="h-4 flex-1 lg:max-w-xs" />
          <Skeleton className="h-4 w-24" />
          <Skeleton className="hidden h-4 w-32 lg:block" />
          <Skeleton className="hidden h-4 w-32 lg:block" />
        </div>
      ))}
    </div>
  );
}
