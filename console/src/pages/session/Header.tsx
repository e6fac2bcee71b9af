/** Which session this is, how it stands, and what can be done with it. */

import { Link } from '@tanstack/react-router';
import { ChevronRight } from 'lucide-react';
import type { ReactNode } from 'react';
import { PhaseBadge } from '@/components/PhaseBadge';
import { Time } from '@/components/Time';
import { Badge } from '@/components/ui/badge';
import { ConnectionBadge } from '@/live/ConnectionBadge';
import { formatDuration, parseTime } from '@/live/durations';
import type { Session } from '@/live/session';
import type { SessionStore } from '@/live/store';
import { useVersion } from '@/live/use-session-store';
import { showLine } from '@/lib/text';
import { useNow } from '@/lib/useNow';
import { strings } from '@/strings/session';
import { Actions } from './Actions';

function Fact({ term, children }: { term: string; children: ReactNode }) {
  return (
    <div className="flex min-w-0 items-baseline gap-1.5">
      <dt className="text-muted-foreground shrink-0">{term}</dt>
      <dd className="min-w-0 truncate">{children}</dd>
    </div>
  );
}

function Duration({ session }: { session: Session }) {
  const started = parseTime(session.startedAt);
  const ended = parseTime(session.endedAt);
  const now = useNow(!session.isFinal && !Number.isNaN(started));
  return (
    <span className="tabular-nums">
      {formatDuration((Number.isNaN(ended) ? now : ended) - started) || '–'}
    </span>
  );
}

export function ProgressLine({ store, session }: { store: SessionStore; session: Session }) {
  useVersion(store, 'items');
  const { progress } = store.model;
  if (progress === null || session.isFinal) return null;
  const percent = Math.round(progress.share * 100);
  return (
    <div className="flex items-center gap-3 text-xs">
      <progress
        aria-label={strings.about.progress}
        max={100}
        value={percent}
        className="[&::-moz-progress-bar]:bg-primary [&::-webkit-progress-bar]:bg-muted [&::-webkit-progress-value]:bg-primary h-1.5 w-48 appearance-none overflow-hidden rounded-full [&::-webkit-progress-bar]:rounded-full"
      />
      <span className="tabular-nums">{percent} %</span>
      <span className="text-muted-foreground min-w-0 truncate">{showLine(progress.message)}</span>
    </div>
  );
}

export function Header({ session, store }: { session: Session; store: SessionStore }) {
  const { namespace, name, workflow, run, steps, createdBy, forkedFrom } = session;
  const isCluster = session.workflowKind === 'ClusterWorkflowDefinition';
  return (
    <header className="space-y-2 border-b px-4 py-3 sm:px-6">
      <nav aria-label={strings.sessions} className="text-muted-foreground flex items-center gap-1 text-xs">
        <Link to="/sessions" search={{ namespace }} className="hover:text-foreground">
          {strings.sessions}
        </Link>
        <ChevronRight aria-hidden className="size-3" />
        <Link to="/sessions" search={{ namespace }} className="hover:text-foreground font-mono">
          {namespace}
        </Link>
      </nav>
      <div className="flex flex-wrap items-center justify-between gap-x-4 gap-y-2">
        <div className="flex min-w-0 flex-wrap items-center gap-x-2.5 gap-y-1">
          <h1 className="min-w-0 text-lg font-semibold tracking-tight break-all">
            {showLine(session.displayName || name)}
          </h1>
          <PhaseBadge phase={session.phase} />
          {session.isDeleted && <Badge tone="danger">{strings.about.deleting}</Badge>}
          <ConnectionBadge store={store} />
        </div>
        <Actions session={session} />
      </div>
      <dl className="flex flex-wrap gap-x-5 gap-y-1 text-xs">
        {session.displayName !== '' && (
          <Fact term={strings.about.name}>
            <span className="font-mono">{name}</span>
          </Fact>
        )}
        {workflow !== '' && (
          <Fact term={strings.about.workflow}>
            <Link
              to="/workflows/$namespace/$name"
              params={{ namespace: isCluster ? '-' : namespace, name: workflow }}
              className="text-primary font-mono hover:underline"
            >
              {workflow}
            </Link>
          </Fact>
        )}
        <Fact term={strings.about.createdBy}>{showLine(createdBy) || strings.about.notStated}</Fact>
        <Fact term={strings.about.started}>
          <Time at={session.startedAt ?? session.createdAt} />
        </Fact>
        <Fact term={strings.about.duration}>
          <Duration session={session} />
        </Fact>
        {run !== null && <Fact term={strings.about.run}>{run}</Fact>}
        {steps !== null && <Fact term={strings.about.steps}>{steps}</Fact>}
        {forkedFrom !== null && (
          <Fact term={strings.about.forkedFrom}>
            <Link
              to="/sessions/$namespace/$name"
              params={{ namespace, name: forkedFrom.session }}
              className="text-primary font-mono hover:underline"
            >
              {forkedFrom.session}
            </Link>
          </Fact>
        )}
      </dl>
      <ProgressLine store={store} session={session} />
    </header>
  );
}
