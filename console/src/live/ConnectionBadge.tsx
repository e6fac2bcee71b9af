/** How the connection to a session stands, as it is. */

import { useEffect, useState } from 'react';
import { Badge, type Tone } from '@/components/ui/badge';
import { Button } from '@/components/ui/button';
import { cn } from '@/lib/cn';
import { strings } from '@/strings/live';
import type { ConnectionView } from './follow';
import type { SessionStore } from './store';
import { useVersion } from './use-session-store';

const TONES: Readonly<Record<ConnectionView['phase'], Tone>> = {
  connecting: 'neutral',
  connected: 'success',
  disconnected: 'warning',
  closed: 'neutral',
};

/** Returns the seconds until a time, counted down. */
function useSecondsUntil(at: number | null): number | null {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (at === null) return undefined;
    const timer = setInterval(() => {
      setNow(Date.now());
    }, 500);
    return () => {
      clearInterval(timer);
    };
  }, [at]);
  return at === null ? null : Math.max(0, Math.ceil((at - Math.min(now, at)) / 1000));
}

export function ConnectionBadge({ store }: { store: SessionStore }) {
  useVersion(store, 'connection');
  const { phase, cause, retryAt } = store.connection;
  const seconds = useSecondsUntil(retryAt);
  const isEnded = phase === 'closed' && cause === 'ended';
  const isBroken = phase === 'closed' && !isEnded;
  const label = isEnded ? strings.connection.ended : strings.connection[phase];
  const why = cause === null ? label : strings.connection.causes[cause];
  return (
    <span className="inline-flex items-center gap-1.5">
      <span role="status" aria-live="polite">
        <Badge
          tone={isBroken ? 'danger' : TONES[phase]}
          title={why}
          data-connection={phase}
          data-cause={cause ?? ''}
        >
          <span
            aria-hidden
            className={cn('size-1.5 rounded-full bg-current', phase === 'connecting' && 'animate-pulse')}
          />
          {label}
        </Badge>
      </span>
      {seconds !== null && (
        <>
          <span className="text-muted-foreground text-xs tabular-nums">
            {strings.connection.retryIn(seconds)}
          </span>
          <Button variant="link" size="sm" className="h-auto px-0" onClick={store.nudge}>
            {strings.connection.retryNow}
          </Button>
        </>
      )}
    </span>
  );
}
