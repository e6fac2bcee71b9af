/** Ties a session's stream to its resource. */

import { useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import type { Session } from './session';
import type { SessionStore } from './store';
import { useVersion } from './use-session-store';

/** An event is written a moment before the status that says the same. */
const MOMENTS_MS = [0, 300, 1200];

/** Reads the resource anew whenever the stream tells of a change, and ends the stream once the session is final. */
export function useLinked(session: Session, store: SessionStore): void {
  const client = useQueryClient();
  const { namespace, name, isFinal, isConversation } = session;
  const changed = useVersion(store, 'status');
  useEffect(() => {
    if (changed === 0) return undefined;
    const timers = MOMENTS_MS.map((ms) =>
      setTimeout(() => {
        void client.invalidateQueries({ queryKey: ['session', namespace, name], exact: true });
        if (isConversation)
          void client.invalidateQueries({ queryKey: ['session', namespace, name, 'turns'] });
      }, ms),
    );
    return () => {
      timers.forEach(clearTimeout);
    };
  }, [client, namespace, name, changed, isConversation]);
  useEffect(() => {
    if (isFinal) store.finish();
  }, [store, isFinal]);
}
