import { describe, expect, it } from 'vitest';
import { type JsonObject, parseJson } from '@/api';
import { emptyModel, fold } from '@/live/model';
import { readSession } from '@/live/session';
import { aMessage } from '@/live/testing';
import {
  beginsAnew,
  buildAnew,
  buildEntries,
  findBase,
  listTurns,
  readWords,
  writeDraft,
  writeWords,
} from './conversation';

const turn = (name: string, more: JsonObject = {}): JsonObject => ({
  name,
  input: writeWords(`say ${name}`),
  by: 'ann',
  ...more,
});
const record = (name: string, number: number, more: JsonObject = {}): JsonObject => ({
  name,
  number,
  phase: 'Completed',
  by: 'ann',
  checkpointId: `c${String(number)}`,
  ...more,
});
const talk = (turns: JsonObject[], records: JsonObject[], status: JsonObject = {}) =>
  readSession({
    metadata: { name: 'tea' },
    spec: { mode: 'Conversation', turns },
    status: { turns: records, ...status },
  });
const row = (name: string, number: number, more = {}) => ({
  number,
  name,
  by: 'ann',
  input: writeWords(`say ${name}`),
  command: null,
  phase: 'Completed',
  error: null,
  checkpointId: `c${String(number)}`,
  startedAt: null,
  finishedAt: null,
  ...more,
});

describe('the turns of a conversation', () => {
  it('are those of the rows and of the resource, each once, in order, with those that wait at the end', () => {
    const session = talk(
      [turn('t0002'), turn('t0003'), turn('t0004')],
      [record('t0002', 2), record('t0003', 3, { phase: 'Running' })],
    );
    const turns = listTurns(session, [row('t0001', 1), row('t0002', 2, { phase: 'Running' })]);
    expect(turns.map(({ name, number, phase }) => [name, number, phase])).toEqual([
      ['t0001', 1, 'Completed'],
      ['t0002', 2, 'Completed'],
      ['t0003', 3, 'Running'],
      ['t0004', null, 'Queued'],
    ]);
  });

  it('that a later one went back behind are left', () => {
    const session = talk(
      [turn('t0004', { fromCheckpoint: 'c1' })],
      [record('t0004', 4, { phase: 'Running', checkpointId: '' })],
    );
    const turns = listTurns(session, [row('t0001', 1), row('t0002', 2), row('t0003', 3)]);
    expect(turns.filter(({ isLeft }) => isLeft).map(({ name }) => name)).toEqual(['t0002', 't0003']);
    // Said once more, it begins where it began.
    expect(findBase(turns, 't0004')).toBe('c1');
  });

  it('are said again from where the conversation was before them', () => {
    const turns = listTurns(talk([], []), [row('t0001', 1), row('t0002', 2), row('t0003', 3)]);
    expect(findBase(turns, 't0003')).toBe('c2');
    expect(findBase(turns, 't0001')).toBeNull();
    expect(findBase(turns, 'gone')).toBeNull();
  });

  it('begin a new conversation where nothing was saved before them, and all before them is known', () => {
    const turns = listTurns(talk([], []), [row('t0001', 1), row('t0002', 2), row('t0003', 3)]);
    expect(['t0001', 't0002', 'gone'].map((name) => beginsAnew(turns, name))).toEqual([true, false, false]);
    // The resource shows the last ones alone, until the rows are there.
    expect(beginsAnew(listTurns(talk([], [record('t0002', 2)]), []), 't0002')).toBe(false);
  });

  it('that failed or were refused say why', () => {
    const session = talk(
      [],
      [record('t0009', 9, { phase: 'Refused', number: 9, error: { type: 'InvalidInput', message: 'no' } })],
    );
    expect(listTurns(session, [])[0]).toMatchObject({
      phase: 'Refused',
      error: { type: 'InvalidInput', message: 'no' },
    });
  });
});

describe('a conversation with another first message', () => {
  it('takes what a retry takes, and nothing that steered the one before', () => {
    const kept = { workflowRef: { name: 'chat' }, mode: 'Conversation', context: { user: 'ann' } };
    const steered = { turns: [turn('t0001')], responses: [], createdBy: 'bob', suspend: true, close: false };
    expect(buildAnew({ ...kept, ...steered }, writeWords('hi'), 'ann')).toEqual({
      ...kept,
      turns: [{ name: 't0001', input: writeWords('hi'), by: 'ann' }],
    });
  });
});

describe('words', () => {
  it('are read from what a graph of messages takes', () => {
    expect(readWords(writeWords('hello'))).toBe('hello');
    expect(readWords({ messages: ['a', { type: 'human', content: 'b' }] })).toBe('a\n\nb');
  });

  it.each([
    [{ topic: 'x' }],
    [null],
    ['text'],
    [{ messages: [{ role: 'system', content: 'x' }] }],
    [{ messages: [], k: 1 }],
  ])('of %j there are none', (input) => {
    expect(readWords(input)).toBeNull();
  });
});

describe('an input that is edited', () => {
  it('is its words, and JSON with all its digits where it is more', () => {
    expect(writeDraft(writeWords('hi'))).toEqual({ text: 'hi', isJson: false });
    expect(writeDraft(parseJson('{"id": 12345678901234567}'))).toEqual({
      text: '{\n  "id": 12345678901234567\n}',
      isJson: true,
    });
    expect(writeDraft(undefined)).toEqual({ text: '', isJson: true });
  });
});

describe('what a chat shows', () => {
  it('is each turn, what was said in it, and how it ended', () => {
    const model = emptyModel();
    for (const [seq, of] of [
      [1, 1],
      [2, 1],
      [3, 2],
    ] as const) {
      fold(model, aMessage({ seq, turn: of, event: 'custom', text: 'x' }));
    }
    const turns = listTurns(talk([turn('t0003')], []), [row('t0001', 1), row('t0002', 2)]);
    expect(buildEntries(turns, model.items).map(({ key }) => key)).toEqual([
      'turn-t0001',
      'n1',
      'n2',
      'end-t0001',
      'turn-t0002',
      'n3',
      'end-t0002',
      'turn-t0003',
    ]);
  });

  it('loses nothing of turns that are not known yet', () => {
    const model = emptyModel();
    fold(model, aMessage({ seq: 1, turn: 7, event: 'custom', text: 'x' }));
    expect(buildEntries([], model.items).map(({ key }) => key)).toEqual(['n1']);
  });
});
