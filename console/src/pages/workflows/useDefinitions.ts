/** The definitions of a namespace, or of the first namespaces where all are shown, and those of the cluster. */
import { queryOptions, useQueries, useQuery } from '@tanstack/react-query';
import { Problem, api } from '@/api';
import { namespacesQuery } from '@/auth/namespaces';
import { type Definition, readDefinition } from './definitions';

export const MOST_NAMESPACES = 25;
const LIMIT = 500;
const INTERVAL_MS = 10_000;

const isForbidden = (error: unknown): boolean => error instanceof Problem && error.kind === 'forbidden';

function definitionsQuery(namespace: string) {
  return queryOptions({
    queryKey: ['workflows', namespace],
    queryFn: async ({ signal }) => {
      const query = { limit: LIMIT };
      const page = await api.get('/api/v1/workflow-definitions/{namespace}', {
        path: { namespace },
        query,
        signal,
      });
      return page.items.map(readDefinition);
    },
    refetchInterval: INTERVAL_MS,
  });
}

const clusterQuery = queryOptions({
  queryKey: ['workflows'],
  queryFn: async ({ signal }) => {
    const page = await api.get('/api/v1/cluster-workflow-definitions', { query: { limit: LIMIT }, signal });
    return page.items.map(readDefinition);
  },
  refetchInterval: INTERVAL_MS,
});

interface Definitions {
  definitions: readonly Definition[];
  isPending: boolean;
  error: Error | null;
  /** Whether those of the cluster are left out, as the person may not list them. */
  isWithoutCluster: boolean;
  isCut: boolean;
  reload: () => void;
}

export function useDefinitions(namespace: string | null): Definitions {
  const { data: known } = useQuery(namespacesQuery);
  const all = namespace === '' ? (known?.items ?? []) : namespace === null ? [] : [namespace];
  const names = all.slice(0, MOST_NAMESPACES);
  const found = useQueries({ queries: names.map((each) => definitionsQuery(each)) });
  const cluster = useQuery(clusterQuery);
  const errors = found.map((each) => each.error).filter((error) => error !== null);
  const clusterError = isForbidden(cluster.error) ? null : cluster.error;
  return {
    definitions: [...found.flatMap((each) => each.data ?? []), ...(cluster.data ?? [])],
    isPending:
      found.some((each) => each.isPending) || cluster.isPending || (namespace === '' && known === undefined),
    // Of many namespaces, one that may not be looked into hides no other.
    error: (namespace === '' ? errors.find((error) => !isForbidden(error)) : errors[0]) ?? clusterError,
    isWithoutCluster: isForbidden(cluster.error),
    isCut: all.length > names.length,
    reload: () => {
      found.forEach((each) => void each.refetch());
      void cluster.refetch();
    },
  };
}
