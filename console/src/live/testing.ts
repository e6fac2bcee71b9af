/** Messages for tests, as the gateway sends them. */

import { readMessage, type StreamMessage } from './message';

export interface Said {
  readonly seq: number;
  readonly event: string;
  readonly data?: Readonly<Record<string, unknown>>;
  readonly text?: string;
  readonly at?: number;
  readonly prev?: number;
  readonly turn?: number;
  readonly run?: number;
  readonly type?: string;
}

const START = Date.parse('2026-01-01T12:00:00Z');

/** Returns the frame of a row; a second passes with each number unless `at` says otherwise. */
export function aFrame(said: Said): unknown {
  const { seq, event, data = {}, text = '', turn = 0, run = 1 } = said;
  const at = new Date(said.at ?? START + seq * 1000).toISOString();
  const metadata = {
    event_id: `${String(turn)}-${String(seq)}`,
    ...(turn > 0 ? { turn } : {}),
    event,
    run,
    ...data,
  };
  return {
    type: said.type ?? (event === 'gap' ? 'gap' : 'agent_message'),
    timestamp: at,
    seq,
    prev: said.prev ?? seq - 1,
    data: { message: text, metadata },
  };
}

/** Returns the message of a row. */
export function aMessage(said: Said): StreamMessage {
  return readMessage(aFrame(said));
}

/** Returns the messages of rows that are numbered one after the other from 1. */
export function messages(...said: readonly Omit<Said, 'seq'>[]): StreamMessage[] {
  return said.map((each, place) => aMessage({ seq: place + 1, ...each }));
}

/** Returns the rows of a node that ran. */
export function aNode(node: string, task = node): [Omit<Said, 'seq'>, Omit<Said, 'seq'>] {
  const data = { step: node, step_name: node, task };
  return [
    { event: 'node_started', data, text: `${node} started` },
    { event: 'node_finished', data, text: `${node} finished` },
  ];
}
