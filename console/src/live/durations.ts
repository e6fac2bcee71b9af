/** Times as people read them. Pure; the viewer's own zone and language. */

import { formatExact, formatDuration as formatKnown } from '@/lib/time';

/** Returns a length of time in its two largest units; empty for one that is not known. */
export function formatDuration(ms: number): string {
  return Number.isFinite(ms) ? formatKnown(ms) : '';
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** Returns the time of day, with the date where it is another day than `now`. */
export function formatTime(at: number, now = Date.now()): string {
  if (!Number.isFinite(at)) return '';
  const date = new Date(at);
  return date.toDateString() === new Date(now).toDateString() ? clock.format(date) : formatExact(at);
}

/** Returns a time in full, with its zone's offset left to the viewer. */
export function formatFull(at: number): string {
  return Number.isFinite(at) ? formatExact(at) : '';
}

/** Returns the number of a text of the API server's, NaN where there is none. */
export function parseTime(text: string | null | undefined): number {
  return text === null || text === undefined ? Number.NaN : Date.parse(text);
}
