/** What people read of a session that is followed: its connection, its nodes, its messages. */

import type { Cause } from '@/live/connection';

export const strings = {
  connection: {
    connecting: 'Connecting',
    connected: 'Live',
    disconnected: 'Disconnected',
    closed: 'Closed',
    ended: 'Complete',
    retryIn: (seconds: number) => `next attempt in ${String(seconds)} s`,
    retryNow: 'Try now',
    causes: {
      ended: 'The session has ended, and everything that it sent is here.',
      left: 'Not followed.',
      'signed-out': 'Your sign-in has ended. Sign in again to go on.',
      forbidden:
        'You may no longer read this session: the right to get agenticsessions in this namespace is missing.',
      gone: 'The session was deleted.',
      lost: 'The connection to the gateway broke. Nothing is lost: it goes on where it stopped.',
      restart: 'The gateway restarts. It goes on where it stopped.',
      slow: 'This page did not keep up. It goes on where it stopped.',
      busy: 'The gateway asks to wait.',
    } satisfies Record<Cause, string>,
    signIn: 'Sign in',
  },
  graph: { title: 'Graph', failed: 'The graph cannot be drawn.' },
  feed: {
    label: 'Messages',
    newest: 'Jump to the newest',
    dropped: (count: number) => `${count.toLocaleString()} earlier items are no longer kept in this page.`,
    gap: (first: number, last: number) =>
      first === last
        ? `Message ${String(first)} is not here.`
        : `Messages ${String(first)} to ${String(last)} are not here.`,
    gapWhy: 'They are no longer kept, or were never stored.',
    plain: 'Shown as plain text: what draws it could not be loaded.',
    thinking: 'Reasoning',
    calls: 'calls',
    arguments: 'Arguments',
    output: 'Output',
    noOutput: (size: number | null) =>
      size === null
        ? 'The output was too large for the event log.'
        : `The output, ${size.toLocaleString()} characters, was too large for the event log.`,
    running: 'running',
    cut: 'Its run ended before the message did.',
    asked: 'Asked',
    media: (kind: string) => `${kind}: not part of the event log`,
    tokens: (count: number) => `${count.toLocaleString()} tokens`,
    more: (count: number) => `Show all ${count.toLocaleString()} characters`,
    copy: 'Copy',
    copied: 'Copied',
    openLink: 'opens in a new tab',
    image: 'image',
    task: 'task',
    table: 'Table',
  },
  timeline: {
    title: 'Timeline',
    empty: 'No super-step yet.',
    step: (number: number) => `Step ${String(number)}`,
    wait: { answer: 'Waited for an answer', turn: 'Idle', run: 'Waited for the next run' },
    waits: { answer: 'Waits for an answer', turn: 'Idle', run: 'Waits for the next run' },
    run: (number: string) => (number === '' ? 'Run started' : `Run started (${number})`),
    completed: 'Completed',
    failed: 'Failed',
    attempt: 'Attempt failed',
    rewound: 'Went back to an earlier checkpoint',
    earlier: (count: number) => `${count.toLocaleString()} earlier entries`,
    inner: (count: number) => `${count.toLocaleString()} node runs in subgraphs`,
    states: { running: 'running', done: 'done', failed: 'failed', asks: 'asked', lost: 'cut off' },
  },
} as const;
