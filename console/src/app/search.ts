/** The search part of each address: what a page filters by, checked and typed. */

export const PHASES = [
  'Pending',
  'Creating',
  'Running',
  'WaitingForInput',
  'Idle',
  'Suspended',
  'Completed',
  'Failed',
  'Stopped',
] as const;
export type Phase = (typeof PHASES)[number];

export interface SessionsSearch {
  namespace?: string;
  phase?: Phase;
  workflow?: string;
  createdBy?: string;
  /** A label selector, as `kubectl -l` takes it. */
  labels?: string;
  /** A JSON object that the inputs have to contain. */
  input?: string;
}

export interface InboxSearch {
  namespace?: string;
  /** The question that is open: `namespace/session/interruptId`. */
  question?: string;
}

export interface WorkflowsSearch {
  namespace?: string;
  q?: string;
  ready?: 'yes' | 'no';
}

export interface SignInSearch {
  /** The path within the console to go to afterwards. */
  return?: string;
}

export interface NewSessionSearch {
  /** `namespace/name` of the session whose inputs the form begins with. */
  from?: string;
}

export interface SessionSearch {
  tab?: string;
}

type Raw = Record<string, unknown>;

function text(raw: Raw, name: string): string | undefined {
  const value = raw[name];
  const found =
    typeof value === 'string'
      ? value
      : typeof value === 'number' || typeof value === 'boolean'
        ? String(value)
        : '';
  return found === '' ? undefined : found;
}

/** Return an object without what is absent. */
function compact<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as T;
}

function oneOf<T extends string>(values: readonly T[], found: string | undefined): T | undefined {
  return values.find((each) => each === found);
}

export const readSessionsSearch = (raw: Raw): SessionsSearch =>
  compact<SessionsSearch>({
    namespace: text(raw, 'namespace'),
    phase: oneOf(PHASES, text(raw, 'phase')),
    workflow: text(raw, 'workflow'),
    createdBy: text(raw, 'createdBy'),
    labels: text(raw, 'labels'),
    input: text(raw, 'input'),
  });

export const readInboxSearch = (raw: Raw): InboxSearch =>
  compact<InboxSearch>({ namespace: text(raw, 'namespace'), question: text(raw, 'question') });

export const readWorkflowsSearch = (raw: Raw): WorkflowsSearch =>
  compact<WorkflowsSearch>({
    namespace: text(raw, 'namespace'),
    q: text(raw, 'q'),
    ready: oneOf(['yes', 'no'] as const, text(raw, 'ready')),
  });

export const readSignInSearch = (raw: Raw): SignInSearch =>
  compact<SignInSearch>({ return: text(raw, 'return') });
export const readNewSessionSearch = (raw: Raw): NewSessionSearch =>
  compact<NewSessionSearch>({ from: text(raw, 'from') });
export const readSessionSearch = (raw: Raw): SessionSearch =>
  compact<SessionSearch>({ tab: text(raw, 'tab') });

/** Write a search without JSON's quotes, so that addresses can be read and typed. */
export function writeSearch(search: Raw): string {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      found.set(name, String(value));
  }
  const written = found.toString();
  return written === '' ? '' : `?${written}`;
}

export const parseSearch = (written: string): Raw => Object.fromEntries(new URLSearchParams(written));
