/** The log of a session's pods, followed while it grows. */

import { useEffect, useMemo, useState } from 'react';
import { send } from '@/api';
import { ProblemPanel } from '@/components/ProblemPanel';
import { Card } from '@/components/ui/card';
import { Checkbox } from '@/components/ui/checkbox';
import { Feed } from '@/live/feed/Feed';
import type { Session } from '@/live/session';
import { showText } from '@/lib/text';
import { formatExact, formatPrecise, splitStamp } from '@/lib/time';
import { strings } from '@/strings/session';
import { Lines } from './lines';

const TAIL = 2_000;
const LONGEST = 20_000;

interface Options {
  readonly follow: boolean;
  readonly previousRuns: boolean;
  readonly timestamps: boolean;
}

type State = 'reading' | 'ended' | { readonly error: unknown };

/** Reads a log until it ends or is left; tells at most once a frame of the screen. */
function useLog(
  { namespace, name, run, phase }: Session,
  options: Options,
): { lines: Lines; version: number; state: State } {
  const { follow, previousRuns, timestamps } = options;
  // Another run has another pod; one that just ended may have one more line.
  const lines = useMemo(
    () => new Lines(),
    // eslint-disable-next-line react-hooks/exhaustive-deps -- each of these begins the log anew
    [namespace, name, run, follow, previousRuns, timestamps],
  );
  const [seen, setSeen] = useState<{ lines: Lines; version: number; state: State }>({
    lines,
    version: 0,
    state: 'reading',
  });
  const isCurrent = seen.lines === lines;
  const hasNothing = phase === 'Pending' && run === null;
  useEffect(() => {
    const abort = new AbortController();
    let isPlanned = false;
    let isOver = false;
    const tell = (state: State): void => {
      // A frame that was planned before the end comes after it.
      if (abort.signal.aborted || isOver) return;
      isOver = state !== 'reading';
      setSeen({ lines, version: lines.version, state });
    };
    const read = async (): Promise<void> => {
      const response = await send('get', '/api/v1/agentic-sessions/{namespace}/{name}/logs', {
        path: { namespace, name },
        query: { follow, previousRuns, timestamps, tail: TAIL },
        headers: { Accept: 'text/plain' },
        signal: abort.signal,
      });
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const piece = await reader?.read();
        if (piece === undefined || piece.done) break;
        lines.take(piece.value);
        if (isPlanned) continue;
        isPlanned = true;
        requestAnimationFrame(() => {
          isPlanned = false;
          tell('reading');
        });
      }
      lines.finish();
      tell('ended');
    };
    read().catch((error: unknown) => {
      lines.finish();
      tell({ error });
    });
    return () => {
      abort.abort();
    };
  }, [namespace, name, follow, previousRuns, timestamps, lines, hasNothing]);
  return { lines, version: isCurrent ? seen.version : 0, state: isCurrent ? seen.state : 'reading' };
}

/** A line, with the time in the viewer's zone where the kubelet marked it. */
function Line({ text, isMarked }: { text: string; isMarked: boolean }) {
  const marked = isMarked ? splitStamp(text) : null;
  if (marked === null) return showText(text) || ' ';
  return (
    <>
      <time dateTime={marked.stamp} title={formatExact(marked.at)} className="text-muted-foreground">
        {formatPrecise(marked.at)}
      </time>{' '}
      {showText(marked.text)}
    </>
  );
}

export function Logs({ session }: { session: Session }) {
  const [options, setOptions] = useState<Options>({ follow: true, previousRuns: false, timestamps: false });
  const [wraps, setWraps] = useState(true);
  const { lines, version, state } = useLog(session, options);
  const isEnded = state === 'ended';
  const boxes: [keyof Options, string][] = [
    ['follow', strings.logs.follow],
    ['previousRuns', strings.logs.previous],
    ['timestamps', strings.logs.timestamps],
  ];
  return (
    <div className="flex h-full min-h-96 flex-col gap-3">
      <div className="flex flex-wrap gap-4 text-[13px]">
        {boxes.map(([key, label]) => (
          <label key={key} className="flex items-center gap-1.5">
            <Checkbox
              checked={options[key]}
              onChange={(event) => {
                setOptions({ ...options, [key]: event.target.checked });
              }}
            />
            {label}
          </label>
        ))}
        <label className="flex items-center gap-1.5">
          <Checkbox
            checked={wraps}
            onChange={(event) => {
              setWraps(event.target.checked);
            }}
          />
          {strings.logs.wrap}
        </label>
      </div>
      {typeof state === 'object' && <ProblemPanel error={state.error} namespace={session.namespace} />}
      {(typeof state !== 'object' || lines.items.length > 0) && (
        <Card className="flex min-h-0 flex-1 flex-col overflow-hidden">
          <Feed
            entries={lines.items}
            version={version}
            dropped={lines.dropped}
            label={strings.logs.label}
            estimate={20}
            className="h-[60vh] flex-1"
            empty={
              <p className="text-muted-foreground py-8 text-center text-[13px]">
                {isEnded ? strings.logs.none : strings.logs.waiting}
              </p>
            }
          >
            {({ text }) => (
              <pre
                className={
                  wraps
                    ? 'font-mono text-xs leading-5 break-all whitespace-pre-wrap'
                    : 'font-mono text-xs leading-5 whitespace-pre'
                }
              >
                <Line text={text.slice(0, LONGEST)} isMarked={options.timestamps} />
              </pre>
            )}
          </Feed>
          {isEnded && (
            <p className="text-muted-foreground border-t px-4 py-1.5 text-xs">{strings.logs.ended}</p>
          )}
        </Card>
      )}
    </div>
  );
}
