/** Times for people: how long ago, and exactly in the viewer's own zone. */

const UNITS: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
];
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'always', style: 'short' });
const exact = new Intl.DateTimeFormat(undefined, {
  year: 'numeric',
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  timeZoneName: 'short',
});

/** Return how far `at` is from `now` (both in milliseconds): "3 min. ago", "in 2 hr.". */
export function formatRelative(at: number, now: number): string {
  const seconds = Math.round((at - now) / 1000);
  if (Math.abs(seconds) < 5) return 'now';
  const [unit, size] = UNITS.find(([, each]) => Math.abs(seconds) >= each) ?? ['second', 1];
  return relative.format(Math.trunc(seconds / size), unit);
}

/** Return a time in the viewer's zone, to the second. */
export function formatExact(at: number): string {
  return exact.format(at);
}

const OF_THE_DAY = {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
} as const;
const today = new Intl.DateTimeFormat(undefined, OF_THE_DAY);
const otherDay = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric', ...OF_THE_DAY });

/** Return a time in the viewer's zone, to the millisecond, with the date where it is another day than `now`. */
export function formatPrecise(at: number, now = Date.now()): string {
  const isToday = new Date(at).toDateString() === new Date(now).toDateString();
  return (isToday ? today : otherDay).format(at);
}

const STAMP = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) /u;

/** Return the time with which the kubelet marked a line of a log, and the rest of it; null for a line without one. */
export function splitStamp(
  line: string,
): { readonly stamp: string; readonly at: number; readonly text: string } | null {
  const stamp = STAMP.exec(line)?.[1];
  const at = stamp === undefined ? Number.NaN : Date.parse(stamp);
  return stamp === undefined || Number.isNaN(at) ? null : { stamp, at, text: line.slice(stamp.length + 1) };
}

/** Return a length of time in its two largest units: "2 h 5 min". */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 1) return `${String(Math.max(0, Math.round(milliseconds)))} ms`;
  const parts: string[] = [];
  for (const [name, size] of [
    ['d', 86_400],
    ['h', 3_600],
    ['min', 60],
    ['s', 1],
  ] as const) {
    const count = Math.floor(
      (seconds % (size === 86_400 ? Infinity : size === 3_600 ? 86_400 : size === 60 ? 3_600 : 60)) / size,
    );
    if (count > 0) parts.push(`${String(count)} ${name}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(' ');
}
