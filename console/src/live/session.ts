/**
 * A session as the API server has it, read into known types. What a workflow wrote stays data of any shape.
 *
 * Missing or strange fields never raise: an object of an older or newer operator is shown as far as it is understood.
 */

import { type Json, type JsonObject, asObject } from '@/api';
import { PHASES, type Phase } from '@/app/search';

export const FINAL_PHASES: ReadonlySet<string> = new Set(['Completed', 'Failed', 'Stopped']);

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly at: string | null;
}

export interface Option {
  readonly value: Json;
  readonly label: string;
}

export interface Rule {
  readonly count: number;
  readonly notCreator: boolean;
  readonly identity: boolean;
  readonly digest: boolean;
  /** Of each list, whoever answers is in one group. */
  readonly groups: readonly (readonly string[])[];
}

export interface Approval {
  readonly interruptId: string;
  readonly rule: Rule;
  readonly digest: string;
  readonly problem: string;
  readonly given: readonly {
    readonly by: string;
    readonly at: string | null;
    readonly valueDigest: string;
  }[];
}

export interface Question {
  readonly id: string;
  readonly node: string;
  readonly prompt: string;
  readonly value: Json;
  readonly options: readonly Option[];
  /** JSON Schema of the answer; null where any will do. */
  readonly schema: JsonObject | null;
  readonly askedAt: string | null;
  readonly answeredAt: string | null;
  readonly answeredBy: string;
  readonly resumedAt: string | null;
  readonly answer: Json | undefined;
  readonly approval: Approval | null;
}

export interface HistoryEntry {
  readonly id: string;
  readonly step: number | null;
  readonly node: string;
  readonly next: string;
  readonly at: string | null;
}

export interface RunError {
  readonly type: string;
  readonly message: string;
  readonly node: string;
  readonly retriable: boolean | null;
}

export interface ResultRef {
  readonly size: number;
  readonly sha256: string;
  /** Whether it is in an object store, rather than in the database. */
  readonly isOutside: boolean;
}

export interface TurnRecord {
  readonly name: string;
  readonly number: number | null;
  readonly phase: string;
  readonly by: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly checkpointId: string;
  readonly error: RunError | null;
  readonly firstSeq: number | null;
  readonly lastSeq: number | null;
}

/** A turn as its author wrote it. */
export interface WrittenTurn {
  readonly name: string;
  readonly input: Json | undefined;
  readonly hasCommand: boolean;
  readonly fromCheckpoint: string;
  readonly by: string;
  readonly isCancelled: boolean;
}

export interface Session {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly version: string;
  readonly createdAt: string | null;
  readonly isDeleted: boolean;
  readonly displayName: string;
  readonly createdBy: string;
  readonly workflow: string;
  readonly workflowKind: string;
  readonly isConversation: boolean;
  readonly isSuspended: boolean;
  readonly isStopped: boolean;
  readonly isClosing: boolean;
  readonly inputs: Json | undefined;
  readonly deadline: { readonly seconds: number; readonly onExpiry: string } | null;
  readonly forkedFrom: { readonly session: string; readonly checkpoint: string } | null;
  readonly phase: Phase;
  readonly isFinal: boolean;
  readonly reason: string;
  readonly message: string;
  readonly conditions: readonly Condition[];
  readonly run: number | null;
  readonly restarts: number;
  readonly threadId: string;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  readonly currentNode: string;
  readonly progress: string;
  readonly steps: number | null;
  readonly checkpointId: string;
  readonly lastSeq: number | null;
  readonly questions: readonly Question[];
  readonly result: Json | undefined;
  readonly resultRef: ResultRef | null;
  readonly error: RunError | null;
  readonly history: readonly HistoryEntry[];
  readonly turn: { readonly name: string; readonly number: number; readonly by: string } | null;
  readonly turns: readonly TurnRecord[];
  readonly writtenTurns: readonly WrittenTurn[];
  readonly image: string;
  /** The object itself, as it came. */
  readonly raw: JsonObject;
}

const object = (value: Json | undefined): JsonObject => asObject(value) ?? {};
const list = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : []);
const objects = (value: Json | undefined): readonly JsonObject[] =>
  list(value)
    .map(asObject)
    .filter((each) => each !== null);
const text = (value: Json | undefined): string => (typeof value === 'string' ? value : '');
const time = (value: Json | undefined): string | null => (typeof value === 'string' ? value : null);
const number = (value: Json | undefined): number | null => (typeof value === 'number' ? value : null);

function readError(value: Json | undefined): RunError | null {
  const found = asObject(value);
  if (found === null) return null;
  return {
    type: text(found['type']),
    message: text(found['message']),
    node: text(found['node']),
    retriable: typeof found['retriable'] === 'boolean' ? found['retriable'] : null,
  };
}

function readRule(value: Json | undefined): Rule {
  const found = object(value);
  return {
    count: number(found['count']) ?? 1,
    notCreator: found['notCreator'] === true,
    identity: found['identity'] === 'Required',
    digest: found['digest'] === 'Required',
    groups: list(found['groups']).map((each) => list(each).map(text)),
  };
}

function readApproval(found: JsonObject): Approval {
  return {
    interruptId: text(found['interruptId']),
    rule: readRule(found['rule']),
    digest: text(found['digest']),
    problem: text(found['problem']),
    given: objects(found['given']).map((each) => ({
      by: text(each['by']),
      at: time(each['at']),
      valueDigest: text(each['valueDigest']),
    })),
  };
}

function readQuestion(found: JsonObject, status: JsonObject): Question {
  const id = text(found['id']);
  const approval = objects(status['approvals']).find((each) => each['interruptId'] === id);
  const answer = objects(status['answers']).find((each) => each['interruptId'] === id);
  return {
    id,
    node: text(found['node']),
    prompt: text(found['prompt']),
    value: found['value'] ?? null,
    options: objects(found['options']).map((each) => ({
      value: each['value'] ?? null,
      label: text(each['label']),
    })),
    schema: asObject(found['schema']),
    askedAt: time(found['askedAt']),
    answeredAt: time(found['answeredAt']),
    answeredBy: answer === undefined ? text(found['answeredBy']) : text(answer['by']),
    resumedAt: time(found['resumedAt']),
    answer: answer === undefined ? found['answer'] : answer['value'],
    approval: approval === undefined ? null : readApproval(approval),
  };
}

function readTurn(found: JsonObject): TurnRecord {
  return {
    name: text(found['name']),
    number: number(found['number']),
    phase: text(found['phase']),
    by: text(found['by']),
    startedAt: time(found['startedAt']),
    finishedAt: time(found['finishedAt']),
    checkpointId: text(found['checkpointId']),
    error: readError(found['error']),
    firstSeq: number(found['firstSeq']),
    lastSeq: number(found['lastSeq']),
  };
}

/** Returns what a session's object says. */
export function readSession(raw: JsonObject): Session {
  const metadata = object(raw['metadata']);
  const spec = object(raw['spec']);
  const status = object(raw['status']);
  const reference = object(spec['workflowRef']);
  const fork = asObject(spec['forkFrom']);
  const deadline = asObject(spec['inputDeadline']);
  const turn = asObject(status['turn']);
  const ref = asObject(status['resultRef']);
  const phase = PHASES.find((each) => each === status['phase']) ?? 'Pending';
  return {
    namespace: text(metadata['namespace']),
    name: text(metadata['name']),
    uid: text(metadata['uid']),
    version: text(metadata['resourceVersion']),
    createdAt: time(metadata['creationTimestamp']),
    isDeleted: typeof metadata['deletionTimestamp'] === 'string',
    displayName: text(spec['displayName']),
    createdBy: text(spec['createdBy']),
    workflow: text(reference['name']),
    workflowKind: text(reference['kind']) || 'WorkflowDefinition',
    isConversation: spec['mode'] === 'Conversation',
    isSuspended: spec['suspend'] === true,
    isStopped: spec['stop'] === true,
    isClosing: spec['close'] === true,
    inputs: spec['inputs'],
    deadline:
      deadline === null
        ? null
        : { seconds: number(deadline['seconds']) ?? 0, onExpiry: text(deadline['onExpiry']) || 'Fail' },
    forkedFrom:
      fork === null ? null : { session: text(fork['session']), checkpoint: text(fork['checkpointId']) },
    phase,
    isFinal: FINAL_PHASES.has(phase),
    reason: text(status['reason']),
    message: text(status['message']),
    conditions: objects(status['conditions']).map((each) => ({
      type: text(each['type']),
      status: text(each['status']),
      reason: text(each['reason']),
      message: text(each['message']),
      at: time(each['lastTransitionTime']),
    })),
    run: number(status['run']),
    restarts: number(status['restarts']) ?? 0,
    threadId: text(status['threadId']),
    startedAt: time(status['startTime']),
    endedAt: time(status['completionTime']),
    currentNode: text(status['currentNode']),
    progress: text(status['progress']),
    steps: number(status['steps']),
    checkpointId: text(status['checkpointId']),
    lastSeq: number(status['lastSeq']),
    questions: objects(status['interrupts']).map((each) => readQuestion(each, status)),
    result: status['result'],
    resultRef:
      ref === null
        ? null
        : {
            size: number(ref['size']) ?? 0,
            sha256: text(ref['sha256']),
            isOutside: text(ref['url']).startsWith('s3://'),
          },
    error: readError(status['error']),
    history: objects(status['history']).map((each) => ({
      id: text(each['id']),
      step: number(each['step']),
      node: text(each['node']),
      next: text(each['next']),
      at: time(each['at']),
    })),
    turn:
      turn === null
        ? null
        : { name: text(turn['name']), number: number(turn['number']) ?? 0, by: text(turn['by']) },
    turns: objects(status['turns']).map(readTurn),
    writtenTurns: objects(spec['turns']).map((each) => ({
      name: text(each['name']),
      input: each['input'],
      hasCommand: each['command'] !== undefined,
      fromCheckpoint: text(each['fromCheckpoint']),
      by: text(each['by']),
      isCancelled: each['cancel'] === true,
    })),
    image: text(object(status['workflow'])['image']),
    raw,
  };
}

/** Returns the questions that nobody has answered. */
export function listOpenQuestions(session: Session): readonly Question[] {
  if (session.isFinal) return [];
  return session.questions.filter((each) => each.answeredAt === null);
}

/** Returns until when people can answer, by the oldest open question; null without a deadline. */
export function findDeadline(session: Session): number | null {
  if (session.deadline === null) return null;
  const asked = listOpenQuestions(session)
    .map((each) => Date.parse(each.askedAt ?? ''))
    .filter((at) => !Number.isNaN(at));
  return asked.length === 0 ? null : Math.min(...asked) + session.deadline.seconds * 1000;
}

/** Returns the names of the phase's life in which a session holds no pod and nothing of it runs. */
export function isAtRest(session: Session): boolean {
  return (
    session.isFinal ||
    session.phase === 'Suspended' ||
    session.phase === 'Idle' ||
    session.phase === 'WaitingForInput'
  );
}
