import { useQuery } from '@tanstack/react-query';
import { type Graph, Problem, api } from '@/api';
import { Shown } from '@/components/Shown';
import { Skeleton } from '@/components/ui/skeleton';
import { GraphPart } from '@/live/graph/GraphPart';
import { CLUSTER } from '@/pages/workflows/definitions';
import { strings } from '@/strings/workflows';

/** The graph of a workflow before any run. */
export function WorkflowGraph({ namespace, name }: { namespace: string; name: string }) {
  const graph = useQuery({
    queryKey: ['workflow', namespace, name, 'graph'],
    queryFn: ({ signal }): Promise<Graph> =>
      namespace === CLUSTER
        ? api.get('/api/v1/cluster-workflow-definitions/{name}/graph', { path: { name }, signal })
        : api.get('/api/v1/workflow-definitions/{namespace}/{name}/graph', {
            path: { namespace, name },
            signal,
          }),
  });
  const { data } = graph;
  if (graph.error !== null) {
    const why =
      graph.error instanceof Problem && graph.error.status !== 409 ? graph.error.message : strings.noGraph;
    return (
      <p className="text-muted-foreground p-4 text-[13px]">
        <Shown text={why} />
      </p>
    );
  }
  if (data === undefined) return <Skeleton className="m-4 h-48" />;
  return (
    <div className="h-72">
      <GraphPart nodes={data.nodes} edges={data.edges} />
    </div>
  );
}
