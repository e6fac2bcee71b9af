import { describe, expect, it } from 'vitest';
import { formatDuration, formatFull, formatTime, parseTime } from './durations';

describe('times that are not known', () => {
  it('are shown as nothing', () => {
    const none = parseTime(null);
    expect([
      formatDuration(none),
      formatFull(none),
      formatTime(none),
      formatDuration(parseTime('no time')),
    ]).toEqual(['', '', '', '']);
    expect(formatDuration(185_000)).toBe('3 min 5 s');
  });
});
