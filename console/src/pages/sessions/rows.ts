/** What the list shows of a session; whatever the resource holds, these are plain texts. */
import { PHASES, type Phase } from '@/app/search';

export interface SessionRow {
  /** `namespace/name`. */
  key: string;
  namespace: string;
  name: string;
  displayName: string;
  workflow: string;
  phase: Phase;
  createdBy: string;
  /** RFC 3339; empty where it is not known. */
  createdAt: string;
  isConversation: boolean;
  isSuspended: boolean;
  /** What it does or why it stands: a node, a question, an error. */
  now: string;
  progress: string;
}

type Raw = Readonly<Record<string, unknown>>;

function asRaw(value: unknown): Raw {
  return typeof value === 'object' && value !== null ? (value as Raw) : {};
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function readNow(phase: Phase, status: Raw): string {
  switch (phase) {
    case 'WaitingForInput':
      return text(status['question']);
    case 'Failed':
      return text(asRaw(status['error'])['message']) || text(status['message']);
    case 'Running':
      return text(status['currentNode']);
    case 'Pending':
    case 'Creating':
    case 'Suspended':
    case 'Stopped':
      return text(status['message']);
    case 'Idle':
    case 'Completed':
      return '';
  }
}

export function readRow(session: unknown): SessionRow {
  const object = asRaw(session);
  const metadata = asRaw(object['metadata']);
  const spec = asRaw(object['spec']);
  const status = asRaw(object['status']);
  const phase = PHASES.find((each) => each === status['phase']) ?? 'Pending';
  const namespace = text(metadata['namespace']);
  const name = text(metadata['name']);
  return {
    key: `${namespace}/${name}`,
    namespace,
    name,
    displayName: text(spec['displayName']),
    workflow: text(asRaw(spec['workflowRef'])['name']),
    phase,
    createdBy: text(spec['createdBy']),
    createdAt: text(metadata['creationTimestamp']),
    isConversation: spec['mode'] === 'Conversation',
    isSuspended: spec['suspend'] === true,
    now: readNow(phase, status),
    progress: phase === 'Running' ? text(status['progress']) : '',
  };
}

export type Order = 'newest' | 'name';

/** Return the rows in an order; pages come by name. */
export function sortRows(rows: readonly SessionRow[], order: Order): readonly SessionRow[] {
  if (order === 'name') return rows;
  return [...rows].sort(
    (one, other) => other.createdAt.localeCompare(one.createdAt) || one.key.localeCompare(other.key),
  );
}

export type Action = 'stop' | 'suspend' | 'resume' | 'retry';

const FINAL: ReadonlySet<Phase> = new Set(['Completed', 'Failed', 'Stopped']);

/** Return whether an action makes sense for a session as it stands. */
export function fits(action: Action, row: SessionRow): boolean {
  switch (action) {
    case 'stop':
      return !FINAL.has(row.phase);
    case 'suspend':
      return !FINAL.has(row.phase) && !row.isSuspended;
    case 'resume':
      return !FINAL.has(row.phase) && row.isSuspended;
    case 'retry':
      return row.phase === 'Failed' && !row.isConversation;
  }
}

/** The verb on `agenticsessions` that an action takes. */
export const VERBS: Readonly<Record<Action, 'patch' | 'create'>> = {
  stop: 'patch',
  suspend: 'patch',
  resume: 'patch',
  retry: 'create',
};
