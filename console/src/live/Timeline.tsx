/** The super-steps of a session with their durations; long waits take one line. */

import {
  CircleAlert,
  CircleCheck,
  CircleHelp,
  Flag,
  History,
  Hourglass,
  LoaderCircle,
  Play,
  Unplug,
} from 'lucide-react';
import { memo, useState } from 'react';
import { cn } from '@/lib/cn';
import { showLine } from '@/lib/text';
import { useNow } from '@/lib/useNow';
import { strings } from '@/strings/live';
import { formatDuration, formatFull } from './durations';
import type { MarkEntry, StepEntry, Task, TaskState, WaitEntry } from './model';
import type { SessionStore } from './store';
import { useVersion } from './use-session-store';

/** So many of the newest are shown at first. */
const PAGE = 60;

const STATES: Readonly<Record<TaskState, { icon: typeof CircleCheck; className: string }>> = {
  running: { icon: LoaderCircle, className: 'text-info animate-spin' },
  done: { icon: CircleCheck, className: 'text-success' },
  failed: { icon: CircleAlert, className: 'text-destructive' },
  asks: { icon: CircleHelp, className: 'text-warning' },
  lost: { icon: Unplug, className: 'text-muted-foreground' },
};

function Bar({ startedAt, endedAt, state }: { startedAt: number; endedAt: number | null; state: TaskState }) {
  const now = useNow(endedAt === null);
  const ms = (endedAt ?? Math.max(now, startedAt)) - startedAt;
  // A tenth of a second and a day both have a length that can be seen.
  const share = Math.min(1, Math.log10(1 + Math.max(0, ms) / 100) / 6);
  return (
    <span className="flex w-28 shrink-0 items-center gap-2">
      <span className="bg-muted h-1.5 flex-1 overflow-hidden rounded-full">
        <span
          className={cn(
            'block h-full rounded-full',
            state === 'failed'
              ? 'bg-destructive'
              : state === 'running'
                ? 'bg-info'
                : state === 'asks'
                  ? 'bg-warning'
                  : 'bg-success',
          )}
          style={{ width: `${String(Math.max(4, Math.round(share * 100)))}%` }}
        />
      </span>
      <span className="text-muted-foreground w-14 text-right text-[11px] whitespace-nowrap tabular-nums">
        {formatDuration(ms)}
      </span>
    </span>
  );
}

function TaskLine({ task, isInner = false }: { task: Task; isInner?: boolean }) {
  const { icon: Icon, className } = STATES[task.state];
  return (
    <li
      className={cn('flex items-center gap-2', isInner && 'pl-5')}
      data-task={task.node}
      data-state={task.state}
    >
      <Icon
        aria-label={strings.timeline.states[task.state]}
        role="img"
        className={cn('size-3.5 shrink-0', className)}
      />
      <span
        className="min-w-0 flex-1 truncate font-mono text-xs"
        title={task.error === '' ? undefined : showLine(task.error)}
      >
        {showLine(task.node)}
      </span>
      <Bar startedAt={task.startedAt} endedAt={task.endedAt} state={task.state} />
    </li>
  );
}

const MOST_TASKS = 12;

const Step = memo(function Step({ entry }: { entry: StepEntry; version: number }) {
  const [isWhole, setWhole] = useState(false);
  const inner = isWhole ? entry.inner : [];
  const tasks = isWhole ? entry.tasks : entry.tasks.slice(0, MOST_TASKS);
  const hidden = entry.tasks.length - tasks.length + (isWhole ? 0 : entry.inner.length);
  return (
    <li className="py-1" data-entry="step">
      <p className="text-muted-foreground text-[11px]" title={formatFull(entry.startedAt)}>
        {strings.timeline.step(entry.number)}
      </p>
      <ul>
        {tasks.map((task, place) => (
          <TaskLine key={`${task.id}-${String(place)}`} task={task} />
        ))}
        {inner.map((task, place) => (
          <TaskLine key={`${task.id}-i${String(place)}`} task={task} isInner />
        ))}
      </ul>
      {hidden > 0 && (
        <button
          type="button"
          className="text-primary text-[11px] hover:underline"
          onClick={() => {
            setWhole(true);
          }}
        >
          +{' '}
          {entry.inner.length > 0 && tasks.length === entry.tasks.length
            ? strings.timeline.inner(hidden)
            : hidden}
        </button>
      )}
    </li>
  );
});

const Wait = memo(function Wait({ entry }: { entry: WaitEntry; version: number }) {
  const isOver = entry.endedAt !== null;
  const now = useNow(!isOver);
  const ms = (entry.endedAt ?? Math.max(now, entry.startedAt)) - entry.startedAt;
  return (
    <li
      className={cn(
        'my-1 flex items-center gap-2 rounded-md px-2 py-1 text-xs',
        isOver ? 'bg-muted/60' : 'bg-warning/10',
      )}
      title={formatFull(entry.startedAt)}
      data-entry="wait"
    >
      <Hourglass
        aria-hidden
        className={cn('size-3.5 shrink-0', isOver ? 'text-muted-foreground' : 'text-warning')}
      />
      <span className="min-w-0 flex-1 truncate">
        {(isOver ? strings.timeline.wait : strings.timeline.waits)[entry.why]}
      </span>
      <span className="text-muted-foreground tabular-nums">{formatDuration(ms)}</span>
    </li>
  );
});

const MARKS: Readonly<Record<MarkEntry['what'], { icon: typeof Play; className: string }>> = {
  run: { icon: Play, className: 'text-muted-foreground' },
  completed: { icon: Flag, className: 'text-success' },
  failed: { icon: CircleAlert, className: 'text-destructive' },
  attempt: { icon: CircleAlert, className: 'text-warning' },
  rewound: { icon: History, className: 'text-warning' },
};

function describeMark(entry: MarkEntry): string {
  switch (entry.what) {
    case 'run':
      return strings.timeline.run(showLine(entry.text));
    case 'completed':
      return strings.timeline.completed;
    case 'failed':
      return entry.text === ''
        ? strings.timeline.failed
        : `${strings.timeline.failed}: ${showLine(entry.text)}`;
    case 'attempt':
      return strings.timeline.attempt;
    case 'rewound':
      return strings.timeline.rewound;
  }
}

const Mark = memo(function Mark({ entry }: { entry: MarkEntry }) {
  const { icon: Icon, className } = MARKS[entry.what];
  return (
    <li
      className="flex items-center gap-2 py-1 text-xs"
      title={formatFull(entry.startedAt)}
      data-entry="mark"
    >
      <Icon aria-hidden className={cn('size-3.5 shrink-0', className)} />
      <span className="min-w-0 flex-1 truncate">{describeMark(entry)}</span>
    </li>
  );
});

export function Timeline({ store }: { store: SessionStore }) {
  useVersion(store, 'timeline');
  const [count, setCount] = useState(PAGE);
  const { timeline, droppedEntries } = store.model;
  const first = Math.max(0, timeline.length - count);
  const earlier = first + droppedEntries;
  if (timeline.length === 0)
    return <p className="text-muted-foreground py-2 text-[13px]">{strings.timeline.empty}</p>;
  return (
    <div>
      {earlier > 0 && (
        <button
          type="button"
          disabled={first === 0}
          className="text-primary text-xs hover:underline disabled:text-inherit disabled:no-underline"
          onClick={() => {
            setCount(count + 4 * PAGE);
          }}
        >
          {strings.timeline.earlier(earlier)}
        </button>
      )}
      <ol aria-label={strings.timeline.title}>
        {timeline.slice(first).map((entry) => {
          switch (entry.kind) {
            case 'step':
              return <Step key={entry.key} entry={entry} version={entry.version} />;
            case 'wait':
              return <Wait key={entry.key} entry={entry} version={entry.version} />;
            case 'mark':
              return <Mark key={entry.key} entry={entry} />;
          }
        })}
      </ol>
    </div>
  );
}
