/**
 * The one way to the gateway: typed by its OpenAPI document, JSON without loss, refusals as {@link Problem}.
 *
 * `await api.get('/api/v1/agentic-sessions/{namespace}', { path: { namespace }, query: { phase } })`
 */
import { addressOf } from '@/app/base';
import { getToken } from '@/auth/credential';
import { computePause } from '@/lib/backoff';
import { type Json, parseAnswer, parseJson, writeJson } from './json';
import { Problem, readProblem } from './problem';
import type { paths } from './schema';

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';
type PathsWith<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, { responses: unknown }> ? P : never;
}[keyof paths];
type Operation<P extends keyof paths, M extends Method> = M extends keyof paths[P] ? paths[P][M] : never;
type Given<T> = [T] extends [never] ? object : T;
type Parameters<O, In extends string> = O extends { parameters: infer A }
  ? In extends keyof A
    ? Given<NonNullable<A[In]>>
    : object
  : object;
type BodyOf<O> = O extends { requestBody?: infer B }
  ? [NonNullable<B>] extends [never]
    ? never
    : NonNullable<B> extends { content: { 'application/json': infer C } }
      ? C
      : never
  : never;
type Success<R> = R extends object
  ? { [S in keyof R]: S extends 200 | 201 | 202 ? ContentOf<R[S]> : never }[keyof R]
  : never;
type ContentOf<R> = R extends { content: { 'application/json': infer C } } ? C : Json;

/** What a request to a path returns. */
export type Answer<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { responses: infer R } ? Success<R> : never;

type WithPath<O> = keyof Parameters<O, 'path'> extends never
  ? { path?: undefined }
  : { path: Parameters<O, 'path'> };
type WithBody<O> = [BodyOf<O>] extends [never] ? { body?: undefined } : { body: BodyOf<O> };
export type Request<P extends keyof paths, M extends Method> = WithPath<Operation<P, M>> &
  WithBody<Operation<P, M>> & {
    query?: Partial<Parameters<Operation<P, M>, 'query'>>;
    headers?: Record<string, string>;
    signal?: AbortSignal;
  };
type Arguments<P extends keyof paths, M extends Method> =
  object extends Request<P, M> ? [request?: Request<P, M>] : [request: Request<P, M>];

type Value = string | number | boolean | null | undefined;

/** What one request is made of, once its types are checked. */
export interface PlainRequest {
  path?: Record<string, unknown> | undefined;
  query?: Record<string, unknown> | undefined;
  body?: unknown;
  headers?: Record<string, string> | undefined;
  signal?: AbortSignal | undefined;
}

/** Return the address of a path with its parameters; what is absent or empty in the query is left out. */
export function buildAddress(path: string, { path: places = {}, query = {} }: PlainRequest): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(places[name])));
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? (value as Value[]) : [value as Value]) {
      if (each !== undefined && each !== null && each !== '') search.append(name, String(each));
    }
  }
  const text = search.toString();
  return addressOf(filled) + (text === '' ? '' : `?${text}`);
}

/** The headers that say who asks, and that it is a page of the gateway which does. */
export function headersOf(): Record<string, string> {
  const token = getToken();
  return { 'X-Agentic-Request': '1', ...(token === null ? {} : { Authorization: `Bearer ${token}` }) };
}

/**
 * Send one request, whose answer may be anything; raises {@link Problem} where it is refused or does not come.
 *
 * An abort is raised as the `DOMException` that it is.
 */
export async function send(method: Method, path: string, request: PlainRequest = {}): Promise<Response> {
  const headers: Record<string, string> = {
    Accept: 'application/json',
    ...headersOf(),
    ...request.headers,
  };
  const options: RequestInit = {
    method: method.toUpperCase(),
    headers,
    credentials: 'same-origin',
    cache: 'no-store',
  };
  if (request.body !== undefined) {
    headers['Content-Type'] ??= 'application/json';
    options.body = writeJson(request.body);
  }
  if (request.signal) options.signal = request.signal;
  const response = await fetchAnswer(
    buildAddress(path, request),
    options,
    'Idempotency-Key' in headers ? MOST_TRIES : 1,
  );
  if (!response.ok) {
    const text = await response.text().catch(() => '');
    throw readProblem(response.status, tryParse(text), response.headers.get('Retry-After'));
  }
  return response;
}

/** A request with a key is done once however often it comes: so often it is sent where no answer came. */
const MOST_TRIES = 3;

/** Returns the answer; a laptop that changes its network loses what was on its way. */
async function fetchAnswer(address: string, options: RequestInit, tries: number): Promise<Response> {
  for (let failures = 1; ; failures += 1) {
    try {
      return await fetch(address, options);
    } catch (error) {
      if (error instanceof DOMException && error.name === 'AbortError') throw error;
      if (failures >= tries) {
        throw new Problem({
          kind: 'network',
          status: 0,
          title: 'No answer',
          detail: 'The gateway does not answer.',
        });
      }
      await new Promise((resolve) => setTimeout(resolve, computePause(failures, Math.random())));
    }
  }
}

function tryParse(text: string): Json {
  try {
    return parseJson(text);
  } catch {
    return null;
  }
}

async function request<P extends keyof paths, M extends Method>(
  method: M,
  path: P,
  made?: Request<P, M>,
): Promise<Answer<P, M>> {
  const response = await send(method, path, made as PlainRequest | undefined);
  const text = await response.text();
  if (text === '') return null as Answer<P, M>;
  return parseAnswer(text) as Answer<P, M>;
}

export const api = {
  get: <P extends PathsWith<'get'>>(path: P, ...[made]: Arguments<P, 'get'>) => request('get', path, made),
  post: <P extends PathsWith<'post'>>(path: P, ...[made]: Arguments<P, 'post'>) =>
    request('post', path, made),
  put: <P extends PathsWith<'put'>>(path: P, ...[made]: Arguments<P, 'put'>) => request('put', path, made),
  patch: <P extends PathsWith<'patch'>>(path: P, ...[made]: Arguments<P, 'patch'>) =>
    request('patch', path, made),
  delete: <P extends PathsWith<'delete'>>(path: P, ...[made]: Arguments<P, 'delete'>) =>
    request('delete', path, made),
};
