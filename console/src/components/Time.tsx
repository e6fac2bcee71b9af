import { formatExact, formatRelative } from '@/lib/time';
import { useNow } from '@/lib/useNow';

/** A time as how long ago it was; exactly, in the viewer's zone, where it is pointed at. */
export function Time({ at, className }: { at: string | null | undefined; className?: string }) {
  const now = useNow();
  const time = at ? Date.parse(at) : NaN;
  if (Number.isNaN(time)) return <span className={className}>–</span>;
  return (
    <time dateTime={at ?? ''} title={formatExact(time)} className={className}>
      {formatRelative(time, now)}
    </time>
  );
}
