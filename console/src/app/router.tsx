/** Every address of the console. Pages are loaded when they are first shown. */
import type { QueryClient } from '@tanstack/react-query';
import { createRootRouteWithContext, createRoute, createRouter, redirect } from '@tanstack/react-router';
import { isSignedOut, myselfQuery } from '@/auth/myself';
import { makePage } from '@/components/Part';
import { ROOT } from './base';
import { Loading, NotFound, PageError } from './errors';
import * as search from './search';
import { Shell } from './Shell';

interface RouterContext {
  queryClient: QueryClient;
}

const root = createRootRouteWithContext<RouterContext>()({ notFoundComponent: NotFound });

const signIn = createRoute({
  getParentRoute: () => root,
  path: '/sign-in',
  validateSearch: search.readSignInSearch,
  component: makePage(() => import('@/pages/sign-in/index'), <Loading />),
});

/** What only people who are known see: with navigation around it. */
const shell = createRoute({
  getParentRoute: () => root,
  id: 'shell',
  component: Shell,
  beforeLoad: async ({ context, location }) => {
    try {
      await context.queryClient.ensureQueryData(myselfQuery);
    } catch (error) {
      if (!isSignedOut(error)) throw error;
      throw redirect({ to: '/sign-in', search: { return: location.href }, replace: true });
    }
  },
});

const home = createRoute({
  getParentRoute: () => shell,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/sessions', replace: true });
  },
});

const inbox = createRoute({
  getParentRoute: () => shell,
  path: '/inbox',
  validateSearch: search.readInboxSearch,
  component: makePage(() => import('@/pages/inbox/index'), <Loading />),
});

const workflows = createRoute({
  getParentRoute: () => shell,
  path: '/workflows',
  validateSearch: search.readWorkflowsSearch,
  component: makePage(() => import('@/pages/workflows/index'), <Loading />),
});

/** A definition of the whole cluster has the namespace `-`, which no namespace can be called. */
const workflow = createRoute({
  getParentRoute: () => shell,
  path: '/workflows/$namespace/$name',
  component: makePage(() => import('@/pages/workflow/index'), <Loading />),
});

/** For a definition of the whole cluster the workflow is written `-.name`, with the namespace of the session before it. */
const newSession = createRoute({
  getParentRoute: () => shell,
  path: '/new/$namespace/$workflow',
  validateSearch: search.readNewSessionSearch,
  component: makePage(() => import('@/pages/new-session/index'), <Loading />),
});

const sessions = createRoute({
  getParentRoute: () => shell,
  path: '/sessions',
  validateSearch: search.readSessionsSearch,
  component: makePage(() => import('@/pages/sessions/index'), <Loading />),
});

const session = createRoute({
  getParentRoute: () => shell,
  path: '/sessions/$namespace/$name',
  validateSearch: search.readSessionSearch,
  component: makePage(() => import('@/pages/session/index'), <Loading />),
});

const chat = createRoute({
  getParentRoute: () => shell,
  path: '/chat/$namespace/$name',
  component: makePage(() => import('@/pages/chat/index'), <Loading />),
});

const settings = createRoute({
  getParentRoute: () => shell,
  path: '/settings',
  component: makePage(() => import('@/pages/settings/index'), <Loading />),
});

const tree = root.addChildren([
  signIn,
  shell.addChildren([home, inbox, workflows, workflow, newSession, sessions, session, chat, settings]),
]);

export function makeRouter(queryClient: QueryClient) {
  return createRouter({
    routeTree: tree,
    basepath: ROOT,
    context: { queryClient },
    parseSearch: search.parseSearch,
    stringifySearch: search.writeSearch,
    defaultPreload: 'intent',
    defaultPendingComponent: Loading,
    defaultErrorComponent: PageError,
    defaultNotFoundComponent: NotFound,
    scrollRestoration: true,
  });
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
