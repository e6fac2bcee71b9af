/** One call of a tool, with its arguments and what came of it. */

import { ChevronRight, CircleAlert, CircleCheck, LoaderCircle, Wrench } from 'lucide-react';
import { useState } from 'react';
import { cn } from '@/lib/cn';
import { showLine } from '@/lib/text';
import { strings } from '@/strings/live';
import { formatDuration } from '../durations';
import type { ToolOutcome } from '../model';
import { LongText } from './LongText';

interface ToolCallProps {
  readonly name: string;
  /** The arguments as they came, perhaps half of them; null where they are not in the log. */
  readonly args: string | null;
  readonly outcome: ToolOutcome | null;
  readonly startedAt: number;
  /** Whether its run still goes on. */
  readonly isLive: boolean;
}

/** Returns the text of arguments with indentation, where it is whole JSON of a size that is quick to read. */
function formatArguments(text: string): string {
  if (text.length > 20_000 || /\d{16}|\d[eE.]/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

export function ToolCall({ name, args, outcome, startedAt, isLive }: ToolCallProps) {
  const [isOpen, setOpen] = useState(false);
  const hasFailed = outcome !== null && outcome.status !== 'success';
  const Icon = outcome === null ? (isLive ? LoaderCircle : Wrench) : hasFailed ? CircleAlert : CircleCheck;
  return (
    <div className="bg-card my-1.5 overflow-hidden rounded-md border text-[13px]" data-tool={name}>
      <button
        type="button"
        aria-expanded={isOpen}
        onClick={() => {
          setOpen(!isOpen);
        }}
        className="hover:bg-accent/60 flex w-full items-center gap-2 px-2.5 py-1.5 text-left"
      >
        <Icon
          aria-hidden
          className={cn(
            'size-3.5 shrink-0',
            outcome === null ? 'text-info' : hasFailed ? 'text-destructive' : 'text-success',
            outcome === null && isLive && 'animate-spin',
          )}
        />
        <span className="font-mono text-xs font-medium">{showLine(name)}</span>
        <span className="text-muted-foreground min-w-0 flex-1 truncate font-mono text-xs">
          {showLine((args ?? '').slice(0, 200))}
        </span>
        <span className="text-muted-foreground shrink-0 text-xs tabular-nums">
          {outcome === null ? (isLive ? strings.feed.running : '') : formatDuration(outcome.at - startedAt)}
        </span>
        <ChevronRight
          aria-hidden
          className={cn(
            'text-muted-foreground size-3.5 shrink-0 transition-transform',
            isOpen && 'rotate-90',
          )}
        />
      </button>
      {isOpen && (
        <div className="space-y-2 border-t px-2.5 py-2">
          {args !== null && args !== '' && (
            <Part title={strings.feed.arguments} text={formatArguments(args)} />
          )}
          {outcome !== null &&
            (outcome.output === null ? (
              <p className="text-muted-foreground text-xs">{strings.feed.noOutput(outcome.size)}</p>
            ) : (
              <Part title={strings.feed.output} text={outcome.output} />
            ))}
        </div>
      )}
    </div>
  );
}

function Part({ title, text }: { title: string; text: string }) {
  return (
    <div>
      <p className="text-muted-foreground mb-1 text-[11px] font-medium">{title}</p>
      <LongText text={text} className="bg-muted rounded p-2" />
    </div>
  );
}
