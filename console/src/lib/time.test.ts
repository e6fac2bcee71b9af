import { describe, expect, it } from 'vitest';
import { formatDuration, formatRelative } from './time';

describe('times', () => {
  it.each([
    [0, 'now'],
    [-30_000, '30 sec. ago'],
    [-3 * 60_000 - 59_000, '3 min. ago'],
    [-26 * 3_600_000, '1 day ago'],
    [2 * 3_600_000 + 1, 'in 2 hr.'],
  ])('%d ms away is %s', (offset, text) => {
    expect(formatRelative(1e12 + offset, 1e12)).toBe(text);
  });

  it.each([
    [0, '0 ms'],
    [420, '420 ms'],
    [61_000, '1 min 1 s'],
    [3_600_000, '1 h'],
    [2 * 86_400_000 + 3_600_000 + 60_000, '2 d 1 h'],
    [86_400_000 + 60_000, '1 d'],
  ])('%d ms takes %s', (milliseconds, text) => {
    expect(formatDuration(milliseconds)).toBe(text);
  });
});
