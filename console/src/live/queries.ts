/** What the pages of one session ask of the gateway. */

import { queryOptions } from '@tanstack/react-query';
import { type JsonObject, api } from '@/api';
import type { Place } from './follow';
import { readSession } from './session';

/** The session itself. Its stream tells of most changes; the operator's conditions are looked for every few seconds. */
export const sessionQuery = (place: Place) =>
  queryOptions({
    queryKey: ['session', place.namespace, place.name],
    queryFn: async ({ signal }) => {
      const found = await api.get('/api/v1/agentic-sessions/{namespace}/{name}', { path: place, signal });
      return readSession(found as unknown as JsonObject);
    },
    refetchInterval: ({ state: { data, error } }) => {
      if (error !== null) return 10_000;
      if (data === undefined) return false;
      return data.isFinal ? 60_000 : data.phase === 'Pending' || data.phase === 'Creating' ? 2_000 : 5_000;
    },
    staleTime: 1_000,
  });

export const graphQuery = (place: Place, generation: string) =>
  queryOptions({
    queryKey: ['session', place.namespace, place.name, 'graph', generation],
    queryFn: ({ signal }) =>
      api.get('/api/v1/agentic-sessions/{namespace}/{name}/graph', { path: place, signal }),
    staleTime: Number.POSITIVE_INFINITY,
  });

export const checkpointsQuery = (place: Place, newest: string) =>
  queryOptions({
    queryKey: ['session', place.namespace, place.name, 'checkpoints', newest],
    queryFn: ({ signal }) =>
      api.get('/api/v1/agentic-sessions/{namespace}/{name}/checkpoints', { path: place, signal }),
  });

/** What the output channels held at a checkpoint; kept where the definition says so, for who has the right to it. */
export const stateQuery = (place: Place, checkpoint: string) =>
  queryOptions({
    queryKey: ['session', place.namespace, place.name, 'state', checkpoint],
    queryFn: ({ signal }) =>
      api.get('/api/v1/agentic-sessions/{namespace}/{name}/state', {
        path: place,
        query: { checkpoint },
        signal,
      }),
    staleTime: Number.POSITIVE_INFINITY,
  });

/** All turns of a conversation, those included that the resource no longer shows. */
export const turnsQuery = (place: Place) =>
  queryOptions({
    queryKey: ['session', place.namespace, place.name, 'turns'],
    queryFn: async ({ signal }) => {
      const limit = 500;
      const pages = [];
      let after = 0;
      for (;;) {
        const page = await api.get('/api/v1/agentic-sessions/{namespace}/{name}/turns', {
          path: place,
          query: { after, limit },
          signal,
        });
        pages.push(...page.items);
        if (page.items.length < limit || page.last <= after) return pages;
        after = page.last;
      }
    },
  });
