/** What pages show of a definition; whatever the resource holds, these are plain texts. */

export interface Check {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  reason: string;
  message: string;
  at: string;
}

export interface Definition {
  /** `namespace/name`; `-/name` for one of the whole cluster. */
  key: string;
  /** `-` for one of the whole cluster. */
  namespace: string;
  name: string;
  displayName: string;
  description: string;
  version: string;
  tags: readonly string[];
  image: string;
  readiness: 'ready' | 'not-ready' | 'checking';
  /** Why it is not ready; empty where it is. */
  why: string;
  checks: readonly Check[];
  facts: Readonly<Record<'digest' | 'graph' | 'langgraph' | 'contract' | 'active' | 'checked', string>>;
}

/** The namespace in the addresses of definitions of the whole cluster: none can be called so. */
export const CLUSTER = '-';

type Raw = Readonly<Record<string, unknown>>;

const asRaw = (value: unknown): Raw => (typeof value === 'object' && value !== null ? (value as Raw) : {});
const asList = (value: unknown): readonly unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);
const text = (value: unknown): string =>
  typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';

function readChecks(status: Raw, generation: unknown): Check[] {
  return asList(status['conditions']).map((each) => {
    const condition = asRaw(each);
    // What was computed from an older definition says nothing of this one.
    const isCurrent = condition['observedGeneration'] === generation || generation === undefined;
    const found = condition['status'];
    return {
      type: text(condition['type']),
      status: isCurrent && (found === 'True' || found === 'False') ? found : 'Unknown',
      reason: text(condition['reason']),
      message: text(condition['message']),
      at: text(condition['lastTransitionTime']),
    };
  });
}

export function readDefinition(object: unknown): Definition {
  const definition = asRaw(object);
  const metadata = asRaw(definition['metadata']);
  const spec = asRaw(definition['spec']);
  const status = asRaw(definition['status']);
  const checks = readChecks(status, metadata['generation']);
  const ready = checks.find((check) => check.type === 'Ready');
  const failed = checks.find((check) => check.type !== 'Ready' && check.status === 'False');
  const namespace = text(metadata['namespace']) || CLUSTER;
  const name = text(metadata['name']);
  const readiness =
    ready?.status === 'True' ? 'ready' : ready?.status === 'False' || failed ? 'not-ready' : 'checking';
  const reason = failed ?? ready;
  return {
    key: `${namespace}/${name}`,
    namespace,
    name,
    displayName: text(spec['displayName']),
    description: text(spec['description']),
    version: text(spec['version']),
    tags: asList(spec['tags'])
      .map(text)
      .filter((tag) => tag !== ''),
    image: text(spec['image']),
    readiness,
    why: readiness === 'not-ready' && reason ? reason.message || reason.reason : '',
    checks,
    facts: {
      digest: text(status['imageDigest']),
      graph: text(spec['graph']),
      langgraph: text(status['langgraphVersion']),
      contract: text(status['runnerContract']),
      active: text(status['activeSessions']),
      checked: text(status['lastValidated']),
    },
  };
}

/** Return whether each word is in the name, a tag or the description. */
export function matches(definition: Definition, words: string): boolean {
  const { name, displayName, description, tags } = definition;
  const whole = [name, displayName, description, ...tags].join('\n').toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => whole.includes(word));
}
