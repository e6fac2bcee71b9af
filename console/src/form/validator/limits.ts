/** What no part of the cluster can store, whatever the schema says: the server refuses it by the same rules. */
import { escapePart } from './pointers';

/** Bytes of compact JSON. */
export const MAX_INPUT_BYTES = 256 * 1024;
const MAX_DEPTH = 64;
const MAX_INTEGER = 2n ** 63n - 1n;
const MIN_INTEGER = -(2n ** 63n);

const HALF_CHARACTER = /\p{Surrogate}/u;

export type LimitFault = 'bytes' | 'depth' | 'number' | 'nul' | 'surrogate';

export interface Unstorable {
  readonly pointer: string;
  readonly fault: LimitFault;
}

/** Returns why a JSON value cannot be stored; null where it can. */
export function findUnstorable(value: unknown, maxBytes = MAX_INPUT_BYTES): Unstorable | null {
  const found = findFault(value, '', 0);
  if (found !== null) return found;
  return measureBytes(value) > maxBytes ? { pointer: '', fault: 'bytes' } : null;
}

/** Returns the size of a value as compact JSON in UTF-8. */
export function measureBytes(value: unknown): number {
  return new TextEncoder().encode(writeCompact(value)).length;
}

function writeCompact(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? Number(each) : each)) ?? '';
}

function findFault(value: unknown, pointer: string, depth: number): Unstorable | null {
  if (typeof value === 'string') return findTextFault(value, pointer);
  if (typeof value === 'bigint') {
    return value > MAX_INTEGER || value < MIN_INTEGER ? { pointer, fault: 'number' } : null;
  }
  if (typeof value === 'number') {
    return Number.isFinite(value) && value < 2 ** 63 && value >= -(2 ** 63)
      ? null
      : { pointer, fault: 'number' };
  }
  if (typeof value !== 'object' || value === null) return null;
  if (depth === MAX_DEPTH) return { pointer: '', fault: 'depth' };
  for (const [name, member] of Object.entries(value)) {
    const at = `${pointer}/${escapePart(name)}`;
    const found = (Array.isArray(value) ? null : findTextFault(name, at)) ?? findFault(member, at, depth + 1);
    if (found !== null) return found;
  }
  return null;
}

function findTextFault(text: string, pointer: string): Unstorable | null {
  if (text.includes('\0')) return { pointer, fault: 'nul' };
  return !HALF_CHARACTER.test(text) ? null : { pointer, fault: 'surrogate' };
}
