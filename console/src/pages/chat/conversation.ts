/** The turns of a conversation, from its resource and its rows, and which of them later ones branched off from. Pure. */

import { type Json, type JsonObject, type TurnSummary, asObject, writeJson } from '@/api';
import type { Item } from '@/live/model';
import type { RunError, Session } from '@/live/session';

export type TurnPhase = 'Queued' | 'Running' | 'Completed' | 'Failed' | 'Canceled' | 'Refused';

export interface ChatTurn {
  readonly name: string;
  /** Its place in the conversation; null before it began, and for one that was refused. */
  readonly number: number | null;
  readonly phase: TurnPhase;
  readonly by: string;
  readonly input: Json | undefined;
  readonly hasCommand: boolean;
  readonly isCancelling: boolean;
  readonly checkpointId: string;
  /** The checkpoint that it went on from, where it names one. */
  readonly fromCheckpoint: string;
  readonly error: RunError | null;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  /** Whether a later turn went on from before it, so that its state is no longer part of the conversation. */
  readonly isLeft: boolean;
}

const PHASES: readonly TurnPhase[] = ['Running', 'Completed', 'Failed', 'Canceled', 'Refused'];
const readPhase = (text: string): TurnPhase => PHASES.find((each) => each === text) ?? 'Queued';

function readRowError(value: unknown): RunError | null {
  const found = asObject(value as Json);
  if (found === null) return null;
  const text = (key: string): string => (typeof found[key] === 'string' ? found[key] : '');
  return {
    type: text('type') || text('reason'),
    message: text('message'),
    node: text('node'),
    retriable: null,
  };
}

/** Returns all turns in their order: those that began by number, then those that wait. */
export function listTurns(session: Session, rows: readonly TurnSummary[]): readonly ChatTurn[] {
  const byName = new Map<string, ChatTurn>();
  for (const row of rows) {
    byName.set(row.name, {
      name: row.name,
      number: row.number,
      phase: readPhase(row.phase),
      by: row.by ?? '',
      input: row.input as Json | undefined,
      hasCommand: row.command !== null && row.command !== undefined,
      isCancelling: false,
      checkpointId: row.checkpointId ?? '',
      fromCheckpoint: '',
      error: readRowError(row.error),
      startedAt: row.startedAt ?? null,
      finishedAt: row.finishedAt ?? null,
      isLeft: false,
    });
  }
  const written = new Map(session.writtenTurns.map((each) => [each.name, each]));
  const records = new Map(session.turns.map((each) => [each.name, each]));
  for (const name of new Set([...records.keys(), ...written.keys()])) {
    const known = byName.get(name);
    const record = records.get(name);
    const entry = written.get(name);
    const isOn = session.turn?.name === name && record === undefined;
    byName.set(name, {
      name,
      number: record?.number ?? known?.number ?? (isOn ? (session.turn?.number ?? null) : null),
      // The resource is newer than the row.
      phase: record !== undefined ? readPhase(record.phase) : (known?.phase ?? (isOn ? 'Running' : 'Queued')),
      by: entry?.by ?? record?.by ?? known?.by ?? '',
      input: entry === undefined ? known?.input : entry.input,
      hasCommand: entry?.hasCommand ?? known?.hasCommand ?? false,
      isCancelling: entry?.isCancelled ?? false,
      checkpointId: record?.checkpointId || known?.checkpointId || '',
      fromCheckpoint: entry?.fromCheckpoint ?? '',
      error: record?.error ?? known?.error ?? null,
      startedAt: record?.startedAt ?? known?.startedAt ?? null,
      finishedAt: record?.finishedAt ?? known?.finishedAt ?? null,
      isLeft: false,
    });
  }
  const turns = [...byName.values()].sort(
    (a, b) => (a.number ?? Number.POSITIVE_INFINITY) - (b.number ?? Number.POSITIVE_INFINITY) || 0,
  );
  return markLeft(turns);
}

/** Marks the turns that a later one went back behind. */
function markLeft(turns: readonly ChatTurn[]): readonly ChatTurn[] {
  const left = new Set<string>();
  turns.forEach((turn, place) => {
    if (turn.fromCheckpoint === '' || turn.phase === 'Refused') return;
    const base = turns
      .slice(0, place)
      .findLastIndex(({ checkpointId }) => checkpointId === turn.fromCheckpoint);
    if (base < 0) return;
    for (const each of turns.slice(base + 1, place)) left.add(each.name);
  });
  return left.size === 0
    ? turns
    : turns.map((turn) => (left.has(turn.name) ? { ...turn, isLeft: true } : turn));
}

/**
 * Returns the checkpoint to say a turn again from: where the conversation was before it. Null for the first turn, and
 * where nothing is known of what came before.
 */
export function findBase(turns: readonly ChatTurn[], name: string): string | null {
  const place = turns.findIndex((each) => each.name === name);
  const turn = turns[place];
  if (turn === undefined) return null;
  if (turn.fromCheckpoint !== '') return turn.fromCheckpoint;
  const before = turns.slice(0, place).findLast((each) => !each.isLeft && each.checkpointId !== '');
  return before?.checkpointId ?? null;
}

/**
 * Returns whether a turn is said again in a new conversation: none before it left a checkpoint to go back to, and all
 * turns before it are known.
 */
export function beginsAnew(turns: readonly ChatTurn[], name: string): boolean {
  const isWhole = turns.every(({ number }) => number === null) || turns.some(({ number }) => number === 1);
  return isWhole && turns.some((turn) => turn.name === name) && findBase(turns, name) === null;
}

/** What a session takes from the one it follows, as a retry does. What steered that one stays behind. */
const INHERITED: ReadonlySet<string> = new Set([
  'workflowRef',
  'config',
  'context',
  'displayName',
  'userContext',
  'timeoutSeconds',
  'retries',
  'ttlSecondsAfterFinished',
  'keepWarmSeconds',
  'inputDeadline',
  'resources',
  'env',
  'forkFrom',
  'mode',
  'revision',
  'idleDeadlineSeconds',
]);

/** Returns the spec of a conversation like one that is there, with another first turn. */
export function buildAnew(spec: JsonObject, input: Json, by: string): JsonObject {
  const kept = Object.entries(spec).filter(([field]) => INHERITED.has(field));
  const turn = { name: 't0001', input, ...(by === '' ? {} : { by }) };
  return { ...Object.fromEntries(kept), turns: [turn] };
}

/** Returns the words of an input as a chat has it, null for any other. */
export function readWords(input: Json | undefined): string | null {
  const messages = asObject(input)?.['messages'];
  if (!Array.isArray(messages) || Object.keys(asObject(input) ?? {}).length !== 1) return null;
  const words: string[] = [];
  for (const each of messages) {
    if (typeof each === 'string') {
      words.push(each);
      continue;
    }
    const message = asObject(each);
    const role = message?.['role'] ?? message?.['type'];
    const content = message?.['content'];
    if (typeof content !== 'string' || !['user', 'human', undefined].includes(role as string | undefined))
      return null;
    words.push(content);
  }
  return words.join('\n\n');
}

/** Returns an input as somebody edits it: its words, or JSON for any other. */
export function writeDraft(input: Json | undefined): { text: string; isJson: boolean } {
  const words = readWords(input);
  if (words !== null) return { text: words, isJson: false };
  return { text: input === undefined || input === null ? '' : writeJson(input, 2), isJson: true };
}

/** Returns the input that a graph of messages takes. */
export function writeWords(words: string): Json {
  return { messages: [{ role: 'user', content: words }] };
}

export type ChatEntry =
  | { readonly kind: 'turn'; readonly key: string; readonly turn: ChatTurn }
  | { readonly kind: 'item'; readonly key: string; readonly item: Item; readonly isLeft: boolean }
  | { readonly kind: 'end'; readonly key: string; readonly turn: ChatTurn };

/** Returns what a conversation shows: each turn, what was said in it, how it ended. */
export function buildEntries(turns: readonly ChatTurn[], items: readonly Item[]): readonly ChatEntry[] {
  const entries: ChatEntry[] = [];
  let at = 0;
  const addItems = (upTo: number, isLeft: boolean): void => {
    for (let item = items[at]; item !== undefined && item.turn <= upTo; item = items[at]) {
      // What a chat has no use for: rows that only tell that a run began.
      entries.push({ kind: 'item', key: item.key, item, isLeft });
      at += 1;
    }
  };
  for (const turn of turns) {
    if (turn.number !== null) addItems(turn.number - 1, false);
    entries.push({ kind: 'turn', key: `turn-${turn.name}`, turn });
    if (turn.number !== null) addItems(turn.number, turn.isLeft);
    if (turn.phase !== 'Queued' && turn.phase !== 'Running') {
      entries.push({ kind: 'end', key: `end-${turn.name}`, turn });
    }
  }
  addItems(Number.POSITIVE_INFINITY, false);
  return entries;
}
