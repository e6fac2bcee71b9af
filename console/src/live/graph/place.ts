/** Places the nodes of a graph from top to bottom with dagre. Pure; it takes a while for hundreds of nodes. */

import { Graph, layout } from '@dagrejs/dagre';
import { type Drawing, type Placed, measureNode } from './drawing';

/** Returns where each node is, by the upper left corner, in pixels. */
export function placeNodes(drawing: Drawing): readonly Placed[] {
  const graph = new Graph({ multigraph: false });
  graph.setGraph({ rankdir: 'TB', nodesep: 28, ranksep: 44, marginx: 16, marginy: 16 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of drawing.nodes) graph.setNode(node, { ...measureNode(node) });
  for (const { from, to } of drawing.edges) graph.setEdge(from, to);
  layout(graph);
  return drawing.nodes.map((id) => {
    const { x = 0, y = 0 } = graph.node(id) as { x?: number; y?: number };
    const { width, height } = measureNode(id);
    return { id, x: x - width / 2, y: y - height / 2, width, height };
  });
}
