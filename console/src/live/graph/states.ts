/** How each node of a drawn graph stands, from a session's events and, where these are gone, from its status. Pure. */

import type { Model } from '../model';
import { END, START } from './drawing';

export type Look = 'not-yet' | 'running' | 'waiting' | 'done' | 'failed';

export interface NodeLook {
  readonly look: Look;
  /** How often it was started; 0 where that is not known. */
  readonly starts: number;
  /** How many of it run at once. */
  readonly running: number;
  readonly tookMs: number | null;
  readonly error: string;
}

/** What the status says of the nodes. */
export interface Known {
  readonly done: readonly string[];
  readonly current: string;
  readonly failed: string;
  readonly phase: string;
}

export const NOT_YET: NodeLook = { look: 'not-yet', starts: 0, running: 0, tookMs: null, error: '' };

function guess(node: string, known: Known): NodeLook {
  if (node === known.failed) return { ...NOT_YET, look: 'failed' };
  if (node === known.current && known.phase === 'Running') return { ...NOT_YET, look: 'running' };
  if (node === known.current && known.phase === 'WaitingForInput') return { ...NOT_YET, look: 'waiting' };
  return known.done.includes(node) ? { ...NOT_YET, look: 'done' } : NOT_YET;
}

/** Returns how a node looks. */
export function findLook(node: string, model: Model, known: Known): NodeLook {
  if (node === START)
    return model.steps > 0 || known.done.length > 0 ? { ...NOT_YET, look: 'done' } : NOT_YET;
  if (node === END) {
    const isOver = known.phase === 'Completed' || (known.phase === 'Idle' && model.timeline.some(isEnd));
    return isOver ? { ...NOT_YET, look: 'done' } : NOT_YET;
  }
  const state = model.nodes.get(node);
  if (state === undefined) return guess(node, known);
  const isOver = known.phase === 'Completed' || known.phase === 'Failed' || known.phase === 'Stopped';
  const look: Look =
    isOver && (state.state === 'running' || state.state === 'waiting') ? 'not-yet' : state.state;
  const tookMs = state.endedAt === null ? null : state.endedAt - state.startedAt;
  return { look, starts: state.starts, running: state.running, tookMs, error: state.error };
}

const isEnd = (entry: Model['timeline'][number]): boolean =>
  entry.kind === 'mark' && entry.what === 'completed';

/** Returns whether two looks are drawn alike. */
export function isSameLook(a: NodeLook, b: NodeLook): boolean {
  return (
    a.look === b.look &&
    a.starts === b.starts &&
    a.running === b.running &&
    a.tookMs === b.tookMs &&
    a.error === b.error
  );
}
