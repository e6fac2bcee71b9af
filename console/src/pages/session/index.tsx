/** One session: how it stands, what it does now, what it asks, what came of it, and all that can be done with it. */

import { useQuery } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { Activity as ActivityIcon } from 'lucide-react';
import type { ReactNode } from 'react';
import { useTitle } from '@/app/title';
import { EmptyState } from '@/components/EmptyState';
import { JsonView } from '@/components/JsonView';
import { makePart } from '@/components/Part';
import { ProblemPanel } from '@/components/ProblemPanel';
import { Card, CardHeader, CardTitle } from '@/components/ui/card';
import { Skeleton } from '@/components/ui/skeleton';
import { Tabs, TabsContent, TabsList, TabsTrigger } from '@/components/ui/tabs';
import { Feed } from '@/live/feed/Feed';
import { Row } from '@/live/feed/rows';
import { AnsweredQuestions, OpenQuestions } from '@/live/Question';
import { sessionQuery } from '@/live/queries';
import { type Session, listOpenQuestions } from '@/live/session';
import { SessionGraph } from '@/live/SessionGraph';
import { Standing } from '@/live/Standing';
import type { SessionStore } from '@/live/store';
import { Timeline } from '@/live/Timeline';
import { useLinked } from '@/live/use-linked';
import { useSessionStore, useVersion } from '@/live/use-session-store';
import { showLine } from '@/lib/text';
import { strings as live } from '@/strings/live';
import { strings } from '@/strings/session';
import { Audit } from './Audit';
import { Checkpoints } from './Checkpoints';
import { Header } from './Header';
import { Logs } from './Logs';
import { Result } from './Result';

const route = getRouteApi('/shell/sessions/$namespace/$name');

const Resource = makePart(async () => (await import('./Resource')).Resource, {
  waiting: () => <Skeleton className="h-96" />,
});

const TABS = ['activity', 'result', 'checkpoints', 'logs', 'audit', 'resource'] as const;
type Tab = (typeof TABS)[number];

export default function SessionPage(): ReactNode {
  const { namespace, name } = route.useParams();
  const found = useQuery(sessionQuery({ namespace, name }));
  useTitle(name);
  if (found.data !== undefined && found.data.name === name) {
    return <Loaded key={found.data.uid} session={found.data} />;
  }
  if (found.isError) {
    return (
      <div className="p-4 sm:p-6">
        <ProblemPanel error={found.error} namespace={namespace} onRetry={() => void found.refetch()} />
      </div>
    );
  }
  return <Loading />;
}

function Loading() {
  return (
    <div role="status" aria-label={strings.loading} className="space-y-4 p-4 sm:p-6">
      <Skeleton className="h-7 w-72" />
      <Skeleton className="h-4 w-96 max-w-full" />
      <div className="grid gap-4 lg:grid-cols-[3fr_2fr]">
        <Skeleton className="h-96" />
        <Skeleton className="h-96" />
      </div>
    </div>
  );
}

function Loaded({ session }: { session: Session }) {
  const { namespace, name, uid } = session;
  const store = useSessionStore(namespace, name, uid);
  useLinked(session, store);
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const tab: Tab = TABS.find((each) => each === search.tab) ?? 'activity';
  const open = listOpenQuestions(session);
  return (
    <div className="flex min-h-full flex-col">
      <Header session={session} store={store} />
      <p className="sr-only" role="status" aria-live="polite">
        {strings.announce(strings.phases[session.phase])}
        {open[0] !== undefined && `. ${strings.asked(showLine(open[0].prompt))}`}
      </p>
      <Tabs
        value={tab}
        onValueChange={(value) => {
          void navigate({ search: value === 'activity' ? {} : { tab: value }, replace: true });
        }}
        className="flex flex-1 flex-col"
      >
        <TabsList className="px-4 sm:px-6">
          {TABS.map((each) => (
            <TabsTrigger key={each} value={each}>
              {strings.tabs[each]}
            </TabsTrigger>
          ))}
        </TabsList>
        <TabsContent value={tab} className="flex-1 p-4 sm:p-6">
          {tab === 'activity' && <Activity session={session} store={store} />}
          {tab === 'result' && <Result session={session} />}
          {tab === 'checkpoints' && <Checkpoints session={session} />}
          {tab === 'logs' && <Logs session={session} />}
          {tab === 'audit' && <Audit session={session} />}
          {tab === 'resource' && <Resource session={session} />}
        </TabsContent>
      </Tabs>
    </div>
  );
}

function Activity({ session, store }: { session: Session; store: SessionStore }) {
  return (
    <div className="space-y-4">
      <Standing session={session} />
      <OpenQuestions session={session} />
      <div className="grid gap-4 lg:grid-cols-[minmax(0,3fr)_minmax(20rem,2fr)]">
        <div className="min-w-0 space-y-4">
          <Card className="overflow-hidden">
            <CardHeader>
              <CardTitle>{live.feed.label}</CardTitle>
            </CardHeader>
            <Messages store={store} />
          </Card>
          <AnsweredQuestions session={session} />
          <Section title={strings.about.inputs}>
            {session.inputs === undefined ? (
              <p className="text-muted-foreground text-[13px]">{strings.about.noInputs}</p>
            ) : (
              <div className="max-h-80 overflow-auto" tabIndex={0}>
                <JsonView value={session.inputs} open={2} />
              </div>
            )}
          </Section>
        </div>
        <div className="min-w-0 space-y-4">
          <Card className="overflow-hidden">
            <CardHeader>
              <CardTitle>{live.graph.title}</CardTitle>
            </CardHeader>
            <SessionGraph session={session} store={store} />
          </Card>
          <Section title={live.timeline.title}>
            <div className="max-h-[32rem] overflow-y-auto" tabIndex={0}>
              <Timeline store={store} />
            </div>
          </Section>
        </div>
      </div>
    </div>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Card>
      <CardHeader>
        <CardTitle>{title}</CardTitle>
      </CardHeader>
      <div className="px-4 py-3">{children}</div>
    </Card>
  );
}

function Messages({ store }: { store: SessionStore }) {
  const version = useVersion(store, 'items');
  const { items, droppedItems } = store.model;
  return (
    <Feed
      entries={items}
      version={version}
      dropped={droppedItems}
      className="h-[26rem] lg:h-[34rem]"
      empty={
        <EmptyState icon={ActivityIcon} title={strings.noMessages}>
          {strings.noMessagesWhy}
        </EmptyState>
      }
    >
      {(item) => <Row item={item} version={item.version} />}
    </Feed>
  );
}
