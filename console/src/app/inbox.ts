/** The questions that wait for the person: one query for the page, the number beside its name, and the tab's title. */
import { infiniteQueryOptions } from '@tanstack/react-query';
import { type Inbox, type InboxItem, api } from '@/api';

/** How often it is asked for again; while the tab is hidden it is not. */
const INTERVAL_MS = 8_000;
const PAGE = 100;

/** The open questions of a namespace, or of all where it is empty. */
export function inboxQuery(namespace: string) {
  return infiniteQueryOptions({
    queryKey: ['inbox', namespace],
    initialPageParam: '',
    queryFn: ({ pageParam, signal }): Promise<Inbox> => {
      const where = namespace === '' ? {} : { namespace: [namespace] };
      return api.get('/api/v1/inbox', { query: { limit: PAGE, after: pageParam, ...where }, signal });
    },
    getNextPageParam: (page) => page.last ?? undefined,
    refetchInterval: INTERVAL_MS,
  });
}

/** What a question is called in addresses. */
export function identify(item: Pick<InboxItem, 'namespace' | 'session' | 'interruptId'>): string {
  return `${item.namespace}/${item.session}/${item.interruptId}`;
}
