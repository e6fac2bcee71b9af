/** The drawing of a graph, which is fetched with the first one. */

import { makePart } from '@/components/Part';
import { Skeleton } from '@/components/ui/skeleton';

export const GraphPart = makePart(async () => (await import('./GraphView')).default, {
  waiting: () => <Skeleton className="m-4 h-48" />,
});
