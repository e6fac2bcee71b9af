/** One request for one click: the key by which the gateway knows a request that is sent again. */
import { useState } from 'react';

import { type Problem, writeJson } from '@/api';

/** Refusals that the gateway does not keep under the key: the same request may fare otherwise a moment later. */
const PASSING = new Set([0, 401, 403, 408, 429]);

export interface RequestKeys {
  /** Returns the key of a request: the same one for the same body, until it was answered for good. */
  readonly take: (body: unknown) => string;
  /** Says that a request was refused; after one that will not pass by itself the next gets another key. */
  readonly drop: (problem: Problem) => void;
}

export function makeKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((each) => each.toString(16).padStart(2, '0')).join('');
}

export function makeRequestKeys(): RequestKeys {
  let last: { body: string; key: string } | null = null;
  return {
    take: (body) => {
      const text = writeJson(body);
      if (last === null || last.body !== text) last = { body: text, key: makeKey() };
      return last.key;
    },
    drop: ({ status }) => {
      if (!PASSING.has(status) && status < 500) last = null;
    },
  };
}

export function useRequestKeys(): RequestKeys {
  return useState(makeRequestKeys)[0];
}
