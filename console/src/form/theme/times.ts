/** Dates and times in the viewer's zone, between a control of the browser and the text that a schema wants. */

/** Returns what a control for local times shows of an RFC 3339 time; empty for what is none. */
export function toLocal(text: unknown): string {
  const at = typeof text === 'string' ? new Date(text) : null;
  if (at === null || Number.isNaN(at.getTime())) return '';
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${String(at.getFullYear()).padStart(4, '0')}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day}T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** Returns the RFC 3339 time of what a control shows, with the zone's offset at that time; undefined for none. */
export function fromLocal(local: string): string | undefined {
  const at = new Date(local);
  if (local === '' || Number.isNaN(at.getTime())) return undefined;
  const minutes = -at.getTimezoneOffset();
  const two = (value: number) => String(Math.trunc(value)).padStart(2, '0');
  const offset = `${minutes < 0 ? '-' : '+'}${two(Math.abs(minutes) / 60)}:${two(Math.abs(minutes) % 60)}`;
  return `${local.length === 16 ? `${local}:00` : local.slice(0, 19)}${offset}`;
}

export function nameZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}
