/** The graph of a session's workflow; what draws it is loaded when it is shown. */

import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { Problem } from '@/api';
import { Skeleton } from '@/components/ui/skeleton';
import { showLine } from '@/lib/text';
import { strings } from '@/strings/live';
import { GraphPart } from './graph/GraphPart';
import type { Known } from './graph/states';
import { graphQuery } from './queries';
import type { Session } from './session';
import type { SessionStore } from './store';
import { useVersion } from './use-session-store';

export function SessionGraph({ session, store }: { session: Session; store: SessionStore }) {
  const version = useVersion(store, 'timeline');
  const { namespace, name, uid, history, currentNode, error, phase } = session;
  const graph = useQuery(graphQuery({ namespace, name }, uid));
  const known = useMemo((): Known => {
    const ran = history.flatMap(({ node }) => node.split(', '));
    return { done: ran, current: currentNode, failed: error?.node ?? '', phase };
  }, [history, currentNode, error, phase]);
  const { model } = store;
  const live = useMemo(() => ({ model, known, version }), [model, known, version]);
  if (graph.isError) {
    const why = graph.error instanceof Problem ? graph.error.detail : strings.graph.failed;
    return <p className="text-muted-foreground p-4 text-[13px] break-words">{showLine(why)}</p>;
  }
  return (
    <div className="h-80 lg:h-[26rem]">
      {graph.data === undefined ? (
        <Skeleton className="m-4 h-64" />
      ) : (
        <GraphPart nodes={graph.data.nodes} edges={graph.data.edges} session={live} />
      )}
    </div>
  );
}
