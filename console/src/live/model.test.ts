import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_ITEMS, type Model, type SaidItem, type StepEntry, emptyModel, fold, foldGap } from './model';
import { parseFrame } from './message';
import { aFrame, aMessage, aNode, messages } from './testing';

const take = (all: ReturnType<typeof messages>): Model => {
  const model = emptyModel();
  for (const each of all) fold(model, each);
  return model;
};
const said = (model: Model): SaidItem[] => model.items.filter((item) => item.kind === 'said');
const steps = (model: Model): StepEntry[] => model.timeline.filter((entry) => entry.kind === 'step');
const started = (node: string, task = node) => aNode(node, task)[0];
const finished = (node: string, task = node) => aNode(node, task)[1];

const start = {
  event: 'message-start',
  data: { message_id: 'm1', role: 'ai', step_name: 'agent', model: 'x' },
};
const block = (index: number, kind = 'text', more = {}) => ({
  event: 'content-block-start',
  data: { message_id: 'm1', index, block: kind, ...more },
});
const delta = (index: number, text: string) => ({
  event: 'content-block-delta',
  data: { message_id: 'm1', index, text },
  text,
});
const finish = { event: 'message-finish', data: { message_id: 'm1', usage: { total_tokens: 42 } } };

describe('messages', () => {
  it('grow token by token, block by block', () => {
    const all = messages(
      start,
      block(0, 'reasoning'),
      delta(0, 'hm'),
      block(1),
      delta(1, 'Hel'),
      delta(1, 'lo'),
    );
    const model = take(all);
    expect(said(model)).toHaveLength(1);
    expect(said(model)[0]).toMatchObject({
      isOpen: true,
      node: 'agent',
      blocks: [
        { kind: 'reasoning', text: 'hm' },
        { kind: 'text', text: 'Hello' },
      ],
    });
    fold(model, aMessage({ seq: 7, ...finish }));
    expect(said(model)[0]).toMatchObject({ isOpen: false, tokens: 42 });
  });

  it('of two nodes at once do not mix', () => {
    const other = { message_id: 'm2', index: 0 };
    const model = take(
      messages(
        start,
        block(0),
        { event: 'message-start', data: { message_id: 'm2', step_name: 'b' } },
        { event: 'content-block-start', data: { ...other, block: 'text' } },
        delta(0, 'a1'),
        { event: 'content-block-delta', data: { ...other, text: 'b1' }, text: 'b1' },
        delta(0, 'a2'),
      ),
    );
    expect(said(model).map((item) => item.blocks[0]?.text)).toEqual(['a1a2', 'b1']);
  });

  it('change only the version of the item that grew', () => {
    const model = take(
      messages(start, block(0), delta(0, 'x'), finish, { ...start, data: { message_id: 'm2' } }),
    );
    const [first, second] = said(model);
    const before = first?.version;
    fold(
      model,
      aMessage({ seq: 6, event: 'content-block-delta', data: { message_id: 'm2', index: 0, text: 'y' } }),
    );
    expect(first?.version).toBe(before);
    expect(second?.version).toBe(2);
  });

  it('whose start is in a gap begin with what is there', () => {
    const model = take(messages({ event: 'gap', data: { from: 1, to: 1 } }, delta(2, 'rest')));
    expect(model.items.map((item) => item.kind)).toEqual(['gap', 'said']);
    expect(said(model)[0]?.blocks[0]?.text).toBe('rest');
  });

  it('that a lost run left open are marked as cut', () => {
    const model = take(messages(start, block(0), delta(0, 'half'), { event: 'run_started', run: 2 }));
    expect(said(model)[0]).toMatchObject({ isOpen: false, isCut: true });
  });
});

describe('messages that were joined since', () => {
  const whole = (data: Record<string, unknown>, text: string) => ({
    event: 'message',
    data: { message_id: 'm1', ...data },
    text,
  });
  const blocks = [
    { index: 0, block: 'reasoning', text: 'hm' },
    { index: 1, block: 'text', length: 2 },
    { index: 2, block: 'tool_call', name: 'search', call: 'c1', text: '{}' },
    { index: 3, block: 'text', length: 3 },
  ];

  it('are whole, with each text in its block', () => {
    const model = take([
      aMessage({
        seq: 9,
        prev: 0,
        ...whole({ blocks, from: 1, is_last: true, usage: { total_tokens: 3 } }, '\u{1f375}abcd'),
      }),
    ]);
    expect(said(model)[0]).toMatchObject({ isOpen: false, tokens: 3 });
    expect(said(model)[0]?.blocks.map((each) => each.text)).toEqual(['hm', '\u{1f375}a', '{}', 'bcd']);
    fold(model, aMessage({ seq: 10, event: 'tool-finished', data: { call: 'c1', output: 'x' } }));
    expect(said(model)[0]?.blocks[2]?.outcome?.output).toBe('x');
  });

  it('replace the parts that were there, for a client that was away in the middle', () => {
    const model = take(messages(start, block(0), delta(0, 'Hel')));
    fold(
      model,
      aMessage({
        seq: 9,
        prev: 3,
        ...whole({ blocks: [{ index: 0, block: 'text', length: 5 }], from: 1, is_last: true }, 'Hello'),
      }),
    );
    expect(said(model)).toHaveLength(1);
    expect(said(model)[0]?.blocks.map((each) => each.text)).toEqual(['Hello']);
    expect(model.chars).toBe(5);
  });

  it('go on where they are in several rows', () => {
    const part = [{ index: 0, block: 'text', length: 3 }];
    const model = take([
      aMessage({ seq: 5, prev: 0, ...whole({ blocks: part, from: 1, is_last: false }, 'one') }),
      aMessage({ seq: 9, prev: 5, ...whole({ blocks: part, from: 6, is_last: true }, 'two') }),
    ]);
    expect(said(model)[0]?.blocks[0]?.text).toBe('onetwo');
    expect(said(model)[0]?.isOpen).toBe(false);
  });
});

describe('tools', () => {
  it('have their result beside their call', () => {
    const model = take(
      messages(
        start,
        block(0, 'tool_call', { name: 'search', call: 'c1' }),
        delta(0, '{"q":'),
        delta(0, '"tea"}'),
        finish,
        { event: 'tool-finished', data: { call: 'c1', name: 'search', status: 'success', output: '3 hits' } },
      ),
    );
    expect(model.items).toHaveLength(1);
    expect(said(model)[0]?.blocks[0]).toMatchObject({
      name: 'search',
      text: '{"q":"tea"}',
      outcome: { status: 'success', output: '3 hits' },
    });
  });

  it('whose call is unknown are shown by themselves, too large outputs by their size', () => {
    const model = take(
      messages({
        event: 'tool-finished',
        data: { call: 'c9', name: 't', status: 'error', size: 9000, truncated: true },
      }),
    );
    expect(model.items[0]).toMatchObject({
      kind: 'tool',
      outcome: { status: 'error', output: null, size: 9000 },
    });
  });
});

describe('super-steps and nodes', () => {
  it('are the nodes that run at once', () => {
    const model = take(
      messages(
        started('a'),
        finished('a'),
        started('b'),
        started('c'),
        finished('c'),
        finished('b'),
        started('d'),
      ),
    );
    expect(steps(model).map((step) => step.tasks.map((task) => task.node))).toEqual([
      ['a'],
      ['b', 'c'],
      ['d'],
    ]);
    expect(steps(model).map((step) => step.endedAt !== null)).toEqual([true, true, false]);
    expect([...model.nodes.values()].map(({ node, state }) => [node, state])).toEqual([
      ['a', 'done'],
      ['b', 'done'],
      ['c', 'done'],
      ['d', 'running'],
    ]);
  });

  it('know how long they took', () => {
    const model = take(messages(started('a'), { event: 'custom' }, { event: 'custom' }, finished('a')));
    const [step] = steps(model);
    expect((step?.endedAt ?? 0) - (step?.startedAt ?? 0)).toBe(3000);
  });

  it('count repetitions, and a node that runs twice at once is done when both are', () => {
    const model = take(messages(started('a', '1'), started('a', '2'), finished('a', '1')));
    expect(model.nodes.get('a')).toMatchObject({ state: 'running', starts: 2, running: 1 });
    fold(model, aMessage({ seq: 4, ...finished('a', '2') }));
    expect(model.nodes.get('a')).toMatchObject({ state: 'done', running: 0 });
  });

  it('of subgraphs belong to the super-step of their parent', () => {
    const model = take(
      messages(started('a'), started('a/x'), finished('a/x'), started('a/y'), finished('a/y'), finished('a')),
    );
    expect(steps(model)).toHaveLength(1);
    expect(steps(model)[0]?.inner.map((task) => task.node)).toEqual(['a/x', 'a/y']);
  });

  it('that failed or ask say so', () => {
    const about = (node: string) => ({ step_name: node, step: node, task: node });
    const model = take(
      messages(
        started('a'),
        started('b'),
        { event: 'node_failed', data: { ...about('a'), error: 'no' } },
        { event: 'interrupt', data: { ...about('b'), interrupt: 'i1' } },
      ),
    );
    expect(model.nodes.get('a')).toMatchObject({ state: 'failed', error: 'no' });
    expect(model.nodes.get('b')).toMatchObject({ state: 'waiting' });
    expect(steps(model)[0]?.endedAt).not.toBeNull();
  });

  it('of a run that was lost run again in the next one', () => {
    const model = take(
      messages(
        { event: 'run_started' },
        started('a'),
        { event: 'run_started', run: 2 },
        started('a'),
        finished('a'),
      ),
    );
    expect(steps(model).map((step) => step.tasks[0]?.state)).toEqual(['lost', 'done']);
    expect(model.nodes.get('a')).toMatchObject({ state: 'done', starts: 2, running: 0 });
  });

  it('begin anew with each turn of a conversation', () => {
    const model = take([
      aMessage({ seq: 1, ...started('a'), turn: 1 }),
      aMessage({ seq: 2, ...finished('a'), turn: 1 }),
      aMessage({ seq: 3, event: 'completed', turn: 1 }),
      aMessage({ seq: 4, event: 'run_started', turn: 2 }),
      aMessage({ seq: 5, ...started('b'), turn: 2 }),
    ]);
    expect([...model.nodes.keys()]).toEqual(['b']);
    expect(model.timeline.map((entry) => entry.kind)).toEqual(['step', 'mark', 'wait', 'mark', 'step']);
    expect(model.timeline[2]).toMatchObject({ why: 'turn', endedAt: model.timeline[3]?.startedAt });
  });
});

describe('questions and ends', () => {
  it('make a wait that the next run ends', () => {
    const model = take(messages({ event: 'waiting_for_input', data: { interrupt: 'i1' }, text: 'Pay?' }));
    expect(model).toMatchObject({ phase: 'WaitingForInput' });
    expect(model.items[0]).toMatchObject({ kind: 'asked', interrupt: 'i1', prompt: 'Pay?' });
    expect(model.timeline[0]).toMatchObject({ kind: 'wait', endedAt: null });
    const before = model.statusVersion;
    fold(model, aMessage({ seq: 2, event: 'run_started', run: 2, at: Date.parse('2026-01-03T00:00:00Z') }));
    expect(model.timeline[0]).toMatchObject({ endedAt: Date.parse('2026-01-03T00:00:00Z') });
    expect(model).toMatchObject({ phase: 'Running' });
    expect(model.statusVersion).toBeGreaterThan(before);
  });

  it('tell the phase and the failed node', () => {
    const failed = {
      event: 'failed',
      data: { reason: 'GraphError', step_name: 'a', retriable: false },
      text: 'boom',
    };
    const model = take(messages(started('a'), failed));
    expect(model.phase).toBe('Failed');
    expect(model.nodes.get('a')).toMatchObject({ state: 'failed', error: 'boom' });
    expect(take(messages({ event: 'completed' })).phase).toBe('Completed');
    expect(take([aMessage({ seq: 1, event: 'completed', turn: 1 })]).phase).toBe('Idle');
  });

  it('show gaps, the ones that the gateway names and others', () => {
    const model = take(
      messages({
        event: 'gap',
        data: { reason: 'queue full', count: 7 },
        text: '7 events were not stored: queue full',
      }),
    );
    foldGap(model, 2, 5);
    expect(model.items).toMatchObject([
      { kind: 'gap', text: '7 events were not stored: queue full' },
      { kind: 'gap', first: 2, last: 5 },
    ]);
  });

  it('keep progress out of the list', () => {
    const model = take(
      messages({ event: 'progress', data: { progress: 0.4, step_name: 'a' }, text: 'half' }),
    );
    expect(model.items).toEqual([]);
    expect(model.progress).toMatchObject({ share: 0.4, message: 'half', node: 'a' });
  });

  it('show rows of kinds that are not known by their words', () => {
    const model = take(
      messages(
        { event: 'thought', text: 'hello' },
        { event: '__proto__', text: 'x' },
        { event: 'constructor' },
      ),
    );
    expect(model.items).toMatchObject([
      { kind: 'note', text: 'hello' },
      { kind: 'note', text: 'x' },
    ]);
  });
});

describe('any row at all', () => {
  it('is taken without an error, whatever a workflow or a foreign runner writes', () => {
    const events = [
      'run_started',
      'node_started',
      'node_finished',
      'node_failed',
      'interrupt',
      'message-start',
      'content-block-start',
      'content-block-delta',
      'content-block-finish',
      'message',
      'message-finish',
      'tool-finished',
      'progress',
      'custom',
      'warning',
      'attempt_failed',
      'checkpoints_lost',
      'waiting_for_input',
      'completed',
      'failed',
      'gap',
      'other',
      '__proto__',
    ];
    const keys = [
      'message_id',
      'index',
      'block',
      'text',
      'step_name',
      'task',
      'call',
      'name',
      'usage',
      'progress',
      'data',
      'from',
      'to',
    ];
    const row = fc.record({
      event: fc.constantFrom(...events),
      data: fc.dictionary(
        fc.constantFrom(...keys),
        fc.oneof(fc.constantFrom('a', 'a/b', 0, 1), fc.jsonValue()),
      ),
      text: fc.string(),
      turn: fc.constantFrom(0, 0, 0, 1, 2),
    });
    fc.assert(
      fc.property(fc.array(row, { maxLength: 60 }), (rows) => {
        const model = emptyModel();
        rows.forEach((each, place) => {
          fold(model, parseFrame(JSON.stringify(aFrame({ seq: place + 1, ...each }))));
        });
        expect(model.last).toBe(rows.length);
        expect(new Set(model.items.map((item) => item.key)).size).toBe(model.items.length);
        expect(new Set(model.timeline.map((entry) => entry.key)).size).toBe(model.timeline.length);
        for (const node of model.nodes.values()) expect(node.running).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 400 },
    );
  });
});

describe('long sessions', () => {
  it('take each event in the same time, the last of 100,000 as the first', () => {
    const model = emptyModel();
    fold(model, aMessage({ seq: 1, ...start }));
    fold(model, aMessage({ seq: 2, ...block(0) }));
    const time = (from: number, count: number) => {
      const all = Array.from({ length: count }, (_, place) =>
        aMessage({ seq: from + place, ...delta(0, 'token ') }),
      );
      const before = performance.now();
      for (const each of all) fold(model, each);
      return performance.now() - before;
    };
    const early = time(3, 20_000);
    for (let round = 1; round < 4; round += 1) time(3 + round * 20_000, 20_000);
    const late = time(80_003, 20_000);
    // Room for the collector: what grew with the length would be nine times as slow.
    expect(late).toBeLessThan(4 * early + 50);
    expect(early).toBeLessThan(1000);
  });

  it('keep a bounded number of items, and say how many are gone', () => {
    const model = emptyModel();
    for (let seq = 1; seq <= MAX_ITEMS * 3; seq += 1)
      fold(model, aMessage({ seq, event: 'custom', text: `n${String(seq)}` }));
    expect(model.items.length).toBeLessThanOrEqual(MAX_ITEMS + 1000);
    expect(model.items.length + model.droppedItems).toBe(MAX_ITEMS * 3);
    expect(model.items.at(-1)).toMatchObject({ seq: MAX_ITEMS * 3 });
  });

  it('keep a bounded amount of text', () => {
    const model = emptyModel();
    const text = 'x'.repeat(100_000);
    for (let id = 0; id < 400; id += 1) {
      fold(
        model,
        aMessage({ seq: 2 * id + 1, event: 'message-start', data: { message_id: `m${String(id)}` } }),
      );
      fold(
        model,
        aMessage({
          seq: 2 * id + 2,
          event: 'content-block-delta',
          data: { message_id: `m${String(id)}`, index: 0, text },
        }),
      );
    }
    expect(model.chars).toBeLessThan(13_000_000);
    expect(model.index.said.size).toBe(model.items.length);
  });
});

describe('frames', () => {
  it('keep all digits of numbers', () => {
    const message = parseFrame(
      '{"type":"agent_message","seq":3,"prev":2,"data":{"message":"","metadata":{"event":"custom","data":{"a":12345678901234567890,"b":1e400}}}}',
    );
    expect(JSON.stringify(message.metadata['data'])).toContain('12345678901234567890');
    expect(message.seq).toBe(3);
  });

  it.each(['[]', 'null', '"x"', '{', '{"seq":-1}', '{"seq":1.5}', '{"seq":"1"}'])(
    '%s is no message',
    (text) => {
      expect(() => parseFrame(text)).toThrow();
    },
  );
});
