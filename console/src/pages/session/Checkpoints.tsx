/** The checkpoints of a session: where it was, what lies between two of them, and forks from any of them. */

import { useQuery } from '@tanstack/react-query';
import { GitFork } from 'lucide-react';
import { useState } from 'react';
import type { Checkpoint } from '@/api';
import { ProblemPanel } from '@/components/ProblemPanel';
import { Badge } from '@/components/ui/badge';
import { Button } from '@/components/ui/button';
import { Card } from '@/components/ui/card';
import { Checkbox } from '@/components/ui/checkbox';
import { Skeleton } from '@/components/ui/skeleton';
import { showLine } from '@/lib/text';
import { formatDuration, formatFull, parseTime } from '@/live/durations';
import { checkpointsQuery } from '@/live/queries';
import type { Session } from '@/live/session';
import { strings } from '@/strings/session';
import { type Comparison, compareCheckpoints } from './compare';
import { ForkDialog } from './ForkDialog';
import { States } from './States';

const name = (checkpoint: Checkpoint): string =>
  checkpoint.step === -1 ? strings.checkpoints.inputs : showLine(checkpoint.node ?? '–');

export function Checkpoints({ session }: { session: Session }) {
  const found = useQuery(checkpointsQuery(session, `${session.uid}/${session.checkpointId}`));
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const [forked, setForked] = useState<string | null>(null);
  if (found.isError)
    return (
      <ProblemPanel error={found.error} namespace={session.namespace} onRetry={() => void found.refetch()} />
    );
  if (found.data === undefined) return <Skeleton className="h-48" />;
  const { items, last } = found.data;
  if (items.length === 0)
    return <p className="text-muted-foreground p-6 text-center text-[13px]">{strings.checkpoints.none}</p>;
  const [a, b] = chosen;
  const comparison = a !== undefined && b !== undefined ? compareCheckpoints(items, a, b) : null;
  const choose = (id: string, isChosen: boolean): void => {
    setChosen(isChosen ? [...chosen.slice(-1), id] : chosen.filter((each) => each !== id));
  };
  return (
    <div className="space-y-3">
      {comparison === null ? (
        <p className="text-muted-foreground text-[13px]">{strings.checkpoints.compareHint}</p>
      ) : (
        <ComparisonCard comparison={comparison} />
      )}
      {comparison !== null ? (
        <States session={session} checkpoints={[comparison.earlier.id, comparison.later.id]} />
      ) : (
        a !== undefined && <States session={session} checkpoints={[a]} />
      )}
      <Card className="overflow-x-auto">
        <table className="w-full text-[13px]">
          <thead className="text-muted-foreground text-left text-xs">
            <tr className="border-b">
              <th scope="col" className="w-8 px-3 py-2 font-medium">
                <span className="sr-only">{strings.checkpoints.compare}</span>
              </th>
              <th scope="col" className="px-2 py-2 font-medium">
                {strings.checkpoints.step}
              </th>
              <th scope="col" className="px-2 py-2 font-medium">
                {strings.checkpoints.node}
              </th>
              <th scope="col" className="hidden px-2 py-2 font-medium sm:table-cell">
                {strings.checkpoints.next}
              </th>
              <th scope="col" className="hidden px-2 py-2 font-medium md:table-cell">
                {strings.checkpoints.at}
              </th>
              <th scope="col" className="px-2 py-2">
                <span className="sr-only">{strings.checkpoints.fork}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {items.map((item) => (
              <tr
                key={item.id}
                className="hover:bg-accent/40 border-b last:border-0"
                data-checkpoint={item.id}
              >
                <td className="px-3 py-1.5">
                  <Checkbox
                    aria-label={strings.checkpoints.choose(item.id)}
                    checked={chosen.includes(item.id)}
                    onChange={(event) => {
                      choose(item.id, event.target.checked);
                    }}
                  />
                </td>
                <td className="px-2 py-1.5 tabular-nums" title={item.id}>
                  {item.step ?? '–'}
                  {item.id === last && (
                    <Badge tone="accent" className="ml-2">
                      {strings.checkpoints.last}
                    </Badge>
                  )}
                  {item.turn && <Badge className="ml-2">{showLine(item.turn)}</Badge>}
                </td>
                <td className="px-2 py-1.5 font-mono text-xs break-all">{name(item)}</td>
                <td className="text-muted-foreground hidden px-2 py-1.5 font-mono text-xs break-all sm:table-cell">
                  {item.next ? showLine(item.next) : strings.checkpoints.end}
                </td>
                <td className="text-muted-foreground hidden px-2 py-1.5 text-xs whitespace-nowrap md:table-cell">
                  {formatFull(parseTime(item.at))}
                </td>
                <td className="px-2 py-1.5 text-right">
                  <Button
                    variant="ghost"
                    size="sm"
                    onClick={() => {
                      setForked(item.id);
                    }}
                  >
                    <GitFork aria-hidden />
                    <span className="hidden sm:inline">{strings.checkpoints.fork}</span>
                    <span className="sr-only sm:hidden">{strings.checkpoints.fork}</span>
                  </Button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Card>
      <ForkDialog
        key={forked}
        session={session}
        checkpoint={forked}
        onClose={() => {
          setForked(null);
        }}
      />
    </div>
  );
}

function ComparisonCard({
  comparison: { earlier, later, steps, ms, nodes, hasSameNext },
}: {
  comparison: Comparison;
}) {
  const rows: [string, string][] = [
    [strings.checkpoints.steps, steps === null ? '–' : String(steps)],
    [strings.checkpoints.time, formatDuration(ms) || '–'],
    [
      strings.checkpoints.ran,
      nodes
        .map(([node, count]) => (count === 1 ? showLine(node) : `${showLine(node)} ×${String(count)}`))
        .join(', ') || '–',
    ],
    [
      strings.checkpoints.nextOf,
      hasSameNext
        ? strings.checkpoints.same
        : `${showLine(earlier.next ?? strings.checkpoints.end)} → ${showLine(later.next ?? strings.checkpoints.end)}`,
    ],
  ];
  return (
    <Card className="p-4" data-comparison>
      <h2 className="mb-2 text-[13px] font-semibold">
        {strings.checkpoints.between}: {name(earlier)} → {name(later)}
      </h2>
      <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1 text-[13px]">
        {rows.map(([term, value]) => (
          <div key={term} className="contents">
            <dt className="text-muted-foreground">{term}</dt>
            <dd className="break-words">{value}</dd>
          </div>
        ))}
      </dl>
    </Card>
  );
}
