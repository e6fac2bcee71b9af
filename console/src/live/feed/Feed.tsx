/**
 * The items of a session as a list that draws only what is seen, and keeps to its end while somebody reads there.
 */

import { useVirtualizer } from '@tanstack/react-virtual';
import { ArrowDown } from 'lucide-react';
import { type ReactNode, useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { Button } from '@/components/ui/button';
import { cn } from '@/lib/cn';
import { strings } from '@/strings/live';

export interface FeedEntry {
  readonly key: string;
}

interface FeedProps<T extends FeedEntry> {
  readonly entries: readonly T[];
  /** Draws an entry; called for those that are seen. */
  readonly children: (entry: T) => ReactNode;
  /** Rises whenever an entry changed or was added. */
  readonly version: number;
  readonly dropped: number;
  readonly empty: ReactNode;
  readonly className?: string;
  readonly label?: string;
  /** How high an entry is about, in pixels. */
  readonly estimate?: number;
}

/** So near to the end one reads along. */
const NEAR = 48;

export function Feed<T extends FeedEntry>({
  entries,
  children,
  version,
  dropped,
  empty,
  className,
  label = strings.feed.label,
  estimate = 56,
}: FeedProps<T>) {
  const box = useRef<HTMLDivElement>(null);
  const [follows, setFollows] = useState(true);
  const keyOf = useCallback((index: number) => entries[index]?.key ?? index, [entries]);
  // eslint-disable-next-line react-hooks/incompatible-library -- its functions are used within this component alone
  const rows = useVirtualizer({
    count: entries.length,
    getScrollElement: () => box.current,
    estimateSize: () => estimate,
    getItemKey: keyOf,
    overscan: 6,
    useFlushSync: false,
  });
  const total = rows.getTotalSize();
  useLayoutEffect(() => {
    const element = box.current;
    if (follows && element !== null) element.scrollTop = element.scrollHeight;
  }, [follows, version, total]);
  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    // Only what a person does ends it: the list grows and is measured by itself, which scrolls, too.
    const end = (): void => {
      setFollows(false);
    };
    const listeners: Readonly<Record<string, (event: Event) => void>> = {
      wheel: (event) => {
        if ((event as WheelEvent).deltaY < 0) end();
      },
      touchmove: end,
      keydown: (event) => {
        if (['ArrowUp', 'PageUp', 'Home'].includes((event as KeyboardEvent).key)) end();
      },
      // The scroll bar is the element itself.
      pointerdown: (event) => {
        if (event.target === element) end();
      },
      scroll: () => {
        if (element.scrollHeight - element.scrollTop - element.clientHeight < NEAR) setFollows(true);
      },
    };
    for (const [name, listener] of Object.entries(listeners)) {
      element.addEventListener(name, listener, { passive: true });
    }
    return () => {
      for (const [name, listener] of Object.entries(listeners)) element.removeEventListener(name, listener);
    };
  }, []);
  return (
    <div className={cn('relative min-h-0', className)}>
      <div
        ref={box}
        role="log"
        aria-live="off"
        aria-label={label}
        tabIndex={0}
        className="h-full overflow-y-auto px-4 py-2"
      >
        {dropped > 0 && (
          <p className="text-muted-foreground py-2 text-center text-xs">{strings.feed.dropped(dropped)}</p>
        )}
        {entries.length === 0 && empty}
        <div className="relative w-full" style={{ height: total }}>
          {rows.getVirtualItems().map((row) => {
            const entry = entries[row.index];
            return entry === undefined ? null : (
              <div
                key={row.key}
                data-index={row.index}
                ref={rows.measureElement}
                className="absolute top-0 left-0 w-full"
                style={{ transform: `translateY(${String(row.start)}px)` }}
              >
                {children(entry)}
              </div>
            );
          })}
        </div>
      </div>
      {!follows && entries.length > 0 && (
        <Button
          variant="outline"
          size="sm"
          className="absolute bottom-3 left-1/2 -translate-x-1/2 rounded-full shadow-md"
          onClick={() => {
            setFollows(true);
          }}
        >
          <ArrowDown aria-hidden />
          {strings.feed.newest}
        </Button>
      )}
    </div>
  );
}
