import { useQueries, useQueryClient } from '@tanstack/react-query';
import { CirclePause, CirclePlay, CircleStop, type LucideIcon, RotateCcw, X } from 'lucide-react';
import { useState } from 'react';
import { Problem, api } from '@/api';
import { rightsQuery } from '@/auth/namespaces';
import { Button } from '@/components/ui/button';
import { Dialog, DialogFooter } from '@/components/ui/dialog';
import { showLine } from '@/lib/text';
import { makeKey } from '@/form/idempotency';
import { strings } from '@/strings/sessions';
import { type Action, type SessionRow, VERBS, fits } from './rows';

const ICONS: Readonly<Record<Action, LucideIcon>> = {
  stop: CircleStop,
  suspend: CirclePause,
  resume: CirclePlay,
  retry: RotateCcw,
};
const ACTIONS: readonly Action[] = ['suspend', 'resume', 'retry', 'stop'];
/** Requests at once: a person's rate allows many more. */
const AT_ONCE = 4;

interface Outcome {
  action: Action;
  done: number;
  refusals: readonly { key: string; why: string }[];
}

function act(action: Action, row: SessionRow, idempotencyKey: string): Promise<unknown> {
  const path = { namespace: row.namespace, name: row.name };
  const one = '/api/v1/agentic-sessions/{namespace}/{name}';
  switch (action) {
    case 'stop':
      return api.post(`${one}/stop`, { path });
    case 'suspend':
      return api.post(`${one}/suspend`, { path });
    case 'resume':
      return api.post(`${one}/resume`, { path });
    case 'retry':
      return api.post(`${one}/retry`, {
        path,
        body: { force: false },
        headers: { 'Idempotency-Key': idempotencyKey },
      });
  }
}

async function actOnAll(action: Action, rows: readonly SessionRow[]): Promise<Outcome> {
  const refusals: { key: string; why: string }[] = [];
  const waiting = [...rows];
  let done = 0;
  const work = async (): Promise<void> => {
    for (let row = waiting.shift(); row !== undefined; row = waiting.shift()) {
      try {
        await act(action, row, makeKey());
        done += 1;
      } catch (error) {
        refusals.push({ key: row.key, why: error instanceof Problem ? error.message : String(error) });
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return { action, done, refusals };
}

/** What can be done with the selected sessions, and what came of it. */
export function BulkBar({ rows, onClear }: { rows: readonly SessionRow[]; onClear: () => void }) {
  const client = useQueryClient();
  const [asked, setAsked] = useState<Action | null>(null);
  const [busy, setBusy] = useState<Action | null>(null);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const namespaces = [...new Set(rows.map((row) => row.namespace))];
  const rights = useQueries({ queries: namespaces.map((each) => rightsQuery(each)) });
  const lacking = (action: Action): string[] =>
    namespaces.filter((_, place) => rights[place]?.data?.sessions.includes(VERBS[action]) === false);

  const run = async (action: Action): Promise<void> => {
    setAsked(null);
    setBusy(action);
    setOutcome(null);
    const fitting = rows.filter((row) => fits(action, row));
    const found = await actOnAll(action, fitting);
    setOutcome(found);
    setBusy(null);
    await client.invalidateQueries({ queryKey: ['sessions'] });
  };

  return (
    <div
      role="region"
      aria-label={strings.selected(rows.length)}
      className="bg-popover border-b px-4 py-2 sm:px-6"
    >
      <div className="flex flex-wrap items-center gap-2 text-[13px]">
        <span className="mr-2 font-medium tabular-nums">{strings.selected(rows.length)}</span>
        {ACTIONS.map((action) => {
          const Icon = ICONS[action];
          const count = rows.filter((row) => fits(action, row)).length;
          const without = lacking(action);
          const why =
            without.length > 0
              ? strings.noRight(VERBS[action], without.join(', '))
              : count === 0
                ? strings.noneFits[action]
                : undefined;
          return (
            <Button
              key={action}
              variant="outline"
              size="sm"
              title={why}
              disabled={why !== undefined || busy !== null}
              isBusy={busy === action}
              className={action === 'stop' ? 'text-destructive' : undefined}
              onClick={() => {
                if (action === 'stop') setAsked(action);
                else void run(action);
              }}
            >
              <Icon aria-hidden />
              {strings.actions[action]}
              {count > 0 && count < rows.length && (
                <span className="text-muted-foreground tabular-nums">{count}</span>
              )}
            </Button>
          );
        })}
        <Button variant="ghost" size="sm" onClick={onClear}>
          <X aria-hidden />
          {strings.clearSelection}
        </Button>
      </div>
      <div role="status" className="text-[13px] empty:hidden">
        {outcome !== null && (
          <>
            <p className="text-muted-foreground mt-1.5">
              {strings.done(strings.actions[outcome.action], outcome.done)}{' '}
              {outcome.refusals.length > 0 && strings.failed(outcome.refusals.length)}
            </p>
            {outcome.refusals.length > 0 && (
              <ul className="text-destructive mt-1 max-h-32 space-y-0.5 overflow-y-auto text-xs">
                {outcome.refusals.map(({ key, why }) => (
                  <li key={key}>
                    <span className="font-mono">{key}</span>: {showLine(why)}
                  </li>
                ))}
              </ul>
            )}
          </>
        )}
      </div>
      <Dialog
        isOpen={asked === 'stop'}
        onClose={() => {
          setAsked(null);
        }}
        title={strings.confirmStopTitle(rows.filter((row) => fits('stop', row)).length)}
        description={strings.confirmStop}
      >
        <DialogFooter>
          <Button
            variant="outline"
            onClick={() => {
              setAsked(null);
            }}
          >
            {strings.keep}
          </Button>
          <Button variant="destructive" onClick={() => void run('stop')}>
            {strings.actions.stop}
          </Button>
        </DialogFooter>
      </Dialog>
    </div>
  );
}
