/** The sessions of a filter, page by page, asked for again while somebody looks. */
import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query';
import { useEffect, useMemo } from 'react';
import { type SessionList, Problem, api } from '@/api';
import type { SessionsSearch } from '@/app/search';
import { type SessionRow, readRow } from './rows';

const PAGE = 250;
/** So many are loaded without being scrolled to, so that the newest can come first. */
const LOADED_AT_ONCE = 1000;
const OFTEN_MS = 4_000;
const SELDOM_MS = 20_000;

interface Sessions {
  rows: readonly SessionRow[];
  isPending: boolean;
  isFetchingMore: boolean;
  hasMore: boolean;
  error: Error | null;
  loadMore: () => void;
  reload: () => void;
}

async function fetchPage(
  namespace: string,
  search: SessionsSearch,
  continue_: string,
  signal: AbortSignal,
): Promise<SessionList> {
  const query = {
    limit: PAGE,
    continue: continue_,
    ...(search.phase && { phase: search.phase }),
    ...(search.workflow && { workflow: search.workflow }),
    ...(search.createdBy && { createdBy: search.createdBy }),
  };
  const labels = search.labels && !search.input ? { labelSelector: search.labels } : {};
  if (namespace === '')
    return api.get('/api/v1/agentic-sessions', { query: { ...query, ...labels }, signal });
  const input = search.input ? { input: search.input } : {};
  return api.get('/api/v1/agentic-sessions/{namespace}', {
    path: { namespace },
    query: { ...query, ...labels, ...input },
    signal,
  });
}

/** `namespace` is empty for all of them, null where none is chosen. */
export function useSessions(namespace: string | null, search: SessionsSearch): Sessions {
  const { phase, workflow, createdBy, labels, input } = search;
  const key = { phase, workflow, createdBy, labels, input };
  const result = useInfiniteQuery({
    queryKey: ['sessions', namespace, key],
    enabled: namespace !== null,
    initialPageParam: '',
    queryFn: ({ pageParam, signal }) => fetchPage(namespace ?? '', search, pageParam, signal),
    getNextPageParam: (page) => (page.metadata.continue === '' ? undefined : page.metadata.continue),
    placeholderData: keepPreviousData,
    // Every page that is loaded is asked for again.
    refetchInterval: (query) => ((query.state.data?.pages.length ?? 0) > 2 ? SELDOM_MS : OFTEN_MS),
  });
  const { data, error, hasNextPage, isFetchingNextPage, fetchNextPage, isFetching, refetch } = result;
  const rows = useMemo(() => data?.pages.flatMap((page) => page.items.map(readRow)) ?? [], [data]);
  useEffect(() => {
    if (hasNextPage && !isFetching && rows.length < LOADED_AT_ONCE) void fetchNextPage();
  }, [hasNextPage, isFetching, rows.length, fetchNextPage]);
  // Where a page ended is forgotten by the API server after some minutes: then all begins anew.
  const isExpired = error instanceof Problem && error.kind === 'gone';
  useEffect(() => {
    if (isExpired) void refetch();
  }, [isExpired, refetch]);
  return {
    rows,
    isPending: result.isPending && namespace !== null,
    isFetchingMore: isFetchingNextPage,
    hasMore: hasNextPage,
    error: isExpired ? null : error,
    loadMore: () => {
      if (hasNextPage && !isFetching) void fetchNextPage();
    },
    reload: () => void refetch(),
  };
}
