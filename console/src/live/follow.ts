/**
 * Follows one session over as many WebSockets as it takes: carries out what `connection.ts` decides.
 *
 * A WebSocket rather than Server-Sent Events: over HTTP/1.1 a browser opens six connections to a host, and six tabs
 * that each hold a stream would leave none for a request. Each connection has a ticket of its own, which also tells
 * why there is none (a browser does not say with which status an upgrade was refused).
 */

import { Problem, api } from '@/api';
import { addressOf } from '@/app/base';
import {
  type Cause,
  type Connection,
  type Effect,
  type Happening,
  type Phase,
  advance,
  begin,
} from './connection';
import { BadMessage, type StreamMessage, parseFrame, readMessage } from './message';

export interface Place {
  readonly namespace: string;
  readonly name: string;
}

/** What is shown of a connection. */
export interface ConnectionView {
  readonly phase: Phase;
  readonly cause: Cause | null;
  /** When the next attempt is, in milliseconds since 1970; null where none waits. */
  readonly retryAt: number | null;
}

export interface Sink {
  /** Takes messages, in order, each once. */
  deliver(message: StreamMessage): void;
  /** Takes a hole between two messages. */
  gap(first: number, last: number): void;
  changed(view: ConnectionView): void;
}

export interface Following {
  /** Tries now rather than after the pause. */
  nudge(): void;
  /** The session is final by its status: reads what is left, then closes. */
  finish(): void;
  leave(): void;
}

/** After so long without a message it is asked whether the other side is there. */
const PING_MS = 20_000;
/** How long an answer to that may take. */
const PONG_MS = 10_000;
/** How long a connection may take to open. */
const OPEN_MS = 15_000;
const PAGE = 1000;

/** Follows a session from its message `after` on. Nothing happens before the caller's turn ends. */
export function follow(place: Place, sink: Sink, after = 0): Following {
  const follower = new Follower(place, sink, after);
  return follower;
}

class Follower implements Following {
  private connection: Connection;
  private socket: WebSocket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private watch: ReturnType<typeof setTimeout> | undefined;
  private retryAt: number | null = null;
  private readonly abort = new AbortController();
  private readonly place: Place;
  private readonly sink: Sink;
  private readonly onNetwork = (): void => {
    this.nudge();
  };
  private readonly onShown = (): void => {
    if (document.visibilityState === 'visible') this.nudge();
  };

  constructor(place: Place, sink: Sink, after: number) {
    this.place = place;
    this.sink = sink;
    this.connection = begin(after);
    window.addEventListener('online', this.onNetwork);
    document.addEventListener('visibilitychange', this.onShown);
    // A session that is known to be final a moment later needs no connection at all.
    queueMicrotask(() => {
      if (this.connection.attempt === 0) this.happen({ kind: 'start' });
    });
  }

  nudge(): void {
    this.happen({ kind: 'nudge' });
  }

  finish(): void {
    this.happen({ kind: 'final' });
  }

  leave(): void {
    window.removeEventListener('online', this.onNetwork);
    document.removeEventListener('visibilitychange', this.onShown);
    this.happen({ kind: 'leave' });
    this.abort.abort();
  }

  private happen(happening: Happening): void {
    const before = this.connection;
    const step = advance(before, happening);
    this.connection = step.connection;
    for (const effect of step.effects) this.carryOut(effect);
    const { phase, cause, pauseMs } = step.connection;
    if (phase !== before.phase || cause !== before.cause || pauseMs !== before.pauseMs) {
      this.sink.changed({ phase, cause, retryAt: phase === 'disconnected' ? this.retryAt : null });
    }
  }

  private carryOut(effect: Effect): void {
    switch (effect.do) {
      case 'connect':
        void this.open(effect.attempt, effect.after);
        return;
      case 'readRest':
        void this.readRest(effect.attempt, effect.after);
        return;
      case 'hangUp':
        this.hangUp();
        return;
      case 'pause':
        this.retryAt = Date.now() + effect.ms;
        this.timer = setTimeout(() => {
          this.happen({ kind: 'due', attempt: effect.attempt });
        }, effect.ms);
        return;
      case 'deliver':
        this.sink.deliver(effect.message);
        return;
      case 'gap':
        this.sink.gap(effect.first, effect.last);
        return;
    }
  }

  private lose(
    attempt: number,
    about: { code?: number; status?: number; retryAfterSeconds?: number } = {},
  ): void {
    this.happen({ kind: 'lost', attempt, chance: Math.random(), ...about });
  }

  private refuse(attempt: number, error: unknown): void {
    if (this.abort.signal.aborted) return;
    if (!(error instanceof Problem)) return this.lose(attempt);
    const wish = error.retryAfterSeconds;
    this.lose(attempt, { status: error.status, ...(wish === null ? {} : { retryAfterSeconds: wish }) });
  }

  private async open(attempt: number, after: number): Promise<void> {
    clearTimeout(this.timer);
    let ticket: string;
    try {
      const made = await api.post('/api/v1/agentic-sessions/{namespace}/{name}/tickets', {
        path: this.place,
        body: { channel: 'websocket' },
        signal: AbortSignal.any([this.abort.signal, AbortSignal.timeout(OPEN_MS)]),
      });
      ticket = made.ticket;
    } catch (error) {
      this.refuse(attempt, error);
      return;
    }
    if (attempt !== this.connection.attempt) return;
    const socket = new WebSocket(addressStream(this.place, after, ticket));
    this.socket = socket;
    this.watch = setTimeout(() => {
      this.lose(attempt);
    }, OPEN_MS);
    socket.onopen = () => {
      this.happen({ kind: 'opened', attempt });
      this.listen(attempt, socket);
    };
    socket.onmessage = (event: MessageEvent<unknown>) => {
      this.listen(attempt, socket);
      this.take(attempt, event.data);
    };
    socket.onclose = (event) => {
      this.lose(attempt, { code: event.code });
    };
  }

  private take(attempt: number, data: unknown): void {
    let message: StreamMessage;
    try {
      if (typeof data !== 'string') throw new BadMessage('a frame is a text');
      message = parseFrame(data);
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error;
      // What cannot be read cannot be relied on: the rest is asked for anew.
      this.lose(attempt);
      return;
    }
    if (message.type === 'pong') this.happen({ kind: 'alive', attempt });
    else this.happen({ kind: 'message', attempt, message });
  }

  /** Waits for the next sign of life; asks for one, and gives the connection up where there is none. */
  private listen(attempt: number, socket: WebSocket): void {
    if (socket !== this.socket) return;
    clearTimeout(this.watch);
    this.watch = setTimeout(() => {
      socket.send('{"type":"ping"}');
      this.watch = setTimeout(() => {
        this.lose(attempt);
      }, PONG_MS);
    }, PING_MS);
  }

  private hangUp(): void {
    clearTimeout(this.timer);
    clearTimeout(this.watch);
    const { socket } = this;
    this.socket = null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  private async readRest(attempt: number, after: number): Promise<void> {
    try {
      const page = await api.get('/api/v1/agentic-sessions/{namespace}/{name}/events', {
        path: this.place,
        query: { after, limit: PAGE },
        signal: this.abort.signal,
      });
      this.happen({ kind: 'rest', attempt, messages: page.items.map(readMessage) });
    } catch (error) {
      this.refuse(attempt, error);
    }
  }
}

/** Returns where a session's WebSocket is: of this page's origin, below its root. */
export function addressStream(place: Place, after: number, ticket: string): string {
  const address = new URL(addressOf('/ws'), window.location.href);
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
  address.search = new URLSearchParams({
    namespace: place.namespace,
    sessionName: place.name,
    after: String(after),
    ticket,
  }).toString();
  return address.href;
}
