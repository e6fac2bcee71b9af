/** Which namespaces the person can look into, which one they look at, and what they may do there. */
import { queryOptions, useQuery } from '@tanstack/react-query';
import { type Namespaces, type Rights, api } from '@/api';

const KEY = 'agentic.namespace';

export const namespacesQuery = queryOptions({
  queryKey: ['namespaces'],
  queryFn: ({ signal }): Promise<Namespaces> => api.get('/api/v1/namespaces', { signal }),
  staleTime: 60_000,
});

export function rightsQuery(namespace: string) {
  return queryOptions({
    queryKey: ['rights', namespace],
    queryFn: ({ signal }): Promise<Rights> =>
      api.get('/api/v1/namespaces/{namespace}/rights', { path: { namespace }, signal }),
    staleTime: 30_000,
    enabled: namespace !== '',
  });
}

/** What RBAC lets the person do in a namespace; undefined until it is known. */
export function useRights(namespace: string): Rights | undefined {
  return useQuery(rightsQuery(namespace)).data;
}

/** The namespace that was looked at last; empty for all. */
export function readLastNamespace(): string {
  try {
    return localStorage.getItem(KEY) ?? '';
  } catch {
    return '';
  }
}

export function keepLastNamespace(namespace: string): void {
  try {
    localStorage.setItem(KEY, namespace);
  } catch {
    // It is not kept then.
  }
}

/** Return the namespace to show where the address names none: empty for all of them, null where one must be chosen. */
export function chooseNamespace(found: Namespaces | undefined, last: string): string | null {
  if (last !== '' && (found === undefined || found.items.includes(last) || !found.isWhole)) return last;
  if (found === undefined) return null;
  if (found.mayListAll) return '';
  return found.items[0] ?? null;
}

/** Return the namespace of a page: what its address says, else what was looked at last, else what may be looked at. */
export function useNamespace(named: string | undefined): { namespace: string | null; isPending: boolean } {
  const { data, isPending } = useQuery(namespacesQuery);
  if (named === '*') return { namespace: '', isPending: false };
  if (named !== undefined) return { namespace: named, isPending: false };
  return { namespace: chooseNamespace(data, readLastNamespace()), isPending };
}
