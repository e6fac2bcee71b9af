/** What the state held at one checkpoint, or what changed in it between two. */

import { useQueries } from '@tanstack/react-query';
import { type Json, Problem, asObject } from '@/api';
import { JsonView } from '@/components/JsonView';
import { ProblemPanel } from '@/components/ProblemPanel';
import { Shown } from '@/components/Shown';
import { Card } from '@/components/ui/card';
import { Skeleton } from '@/components/ui/skeleton';
import { showLine } from '@/lib/text';
import { stateQuery } from '@/live/queries';
import type { Session } from '@/live/session';
import { strings } from '@/strings/session';
import { type Values, compareValues } from './compare';

/** `checkpoints` holds the id of one, or of an earlier and a later one. */
export function States({ session, checkpoints }: { session: Session; checkpoints: readonly string[] }) {
  const found = useQueries({ queries: checkpoints.map((each) => stateQuery(session, each)) });
  const failed = found.find(({ isError }) => isError);
  return (
    <Card className="p-4" data-states>
      <h2 className="mb-2 text-[13px] font-semibold">
        {checkpoints.length === 1 ? strings.states.one : strings.states.changes}
      </h2>
      {failed !== undefined ? (
        <Refused error={failed.error} namespace={session.namespace} />
      ) : found.some(({ data }) => data === undefined) ? (
        <Skeleton className="h-16" />
      ) : (
        <ShownValues states={found.map(({ data }): Values => asObject(data?.values as Json) ?? {})} />
      )}
    </Card>
  );
}

function ShownValues({ states: [first = {}, second] }: { states: readonly Values[] }) {
  if (second === undefined) return <JsonView value={first} />;
  const changes = compareValues(first, second);
  if (changes.length === 0) return <p className="text-muted-foreground text-[13px]">{strings.states.same}</p>;
  return (
    <dl className="space-y-3">
      {changes.map(({ key, before, after }) => (
        <div key={key} data-change={key}>
          <dt className="mb-1 font-mono text-xs font-medium break-all">{showLine(key)}</dt>
          <dd className="grid gap-2 md:grid-cols-2">
            <Side title={strings.states.before} value={before} />
            <Side title={strings.states.after} value={after} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Side({ title, value }: { title: string; value: unknown }) {
  return (
    <div className="bg-muted/40 min-w-0 overflow-x-auto rounded-md border p-2">
      <p className="text-muted-foreground mb-1 text-xs">{title}</p>
      {value === undefined ? (
        <p className="text-muted-foreground text-xs">{strings.states.nothing}</p>
      ) : (
        <JsonView value={value} open={2} />
      )}
    </div>
  );
}

/** That nothing is kept is how most definitions are, and no fault. */
function Refused({ error, namespace }: { error: unknown; namespace: string }) {
  if (error instanceof Problem && (error.kind === 'not-found' || error.kind === 'conflict'))
    return (
      <p className="text-muted-foreground text-[13px]">
        <Shown text={error.detail} />
      </p>
    );
  return <ProblemPanel error={error} namespace={namespace} />;
}
