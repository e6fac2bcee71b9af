/** Who the person is, as the cluster knows them, and how they can come in. */
import { type QueryClient, queryOptions, useQuery } from '@tanstack/react-query';
import { type Json, Problem, api, asObject, retryPassing, send } from '@/api';
import { parseJson } from '@/api';
import { dropAllDrafts } from '@/form/drafts';
import { setToken } from './credential';

export const myselfQuery = queryOptions({
  queryKey: ['myself'],
  queryFn: ({ signal }) => api.get('/api/v1/myself', { signal }),
  staleTime: 5 * 60_000,
  retry: retryPassing,
});

export interface Ways {
  /** Whether the gateway logs people in at a provider. */
  login: boolean;
  /** Whether a proxy in front may name people. */
  proxy: boolean;
}

export const waysQuery = queryOptions({
  queryKey: ['ways'],
  queryFn: async ({ signal }): Promise<Ways> => {
    const response = await send('get', '/auth/ways', { signal });
    const found = asObject(parseJson(await response.text())) ?? {};
    return { login: found['login'] === true, proxy: found['proxy'] === true };
  },
  staleTime: Infinity,
});

export function useMyself() {
  return useQuery(myselfQuery);
}

export function isSignedOut(error: unknown): boolean {
  return error instanceof Problem && error.status === 401;
}

/** Forget the person; returns where to end the provider's own session, null where there is nothing to end. */
export async function signOut(client: QueryClient, via: string | undefined): Promise<string | null> {
  let address: Json | undefined = null;
  if (via === 'login') {
    const response = await send('post', '/auth/logout');
    address = asObject(parseJson(await response.text()))?.['endSession'];
  }
  setToken(null);
  dropAllDrafts();
  client.clear();
  return typeof address === 'string' ? address : null;
}
