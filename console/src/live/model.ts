/**
 * What a session's messages add up to: what was said, which tools were called, its super-steps, the states of its nodes.
 *
 * `fold` takes one message at a time and changes the model in place, in constant time however long the session is. What
 * changed gets a higher `version`: views draw again what has a new one and leave all else alone. No I/O, no clock.
 *
 * Every list has a bound. What is dropped at the front is counted, and is still in the session's event log.
 */

import { isRecord, readNumber, readText, type StreamMessage } from './message';

/** An item of the conversation as it is shown, in the order of the log. */
export type Item = SaidItem | ToolItem | NoteItem | GapItem | AskedItem;

interface ItemBase {
  /** Unique in the model, and the same after a reload. */
  readonly key: string;
  readonly seq: number;
  readonly at: number;
  readonly turn: number;
  version: number;
}

/** A part of what a model says: text, its reasoning, a call of a tool, or something that is no text. */
export interface Block {
  readonly index: number;
  readonly kind: string;
  text: string;
  isOpen: boolean;
  /** The tool that is called. */
  readonly name: string;
  readonly call: string;
  /** What came of the call. */
  outcome: ToolOutcome | null;
}

export interface ToolOutcome {
  readonly status: string;
  /** What the tool returned; null where it was too large for the log. */
  readonly output: string | null;
  readonly size: number | null;
  readonly at: number;
}

export interface SaidItem extends ItemBase {
  readonly kind: 'said';
  readonly id: string;
  readonly node: string;
  readonly model: string;
  readonly blocks: Block[];
  isOpen: boolean;
  /** Whether its run ended before the message did. */
  isCut: boolean;
  endedAt: number | null;
  tokens: number | null;
}

/** A tool's result whose call is not in the log. */
export interface ToolItem extends ItemBase {
  readonly kind: 'tool';
  readonly name: string;
  readonly node: string;
  readonly outcome: ToolOutcome;
}

export type NoteTone = 'info' | 'warning' | 'error';

/** Something that happened and is told in words. */
export interface NoteItem extends ItemBase {
  readonly kind: 'note';
  readonly event: string;
  readonly tone: NoteTone;
  readonly text: string;
  readonly node: string;
  /** What the graph sent by itself. */
  readonly data: unknown;
}

/** Messages that are not here, both numbers included. */
export interface GapItem extends ItemBase {
  readonly kind: 'gap';
  readonly first: number;
  readonly last: number;
  readonly text: string;
}

export interface AskedItem extends ItemBase {
  readonly kind: 'asked';
  readonly interrupt: string;
  readonly prompt: string;
  readonly node: string;
}

export type TaskState = 'running' | 'done' | 'failed' | 'asks' | 'lost';

/** One run of one node. */
export interface Task {
  readonly id: string;
  readonly node: string;
  readonly startedAt: number;
  endedAt: number | null;
  state: TaskState;
  error: string;
}

/** A super-step: the nodes that LangGraph ran at once. Nodes of subgraphs are in `inner`. */
export interface StepEntry {
  readonly kind: 'step';
  readonly key: string;
  readonly number: number;
  readonly turn: number;
  readonly startedAt: number;
  endedAt: number | null;
  readonly tasks: Task[];
  readonly inner: Task[];
  version: number;
}

/** A time without work: the session waited for an answer, or for its next run or turn. */
export interface WaitEntry {
  readonly kind: 'wait';
  readonly key: string;
  readonly turn: number;
  readonly startedAt: number;
  endedAt: number | null;
  readonly why: 'answer' | 'turn' | 'run';
  version: number;
}

/** A run began, or an end was reached. */
export interface MarkEntry {
  readonly kind: 'mark';
  readonly key: string;
  readonly turn: number;
  readonly startedAt: number;
  readonly what: 'run' | 'completed' | 'failed' | 'attempt' | 'rewound';
  readonly text: string;
  version: number;
}

export type TimelineEntry = StepEntry | WaitEntry | MarkEntry;

export type NodeStateName = 'running' | 'waiting' | 'done' | 'failed';

/** How a node stands in the turn that is on. */
export interface NodeState {
  readonly node: string;
  state: NodeStateName;
  /** How often it was started. */
  starts: number;
  running: number;
  startedAt: number;
  endedAt: number | null;
  error: string;
}

export interface Progress {
  readonly share: number;
  readonly message: string;
  readonly node: string;
  readonly at: number;
}

export interface Model {
  version: number;
  /** Number of the last message. */
  last: number;
  lastAt: number;
  /** How many messages were taken. */
  count: number;
  /** The phase as the log says it; the resource is the truth. */
  phase: string | null;
  turn: number;
  run: number | null;
  readonly items: Item[];
  /** How many items were dropped at the front. */
  droppedItems: number;
  readonly timeline: TimelineEntry[];
  droppedEntries: number;
  /** Raised whenever the timeline or a node changed. */
  timelineVersion: number;
  readonly nodes: Map<string, NodeState>;
  progress: Progress | null;
  /** Raised by what changes the session's status: questions, ends, runs. The resource is read anew then. */
  statusVersion: number;
  /** How many characters are kept, to bound memory. */
  chars: number;
  steps: number;
  readonly index: Index;
}

interface Index {
  readonly said: Map<string, SaidItem>;
  readonly calls: Map<string, { readonly item: SaidItem; readonly block: Block }>;
  /** Messages that are being said. */
  readonly open: Set<SaidItem>;
  readonly tasks: Map<string, Task>;
  step: StepEntry | null;
  wait: WaitEntry | null;
}

export const MAX_ITEMS = 6_000;
export const MAX_ENTRIES = 3_000;
export const MAX_CHARS = 12_000_000;
/** Of a super-step, that many runs of nodes are kept. */
const MAX_TASKS = 1_000;
/** So much is dropped at once, so that dropping costs little an item. */
const SLICE = 1_000;

/** Returns the model of a session of which nothing is known. */
export function emptyModel(): Model {
  return {
    version: 0,
    last: 0,
    lastAt: Number.NaN,
    count: 0,
    phase: null,
    turn: 0,
    run: null,
    items: [],
    droppedItems: 0,
    timeline: [],
    droppedEntries: 0,
    timelineVersion: 0,
    nodes: new Map(),
    progress: null,
    statusVersion: 0,
    chars: 0,
    steps: 0,
    index: { said: new Map(), calls: new Map(), open: new Set(), tasks: new Map(), step: null, wait: null },
  };
}

/** Takes one message. Messages come in order, each once: `connection.ts` sees to that. */
export function fold(model: Model, message: StreamMessage): void {
  if (message.seq === null) return;
  model.version += 1;
  model.count += 1;
  model.last = message.seq;
  model.lastAt = message.at;
  if (message.run !== null) model.run = message.run;
  if (message.turn !== model.turn) beginTurn(model, message.turn);
  const apply = EVENTS[message.type === 'gap' ? 'gap' : message.event] ?? addOther;
  apply(model, message, message.seq);
  trim(model);
}

/** Takes a hole that the gateway did not name. */
export function foldGap(model: Model, first: number, last: number): void {
  model.version += 1;
  addGap(model, first, last, '', model.lastAt, `h${String(last)}`);
}

type Apply = (model: Model, message: StreamMessage, seq: number) => void;

const EVENTS: Readonly<Record<string, Apply>> = Object.assign(Object.create(null) as Record<string, Apply>, {
  run_started: startRun,
  node_started: startNode,
  node_finished: (model: Model, message: StreamMessage) => endNode(model, message, 'done'),
  node_failed: (model: Model, message: StreamMessage) => endNode(model, message, 'failed'),
  interrupt: (model: Model, message: StreamMessage) => endNode(model, message, 'asks'),
  'message-start': startMessage,
  'content-block-start': startBlock,
  'content-block-delta': extendBlock,
  'content-block-finish': finishBlock,
  'message-finish': finishMessage,
  message: takeWhole,
  'tool-finished': finishTool,
  progress: setProgress,
  custom: (model: Model, message: StreamMessage, seq: number) => addNote(model, message, seq, 'info'),
  warning: (model: Model, message: StreamMessage, seq: number) => addNote(model, message, seq, 'warning'),
  attempt_failed: failAttempt,
  checkpoints_lost: loseCheckpoints,
  waiting_for_input: ask,
  completed: (model: Model, message: StreamMessage, seq: number) => end(model, message, seq, 'completed'),
  failed: (model: Model, message: StreamMessage, seq: number) => end(model, message, seq, 'failed'),
  gap: (model: Model, message: StreamMessage, seq: number) => {
    const first = readNumber(message.metadata['from']) ?? (message.prev ?? seq - 1) + 1;
    const last = readNumber(message.metadata['to']) ?? seq;
    addGap(model, first, last, message.text, message.at, `g${String(seq)}`);
  },
});

function beginTurn(model: Model, turn: number): void {
  model.turn = turn;
  model.nodes.clear();
  model.progress = null;
  closeTasks(model, model.lastAt);
  model.timelineVersion += 1;
  model.statusVersion += 1;
}

// -- runs, nodes, super-steps

function startRun(model: Model, message: StreamMessage, seq: number): void {
  closeTasks(model, message.at);
  endWait(model, message.at);
  model.phase = 'Running';
  model.statusVersion += 1;
  addMark(model, message, seq, 'run', readText(message.metadata, 'action'));
}

/** What a run left open when it ended is over: the next run does it anew. */
function closeTasks(model: Model, at: number): void {
  const { index } = model;
  for (const task of index.tasks.values()) {
    task.state = 'lost';
    task.endedAt = at;
    const node = model.nodes.get(task.node);
    if (node !== undefined) {
      node.running = 0;
      if (node.state === 'running') node.state = 'waiting';
    }
  }
  index.tasks.clear();
  if (index.step !== null && index.step.endedAt === null) {
    index.step.endedAt = at;
    index.step.version += 1;
  }
  for (const item of index.open) {
    item.isOpen = false;
    item.isCut = true;
    item.version += 1;
    for (const block of item.blocks) block.isOpen = false;
  }
  index.open.clear();
  model.timelineVersion += 1;
}

function startNode(model: Model, message: StreamMessage, seq: number): void {
  const { index } = model;
  const path = readText(message.metadata, 'step_name');
  const id = readText(message.metadata, 'task') || `${path}@${String(seq)}`;
  endWait(model, message.at);
  model.phase = 'Running';
  const task: Task = { id, node: path, startedAt: message.at, endedAt: null, state: 'running', error: '' };
  const isInner = path.includes('/') && index.step !== null && index.step.endedAt === null;
  if (!isInner && (index.step === null || index.step.endedAt !== null)) {
    model.steps += 1;
    index.step = {
      kind: 'step',
      key: `s${String(seq)}`,
      number: model.steps,
      turn: message.turn,
      startedAt: message.at,
      endedAt: null,
      tasks: [],
      inner: [],
      version: 0,
    };
    model.timeline.push(index.step);
  }
  const list = isInner ? index.step?.inner : index.step?.tasks;
  if (list !== undefined && list.length < MAX_TASKS) list.push(task);
  if (index.step !== null) index.step.version += 1;
  index.tasks.set(id, task);
  const node = model.nodes.get(path);
  if (node === undefined) {
    model.nodes.set(path, {
      node: path,
      state: 'running',
      starts: 1,
      running: 1,
      startedAt: message.at,
      endedAt: null,
      error: '',
    });
  } else {
    node.state = 'running';
    node.starts += 1;
    node.running += 1;
    node.startedAt = message.at;
    node.endedAt = null;
    node.error = '';
  }
  model.timelineVersion += 1;
}

function endNode(model: Model, message: StreamMessage, state: 'done' | 'failed' | 'asks'): void {
  const { index } = model;
  const path = readText(message.metadata, 'step_name');
  const id = readText(message.metadata, 'task');
  const task = index.tasks.get(id) ?? findTask(index, path);
  const error = state === 'failed' ? readText(message.metadata, 'error') : '';
  if (task !== undefined) {
    task.state = state;
    task.endedAt = message.at;
    task.error = error;
    index.tasks.delete(task.id);
  }
  const node = model.nodes.get(path);
  if (node !== undefined) {
    if (task !== undefined) node.running = Math.max(0, node.running - 1);
    node.endedAt = message.at;
    // Several at once: it runs as long as one of them does, and one that failed is what counts.
    if (state === 'failed') node.state = 'failed';
    else if (state === 'asks') node.state = 'waiting';
    else if (node.running === 0 && node.state === 'running') node.state = 'done';
    if (error !== '') node.error = error;
  }
  const { step } = index;
  if (step !== null) {
    if (step.endedAt === null && !hasRunning(index)) step.endedAt = message.at;
    step.version += 1;
  }
  model.timelineVersion += 1;
}

function findTask(index: Index, path: string): Task | undefined {
  for (const task of index.tasks.values()) if (task.node === path) return task;
  return undefined;
}

/** Whether a node of the graph itself still runs: those of subgraphs end before it does. */
function hasRunning(index: Index): boolean {
  for (const task of index.tasks.values()) if (!task.node.includes('/')) return true;
  return false;
}

function ask(model: Model, message: StreamMessage, seq: number): void {
  model.phase = 'WaitingForInput';
  model.statusVersion += 1;
  const { index } = model;
  push(model, {
    kind: 'asked',
    key: `q${String(seq)}`,
    seq,
    at: message.at,
    turn: message.turn,
    version: 0,
    interrupt: readText(message.metadata, 'interrupt') || readText(message.metadata, 'interrupt_id'),
    prompt: message.text,
    node: readText(message.metadata, 'step_name'),
  });
  index.wait ??= beginWait(model, message, seq, 'answer');
}

function beginWait(model: Model, message: StreamMessage, seq: number, why: WaitEntry['why']): WaitEntry {
  const wait: WaitEntry = {
    kind: 'wait',
    key: `w${String(seq)}`,
    turn: message.turn,
    startedAt: message.at,
    endedAt: null,
    why,
    version: 0,
  };
  model.timeline.push(wait);
  model.timelineVersion += 1;
  return wait;
}

function endWait(model: Model, at: number): void {
  const { wait } = model.index;
  if (wait === null) return;
  wait.endedAt = at;
  wait.version += 1;
  model.index.wait = null;
  model.timelineVersion += 1;
  model.statusVersion += 1;
}

function end(model: Model, message: StreamMessage, seq: number, what: 'completed' | 'failed'): void {
  closeTasks(model, message.at);
  endWait(model, message.at);
  model.statusVersion += 1;
  model.phase = message.turn > 0 ? 'Idle' : what === 'completed' ? 'Completed' : 'Failed';
  const text = what === 'failed' ? readText(message.metadata, 'reason') : '';
  addMark(model, message, seq, what, text);
  if (what === 'failed') {
    const node = model.nodes.get(readText(message.metadata, 'step_name'));
    if (node !== undefined) {
      node.state = 'failed';
      node.error = message.text;
    }
    addNote(model, message, seq, 'error');
  }
  if (message.turn > 0) model.index.wait = beginWait(model, message, seq, 'turn');
}

function failAttempt(model: Model, message: StreamMessage, seq: number): void {
  closeTasks(model, message.at);
  model.statusVersion += 1;
  addMark(model, message, seq, 'attempt', message.text);
  addNote(model, message, seq, 'error');
}

function loseCheckpoints(model: Model, message: StreamMessage, seq: number): void {
  model.statusVersion += 1;
  addMark(model, message, seq, 'rewound', message.text);
  addNote(model, message, seq, 'warning');
}

function addMark(
  model: Model,
  message: StreamMessage,
  seq: number,
  what: MarkEntry['what'],
  text: string,
): void {
  model.timeline.push({
    kind: 'mark',
    key: `m${String(seq)}`,
    turn: message.turn,
    startedAt: message.at,
    what,
    text,
    version: 0,
  });
  model.timelineVersion += 1;
}

function setProgress(model: Model, message: StreamMessage): void {
  const share = readNumber(message.metadata['progress']);
  if (share === null) return;
  model.progress = {
    share: Math.min(Math.max(share, 0), 1),
    message: message.text,
    node: readText(message.metadata, 'step_name'),
    at: message.at,
  };
}

// -- what is said

function startMessage(model: Model, message: StreamMessage, seq: number): void {
  openMessage(model, message, seq);
}

function openMessage(model: Model, message: StreamMessage, seq: number): SaidItem {
  const id = readText(message.metadata, 'message_id');
  const item: SaidItem = {
    kind: 'said',
    key: `a${String(seq)}`,
    seq,
    at: message.at,
    turn: message.turn,
    version: 0,
    id,
    node: readText(message.metadata, 'step_name'),
    model: readText(message.metadata, 'model'),
    blocks: [],
    isOpen: true,
    isCut: false,
    endedAt: null,
    tokens: null,
  };
  model.index.said.set(id, item);
  model.index.open.add(item);
  push(model, item);
  return item;
}

/** Returns the message that a part belongs to; one whose start is not here (a gap) begins with the part. */
function findMessage(model: Model, message: StreamMessage, seq: number): SaidItem {
  const id = readText(message.metadata, 'message_id');
  return model.index.said.get(id) ?? openMessage(model, message, seq);
}

function findBlock(item: SaidItem, index: number): Block | undefined {
  // The last one nearly always.
  for (let place = item.blocks.length - 1; place >= 0; place -= 1) {
    const block = item.blocks[place];
    if (block?.index === index) return block;
  }
  return undefined;
}

function openBlock(model: Model, item: SaidItem, message: StreamMessage): Block {
  const block: Block = {
    index: readNumber(message.metadata['index']) ?? item.blocks.length,
    kind: readText(message.metadata, 'block') || 'text',
    text: '',
    isOpen: true,
    name: readText(message.metadata, 'name'),
    call: readText(message.metadata, 'call'),
    outcome: null,
  };
  item.blocks.push(block);
  item.version += 1;
  if (block.kind === 'tool_call' && block.call !== '') model.index.calls.set(block.call, { item, block });
  return block;
}

function startBlock(model: Model, message: StreamMessage, seq: number): void {
  openBlock(model, findMessage(model, message, seq), message);
}

function extendBlock(model: Model, message: StreamMessage, seq: number): void {
  const item = findMessage(model, message, seq);
  const index = readNumber(message.metadata['index']) ?? Math.max(0, item.blocks.length - 1);
  const block = findBlock(item, index) ?? openBlock(model, item, message);
  const text = readText(message.metadata, 'text') || message.text;
  block.text += text;
  model.chars += text.length;
  item.version += 1;
}

function finishBlock(model: Model, message: StreamMessage, seq: number): void {
  const item = findMessage(model, message, seq);
  const block = findBlock(item, readNumber(message.metadata['index']) ?? -1);
  if (block === undefined) return;
  block.isOpen = false;
  item.version += 1;
}

function finishMessage(model: Model, message: StreamMessage, seq: number): void {
  const item = findMessage(model, message, seq);
  item.isOpen = false;
  item.endedAt = message.at;
  for (const block of item.blocks) block.isOpen = false;
  const { usage } = message.metadata;
  if (isRecord(usage)) item.tokens = readNumber(usage['total_tokens']);
  item.version += 1;
  model.index.open.delete(item);
}

/**
 * Takes a message whose parts were joined since. Parts of it that came before are replaced; where it is in several rows,
 * a later one goes on with what the one before said.
 */
function takeWhole(model: Model, message: StreamMessage, seq: number): void {
  const { metadata } = message;
  const item = findMessage(model, message, seq);
  const first = readNumber(metadata['from']) ?? seq;
  if (first <= item.seq) {
    model.chars -= countChars(item);
    item.blocks.length = 0;
  }
  const text = [...message.text];
  let at = 0;
  const blocks = Array.isArray(metadata['blocks']) ? (metadata['blocks'] as readonly unknown[]) : [];
  for (const each of blocks) {
    if (!isRecord(each)) continue;
    const index = readNumber(each['index']) ?? item.blocks.length;
    const block = findBlock(item, index) ?? openBlock(model, item, { ...message, metadata: each });
    const length = readNumber(each['length']);
    const part = length === null ? readText(each, 'text') : text.slice(at, at + length).join('');
    if (length !== null) at += length;
    block.text += part;
    block.isOpen = false;
    model.chars += part.length;
  }
  item.version += 1;
  if (metadata['is_last'] === true) finishMessage(model, message, seq);
}

function finishTool(model: Model, message: StreamMessage, seq: number): void {
  const { metadata } = message;
  const output = metadata['output'];
  const outcome: ToolOutcome = {
    status: readText(metadata, 'status') || 'success',
    output: typeof output === 'string' ? output : null,
    size: readNumber(metadata['size']),
    at: message.at,
  };
  model.chars += outcome.output?.length ?? 0;
  const known = model.index.calls.get(readText(metadata, 'call'));
  if (known !== undefined) {
    known.block.outcome = outcome;
    known.block.isOpen = false;
    known.item.version += 1;
    return;
  }
  push(model, {
    kind: 'tool',
    key: `t${String(seq)}`,
    seq,
    at: message.at,
    turn: message.turn,
    version: 0,
    name: readText(metadata, 'name'),
    node: readText(metadata, 'step_name'),
    outcome,
  });
}

// -- what is told in words

const OWN_KEYS: ReadonlySet<string> = new Set([
  'event_id',
  'event',
  'run',
  'turn',
  'step',
  'step_name',
  'phase',
]);

function addNote(model: Model, message: StreamMessage, seq: number, tone: NoteTone): void {
  const data = message.metadata['data'];
  const text = message.text || (tone === 'error' ? readText(message.metadata, 'error') : '');
  model.chars += text.length;
  push(model, {
    kind: 'note',
    key: `n${String(seq)}`,
    seq,
    at: message.at,
    turn: message.turn,
    version: 0,
    event: message.event,
    tone,
    text,
    node: readText(message.metadata, 'step_name'),
    data: data === undefined ? null : data,
  });
}

/** A row of a kind that this page does not know, perhaps of a runner that is not ours: its words are shown. */
function addOther(model: Model, message: StreamMessage, seq: number): void {
  if (message.event === 'node_progress') return;
  const tone: NoteTone = message.type === 'error' ? 'error' : 'info';
  if (message.text !== '') return addNote(model, message, seq, tone);
  const rest = Object.fromEntries(Object.entries(message.metadata).filter(([key]) => !OWN_KEYS.has(key)));
  if (Object.keys(rest).length === 0) return;
  addNote(model, { ...message, metadata: { ...message.metadata, data: rest } }, seq, tone);
}

function addGap(model: Model, first: number, last: number, text: string, at: number, key: string): void {
  push(model, {
    kind: 'gap',
    key,
    seq: last,
    at,
    turn: model.turn,
    version: 0,
    first,
    last,
    text,
  });
}

function push(model: Model, item: Item): void {
  model.items.push(item);
}

// -- bounds

function trim(model: Model): void {
  if (model.items.length > MAX_ITEMS + SLICE) dropItems(model, SLICE);
  else if (model.chars > MAX_CHARS && model.items.length > 1) {
    dropItems(model, Math.min(Math.max(1, Math.floor(model.items.length / 4)), model.items.length - 1));
  }
  if (model.timeline.length > MAX_ENTRIES + SLICE) {
    model.timeline.splice(0, SLICE);
    model.droppedEntries += SLICE;
    model.timelineVersion += 1;
  }
}

function dropItems(model: Model, count: number): void {
  const { index } = model;
  for (const item of model.items.splice(0, count)) {
    model.chars -= countChars(item);
    if (item.kind !== 'said') continue;
    if (index.said.get(item.id) === item) index.said.delete(item.id);
    index.open.delete(item);
    for (const block of item.blocks) {
      if (index.calls.get(block.call)?.item === item) index.calls.delete(block.call);
    }
  }
  model.droppedItems += count;
}

function countChars(item: Item): number {
  switch (item.kind) {
    case 'said':
      return item.blocks.reduce(
        (sum, block) => sum + block.text.length + (block.outcome?.output?.length ?? 0),
        0,
      );
    case 'tool':
      return item.outcome.output?.length ?? 0;
    case 'note':
      return item.text.length;
    case 'gap':
    case 'asked':
      return 0;
  }
}
