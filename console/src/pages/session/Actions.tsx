/** What can be done with a session: suspend, resume, stop, retry, fork, delete. */

import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { Ellipsis, GitFork, MessageSquare, Pause, Play, RotateCcw, Square } from 'lucide-react';
import { useMemo, useState } from 'react';
import { api } from '@/api';
import { makeKey } from '@/form/idempotency';
import { ProblemPanel } from '@/components/ProblemPanel';
import { Button } from '@/components/ui/button';
import { Dialog, DialogFooter } from '@/components/ui/dialog';
import { Menu, MenuItem, MenuSeparator } from '@/components/ui/menu';
import type { Session } from '@/live/session';
import { strings } from '@/strings/session';
import { ForkDialog } from './ForkDialog';

type Asked = 'stop' | 'retry' | 'delete';

/** Reasons with which a session ends whose retry would end the same way. */
const HOPELESS = new Set(['InvalidInput', 'UnknownInput', 'InvalidConfig', 'InvalidSpec', 'EnvNotAllowed']);

export function Actions({ session }: { session: Session }) {
  const { namespace, name } = session;
  const path = { namespace, name };
  const client = useQueryClient();
  const navigate = useNavigate();
  const [asked, setAsked] = useState<Asked | null>(null);
  const [isForking, setForking] = useState(false);
  const key = useMemo(() => makeKey(), []);
  const refresh = () => client.invalidateQueries({ queryKey: ['session', namespace, name] });
  const isHopeless = HOPELESS.has(session.reason);

  const steer = useMutation({
    mutationFn: async (what: 'suspend' | 'resume'): Promise<void> => {
      await api.post(`/api/v1/agentic-sessions/{namespace}/{name}/${what}`, { path });
    },
    onSettled: refresh,
  });
  const act = useMutation({
    mutationFn: async (what: Asked): Promise<void> => {
      switch (what) {
        case 'stop':
          await api.post('/api/v1/agentic-sessions/{namespace}/{name}/stop', { path });
          return;
        case 'delete':
          await api.delete('/api/v1/agentic-sessions/{namespace}/{name}', { path });
          await navigate({ to: '/sessions', search: { namespace } });
          return;
        case 'retry': {
          const made = await api.post('/api/v1/agentic-sessions/{namespace}/{name}/retry', {
            path,
            headers: { 'Idempotency-Key': key },
            body: { force: isHopeless },
          });
          await navigate({
            to: '/sessions/$namespace/$name',
            params: { namespace, name: made.metadata.name },
          });
        }
      }
    },
    onSuccess: () => {
      setAsked(null);
    },
    onSettled: refresh,
  });
  const close = (): void => {
    act.reset();
    setAsked(null);
  };
  const canRetry = session.phase === 'Failed' || session.phase === 'Stopped';
  const canStop = !session.isFinal && !session.isStopped;
  const hasRun = session.startedAt !== null;
  const texts: Record<Asked, [string, string, string]> = {
    stop: [strings.actions.stopTitle, strings.actions.stopText, strings.actions.stop],
    delete: [strings.actions.deleteTitle, strings.actions.deleteText, strings.actions.delete],
    retry: [
      strings.actions.retryTitle,
      isHopeless ? strings.actions.retryHopeless : strings.actions.retryText,
      strings.actions.retry,
    ],
  };
  const [title, description, verb] = texts[asked ?? 'stop'];
  return (
    <div className="flex flex-wrap items-center gap-1.5">
      {session.isConversation && (
        <Button asChild variant="outline">
          <Link to="/chat/$namespace/$name" params={path}>
            <MessageSquare aria-hidden />
            {strings.chat}
          </Link>
        </Button>
      )}
      {canRetry && (
        <Button
          title={strings.actions.retryHint}
          onClick={() => {
            setAsked('retry');
          }}
        >
          <RotateCcw aria-hidden />
          {strings.actions.retry}
        </Button>
      )}
      {!session.isFinal &&
        (session.isSuspended ? (
          <Button
            variant="outline"
            isBusy={steer.isPending}
            onClick={() => {
              steer.mutate('resume');
            }}
          >
            <Play aria-hidden />
            {strings.actions.resume}
          </Button>
        ) : (
          <Button
            variant="outline"
            title={strings.actions.suspendHint}
            isBusy={steer.isPending}
            onClick={() => {
              steer.mutate('suspend');
            }}
          >
            <Pause aria-hidden />
            {strings.actions.suspend}
          </Button>
        ))}
      {canStop && (
        <Button
          variant="outline"
          onClick={() => {
            setAsked('stop');
          }}
        >
          <Square aria-hidden />
          {strings.actions.stop}
        </Button>
      )}
      <Menu
        align="end"
        trigger={
          <Button variant="outline" size="icon" aria-label={strings.actions.more}>
            <Ellipsis aria-hidden />
          </Button>
        }
      >
        <MenuItem
          disabled={!hasRun}
          onSelect={() => {
            setForking(true);
          }}
        >
          <GitFork aria-hidden />
          {strings.actions.fork}
        </MenuItem>
        {session.workflow !== '' && (
          <MenuItem
            onSelect={() => {
              void navigate({
                to: '/new/$namespace/$workflow',
                params: {
                  namespace,
                  workflow:
                    session.workflowKind === 'ClusterWorkflowDefinition'
                      ? `-.${session.workflow}`
                      : session.workflow,
                },
                search: { from: `${namespace}/${name}` },
              });
            }}
          >
            <RotateCcw aria-hidden />
            {strings.actions.again}
          </MenuItem>
        )}
        <MenuSeparator />
        <MenuItem
          className="text-destructive"
          onSelect={() => {
            setAsked('delete');
          }}
        >
          {strings.actions.delete}
        </MenuItem>
      </Menu>
      {steer.isError && <ProblemPanel error={steer.error} namespace={namespace} className="w-full" />}
      <Dialog isOpen={asked !== null} onClose={close} title={title} description={description}>
        {act.isError && <ProblemPanel error={act.error} namespace={namespace} />}
        <DialogFooter>
          <Button variant="outline" onClick={close}>
            {strings.actions.cancel}
          </Button>
          <Button
            variant={asked === 'retry' ? 'default' : 'destructive'}
            isBusy={act.isPending}
            onClick={() => {
              if (asked !== null) act.mutate(asked);
            }}
          >
            {verb}
          </Button>
        </DialogFooter>
      </Dialog>
      <ForkDialog
        session={session}
        checkpoint={isForking ? '' : null}
        onClose={() => {
          setForking(false);
        }}
      />
    </div>
  );
}
