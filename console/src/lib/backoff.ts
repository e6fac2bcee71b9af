/** How long to wait before something that failed is tried again. */

export const FIRST_PAUSE_MS = 500;
export const LONGEST_PAUSE_MS = 30_000;

/**
 * Returns the milliseconds before the next attempt: a random share of a pause that doubles up to 30 s (full jitter), so
 * that a thousand pages of a gateway that went away do not come back at one moment.
 *
 * `failures` counts from 1. What the server asks for (`Retry-After`) is waited at least.
 */
export function computePause(failures: number, chance: number, retryAfterSeconds = 0): number {
  const longest = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(failures - 1, 30), LONGEST_PAUSE_MS);
  const wish = Math.min(Math.max(retryAfterSeconds, 0) * 1000, 10 * LONGEST_PAUSE_MS);
  return Math.round(wish + longest * Math.min(Math.max(chance, 0), 1));
}
