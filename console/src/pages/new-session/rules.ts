/** What a session of a workflow takes, and the spec that starts it. Pure. */
import type { AgenticSessionSpec, JsonObject } from '@/api';
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
  readonly config: FormValue | undefined;
  readonly context: FormValue | undefined;
}

/** A new session's spec, with inputs as the form has them: numbers with all their digits. */
export type NewSpec = Pick<AgenticSessionSpec, 'workflowRef' | 'displayName' | 'mode'> & {
  readonly config?: FormValue;
  readonly context?: FormValue;
  readonly inputs?: FormValue;
  readonly turns?: { name: string; input?: FormValue; by?: string }[];
};

export function buildSpec(settings: Settings, inputs: FormValue | undefined): NewSpec {
  const { name, kind, displayName, asConversation, by, config, context } = settings;
  const spec: NewSpec = {
    workflowRef: kind === 'WorkflowDefinition' ? { name } : { name, kind },
    ...(displayName === '' ? {} : { displayName }),
    ...(config === undefined ? {} : { config }),
    ...(context === undefined ? {} : { context }),
  };
  if (inputs === undefined) return asConversation ? { ...spec, mode: 'Conversation' } : spec;
  if (!asConversation) return { ...spec, inputs };
  const turn = { name: 't0001', input: inputs, ...(by === '' ? {} : { by }) };
  return { ...spec, mode: 'Conversation', turns: [turn] };
}
