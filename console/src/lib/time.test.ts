import { describe, expect, it } from 'vitest';
import { formatDuration, formatPrecise, formatRelative, splitStamp } from './time';

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

  it('of a line of a log are those with which the kubelet marked it', () => {
    expect(splitStamp('2026-05-01T10:00:00.123456789Z a b')).toEqual({
      stamp: '2026-05-01T10:00:00.123456789Z',
      at: Date.UTC(2026, 4, 1, 10, 0, 0, 123),
      text: 'a b',
    });
    expect(splitStamp('2026-05-01T10:00:00+02:00 ')?.text).toBe('');
    for (const line of ['', 'a line', '2026-05-01T10:00:00Z', '2026-99-01T10:00:00Z x']) {
      expect(splitStamp(line)).toBeNull();
    }
  });

  it('to the millisecond name the day where it is another one', () => {
    const at = new Date(2026, 4, 1, 10, 0, 0, 7).getTime();
    expect(formatPrecise(at, at + 1)).toMatch(/^10:00:00.007( AM)?$/u);
    expect(formatPrecise(at, at + 86_400_000)).toMatch(/May/u);
  });
});
