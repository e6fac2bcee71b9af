/**
 * The state of a stream's connection, and what is to be done next. Pure: time, chance and the network are the caller's.
 *
 *     connecting --opened--> connected --lost--> disconnected --pause over--> connecting ...
 *          +-----------------lost-------------------^
 *     any of them --the session ended, the right is gone, the page left--> closed
 *
 * Invariant: `after` is the number of the last message that was delivered. A message is delivered only where it follows
 * that one, so none comes twice and none is left out silently, whatever is sent on however many connections.
 */

import { computePause } from '@/lib/backoff';
import type { StreamMessage } from './message';

export type Phase = 'connecting' | 'connected' | 'disconnected' | 'closed';

/** Why a connection is closed for good, or why it is away now. */
export type Cause =
  | 'ended' // the session is final and every message of it is here
  | 'left' // the page went away
  | 'signed-out' // the credential has ended and no other one is there
  | 'forbidden' // the right to read the session was taken away
  | 'gone' // the session was deleted
  | 'lost' // the network, a proxy or the gateway ended the connection
  | 'restart' // the replica ends
  | 'slow' // this page did not read for too long
  | 'busy'; // the gateway asks to wait

export interface Connection {
  readonly phase: Phase;
  readonly after: number;
  /** Losses in a row without a sign of life between them. */
  readonly failures: number;
  /** Which attempt this is; what an older one still brings is ignored. */
  readonly attempt: number;
  readonly cause: Cause | null;
  /** How long the pause before the next attempt is, in milliseconds; null where none is going on. */
  readonly pauseMs: number | null;
  /** Connections in a row that left out messages without saying so. */
  readonly broken: number;
  /** Whether the session is final, so that only what is left is read. */
  readonly isEnding: boolean;
  /** Whether a credential that ended was replaced once without a message since. */
  readonly isRenewed: boolean;
}

export type Happening =
  | { readonly kind: 'start' }
  | { readonly kind: 'opened'; readonly attempt: number }
  | { readonly kind: 'message'; readonly attempt: number; readonly message: StreamMessage }
  | { readonly kind: 'alive'; readonly attempt: number }
  | {
      readonly kind: 'lost';
      readonly attempt: number;
      /** Code of the close frame. */
      readonly code?: number;
      /** HTTP status of a refusal before the stream opened. */
      readonly status?: number;
      readonly retryAfterSeconds?: number;
      /** A share from 0 to 1: how much of the longest pause is waited. */
      readonly chance: number;
    }
  | { readonly kind: 'due'; readonly attempt: number }
  | { readonly kind: 'nudge' } // the network is back, the tab is shown again, somebody asks for it
  | { readonly kind: 'final' } // the session's status says that it is over
  | { readonly kind: 'rest'; readonly attempt: number; readonly messages: readonly StreamMessage[] }
  | { readonly kind: 'leave' };

export type Effect =
  | { readonly do: 'connect'; readonly attempt: number; readonly after: number }
  | { readonly do: 'readRest'; readonly attempt: number; readonly after: number }
  | { readonly do: 'hangUp' }
  | { readonly do: 'pause'; readonly attempt: number; readonly ms: number }
  | { readonly do: 'deliver'; readonly message: StreamMessage }
  | { readonly do: 'gap'; readonly first: number; readonly last: number };

export interface Step {
  readonly connection: Connection;
  readonly effects: readonly Effect[];
}

/** So often in a row messages may be missing before the hole is shown as a gap. */
export const MOST_BROKEN = 2;

const CODES: Readonly<Record<number, Cause>> = {
  4403: 'forbidden',
  4404: 'gone',
  1012: 'restart',
  4008: 'slow',
};
const NOT_AUTHENTICATED = 4401;

/** Returns a connection that has not begun, for a client that has the messages up to `after`. */
export function begin(after = 0): Connection {
  return {
    phase: 'connecting',
    after,
    failures: 0,
    attempt: 0,
    cause: null,
    pauseMs: null,
    broken: 0,
    isEnding: false,
    isRenewed: false,
  };
}

/** Returns the connection after something happened, and what is to be done, in order. */
export function advance(connection: Connection, happening: Happening): Step {
  if (connection.phase === 'closed') return reopen(connection, happening);
  switch (happening.kind) {
    case 'start':
      return connect(connection);
    case 'leave':
      return close(connection, 'left');
    case 'final':
      return connection.isEnding ? stay(connection) : end(connection);
    case 'nudge':
      return connection.phase === 'disconnected' ? connect(connection) : stay(connection);
    default:
      return happening.attempt === connection.attempt
        ? advanceAttempt(connection, happening)
        : stay(connection);
  }
}

type OfAttempt = Extract<Happening, { readonly attempt: number }>;

function advanceAttempt(connection: Connection, happening: OfAttempt): Step {
  switch (happening.kind) {
    case 'opened':
      if (connection.phase !== 'connecting') return stay(connection);
      return stay({ ...connection, phase: 'connected', cause: null, pauseMs: null });
    case 'alive':
      return stay(connection.failures === 0 ? connection : { ...connection, failures: 0 });
    case 'message':
      return connection.phase === 'connected' ? take(connection, happening.message) : stay(connection);
    case 'rest':
      return takeRest(connection, happening.messages);
    case 'due':
      return connection.phase === 'disconnected' ? connect(connection) : stay(connection);
    case 'lost':
      return lose(connection, happening);
  }
}

function stay(connection: Connection): Step {
  return { connection, effects: [] };
}

/** A closed connection does nothing more, unless its person has signed in again. */
function reopen(connection: Connection, happening: Happening): Step {
  if (happening.kind === 'nudge' && connection.cause === 'signed-out') {
    return connect({ ...connection, failures: 0, isRenewed: false });
  }
  return stay(connection);
}

function connect(connection: Connection): Step {
  const attempt = connection.attempt + 1;
  const { after, isEnding } = connection;
  return {
    connection: { ...connection, phase: 'connecting', attempt, pauseMs: null },
    effects: [{ do: isEnding ? 'readRest' : 'connect', attempt, after }],
  };
}

function close(connection: Connection, cause: Cause): Step {
  return {
    connection: { ...connection, phase: 'closed', cause, pauseMs: null, attempt: connection.attempt + 1 },
    effects: [{ do: 'hangUp' }],
  };
}

/** The session is final: what is left of its log is read page by page, and then the connection is closed. */
function end(connection: Connection): Step {
  const attempt = connection.attempt + 1;
  const phase = connection.phase === 'disconnected' ? 'connecting' : connection.phase;
  return {
    connection: { ...connection, phase, isEnding: true, attempt, pauseMs: null },
    effects: [{ do: 'hangUp' }, { do: 'readRest', attempt, after: connection.after }],
  };
}

function lose(connection: Connection, happening: Extract<Happening, { kind: 'lost' }>): Step {
  const { code, status } = happening;
  if (connection.phase === 'disconnected') return stay(connection);
  if (status === 401) return close(connection, 'signed-out');
  if (status === 403) return close(connection, 'forbidden');
  if (status === 404 || status === 410) return close(connection, 'gone');
  const cause = code === undefined ? undefined : CODES[code];
  if (cause === 'forbidden' || cause === 'gone') return close(connection, cause);
  if (code === NOT_AUTHENTICATED && !connection.isRenewed) {
    // A log-in has a newer token by now, and the request for a ticket tells where there is none.
    const next = connect({ ...connection, isRenewed: true });
    return { ...next, effects: [{ do: 'hangUp' }, ...next.effects] };
  }
  const failures = connection.failures + 1;
  const ms = computePause(failures, happening.chance, happening.retryAfterSeconds);
  const attempt = connection.attempt + 1;
  return {
    connection: {
      ...connection,
      phase: 'disconnected',
      failures,
      attempt,
      pauseMs: ms,
      cause: cause ?? (status === 429 || status === 503 ? 'busy' : 'lost'),
    },
    effects: [{ do: 'hangUp' }, { do: 'pause', attempt, ms }],
  };
}

function take(connection: Connection, message: StreamMessage): Step {
  const alive = { ...connection, failures: 0, isRenewed: false };
  if (message.seq === null) return { connection: alive, effects: [{ do: 'deliver', message }] };
  if (message.seq <= connection.after) return stay(alive);
  if (message.prev !== null && message.prev > connection.after) {
    if (connection.broken < MOST_BROKEN) {
      // Something on the way left messages out: they are asked for again.
      const next = connect({ ...connection, broken: connection.broken + 1 });
      return { ...next, effects: [{ do: 'hangUp' }, ...next.effects] };
    }
    return deliver(alive, message, [{ do: 'gap', first: connection.after + 1, last: message.prev }]);
  }
  return deliver(alive, message, []);
}

function deliver(connection: Connection, message: StreamMessage, before: readonly Effect[]): Step {
  return {
    connection: { ...connection, after: message.seq ?? connection.after, broken: 0 },
    effects: [...before, { do: 'deliver', message }],
  };
}

function takeRest(connection: Connection, messages: readonly StreamMessage[]): Step {
  if (!connection.isEnding) return stay(connection);
  const effects: Effect[] = [];
  let current: Connection = { ...connection, failures: 0, broken: MOST_BROKEN };
  for (const message of messages) {
    const step = take(current, message);
    effects.push(...step.effects);
    current = { ...step.connection, broken: MOST_BROKEN };
  }
  if (current.after === connection.after) {
    return {
      connection: {
        ...current,
        phase: 'closed',
        cause: 'ended',
        pauseMs: null,
        attempt: current.attempt + 1,
      },
      effects,
    };
  }
  effects.push({ do: 'readRest', attempt: current.attempt, after: current.after });
  return { connection: current, effects };
}
