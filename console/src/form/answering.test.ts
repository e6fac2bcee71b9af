/** What became of an answer, and which requests are the same. */
import { describe, expect, it } from 'vitest';

import { Problem, parseJson, type JsonObject } from '@/api';
import { readOutcome } from './answering';
import { makeRequestKeys } from './idempotency';

const session = (status: object, generation = 2): JsonObject =>
  parseJson(JSON.stringify({ metadata: { generation }, status })) as JsonObject;
const judged = (reason: string, observedGeneration = 2) => ({
  phase: 'WaitingForInput',
  interrupts: [{ id: 'q' }],
  conditions: [{ type: 'InputAccepted', status: 'False', reason, message: 'why', observedGeneration }],
});

describe('what became of an answer', () => {
  it('waits until the operator has looked at this generation', () => {
    expect(readOutcome(session({ interrupts: [{ id: 'q' }] }), 'q').kind).toBe('waiting');
    expect(readOutcome(session(judged('InvalidAnswer', 1)), 'q').kind).toBe('waiting');
  });

  it('tells accepted, counted, refused and late ones apart', () => {
    expect(readOutcome(session({ interrupts: [{ id: 'q', answeredAt: 'x' }] }), 'q').kind).toBe('accepted');
    expect(readOutcome(session(judged('ApprovalsMissing')), 'q').kind).toBe('counted');
    expect(readOutcome(session(judged('QuestionChanged')), 'q')).toEqual({
      kind: 'refused',
      reason: 'QuestionChanged',
      message: 'why',
    });
    expect(readOutcome(session({ phase: 'Failed', interrupts: [{ id: 'q' }] }), 'q').kind).toBe('refused');
  });
});

describe('keys of requests', () => {
  const refused = (status: number) => new Problem({ kind: 'x', status, title: '', detail: '' });

  it('stay for the same body until it was refused for good', () => {
    const keys = makeRequestKeys();
    const first = keys.take({ a: 1n });
    keys.drop(refused(0));
    keys.drop(refused(503));
    expect(keys.take({ a: 1n })).toBe(first);
    expect(keys.take({ a: 2 })).not.toBe(first);
    const second = keys.take({ a: 2 });
    keys.drop(refused(400));
    expect(keys.take({ a: 2 })).not.toBe(second);
  });
});
