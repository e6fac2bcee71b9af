/**
 * What requests carry to say who asks: a pasted token, or nothing, where a cookie or a proxy says it.
 *
 * A token lives in memory, and in this tab's session storage where the person wants that; never in an address, a
 * cookie or the local storage.
 */

const KEY = 'agentic.token';

let token: string | null = readKept();
const listeners = new Set<() => void>();

function readKept(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

export function getToken(): string | null {
  return token;
}

/** Use a token from now on; `isKept` keeps it over a reload of this tab. */
export function setToken(value: string | null, isKept = false): void {
  token = value;
  try {
    if (value !== null && isKept) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  } catch {
    // Without storage it is in memory alone.
  }
  listeners.forEach((listener) => {
    listener();
  });
}

/** Call `listener` whenever the token changes; returns how to end that. */
export function onTokenChange(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
