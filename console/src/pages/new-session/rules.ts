/** What a session of a workflow takes, and the spec that starts it. Pure. */
import type { JsonObject } from '@/api';
import { type FormValue, toForm } from '@/form/numbers';
import { isMembers } from '@/form/validator/objects';

export type Kind = 'WorkflowDefinition' | 'ClusterWorkflowDefinition';

const OF_CLUSTER = '-.';
/** In a derived schema: the part of it that refuses. */
const GRAPH_ACCEPTS = 'x-graph-accepts';

/** Returns the workflow that an address names; one of the whole cluster begins with `-.`, as no name can. */
export function splitWorkflow(workflow: string): { name: string; kind: Kind } {
  return workflow.startsWith(OF_CLUSTER)
    ? { name: workflow.slice(OF_CLUSTER.length), kind: 'ClusterWorkflowDefinition' }
    : { name: workflow, kind: 'WorkflowDefinition' };
}

export interface Rules {
  /** What the form is drawn from; null where nothing is known. */
  readonly schema: FormValue;
  /** What refuses inputs; a schema that was derived from a graph's types describes more than it refuses. */
  readonly judging: FormValue;
  readonly hints: unknown;
  readonly isDeclared: boolean;
}

export function readRules(schemas: JsonObject): Rules {
  const schema = isMembers(schemas['input']) ? toForm(schemas['input']) : null;
  const isDeclared = schemas['inputIsDeclared'] === true;
  const accepted = isMembers(schema) ? schema[GRAPH_ACCEPTS] : undefined;
  const judging = isDeclared ? (schema ?? true) : isMembers(accepted) ? (accepted as FormValue) : true;
  return { schema, judging, hints: schemas['ui'], isDeclared };
}

/** Returns whether a workflow takes chat messages and nothing else that it needs: then it is talked to. */
export function isConversational(schema: FormValue): boolean {
  const properties: unknown = isMembers(schema) ? schema.properties : undefined;
  return isMembers(properties) && Object.keys(properties).join() === 'messages';
}

export interface Settings {
  readonly name: string;
  readonly kind: Kind;
  readonly displayName: string;
  readonly asConversation: boolean;
  /** Whose first turn it is. */
  readonly by: string;
}

export function buildSpec(settings: Settings, inputs: FormValue | undefined): Record<string, FormValue> {
  const { name, kind, displayName, asConversation, by } = settings;
  const spec: Record<string, FormValue> = {
    workflowRef: kind === 'WorkflowDefinition' ? { name } : { name, kind },
  };
  if (displayName !== '') spec['displayName'] = displayName;
  if (!asConversation) return inputs === undefined ? spec : { ...spec, inputs };
  const turn: Record<string, FormValue> = { name: 't0001' };
  if (inputs !== undefined) turn['input'] = inputs;
  if (by !== '') turn['by'] = by;
  return { ...spec, mode: 'Conversation', ...(inputs === undefined ? {} : { turns: [turn] }) };
}
