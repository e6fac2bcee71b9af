import { useInfiniteQuery } from '@tanstack/react-query';
import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router';
import { GitBranch, Inbox, Keyboard, List, type LucideIcon, Settings } from 'lucide-react';
import { Suspense, useEffect, useState } from 'react';
import { Problem } from '@/api';
import { AccountMenu } from '@/auth/AccountMenu';
import { Button } from '@/components/ui/button';
import { cn } from '@/lib/cn';
import { strings } from '@/strings/app';
import { ROOT } from './base';
import { Loading } from './errors';
import { inboxQuery } from './inbox';
import { KeyboardHelp } from './KeyboardHelp';
import { useShortcuts } from './keys';
import { NamespacePicker } from './NamespacePicker';
import { setQuestionCount } from './title';

interface Place {
  to: '/inbox' | '/sessions' | '/workflows' | '/settings';
  name: string;
  icon: LucideIcon;
}

const PLACES: readonly Place[] = [
  { to: '/inbox', name: strings.inbox, icon: Inbox },
  { to: '/sessions', name: strings.sessions, icon: List },
  { to: '/workflows', name: strings.workflows, icon: GitBranch },
  { to: '/settings', name: strings.settings, icon: Settings },
];

/** Which place an address belongs to: starting a session is of the workflows, a conversation of the sessions. */
function findPlace(pathname: string): Place['to'] | undefined {
  if (pathname.startsWith('/new/')) return '/workflows';
  if (pathname.startsWith('/chat/')) return '/sessions';
  return PLACES.find((place) => pathname.startsWith(place.to))?.to;
}

function focusSearch(): void {
  const field = document.querySelector<HTMLInputElement>('[data-search]');
  field?.focus();
  field?.select();
}

/** Navigation around the page that is shown. */
export function Shell() {
  const [isHelpOpen, setHelpOpen] = useState(false);
  const navigate = useNavigate();
  const pathname = useRouterState({ select: (state) => state.location.pathname });
  const { data: inbox, error } = useInfiniteQuery(inboxQuery(''));
  const isLost = error instanceof Problem && error.kind === 'network';
  const questions = inbox?.pages.reduce((sum, page) => sum + page.items.length, 0) ?? 0;
  useEffect(() => {
    setQuestionCount(questions);
  }, [questions]);
  useShortcuts({
    '?': () => {
      setHelpOpen(true);
    },
    'g i': () => void navigate({ to: '/inbox' }),
    'g s': () => void navigate({ to: '/sessions' }),
    'g w': () => void navigate({ to: '/workflows' }),
    'g ,': () => void navigate({ to: '/settings' }),
    'g n': () => document.querySelector<HTMLElement>('[data-namespace-picker]')?.click(),
    '/': focusSearch,
  });
  const place = findPlace(pathname);
  return (
    <div className="flex h-dvh flex-col md:flex-row">
      <a
        href={`${ROOT}#main`}
        onClick={(event) => {
          event.preventDefault();
          document.getElementById('main')?.focus();
        }}
        className="bg-primary text-primary-foreground sr-only z-50 rounded-md px-3 py-2 focus:not-sr-only focus:absolute focus:top-2 focus:left-2"
      >
        {strings.skip}
      </a>
      <aside className="bg-sidebar flex shrink-0 items-center gap-1 border-b px-2 py-1.5 md:w-56 md:flex-col md:items-stretch md:gap-0 md:border-r md:border-b-0 md:p-3">
        <div className="hidden items-center gap-2 px-2 pt-1 pb-3 md:flex">
          <img src={`${ROOT}icon.svg`} alt="" className="size-5" />
          <span className="text-[15px] font-semibold tracking-tight">{strings.product}</span>
        </div>
        <NamespacePicker />
        <nav aria-label={strings.navigation} className="contents md:mt-3 md:block">
          <ul className="fixed inset-x-0 bottom-0 z-30 flex justify-around border-t bg-inherit pb-[env(safe-area-inset-bottom)] md:static md:block md:space-y-0.5 md:border-0 md:pb-0">
            {PLACES.map(({ to, name, icon: Icon }) => (
              <li key={to} className="flex-1">
                <Link
                  to={to}
                  aria-current={place === to ? 'page' : undefined}
                  className={cn(
                    'text-muted-foreground hover:bg-accent hover:text-foreground relative flex flex-col items-center gap-0.5 rounded-md py-2 text-[11px] md:flex-row md:gap-2.5 md:px-2 md:py-1.5 md:text-[13px] md:font-medium',
                    place === to && 'text-foreground md:bg-accent',
                  )}
                >
                  <Icon aria-hidden className="size-4.5 md:size-4" />
                  <span>{name}</span>
                  {to === '/inbox' && questions > 0 && (
                    <span className="bg-primary text-primary-foreground absolute top-1 left-1/2 ml-1.5 rounded-full px-1.5 text-[11px] leading-4 font-semibold tabular-nums md:static md:ml-auto">
                      {questions}
                      {inbox?.pages.at(-1)?.last ? '+' : ''}
                    </span>
                  )}
                </Link>
              </li>
            ))}
          </ul>
        </nav>
        <div className="ml-auto flex items-center gap-1 md:mt-auto md:ml-0">
          <AccountMenu />
          <Button
            variant="ghost"
            size="icon-sm"
            className="hidden md:inline-flex"
            aria-label={strings.keyboard}
            title={`${strings.keyboard} (?)`}
            onClick={() => {
              setHelpOpen(true);
            }}
          >
            <Keyboard aria-hidden />
          </Button>
        </div>
      </aside>
      <div className="flex min-h-0 min-w-0 flex-1 flex-col pb-14 md:pb-0">
        {isLost && (
          <p role="status" className="bg-warning/10 text-warning border-b px-4 py-1.5 text-xs">
            {strings.offline}
          </p>
        )}
        <main id="main" tabIndex={-1} className="flex min-h-0 flex-1 flex-col overflow-y-auto outline-none">
          <Suspense fallback={<Loading />}>
            <Outlet />
          </Suspense>
        </main>
      </div>
      <KeyboardHelp
        isOpen={isHelpOpen}
        onClose={() => {
          setHelpOpen(false);
        }}
      />
    </div>
  );
}
