import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { ArrowLeft, ExternalLink, Inbox as InboxIcon, MailCheck } from 'lucide-react';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import type { InboxItem } from '@/api';
import { identify, inboxQuery } from '@/app/inbox';
import { useShortcuts } from '@/app/keys';
import { useTitle } from '@/app/title';
import { EmptyState } from '@/components/EmptyState';
import { PageHeader } from '@/components/PageHeader';
import { ProblemPanel } from '@/components/ProblemPanel';
import { Shown } from '@/components/Shown';
import { Time } from '@/components/Time';
import { Button } from '@/components/ui/button';
import { Kbd } from '@/components/ui/kbd';
import { Skeleton } from '@/components/ui/skeleton';
import { AnswerPart } from '@/form/AnswerPart';
import { cn } from '@/lib/cn';
import { useNow } from '@/lib/useNow';
import { strings } from '@/strings/inbox';

const SOON_MS = 60 * 60_000;

export default function InboxPage(): ReactNode {
  useTitle(strings.title);
  const search = useSearch({ from: '/shell/inbox' });
  const navigate = useNavigate({ from: '/inbox' });
  const client = useQueryClient();
  const namespace = search.namespace === '*' ? '' : (search.namespace ?? '');
  const { data, error, isPending, hasNextPage, isFetchingNextPage, fetchNextPage, refetch } =
    useInfiniteQuery(inboxQuery(namespace));
  const items = data?.pages.flatMap((page) => page.items) ?? [];
  const isWhole = data?.pages.every((page) => page.isWhole) ?? true;
  const place = items.findIndex((item) => identify(item) === search.question);
  const found = items[place];
  // An answered question leaves the list; what became of it is shown until another one is opened.
  const [held, setHeld] = useState<InboxItem | undefined>(undefined);
  if (
    found !== undefined &&
    (held === undefined || identify(held) !== identify(found) || held.digest !== found.digest)
  ) {
    setHeld(found);
  }
  const shown = found ?? (held !== undefined && identify(held) === search.question ? held : undefined);
  const panel = useRef<HTMLElement>(null);

  const open = (item: InboxItem | undefined): void => {
    if (item === undefined) return;
    void navigate({
      search: (old) => ({ ...old, question: identify(item) }),
      replace: search.question !== undefined,
    });
  };
  const answer = (event: KeyboardEvent): void => {
    panel.current?.querySelector<HTMLButtonElement>(`[data-option="${event.key}"]:not(:disabled)`)?.click();
  };
  useShortcuts({
    j: () => {
      open(items[place + 1] ?? items[place === -1 ? 0 : place]);
    },
    k: () => {
      open(items[Math.max(place - 1, 0)]);
    },
    e: () => panel.current?.querySelector<HTMLElement>('input, textarea, select')?.focus(),
    ...Object.fromEntries(Array.from('123456789', (key) => [key, answer])),
  });
  const current = useRef<HTMLAnchorElement>(null);
  useEffect(() => {
    current.current?.scrollIntoView({ block: 'nearest' });
  }, [search.question]);

  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <PageHeader title={strings.title}>
        <span role="status" className="text-muted-foreground text-xs tabular-nums">
          {!isPending && error === null && strings.count(items.length)}
        </span>
      </PageHeader>
      {error !== null && (
        <ProblemPanel
          error={error}
          onRetry={() => void refetch()}
          namespace={namespace}
          className="m-4 sm:mx-6"
        />
      )}
      {isPending ? (
        <Waiting />
      ) : items.length === 0 && shown === undefined && search.question === undefined ? (
        error === null && (
          <EmptyState icon={MailCheck} title={strings.emptyTitle} command={strings.emptyCommand}>
            {strings.empty}
          </EmptyState>
        )
      ) : (
        <div className="flex min-h-0 flex-1">
          <section
            aria-label={strings.questions}
            className={cn(
              'w-full overflow-y-auto md:block md:w-80 md:shrink-0 md:border-r lg:w-96',
              search.question !== undefined && 'hidden',
            )}
          >
            <ul>
              {items.map((item) => {
                const isCurrent = identify(item) === search.question;
                return (
                  <li key={identify(item)} className="border-b">
                    <Link
                      ref={isCurrent ? current : undefined}
                      to="/inbox"
                      search={(old) => ({ ...old, question: identify(item) })}
                      aria-current={isCurrent || undefined}
                      className={cn(
                        'hover:bg-accent/60 block px-4 py-3 -outline-offset-2',
                        isCurrent && 'bg-accent shadow-[inset_2px_0_0_var(--primary)]',
                      )}
                    >
                      <span className="line-clamp-2 text-[13px] leading-5 font-medium">
                        <Shown text={item.prompt} />
                      </span>
                      <span className="text-muted-foreground mt-1 flex items-center justify-between gap-3 text-xs">
                        <span className="truncate">
                          <Shown text={item.displayName || item.session} /> · <Shown text={item.workflow} />
                        </span>
                        <Due item={item} />
                      </span>
                    </Link>
                  </li>
                );
              })}
            </ul>
            {hasNextPage && (
              <div className="p-3 text-center">
                <Button
                  variant="outline"
                  size="sm"
                  isBusy={isFetchingNextPage}
                  onClick={() => void fetchNextPage()}
                >
                  {strings.more}
                </Button>
              </div>
            )}
            {!isWhole && <p className="text-muted-foreground p-4 text-xs">{strings.notWhole}</p>}
          </section>
          <section
            ref={panel}
            aria-label={shown === undefined ? strings.choose : undefined}
            className={cn(
              'min-w-0 flex-1 overflow-y-auto',
              search.question === undefined && 'hidden md:block',
            )}
          >
            {search.question !== undefined && (
              <Button asChild variant="ghost" size="sm" className="m-2 md:hidden">
                <Link
                  to="/inbox"
                  search={search.namespace === undefined ? {} : { namespace: search.namespace }}
                >
                  <ArrowLeft aria-hidden />
                  {strings.back}
                </Link>
              </Button>
            )}
            {shown !== undefined ? (
              <Question
                key={`${identify(shown)}/${shown.digest}`}
                item={shown}
                onAnswered={() => void client.invalidateQueries({ queryKey: ['inbox'] })}
              />
            ) : search.question !== undefined ? (
              <EmptyState icon={InboxIcon} title={strings.goneTitle}>
                {strings.gone}
              </EmptyState>
            ) : (
              <EmptyState icon={InboxIcon} title={strings.choose}>
                <span className="inline-flex items-center gap-1.5">
                  <Kbd>j</Kbd> {strings.keys.next} <Kbd>1</Kbd> {strings.keys.answer} <Kbd>e</Kbd>{' '}
                  {strings.keys.field}
                </span>
              </EmptyState>
            )}
          </section>
        </div>
      )}
    </div>
  );
}

function Due({ item }: { item: InboxItem }) {
  const now = useNow();
  if (!item.deadline) {
    return (
      <span className="shrink-0">
        {strings.asked} <Time at={item.askedAt} />
      </span>
    );
  }
  const left = Date.parse(item.deadline) - now;
  return (
    <span className={cn('shrink-0 tabular-nums', left < SOON_MS && 'text-warning font-medium')}>
      {left < 0 ? strings.overdue : strings.due} <Time at={item.deadline} />
    </span>
  );
}

function Question({ item, onAnswered }: { item: InboxItem; onAnswered: () => void }) {
  return (
    <article className="max-w-2xl p-4 sm:p-6">
      <header className="text-muted-foreground mb-5 flex flex-wrap items-center justify-between gap-2 border-b pb-3 text-xs">
        <p className="min-w-0 truncate">
          <Shown
            text={item.displayName || item.session}
            className="text-foreground text-[13px] font-medium"
          />
          <span className="ml-2 font-mono">
            {item.namespace}/{item.session}
          </span>
          <span className="ml-2">{strings.startedBy(item.createdBy || strings.someone)}</span>
        </p>
        <Button asChild variant="outline" size="sm">
          <Link to="/sessions/$namespace/$name" params={{ namespace: item.namespace, name: item.session }}>
            <ExternalLink aria-hidden />
            {strings.openSession}
          </Link>
        </Button>
      </header>
      <AnswerPart question={item} onAnswered={onAnswered} />
    </article>
  );
}

function Waiting() {
  return (
    <div role="status" aria-label={strings.loading} className="md:w-80 lg:w-96">
      {Array.from({ length: 5 }, (_, place) => (
        <div key={place} className="space-y-2 border-b px-4 py-3">
          <Skeleton className="h-4 w-full" />
          <Skeleton className="h-3 w-2/3" />
        </div>
      ))}
    </div>
  );
}
