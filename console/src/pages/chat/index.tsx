/** A conversation: what people say and what the workflow answers, turn by turn, as it happens. */

import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, getRouteApi, useNavigate } from '@tanstack/react-router';
import { CircleAlert, MessageSquare, Pencil, RefreshCw, User } from 'lucide-react';
import { type ReactNode, useMemo, useState } from 'react';
import { type AgenticSessionSpec, type Json, type JsonObject, api, asObject } from '@/api';
import { useTitle } from '@/app/title';
import { useMyself } from '@/auth/myself';
import { makeKey } from '@/form/idempotency';
import { EmptyState } from '@/components/EmptyState';
import { JsonView } from '@/components/JsonView';
import { PhaseBadge } from '@/components/PhaseBadge';
import { ProblemPanel } from '@/components/ProblemPanel';
import { Button } from '@/components/ui/button';
import { Dialog, DialogFooter } from '@/components/ui/dialog';
import { Skeleton } from '@/components/ui/skeleton';
import { cn } from '@/lib/cn';
import { showLine, showText } from '@/lib/text';
import { ConnectionBadge } from '@/live/ConnectionBadge';
import { formatFull, parseTime } from '@/live/durations';
import { Feed } from '@/live/feed/Feed';
import { Row } from '@/live/feed/rows';
import { OpenQuestions } from '@/live/Question';
import { sessionQuery, turnsQuery } from '@/live/queries';
import type { Session } from '@/live/session';
import { Standing } from '@/live/Standing';
import { useLinked } from '@/live/use-linked';
import { useSessionStore, useVersion } from '@/live/use-session-store';
import { strings } from '@/strings/chat';
import { Composer } from './Composer';
import {
  type ChatEntry,
  type ChatTurn,
  beginsAnew,
  buildAnew,
  buildEntries,
  findBase,
  listTurns,
  readWords,
  writeDraft,
} from './conversation';
import { useDraft } from './draft';

const route = getRouteApi('/shell/chat/$namespace/$name');

export default function ChatPage(): ReactNode {
  const { namespace, name } = route.useParams();
  const found = useQuery(sessionQuery({ namespace, name }));
  useTitle(name);
  const session = found.data;
  if (session?.name === name) {
    return session.isConversation ? (
      <Chat key={session.uid} session={session} />
    ) : (
      <NoConversation session={session} />
    );
  }
  if (found.isError) {
    return (
      <div className="p-4 sm:p-6">
        <ProblemPanel error={found.error} namespace={namespace} onRetry={() => void found.refetch()} />
      </div>
    );
  }
  return (
    <div role="status" className="mx-auto max-w-3xl space-y-4 p-6">
      <Skeleton className="h-7 w-60" />
      <Skeleton className="h-24" />
      <Skeleton className="h-40" />
    </div>
  );
}

function NoConversation({ session: { namespace, name } }: { session: Session }) {
  return (
    <EmptyState
      icon={MessageSquare}
      title={strings.noConversation}
      action={
        <Button asChild variant="outline">
          <Link to="/sessions/$namespace/$name" params={{ namespace, name }}>
            {strings.sessionPage}
          </Link>
        </Button>
      }
    >
      {strings.noConversationText}
    </EmptyState>
  );
}

interface Given {
  readonly input?: Json;
  readonly fromCheckpoint?: string;
  readonly key: string;
}

interface Edited {
  readonly turn: ChatTurn;
  readonly text: string;
  readonly isJson: boolean;
}

function Chat({ session }: { session: Session }) {
  const { namespace, name, uid } = session;
  const path = { namespace, name };
  const client = useQueryClient();
  const navigate = useNavigate();
  const myself = useMyself();
  const store = useSessionStore(namespace, name, uid);
  useLinked(session, store);
  const version = useVersion(store, 'items');
  const rows = useQuery(turnsQuery(path));
  const turns = useMemo(() => listTurns(session, rows.data ?? []), [session, rows.data]);
  const { items, droppedItems } = store.model;
  const entries = useMemo(() => {
    // Items change in place: another version says that there are more.
    void version;
    return buildEntries(turns, items);
  }, [turns, items, version]);
  const [draft, setDraft] = useDraft(uid);
  const [edited, setEdited] = useState<Edited | null>(null);
  const [isDraftJson, setDraftJson] = useState(false);
  const [isClosing, setClosing] = useState(false);
  const refresh = () => client.invalidateQueries({ queryKey: ['session', namespace, name] });

  const say = useMutation({
    mutationFn: ({ key, ...body }: Given) =>
      api.post('/api/v1/agentic-sessions/{namespace}/{name}/turns', {
        path,
        headers: { 'Idempotency-Key': key },
        body: body,
      }),
    onSettled: refresh,
  });
  const begin = useMutation({
    mutationFn: async ({ input, key }: { input: Json; key: string }) => {
      const found = await api.get('/api/v1/agentic-sessions/{namespace}/{name}', { path });
      const spec = asObject((found as unknown as JsonObject)['spec']) ?? {};
      const made = await api.post('/api/v1/agentic-sessions/{namespace}', {
        path: { namespace },
        headers: { 'Idempotency-Key': key },
        body: { spec: buildAnew(spec, input, myself.data?.username ?? '') as unknown as AgenticSessionSpec },
      });
      const named = asObject((made as unknown as JsonObject)['metadata'])?.['name'];
      return typeof named === 'string' ? named : name;
    },
    onSuccess: (made) => navigate({ to: '/chat/$namespace/$name', params: { namespace, name: made } }),
  });
  const cancel = useMutation({
    mutationFn: (turn: string) =>
      api.post('/api/v1/agentic-sessions/{namespace}/{name}/turns/{turn}/cancel', {
        path: { ...path, turn },
      }),
    onSettled: refresh,
  });
  const end = useMutation({
    mutationFn: () => api.post('/api/v1/agentic-sessions/{namespace}/{name}/close', { path }),
    onSuccess: () => {
      setClosing(false);
    },
    onSettled: refresh,
  });

  const running =
    turns.find(({ phase }) => phase === 'Running') ?? turns.find(({ phase }) => phase === 'Queued');
  const last = turns.findLast(({ isLeft, phase }) => !isLeft && phase !== 'Refused');
  const takesTurns = !session.isFinal && !session.isClosing && !session.isStopped;

  const isAnew = edited !== null && beginsAnew(turns, edited.turn.name);
  const sendInput = (input: Json): void => {
    if (isAnew) {
      begin.mutate({ input, key: makeKey() });
      return;
    }
    const before = edited === null ? null : findBase(turns, edited.turn.name);
    const given = { input, key: makeKey(), ...(before === null ? {} : { fromCheckpoint: before }) };
    say.mutate(given, {
      onSuccess: () => {
        if (edited === null) setDraft('');
        setEdited(null);
      },
    });
  };
  const edit = (turn: ChatTurn): void => {
    say.reset();
    begin.reset();
    setEdited({ turn, ...writeDraft(turn.input) });
  };
  const regenerate = (turn: ChatTurn): void => {
    // A new conversation is begun by whoever was told so: the field says it.
    if (beginsAnew(turns, turn.name)) edit(turn);
    const base = findBase(turns, turn.name);
    if (base === null) return;
    say.mutate({
      fromCheckpoint: base,
      key: makeKey(),
      ...(turn.input === undefined ? {} : { input: turn.input }),
    });
  };

  return (
    <div className="flex h-full min-h-0 flex-1 flex-col">
      <header className="flex flex-wrap items-center justify-between gap-x-4 gap-y-2 border-b px-4 py-2.5 sm:px-6">
        <div className="flex min-w-0 flex-wrap items-center gap-x-2.5 gap-y-1">
          <h1 className="min-w-0 text-[15px] font-semibold tracking-tight break-all">
            {showLine(session.displayName || name)}
          </h1>
          <PhaseBadge phase={session.phase} />
          <ConnectionBadge store={store} />
        </div>
        <div className="flex items-center gap-1.5">
          <Button asChild variant="ghost">
            <Link to="/sessions/$namespace/$name" params={path}>
              {strings.sessionPage}
            </Link>
          </Button>
          {takesTurns && (
            <Button
              variant="outline"
              onClick={() => {
                setClosing(true);
              }}
            >
              {strings.close}
            </Button>
          )}
        </div>
      </header>
      <Feed
        entries={entries}
        version={version + turns.length}
        dropped={droppedItems}
        className="flex-1"
        estimate={72}
        empty={
          <EmptyState icon={MessageSquare} title={strings.empty}>
            {takesTurns && strings.emptyText}
          </EmptyState>
        }
      >
        {(entry) => (
          <div className="mx-auto max-w-3xl">
            <Entry
              entry={entry}
              me={myself.data?.username ?? ''}
              canSay={takesTurns && !say.isPending && !begin.isPending}
              hasBase={entry.kind === 'turn' && findBase(turns, entry.turn.name) !== null}
              isAnew={entry.kind === 'turn' && beginsAnew(turns, entry.turn.name)}
              isLast={entry.kind === 'turn' && entry.turn === last}
              onEdit={edit}
              onRegenerate={regenerate}
            />
          </div>
        )}
      </Feed>
      <div className="mx-auto w-full max-w-3xl space-y-3 px-4 empty:hidden">
        <Standing session={session} />
        <OpenQuestions session={session} />
        {[say.error, begin.error, cancel.error, rows.error].map((error, place) =>
          error === null ? null : <ProblemPanel key={place} error={error} namespace={namespace} />,
        )}
      </div>
      {takesTurns ? (
        <Composer
          text={edited?.text ?? draft}
          onChange={(text) => {
            if (edited === null) setDraft(text);
            else setEdited({ ...edited, text });
          }}
          onSend={sendInput}
          isJson={edited?.isJson ?? isDraftJson}
          onJson={(isJson) => {
            if (edited === null) setDraftJson(isJson);
            else setEdited({ ...edited, isJson });
          }}
          isSending={say.isPending || begin.isPending}
          onStop={
            running === undefined
              ? null
              : () => {
                  cancel.mutate(running.name);
                }
          }
          isStopping={cancel.isPending || running?.isCancelling === true}
          editing={edited === null ? null : isAnew ? strings.editingFirst : strings.editing}
          onCancelEdit={() => {
            setEdited(null);
          }}
        />
      ) : (
        <p className="text-muted-foreground border-t px-4 py-4 text-center text-[13px]">
          {session.isFinal ? strings.ended : session.isClosing ? strings.closing : strings.stopped}
        </p>
      )}
      <Dialog
        isOpen={isClosing}
        title={strings.closeTitle}
        description={strings.closeText}
        onClose={() => {
          setClosing(false);
        }}
      >
        {end.isError && <ProblemPanel error={end.error} namespace={namespace} />}
        <DialogFooter>
          <Button
            variant="outline"
            onClick={() => {
              setClosing(false);
            }}
          >
            {strings.cancel}
          </Button>
          <Button
            isBusy={end.isPending}
            onClick={() => {
              end.mutate();
            }}
          >
            {strings.close}
          </Button>
        </DialogFooter>
      </Dialog>
    </div>
  );
}

interface EntryProps {
  readonly entry: ChatEntry;
  readonly me: string;
  readonly canSay: boolean;
  readonly hasBase: boolean;
  /** Whether it can be said again in a new conversation alone. */
  readonly isAnew: boolean;
  readonly isLast: boolean;
  readonly onEdit: (turn: ChatTurn) => void;
  readonly onRegenerate: (turn: ChatTurn) => void;
}

function Entry({ entry, ...props }: EntryProps) {
  switch (entry.kind) {
    case 'turn':
      return <TurnBubble turn={entry.turn} {...props} />;
    case 'item':
      return (
        <div className={cn(entry.isLeft && 'opacity-60')}>
          <Row item={entry.item} version={entry.item.version} />
        </div>
      );
    case 'end':
      return <TurnEnd turn={entry.turn} />;
  }
}

function TurnBubble({
  turn,
  me,
  canSay,
  hasBase,
  isAnew,
  isLast,
  onEdit,
  onRegenerate,
}: { turn: ChatTurn } & Omit<EntryProps, 'entry'>) {
  const words = readWords(turn.input);
  const isEditable = !turn.hasCommand && turn.input !== undefined && turn.input !== null;
  const author = turn.by === '' ? strings.notStated : turn.by === me ? strings.you : showLine(turn.by);
  const isOver = turn.phase !== 'Queued' && turn.phase !== 'Running';
  const canAgain = canSay && (hasBase || (isAnew && isEditable)) && isOver && !turn.isLeft;
  const why = isAnew ? strings.firstTurn : undefined;
  return (
    <article
      className={cn('group flex justify-end py-2.5', turn.isLeft && 'opacity-60')}
      data-turn={turn.name}
      data-phase={turn.phase}
    >
      <div className="max-w-[85%] min-w-0">
        <header
          className="text-muted-foreground mb-1 flex items-center justify-end gap-2 text-xs"
          title={formatFull(parseTime(turn.startedAt))}
        >
          {turn.isLeft && <span>{strings.left} ·</span>}
          {turn.phase === 'Queued' && <span>{strings.queued} ·</span>}
          <span className="truncate">{author}</span>
          <User aria-hidden className="size-3.5" />
        </header>
        <div className="bg-primary/10 border-primary/15 rounded-xl rounded-tr-sm border px-3.5 py-2 break-words">
          {words !== null ? (
            <p className="whitespace-pre-wrap">{showText(words)}</p>
          ) : turn.hasCommand ? (
            <p className="text-muted-foreground">{strings.command}</p>
          ) : turn.input === undefined || turn.input === null ? (
            <p className="text-muted-foreground">{strings.noInput}</p>
          ) : (
            <JsonView value={turn.input} open={2} />
          )}
        </div>
        {canSay && isOver && !turn.isLeft && (
          <div className="mt-1 flex justify-end gap-1 opacity-0 transition-opacity group-focus-within:opacity-100 group-hover:opacity-100 [@media(hover:none)]:opacity-100">
            {isEditable && (
              <Button
                variant="ghost"
                size="sm"
                aria-disabled={!canAgain}
                title={why}
                onClick={() => {
                  if (canAgain) onEdit(turn);
                }}
              >
                <Pencil aria-hidden />
                {strings.edit}
              </Button>
            )}
            {isLast && (
              <Button
                variant="ghost"
                size="sm"
                aria-disabled={!canAgain}
                title={why}
                onClick={() => {
                  if (canAgain) onRegenerate(turn);
                }}
              >
                <RefreshCw aria-hidden />
                {strings.regenerate}
              </Button>
            )}
          </div>
        )}
      </div>
    </article>
  );
}

function TurnEnd({ turn }: { turn: ChatTurn }) {
  if (turn.phase === 'Completed') return null;
  const title =
    turn.phase === 'Canceled'
      ? strings.canceledTurn
      : turn.phase === 'Refused'
        ? strings.refusedTurn
        : strings.failedTurn;
  return (
    <div
      className={cn(
        'flex gap-3 py-1.5 text-[13px]',
        turn.phase === 'Canceled' ? 'text-muted-foreground' : 'text-destructive',
      )}
      data-end={turn.phase}
    >
      <CircleAlert aria-hidden className="mt-0.5 size-4 shrink-0" />
      <p className="min-w-0 break-words whitespace-pre-wrap">
        {title}
        {turn.error !== null && `: ${showText(turn.error.message || turn.error.type)}`}
      </p>
    </div>
  );
}
