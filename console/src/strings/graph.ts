/** What people read in a drawn graph. */

import type { Look } from '@/live/graph/states';

export const strings = {
  looks: {
    'not-yet': 'not yet',
    running: 'running',
    waiting: 'waits for an answer',
    done: 'done',
    failed: 'failed',
  } satisfies Record<Look, string>,
  loading: 'Drawing the graph…',
  zoomIn: 'Zoom in',
  zoomOut: 'Zoom out',
  fit: 'Show all',
  repeated: (times: number) => `started ${String(times)} times`,
  nodes: 'Nodes and their states',
} as const;
