import { describe, expect, it } from 'vitest';
import { readInput } from './inputs';
import { fits, readRow, sortRows } from './rows';

describe('a session in the list', () => {
  it('is shown by what its resource says', () => {
    const row = readRow({
      metadata: { namespace: 'team', name: 's1', creationTimestamp: '2026-01-01T00:00:00Z' },
      spec: { workflowRef: { name: 'report' }, createdBy: 'alice', displayName: 'Rivers', suspend: false },
      status: { phase: 'WaitingForInput', question: 'Publish it?' },
    });
    expect(row).toMatchObject({
      key: 'team/s1',
      phase: 'WaitingForInput',
      now: 'Publish it?',
      workflow: 'report',
    });
  });

  it.each([
    [null],
    [[]],
    ['x'],
    [{ metadata: 1, spec: [], status: 'x' }],
    [{ status: { phase: ['Running'] } }],
  ])('is Pending and empty where its resource is %j', (session) => {
    expect(readRow(session)).toMatchObject({ phase: 'Pending', name: '', now: '' });
  });

  it('says what failed', () => {
    const status = { phase: 'Failed', message: 'the graph raised', error: { message: 'no such file' } };
    expect(readRow({ status }).now).toBe('no such file');
  });

  it.each([
    ['Running', {}, ['stop', 'suspend']],
    ['Suspended', { suspend: true }, ['stop', 'resume']],
    ['Failed', {}, ['retry']],
    ['Failed', { mode: 'Conversation' }, []],
    ['Completed', {}, []],
  ] as const)('that is %s (%j) can be %j', (phase, spec, actions) => {
    const row = readRow({ spec, status: { phase } });
    expect((['stop', 'suspend', 'resume', 'retry'] as const).filter((each) => fits(each, row))).toEqual(
      actions,
    );
  });

  it('comes first where it is newest', () => {
    const row = (name: string, at: string) =>
      readRow({ metadata: { name, namespace: 'n', creationTimestamp: at } });
    const rows = [
      row('a', '2026-01-01T00:00:00Z'),
      row('b', '2026-01-03T00:00:00Z'),
      row('c', '2026-01-02T00:00:00Z'),
    ];
    expect(sortRows(rows, 'newest').map((each) => each.name)).toEqual(['b', 'c', 'a']);
    expect(sortRows(rows, 'name').map((each) => each.name)).toEqual(['a', 'b', 'c']);
  });
});

describe('a search by input', () => {
  it.each([
    ['file_path=/data/a.csv', '{"file_path":"/data/a.csv"}'],
    ['pages=3, ok=true', '{"pages":3,"ok":true}'],
    ['title="two words" n=12345678901234567890', '{"title":"two words","n":12345678901234567890}'],
    ['{"a": {"b": 1}}', '{"a": {"b": 1}}'],
    ['a=', '{"a":""}'],
    ['{"a":', null],
    ['[1]', null],
    ['words', null],
    ['', null],
    ['a=1 words', null],
  ])('of %j looks for %j', (typed, wanted) => {
    expect(readInput(typed)).toBe(wanted);
  });
});
