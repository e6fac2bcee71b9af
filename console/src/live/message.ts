/**
 * One message of a session's stream, as `docs/gateway.md` (Streams) describes it, read into a value with known types.
 *
 * What a workflow controls (`text`, `metadata`) stays data of unknown shape: whoever shows it checks it first.
 */

import { isLosslessNumber, parseJson } from '@/api/json';

/** A message; `seq` is its number in the session, null for what is about this connection alone. */
export interface StreamMessage {
  readonly type: string;
  /** When the row was written, in milliseconds since 1970; NaN where the message names no time. */
  readonly at: number;
  readonly seq: number | null;
  /** The number of the message before, null where the gateway names none. */
  readonly prev: number | null;
  readonly text: string;
  /** The kind of row, such as `node_started`; empty for what is no row of the log. */
  readonly event: string;
  readonly run: number | null;
  /** The turn of a conversation, 0 in other sessions. */
  readonly turn: number;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** A frame that is no message of the protocol. */
export class BadMessage extends Error {
  override readonly name = 'BadMessage';
}

/** Returns whether a value is an object with keys, neither null nor an array. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Returns a text of a record, or an empty one where there is none. */
export function readText(record: Readonly<Record<string, unknown>>, key: string): string {
  const found = record[key];
  return typeof found === 'string' ? found : '';
}

/** Returns a finite number, or null. One that keeps its digits counts by its value. */
export function readNumber(value: unknown): number | null {
  const found = isLosslessNumber(value) ? Number(value.toString()) : value;
  return typeof found === 'number' && Number.isFinite(found) ? found : null;
}

function readSeq(found: Readonly<Record<string, unknown>>, key: string): number | null {
  const value = found[key];
  if (value === null || value === undefined) return null;
  const number = readNumber(value);
  if (number === null || !Number.isSafeInteger(number) || number < 0)
    throw new BadMessage(`${key} is no number of a message`);
  return number;
}

/** Returns the message that a parsed frame is; raises `BadMessage` for anything else. */
export function readMessage(found: unknown): StreamMessage {
  if (!isRecord(found)) throw new BadMessage('a message is an object');
  const data = isRecord(found['data']) ? found['data'] : {};
  const metadata = isRecord(data['metadata']) ? data['metadata'] : {};
  return {
    type: readText(found, 'type'),
    at: Date.parse(readText(found, 'timestamp')),
    seq: readSeq(found, 'seq'),
    prev: readSeq(found, 'prev'),
    text: readText(data, 'message'),
    event: readText(metadata, 'event'),
    run: readNumber(metadata['run']),
    turn: readNumber(metadata['turn']) ?? 0,
    metadata,
  };
}

/** A number that JavaScript may not hold exactly; in a text it may be found as well, which costs time and nothing else. */
const LONG_NUMBER = /[:,[\s]-?(?:\d[\d.]{15}|[\d.]+[eE])/;

/** Returns the message in a frame's text, with all digits of its numbers; raises `BadMessage`. */
export function parseFrame(text: string): StreamMessage {
  let found: unknown;
  try {
    found = LONG_NUMBER.test(text) ? parseJson(text) : JSON.parse(text);
  } catch (error) {
    throw new BadMessage('a frame is no JSON', { cause: error });
  }
  return readMessage(found);
}
