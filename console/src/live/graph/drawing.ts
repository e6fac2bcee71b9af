/** A workflow's graph as nodes and edges, from what the inspection wrote of it. Pure. */

export interface Edge {
  readonly from: string;
  readonly to: string;
  /** Whether the graph decides at run time if it goes this way. */
  readonly isConditional: boolean;
}

export interface Drawing {
  readonly nodes: readonly string[];
  readonly edges: readonly Edge[];
}

export const START = '__start__';
export const END = '__end__';

const ARROW = ' -> ';
const CONDITIONAL = ' ?';

/**
 * Returns the edge that a text such as `plan -> act` names, null where it names none. Names may hold arrows themselves:
 * the split with a known node at either side counts.
 */
export function readEdge(text: string, known: ReadonlySet<string>): Omit<Edge, 'isConditional'> | null {
  for (let at = text.indexOf(ARROW); at >= 0; at = text.indexOf(ARROW, at + 1)) {
    const from = text.slice(0, at);
    const to = text.slice(at + ARROW.length);
    if (known.has(from) && known.has(to)) return { from, to };
  }
  return null;
}

/** Returns the drawing of a graph; edges to nodes that it does not name are left out. */
export function readDrawing(nodes: readonly string[], edges: readonly string[]): Drawing {
  const known = new Set(nodes);
  const found = new Map<string, Edge>();
  for (const text of edges) {
    const plain = readEdge(text, known);
    const marked =
      plain === null && text.endsWith(CONDITIONAL)
        ? readEdge(text.slice(0, -CONDITIONAL.length), known)
        : null;
    const edge = plain ?? marked;
    if (edge !== null)
      found.set(JSON.stringify([edge.from, edge.to]), { ...edge, isConditional: marked !== null });
  }
  const all = [...found.values()];
  return { nodes: [...known], edges: all };
}

/** What a node is called on screen. */
export function labelOf(node: string): string {
  return node === START ? 'start' : node === END ? 'end' : node;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Returns how much room a node takes, in pixels. */
export function measureNode(node: string): Size {
  if (node === START || node === END) return { width: 64, height: 28 };
  return { width: Math.min(260, Math.max(150, 128 + labelOf(node).length * 7.4)), height: 44 };
}

export interface Placed {
  readonly id: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const GAP: Size = { width: 28, height: 44 };
const MOST_IN_ROW = 12;

/**
 * Returns a plain placing: each node below the first one that leads to it, in rows. It takes no time, for graphs that a
 * good placing would take minutes for.
 */
export function placeInRows({ nodes, edges }: Drawing): readonly Placed[] {
  const following = new Map<string, string[]>();
  for (const { from, to } of edges) following.set(from, [...(following.get(from) ?? []), to]);
  const isEntered = new Set(edges.map(({ to }) => to));
  const rows: string[][] = [];
  const seen = new Set<string>();
  const descend = (first: readonly string[]): void => {
    let row = first.filter((node) => !seen.has(node));
    while (row.length > 0) {
      row.forEach((node) => seen.add(node));
      for (let at = 0; at < row.length; at += MOST_IN_ROW) rows.push(row.slice(at, at + MOST_IN_ROW));
      row = [...new Set(row.flatMap((node) => following.get(node) ?? []))].filter((node) => !seen.has(node));
    }
  };
  descend(nodes.filter((node) => !isEntered.has(node)));
  for (const node of nodes) descend([node]);
  return rows.flatMap((row, index) => {
    let x = 0;
    return row.map((id) => {
      const size = measureNode(id);
      const placed = { id, x, y: index * (measureNode('').height + GAP.height), ...size };
      x += size.width + GAP.width;
      return placed;
    });
  });
}
