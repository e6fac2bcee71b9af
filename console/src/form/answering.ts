/** How an answer is sent, and what becomes of it: taken at once by the gateway, judged a moment later by the operator. */
import { Problem, type Json, type JsonObject, api, asObject } from '@/api';

export interface Question {
  readonly namespace: string;
  readonly session: string;
  readonly interruptId: string;
  readonly digest: string;
}

/** What the operator made of an answer; `waiting` until it has looked. */
export type Outcome =
  | { readonly kind: 'waiting' | 'accepted' | 'counted' }
  | { readonly kind: 'refused'; readonly reason: string; readonly message: string };

const FINAL = new Set(['Completed', 'Failed', 'Stopped']);

/** Sends an answer; raises `Problem`. Returns the session as it is then. */
export async function sendAnswer(question: Question, value: unknown, key: string): Promise<JsonObject> {
  const { namespace, session, interruptId, digest } = question;
  const body = { interruptId, value, ...(digest === '' ? {} : { digest }) };
  const answer = await api.post('/api/v1/agentic-sessions/{namespace}/{name}/responses', {
    path: { namespace, name: session },
    body,
    headers: { 'Idempotency-Key': key },
  });
  return asObject(answer as unknown as Json) ?? {};
}

/** Returns what became of an answer, by the session as it is now. */
export function readOutcome(session: JsonObject, interruptId: string): Outcome {
  const status = asObject(session['status']) ?? {};
  const metadata = asObject(session['metadata']) ?? {};
  const asked = list(status['interrupts']).find((each) => each['id'] === interruptId);
  const isAnswered = list(status['answers']).some((each) => each['interruptId'] === interruptId);
  // One that went on asks it no more.
  if (isAnswered || asked === undefined || typeof asked['answeredAt'] === 'string')
    return { kind: 'accepted' };
  if (FINAL.has(text(status['phase']))) return { kind: 'refused', reason: 'TooLate', message: '' };
  const judged = list(status['conditions']).find((each) => each['type'] === 'InputAccepted');
  const isCurrent = Number(judged?.['observedGeneration'] ?? 0) >= Number(metadata['generation'] ?? 0);
  if (judged?.['status'] !== 'False' || !isCurrent) return { kind: 'waiting' };
  const reason = text(judged['reason']);
  if (reason === 'ApprovalsMissing') return { kind: 'counted' };
  return { kind: 'refused', reason, message: text(judged['message']) };
}

function list(value: Json | undefined): JsonObject[] {
  return Array.isArray(value) ? value.map((each) => asObject(each) ?? {}) : [];
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}

const POLL_MILLISECONDS = 700;

/** Returns what became of an answer: once the operator has looked, or `waiting` where that takes too long. */
export async function followOutcome(
  question: Question,
  seconds: number,
  signal: AbortSignal,
): Promise<Outcome> {
  const end = Date.now() + seconds * 1000;
  let found: Outcome = { kind: 'waiting' };
  while (found.kind === 'waiting' && Date.now() < end && !signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MILLISECONDS));
    try {
      const session = await api.get('/api/v1/agentic-sessions/{namespace}/{name}', {
        path: { namespace: question.namespace, name: question.session },
        signal,
      });
      found = readOutcome(asObject(session as unknown as Json) ?? {}, question.interruptId);
    } catch (error) {
      // What cannot be read is no answer's fault.
      if (error instanceof Problem && error.kind === 'not-found')
        return { kind: 'refused', reason: 'TooLate', message: '' };
      if (!(error instanceof Problem)) return found;
    }
  }
  return found;
}
