import { describe, expect, it } from 'vitest';
import { asObject, parseJson } from '@/api';
import { compareCheckpoints, compareValues } from './compare';

const items = [
  { id: 'c3', step: 3, node: 'act', next: null, at: '2026-01-01T00:01:00Z' },
  { id: 'c2', step: 2, node: 'plan, look', next: 'act', at: '2026-01-01T00:00:30Z' },
  { id: 'c1', step: 1, node: 'plan', next: 'act', at: '2026-01-01T00:00:00Z' },
];

describe('two checkpoints', () => {
  it('are compared by what ran between them, in whichever order they are named', () => {
    const found = compareCheckpoints(items, 'c1', 'c3');
    expect(found).toMatchObject({ steps: 2, ms: 60_000, hasSameNext: false });
    expect(found?.nodes).toEqual([
      ['plan', 1],
      ['look', 1],
      ['act', 1],
    ]);
    expect(compareCheckpoints(items, 'c3', 'c1')).toEqual(found);
    expect(compareCheckpoints(items, 'c1', 'c2')?.hasSameNext).toBe(true);
  });

  it('that are not listed are not compared', () => {
    expect(compareCheckpoints(items, 'c1', 'gone')).toBeNull();
  });
});

describe('two states', () => {
  const read = (text: string) => asObject(parseJson(text)) ?? {};

  it('differ in the channels that came, went or changed', () => {
    const before = read('{"topic": "tea", "plan": ["look"], "gone": 1, "same": {"a": 1, "b": [2]}}');
    const after = read('{"same": {"b": [2], "a": 1}, "topic": "tea", "plan": ["look", "act"], "came": null}');
    expect(compareValues(before, after)).toEqual([
      { key: 'plan', before: ['look'], after: ['look', 'act'] },
      { key: 'came', before: undefined, after: null },
      { key: 'gone', before: before['gone'], after: undefined },
    ]);
    expect(compareValues(before, before)).toEqual([]);
  });

  it('differ in one digit of a number beyond a double', () => {
    const [a, b] = [read('{"n": 9007199254740993}'), read('{"n": 9007199254740992}')];
    expect(compareValues(a, b)).toHaveLength(1);
    expect(compareValues(a, read('{"n": 9007199254740993}'))).toEqual([]);
  });

  it('know no member of an object that JSON did not bring', () => {
    expect(compareValues({}, read('{"constructor": 1}'))).toHaveLength(1);
  });
});
