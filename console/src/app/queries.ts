/** The cache of what the gateway answered. */
import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query';
import { retryPassing } from '@/api';
import { isSignedOut } from '@/auth/myself';

/** Return a cache that says when nobody is known any more: a token has ended, or a log-in. */
export function makeQueryClient(onSignedOut: () => void): QueryClient {
  const onError = (error: unknown): void => {
    if (isSignedOut(error)) onSignedOut();
  };
  return new QueryClient({
    queryCache: new QueryCache({ onError }),
    mutationCache: new MutationCache({ onError }),
    defaultOptions: {
      queries: {
        // What the browser thinks of its network says little of the gateway: it is tried, and told where it fails.
        networkMode: 'always',
        staleTime: 2_000,
        retry: retryPassing,
        refetchOnWindowFocus: true,
      },
      mutations: { networkMode: 'always', retry: false },
    },
  });
}
