/** A followed session in React. */

import { useEffect, useMemo, useSyncExternalStore } from 'react';
import { type Part, type SessionStore, makeStore } from './store';

/**
 * Follows the session of a uid while the component is shown. Another uid, of a session that was made anew under the
 * name, is another store.
 */
export function useSessionStore(namespace: string, name: string, uid: string): SessionStore {
  const store = useMemo(() => makeStore({ namespace, name }, uid), [namespace, name, uid]);
  useEffect(() => store.open(), [store]);
  return store;
}

/** Draws the component anew whenever a part of the store changes; returns the part's version. */
export function useVersion(store: SessionStore, part: Part): number {
  return useSyncExternalStore(store.subscribe, () => store.version(part));
}
