import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { send } from './client';

const LOST = new TypeError('Failed to fetch');

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function fetchThat(...outcomes: (Response | Error)[]) {
  const fetched = vi.fn((_address: string, _options: RequestInit) => {
    const next = outcomes.shift() ?? LOST;
    return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
  });
  vi.stubGlobal('fetch', fetched);
  return fetched;
}

it('sends a request that has a key again where no answer came, with the same key', async () => {
  const fetched = fetchThat(LOST, LOST, new Response('{}'));
  const answer = send('post', '/api/v1/x', { body: {}, headers: { 'Idempotency-Key': 'k' } });
  await vi.runAllTimersAsync();
  expect((await answer).ok).toBe(true);
  expect(fetched.mock.calls.map(([, { headers }]) => new Headers(headers).get('Idempotency-Key'))).toEqual([
    'k',
    'k',
    'k',
  ]);
});

it('sends a request without a key once, and says that no answer came', async () => {
  const fetched = fetchThat(LOST);
  await expect(send('post', '/api/v1/x', { body: {} })).rejects.toMatchObject({ kind: 'network' });
  expect(fetched).toHaveBeenCalledOnce();
});

it('gives up a request that has a key after three times', async () => {
  const fetched = fetchThat();
  const answer = send('post', '/api/v1/x', { body: {}, headers: { 'Idempotency-Key': 'k' } });
  const refused = expect(answer).rejects.toMatchObject({ kind: 'network' });
  await vi.runAllTimersAsync();
  await refused;
  expect(fetched).toHaveBeenCalledTimes(3);
});
