/** What lies between two checkpoints of a session, as far as the gateway serves them. Pure. */

import { type Checkpoint, isLosslessNumber } from '@/api';

export interface Comparison {
  readonly earlier: Checkpoint;
  readonly later: Checkpoint;
  /** Super-steps from one to the other; null where a number is missing. */
  readonly steps: number | null;
  readonly ms: number;
  /** The nodes that ran between, in order, with how often; null where some between are no longer listed. */
  readonly nodes: readonly (readonly [string, number])[];
  readonly hasSameNext: boolean;
}

/** Returns the comparison of two checkpoints of a list that begins with the newest; null where one is not in it. */
export function compareCheckpoints(items: readonly Checkpoint[], a: string, b: string): Comparison | null {
  const first = items.findIndex(({ id }) => id === a);
  const second = items.findIndex(({ id }) => id === b);
  const later = items[Math.min(first, second)];
  const earlier = items[Math.max(first, second)];
  if (first < 0 || second < 0 || earlier === undefined || later === undefined) return null;
  const counts = new Map<string, number>();
  const between = items.slice(Math.min(first, second), Math.max(first, second)).reverse();
  for (const { node } of between) {
    for (const name of (node ?? '').split(', '))
      if (name !== '') counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const from = earlier.step ?? null;
  const to = later.step ?? null;
  return {
    earlier,
    later,
    steps: from === null || to === null ? null : to - from,
    ms: Date.parse(later.at ?? '') - Date.parse(earlier.at ?? ''),
    nodes: [...counts],
    hasSameNext: (earlier.next ?? '') === (later.next ?? ''),
  };
}

export interface ValueChange {
  readonly key: string;
  /** Undefined where the channel did not hold anything yet. */
  readonly before: unknown;
  /** Undefined where the channel does not hold anything any more. */
  readonly after: unknown;
}

export type Values = Readonly<Record<string, unknown>>;

/** Returns the channels whose values differ between two states, in the order of the later one. */
export function compareValues(before: Values, after: Values): readonly ValueChange[] {
  const keys = [...new Set([...Object.keys(after), ...Object.keys(before)])];
  return keys
    .map((key) => ({ key, before: valueAt(before, key), after: valueAt(after, key) }))
    .filter((each) => !isSame(each.before, each.after));
}

function valueAt(values: Values, key: string): unknown {
  return Object.hasOwn(values, key) ? values[key] : undefined;
}

/** Returns whether two values of JSON are the same: digit by digit, and whatever the order of members. */
function isSame(a: unknown, b: unknown): boolean {
  if (isLosslessNumber(a) && isLosslessNumber(b)) return a.toString() === b.toString();
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [left, right] = [Object.entries(a), new Map<string, unknown>(Object.entries(b))];
  return (
    left.length === right.size &&
    left.every(([key, value]) => right.has(key) && isSame(value, right.get(key)))
  );
}
