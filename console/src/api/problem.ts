/** Refusals of the gateway (RFC 9457), and what stands for one where no answer came. */
import { type Json, asObject } from './json';

export interface FieldProblem {
  readonly pointer: string;
  readonly message: string;
  readonly keyword: string;
}

const PREFIX = 'urn:agentic-operator:problem:';

/** A request that was refused, or that got no answer. */
export class Problem extends Error {
  override readonly name = 'Problem';

  /** The part of `type` that does not change: `forbidden`, `invalid-input`, …; `network` without an answer. */
  readonly kind: string;
  /** The HTTP status; 0 without an answer. */
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly errors: readonly FieldProblem[];
  readonly retryAfterSeconds: number | null;

  constructor(fields: {
    kind: string;
    status: number;
    title: string;
    detail: string;
    errors?: readonly FieldProblem[];
    retryAfterSeconds?: number | null;
  }) {
    super(fields.detail || fields.title);
    this.kind = fields.kind;
    this.status = fields.status;
    this.title = fields.title;
    this.detail = fields.detail;
    this.errors = fields.errors ?? [];
    this.retryAfterSeconds = fields.retryAfterSeconds ?? null;
  }
}

const text = (value: Json | undefined): string => (typeof value === 'string' ? value : '');

/** Return the problem of an answer that is no success; `body` is its JSON, or null where it has none. */
export function readProblem(status: number, body: Json, retryAfter: string | null): Problem {
  const found = asObject(body) ?? {};
  const errors = Array.isArray(found['errors']) ? found['errors'] : [];
  const type = text(found['type']);
  return new Problem({
    kind: type.startsWith(PREFIX) ? type.slice(PREFIX.length) : `http-${String(status)}`,
    status,
    title: text(found['title']) || `HTTP ${String(status)}`,
    detail: text(found['detail']),
    errors: errors.flatMap((each) => {
      const error = asObject(each);
      return error === null
        ? []
        : [
            {
              pointer: text(error['pointer']),
              message: text(error['message']),
              keyword: text(error['keyword']),
            },
          ];
    }),
    retryAfterSeconds: retryAfter !== null && /^\d+$/.test(retryAfter) ? Number(retryAfter) : null,
  });
}

/** Refusals that another try a moment later may not meet. */
const PASSING = new Set(['network', 'unavailable', 'timeout', 'too-many-requests', 'request-timeout']);

/** Returns whether what was asked is asked again. */
export function retryPassing(failures: number, error: unknown): boolean {
  return failures < 2 && error instanceof Problem && PASSING.has(error.kind);
}
