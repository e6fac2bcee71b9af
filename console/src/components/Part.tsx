/** Parts that are fetched when they are shown first. What cannot be fetched says so in its own place, and nowhere else. */

import { RefreshCw, Unplug } from 'lucide-react';
import { type ComponentType, type ReactNode, useSyncExternalStore } from 'react';
import { type Fetched, Part } from '@/lib/part';
import { cn } from '@/lib/cn';
import { strings } from '@/strings/app';
import { EmptyState } from './EmptyState';
import { Button } from './ui/button';

/** Returns a part as it is now; it is fetched as long as the component is shown. */
export function usePart<T>(part: Part<T>): Fetched<T> {
  return useSyncExternalStore(part.subscribe, part.read);
}

function Again({ part, isSmall }: { part: Part<unknown>; isSmall: boolean }) {
  const { isFetching, isOutdated } = usePart(part);
  return (
    <Button
      variant="outline"
      size={isSmall ? 'sm' : 'default'}
      onClick={() => {
        // Only a new page knows the names of the new parts.
        if (isOutdated) window.location.reload();
        else void part.load();
      }}
    >
      <RefreshCw aria-hidden className={cn(isFetching && 'animate-spin')} />
      {strings.reload}
    </Button>
  );
}

/** Says that a part could not be fetched; `text` is what that means where it stands. */
export function PartFailure({ part, text = '' }: { part: Part<unknown>; text?: string }) {
  const { isOutdated } = usePart(part);
  return (
    <div
      role="status"
      data-part="failed"
      className="text-muted-foreground flex flex-wrap items-center gap-2 p-4 text-[13px]"
    >
      <Unplug aria-hidden className="text-warning size-4 shrink-0" />
      <p className="min-w-0">{isOutdated ? strings.newVersion : text || strings.partFailed}</p>
      <Again part={part} isSmall />
    </div>
  );
}

function PageFailure({ part }: { part: Part<unknown> }) {
  const { isOutdated } = usePart(part);
  return (
    <div data-part="failed">
      <EmptyState
        isPage
        icon={isOutdated ? RefreshCw : Unplug}
        title={isOutdated ? strings.newVersionTitle : strings.partFailedTitle}
        action={<Again part={part} isSmall={false} />}
      >
        <p role="status">{isOutdated ? strings.newVersion : strings.partFailed}</p>
      </EmptyState>
    </div>
  );
}

interface Ways<P> {
  /** What is shown until it is there. */
  readonly waiting: (props: P) => ReactNode;
  /** What is shown where it could not be fetched; a notice with a button otherwise. */
  readonly failed?: (props: P, part: Part<unknown>) => ReactNode;
}

/** Returns a component that is fetched when it is shown first, or before that by its `preload`, which never rejects. */
export function makePart<P extends object>(
  importer: () => Promise<ComponentType<P>>,
  { waiting, failed }: Ways<P>,
) {
  const part = new Part(importer);
  function ShownPart(props: P) {
    const { value: Component, isFailed } = usePart(part);
    if (Component !== undefined) return <Component {...props} />;
    if (!isFailed) return waiting(props);
    return failed === undefined ? <PartFailure part={part} /> : failed(props, part);
  }
  return Object.assign(ShownPart, { preload: part.load });
}

/** Returns the component of a route. */
export function makePage(importer: () => Promise<{ default: ComponentType }>, waiting: ReactNode) {
  return makePart(async () => (await importer()).default, {
    waiting: () => waiting,
    failed: (_, part) => <PageFailure part={part} />,
  });
}
