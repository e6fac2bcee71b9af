/**
 * A session as it is followed: its model and its connection, and who is to be told of changes.
 *
 * However many messages come between two frames of the screen, views are told once.
 */

import { type ConnectionView, type Following, type Place, type Sink, follow } from './follow';
import { type Model, emptyModel, fold, foldGap } from './model';

/** The parts of which views are told apart, so that each is drawn for its own changes alone. */
export type Part = 'items' | 'timeline' | 'status' | 'connection';

export interface SessionStore {
  readonly model: Model;
  readonly connection: ConnectionView;
  readonly uid: string;
  /** Returns a number that rises with each change of a part. */
  readonly version: (part: Part) => number;
  readonly subscribe: (listener: () => void) => () => void;
  /** Follows the session until the returned function is called; it may be opened again, and goes on then. */
  readonly open: () => () => void;
  readonly nudge: () => void;
  readonly finish: () => void;
}

type Schedule = (run: () => void) => void;

/** Runs something before the next frame of the screen; in a tab that nobody sees, where there are none, soon. */
const beforeNextFrame: Schedule = (run) => {
  let isDone = false;
  const once = (): void => {
    if (isDone) return;
    isDone = true;
    run();
  };
  requestAnimationFrame(once);
  setTimeout(once, 250);
};

/** Returns the store of a session, which follows it once it is opened. */
export function makeStore(place: Place, uid: string, schedule: Schedule = beforeNextFrame): SessionStore {
  const model = emptyModel();
  const listeners = new Set<() => void>();
  let connection: ConnectionView = { phase: 'connecting', cause: null, retryAt: null };
  let connections = 0;
  let isScheduled = false;
  let isFinal = false;
  let following: Following | null = null;
  const seen = { items: 0, timeline: 0, status: 0 };

  const tell = (): void => {
    isScheduled = false;
    seen.items = model.version;
    seen.timeline = model.timelineVersion;
    seen.status = model.statusVersion;
    for (const listener of listeners) listener();
  };
  const plan = (): void => {
    if (isScheduled) return;
    isScheduled = true;
    schedule(tell);
  };
  const sink: Sink = {
    deliver(message) {
      fold(model, message);
      plan();
    },
    gap(first, last) {
      foldGap(model, first, last);
      plan();
    },
    changed(view) {
      connection = view;
      connections += 1;
      plan();
    },
  };
  return {
    model,
    uid,
    get connection() {
      return connection;
    },
    version: (part) => (part === 'connection' ? connections : seen[part]),
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    open: () => {
      const made = follow(place, sink, model.last);
      following = made;
      if (isFinal) made.finish();
      return () => {
        made.leave();
        if (following === made) following = null;
      };
    },
    nudge: () => {
      following?.nudge();
    },
    finish: () => {
      isFinal = true;
      following?.finish();
    },
  };
}
