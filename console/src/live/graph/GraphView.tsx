/** The whole graph of a workflow with the live states of its nodes. Loaded when it is shown first. */

import '@xyflow/react/dist/base.css';
import './graph.css';
import {
  BaseEdge,
  type Edge as FlowEdge,
  type EdgeProps,
  Handle,
  MarkerType,
  type Node as FlowNode,
  type NodeProps,
  Panel,
  Position,
  ReactFlow,
  ReactFlowProvider,
  useReactFlow,
  useStore,
} from '@xyflow/react';
import { Check, CircleDashed, Hand, LoaderCircle, Maximize, Minus, Plus, X } from 'lucide-react';
import { type ComponentType, memo, useCallback, useEffect, useMemo, useState } from 'react';
import { Button } from '@/components/ui/button';
import { cn } from '@/lib/cn';
import { showLine } from '@/lib/text';
import { formatDuration } from '@/lib/time';
import { strings } from '@/strings/graph';
import type { Model } from '../model';
import { type Drawing, END, type Placed, START, labelOf, placeInRows, readDrawing } from './drawing';
import { type Known, type Look, NOT_YET, type NodeLook, findLook, isSameLook } from './states';

export interface GraphViewProps {
  readonly nodes: readonly string[];
  /** The edges as the inspection wrote them: `from -> to`. */
  readonly edges: readonly string[];
  /** The session whose states are shown; a graph before any run has none. */
  readonly session?: { readonly model: Model; readonly known: Known; readonly version: number };
}

type FindLook = (node: string) => NodeLook;

interface FlowProps {
  readonly drawing: Drawing;
  readonly findLook: FindLook;
  /** Another one says that nodes may look otherwise. */
  readonly version: number;
}

interface NodeData extends Record<string, unknown> {
  readonly look: NodeLook;
}
type DrawnNode = FlowNode<NodeData, 'step'>;

const ICONS: Readonly<Record<Look, ComponentType<{ className?: string }>>> = {
  'not-yet': CircleDashed,
  running: LoaderCircle,
  waiting: Hand,
  done: Check,
  failed: X,
};
const TONES: Readonly<Record<Look, string>> = {
  'not-yet': 'border-dashed text-muted-foreground',
  running: 'border-info text-info ring-2 ring-info/20',
  waiting: 'border-warning text-warning ring-2 ring-warning/20',
  done: 'border-success/60 text-success',
  failed: 'border-destructive text-destructive ring-2 ring-destructive/20',
};

const StepNode = memo(function StepNode({ id, data }: NodeProps<DrawnNode>) {
  const { look } = data;
  const label = showLine(labelOf(id));
  const isEdge = id === START || id === END;
  const Icon = ICONS[look.look];
  return (
    <div
      data-node={id}
      data-look={look.look}
      title={look.error === '' ? `${label}: ${strings.looks[look.look]}` : showLine(look.error)}
      className={cn(
        'bg-card flex h-full w-full items-center gap-2 border shadow-xs',
        isEdge ? 'justify-center rounded-full px-2 text-[11px]' : 'rounded-lg px-2.5',
        TONES[look.look],
      )}
    >
      <Handle type="target" position={Position.Top} isConnectable={false} />
      {!isEdge && <Icon className={cn('size-4 shrink-0', look.look === 'running' && 'animate-spin')} />}
      <span
        className={cn(
          'min-w-0 flex-1 truncate',
          isEdge ? 'text-center' : 'text-foreground font-mono text-xs',
        )}
      >
        {label}
      </span>
      {look.starts > 1 && (
        <span
          className="bg-muted text-muted-foreground rounded px-1 text-[10px] tabular-nums"
          title={strings.repeated(look.starts)}
        >
          ×{look.starts}
        </span>
      )}
      {look.look === 'done' && look.tookMs !== null && (
        <span className="text-muted-foreground text-[10px] whitespace-nowrap tabular-nums">
          {formatDuration(look.tookMs)}
        </span>
      )}
      <Handle type="source" position={Position.Bottom} isConnectable={false} />
    </div>
  );
});

const NODE_TYPES = { step: StepNode };

/** An edge that leads back up: around the nodes between, where a straight one would hide behind them. */
function BackEdge({ id, sourceX, sourceY, targetX, targetY, markerEnd }: EdgeProps) {
  const side = Math.max(sourceX, targetX) + 150;
  const middle = (sourceY + targetY) / 2;
  const path =
    `M ${String(sourceX)} ${String(sourceY)} C ${String(sourceX)} ${String(sourceY + 40)}, ` +
    `${String(side)} ${String(sourceY + 40)}, ${String(side)} ${String(middle)} ` +
    `S ${String(targetX)} ${String(targetY - 40)}, ${String(targetX)} ${String(targetY)}`;
  return <BaseEdge id={id} path={path} {...(markerEnd === undefined ? {} : { markerEnd })} />;
}

const EDGE_TYPES = { back: BackEdge };

/** So long the worker may take; some graphs would take it minutes. */
const PLACING_MS = 5000;

/** Returns where the nodes are, null until the worker has placed them. */
function usePlaces(drawing: Drawing): readonly Placed[] | null {
  const [found, setFound] = useState<{ drawing: Drawing; places: readonly Placed[] } | null>(null);
  useEffect(() => {
    const worker = new Worker(new URL('./place.worker.ts', import.meta.url), { type: 'module' });
    const end = (places: readonly Placed[]): void => {
      clearTimeout(timer);
      worker.terminate();
      setFound({ drawing, places });
    };
    const simply = (): void => {
      end(placeInRows(drawing));
    };
    const timer = setTimeout(simply, PLACING_MS);
    worker.onmessage = (event: MessageEvent<readonly Placed[]>) => {
      end(event.data);
    };
    worker.onerror = simply;
    worker.postMessage(drawing);
    return () => {
      clearTimeout(timer);
      worker.terminate();
    };
  }, [drawing]);
  return found?.drawing === drawing ? found.places : null;
}

/** With more nodes than this the view jumps: each frame of a glide draws all of them anew. */
const GLIDING_NODES = 100;
const REDUCED_MOTION = '(prefers-reduced-motion: reduce)';

function Controls({ count }: { readonly count: number }) {
  const flow = useReactFlow();
  const isStill = count > GLIDING_NODES || window.matchMedia(REDUCED_MOTION).matches;
  const view = { duration: isStill ? 0 : 150 };
  return (
    <Panel position="bottom-right" className="bg-card flex rounded-md border shadow-xs">
      <Button
        variant="ghost"
        size="icon-sm"
        aria-label={strings.zoomIn}
        onClick={() => void flow.zoomIn(view)}
      >
        <Plus aria-hidden />
      </Button>
      <Button
        variant="ghost"
        size="icon-sm"
        aria-label={strings.zoomOut}
        onClick={() => void flow.zoomOut(view)}
      >
        <Minus aria-hidden />
      </Button>
      <Button
        variant="ghost"
        size="icon-sm"
        aria-label={strings.fit}
        onClick={() => void flow.fitView({ ...view, padding: 0.08 })}
      >
        <Maximize aria-hidden />
      </Button>
    </Panel>
  );
}

const FIT = { padding: 0.08, maxZoom: 1 };

/** Fits the graph again when its place changes size: a phone is turned, a panel opens. */
function Refit() {
  const { fitView } = useReactFlow();
  const width = useStore((state) => state.width);
  const height = useStore((state) => state.height);
  useEffect(() => {
    if (width > 0 && height > 0) void fitView(FIT);
  }, [fitView, width, height]);
  return null;
}

interface Drawn {
  readonly places: readonly Placed[] | null;
  readonly findLook: FindLook;
  readonly version: number;
  readonly nodes: DrawnNode[];
}

/** Returns the nodes as they are now; those that look the same stay the same object and are not drawn again. */
function updateNodes(
  before: readonly DrawnNode[],
  places: readonly Placed[],
  findLook: FindLook,
): DrawnNode[] {
  return places.map(({ id, x, y, width, height }, index) => {
    const look = findLook(id);
    const old = before[index];
    const isSame = old?.id === id && old.position.x === x && old.position.y === y;
    if (isSame && isSameLook(old.data.look, look)) return old;
    return { id, type: 'step', position: { x, y }, width, height, data: { look } };
  });
}

function Flow({ drawing, findLook, version }: FlowProps) {
  const places = usePlaces(drawing);
  const [drawn, setDrawn] = useState<Drawn>({ places: null, findLook, version, nodes: [] });
  if (drawn.places !== places || drawn.version !== version || drawn.findLook !== findLook) {
    setDrawn({ places, findLook, version, nodes: updateNodes(drawn.nodes, places ?? [], findLook) });
  }
  const { nodes } = drawn;
  // Where somebody looks at a part of it, it stays.
  const [isMoved, setMoved] = useState(false);
  const edges = useMemo(() => {
    const rows = new Map(places?.map(({ id, y }) => [id, y]));
    return drawing.edges.map(({ from, to, isConditional }): FlowEdge => ({
      id: JSON.stringify([from, to]),
      type: (rows.get(from) ?? 0) >= (rows.get(to) ?? 0) ? 'back' : 'default',
      source: from,
      target: to,
      markerEnd: { type: MarkerType.ArrowClosed, width: 14, height: 14, color: 'var(--graph-edge)' },
      className: isConditional ? 'conditional' : '',
    }));
  }, [drawing, places]);
  if (places === null) {
    return (
      <p role="status" className="text-muted-foreground grid h-full place-items-center">
        {strings.loading}
      </p>
    );
  }
  return (
    <ReactFlow
      nodes={nodes}
      edges={edges}
      nodeTypes={NODE_TYPES}
      edgeTypes={EDGE_TYPES}
      fitView
      fitViewOptions={FIT}
      onMoveStart={(event) => {
        if (event !== null) setMoved(true);
      }}
      minZoom={0.05}
      maxZoom={2}
      nodesDraggable={false}
      nodesConnectable={false}
      nodesFocusable={false}
      edgesFocusable={false}
      elementsSelectable={false}
      onlyRenderVisibleElements
      zoomOnScroll={false}
      preventScrolling={false}
      panOnScroll={false}
      proOptions={{ hideAttribution: true }}
    >
      {!isMoved && <Refit />}
      <Controls count={nodes.length} />
    </ReactFlow>
  );
}

interface ItemProps {
  readonly node: string;
  readonly look: Look;
  readonly starts: number;
}

const NodeItem = memo(function NodeItem({ node, look, starts }: ItemProps) {
  return (
    <li>
      {showLine(labelOf(node))}: {strings.looks[look]}
      {starts > 1 && `, ${strings.repeated(starts)}`}
    </li>
  );
});

/** The same as a list, for who does not see the drawing. */
function NodeList({ drawing, findLook }: FlowProps) {
  return (
    <ul aria-label={strings.nodes} className="sr-only">
      {drawing.nodes.map((node) => {
        const { look, starts } = findLook(node);
        return <NodeItem key={node} node={node} look={look} starts={starts} />;
      })}
    </ul>
  );
}

export default function GraphView({ nodes, edges, session }: GraphViewProps) {
  const drawing = useMemo(() => readDrawing(nodes, edges), [nodes, edges]);
  const { model, known } = session ?? {};
  const look = useCallback<FindLook>(
    (node) => (model === undefined || known === undefined ? NOT_YET : findLook(node, model, known)),
    [model, known],
  );
  const props = { drawing, findLook: look, version: session?.version ?? 0 };
  return (
    <div className="agentic-graph relative h-full w-full">
      <ReactFlowProvider>
        <Flow {...props} />
      </ReactFlowProvider>
      <NodeList {...props} />
    </div>
  );
}
