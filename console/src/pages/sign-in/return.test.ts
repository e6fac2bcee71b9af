import { expect, it } from 'vitest';
import { readReturn } from './return';

it.each([
  ['/sessions/team/s1?tab=graph', '/sessions/team/s1?tab=graph'],
  ['/inbox', '/inbox'],
  [undefined, '/sessions'],
  ['', '/sessions'],
  ['//evil.example', '/sessions'],
  ['/\\evil.example', '/sessions'],
  ['/a\\b', '/sessions'],
  ['https://evil.example', '/sessions'],
  ['javascript:alert(1)', '/sessions'],
  ['/sign-in?return=/sign-in', '/sessions'],
  ['/a\u202eb', '/sessions'],
])('%j leads to %s', (given, path) => {
  expect(readReturn(given)).toBe(path);
});
