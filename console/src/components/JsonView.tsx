/** Any JSON as a tree that opens level by level, with every digit of its numbers. */

import { ChevronRight } from 'lucide-react';
import { useState } from 'react';
import { isLosslessNumber } from '@/api';
import { cn } from '@/lib/cn';
import { showLine, showText } from '@/lib/text';
import { strings } from '@/strings/json-view';

const PAGE = 100;
const MOST_TEXT = 2_000;

interface JsonViewProps {
  readonly value: unknown;
  /** How many levels are open at first. */
  readonly open?: number;
}

export function JsonView({ value, open = 1 }: JsonViewProps) {
  return (
    <div className="font-mono text-xs leading-5">
      <Value value={value} depth={0} open={open} />
    </div>
  );
}

type Entry = readonly [string, unknown];

/** Returns the members of an object or an array, null for any other value. */
function entriesOf(value: unknown): readonly Entry[] | null {
  if (typeof value !== 'object' || value === null || isLosslessNumber(value)) return null;
  if (Array.isArray(value)) return value.map((each, index): Entry => [String(index), each as unknown]);
  return Object.entries(value);
}

/** Returns a value that holds no other as text. */
export function showScalar(value: unknown): string {
  if (typeof value === 'string') return showText(value);
  if (isLosslessNumber(value)) return value.toString();
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : 'null';
}

function Scalar({ value }: { value: unknown }) {
  const [isWhole, setWhole] = useState(false);
  if (typeof value === 'string') {
    const shown = isWhole ? value : value.slice(0, MOST_TEXT);
    return (
      <span className="text-success break-words whitespace-pre-wrap">
        &quot;{showText(shown)}
        {shown.length < value.length ? (
          <button
            type="button"
            className="text-primary underline"
            onClick={() => {
              setWhole(true);
            }}
          >
            … {strings.more(value.length - shown.length)}
          </button>
        ) : (
          '"'
        )}
      </span>
    );
  }
  const isNumber = typeof value === 'number' || isLosslessNumber(value);
  return (
    <span className={cn('break-all', isNumber ? 'text-info' : 'text-primary')}>{showScalar(value)}</span>
  );
}

function Value({ value, depth, open, name }: { value: unknown; depth: number; open: number; name?: string }) {
  const entries = entriesOf(value);
  const [isOpen, setOpen] = useState(depth < open);
  const [count, setCount] = useState(PAGE);
  const label =
    name === undefined ? null : (
      <span className="text-muted-foreground">
        {showLine(name)}
        {': '}
      </span>
    );
  if (entries === null) {
    return (
      <div className="pl-4">
        {label}
        <Scalar value={value} />
      </div>
    );
  }
  const isArray = Array.isArray(value);
  const brackets = isArray ? '[]' : '{}';
  if (entries.length === 0) {
    return (
      <div className="pl-4">
        {label}
        {brackets}
      </div>
    );
  }
  return (
    <div>
      <button
        type="button"
        aria-expanded={isOpen}
        className="hover:bg-accent/60 flex w-full items-center gap-0.5 rounded text-left"
        onClick={() => {
          setOpen(!isOpen);
        }}
      >
        <ChevronRight
          aria-hidden
          className={cn('text-muted-foreground size-3.5 shrink-0', isOpen && 'rotate-90')}
        />
        <span>
          {label}
          <span className="text-muted-foreground">
            {brackets[0]}
            {!isOpen && `… ${strings.members(entries.length, isArray)} ${brackets[1] ?? ''}`}
          </span>
        </span>
      </button>
      {isOpen && (
        <div className="ml-[7px] border-l pl-2">
          {entries.slice(0, count).map(([key, each]) => (
            <Value key={key} name={key} value={each} depth={depth + 1} open={open} />
          ))}
          {entries.length > count && (
            <button
              type="button"
              className="text-primary pl-4 underline"
              onClick={() => {
                setCount(count + PAGE);
              }}
            >
              {strings.moreMembers(Math.min(PAGE, entries.length - count), entries.length - count)}
            </button>
          )}
        </div>
      )}
    </div>
  );
}
