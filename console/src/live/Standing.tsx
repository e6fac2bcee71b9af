/** Why a session does not run or has failed, and what to do about it. */

import { CircleAlert, Clock } from 'lucide-react';
import { Badge } from '@/components/ui/badge';
import { Card } from '@/components/ui/card';
import { showLine, showText } from '@/lib/text';
import { strings } from '@/strings/session';
import { formatFull, parseTime } from './durations';
import { type Condition, type Session, isAtRest } from './session';

/** Conditions that say that something is as it should not be. */
function listTroubles(session: Session): readonly Condition[] {
  const isBad = ({ type, status }: Condition): boolean => {
    if (type === 'Failed' || type === 'CheckpointsLost') return status === 'True';
    return ['Accepted', 'Scheduled', 'Running'].includes(type) && status === 'False';
  };
  return session.conditions.filter(isBad);
}

function Conditions({ conditions }: { conditions: readonly Condition[] }) {
  return (
    <ul className="space-y-1.5">
      {conditions.map((each) => (
        <li key={each.type} className="text-[13px]" data-condition={each.type}>
          <div className="flex flex-wrap items-baseline gap-x-2">
            <Badge
              tone={each.status === 'True' ? 'success' : each.status === 'False' ? 'warning' : 'neutral'}
            >
              {showLine(each.type)}: {showLine(each.reason)}
            </Badge>
            <span className="text-muted-foreground text-xs">
              {strings.start.since} {formatFull(parseTime(each.at))}
            </span>
          </div>
          {each.message !== '' && (
            <p className="mt-0.5 break-words whitespace-pre-wrap">{showText(each.message)}</p>
          )}
        </li>
      ))}
    </ul>
  );
}

function Remedy({ reason }: { reason: string }) {
  const remedy = strings.remedies[reason];
  if (remedy === undefined) return null;
  return (
    <p className="text-[13px]">
      <span className="font-medium">{strings.start.remedy}: </span>
      {remedy}
    </p>
  );
}

export function Standing({ session }: { session: Session }) {
  const { phase, reason, message, error, conditions } = session;
  const isWaiting = phase === 'Pending' || phase === 'Creating';
  const troubles = listTroubles(session);
  if (phase === 'Failed') {
    return (
      <Card
        className="border-destructive/40 bg-destructive/5 flex gap-2.5 p-4"
        role="alert"
        data-standing="failed"
      >
        <CircleAlert aria-hidden className="text-destructive mt-0.5 size-4.5 shrink-0" />
        <div className="min-w-0 space-y-1.5">
          <h2 className="text-[13px] font-semibold break-words">
            {strings.error.title}: {showLine(reason || (error?.type ?? ''))}
            {error !== null && error.node !== '' && (
              <span className="font-normal">
                {' '}
                {strings.error.node} <code className="font-mono text-xs">{showLine(error.node)}</code>
              </span>
            )}
          </h2>
          <pre
            className="max-h-60 overflow-auto font-mono text-xs leading-5 break-words whitespace-pre-wrap"
            tabIndex={0}
          >
            {showText(error?.message || message)}
          </pre>
          {error?.retriable === true && <p className="text-[13px]">{strings.error.retriable}</p>}
          <Remedy reason={reason} />
        </div>
      </Card>
    );
  }
  if (!isWaiting && (troubles.length === 0 || isAtRest(session))) return null;
  return (
    <Card className="flex gap-2.5 p-4" data-standing="waiting">
      <Clock aria-hidden className="text-muted-foreground mt-0.5 size-4.5 shrink-0" />
      <div className="min-w-0 flex-1 space-y-2">
        <h2 className="text-[13px] font-semibold break-words">
          {isWaiting ? strings.start.title : showLine(reason)}
          {isWaiting && reason !== '' && (
            <span className="text-muted-foreground font-normal"> · {showLine(reason)}</span>
          )}
        </h2>
        {message !== '' && <p className="text-[13px] break-words whitespace-pre-wrap">{showText(message)}</p>}
        {isWaiting && message === '' && troubles.length === 0 && (
          <p className="text-[13px]">
            {phase === 'Creating'
              ? strings.start.starting
              : conditions.length === 0
                ? strings.start.noConditions
                : strings.start.queued}
          </p>
        )}
        <Remedy reason={troubles[0]?.reason ?? reason} />
        <Conditions conditions={isWaiting ? conditions : troubles} />
      </div>
    </Card>
  );
}
