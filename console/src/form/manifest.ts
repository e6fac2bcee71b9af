/** The same as text: what `kubectl` takes, and inputs as YAML. Loaded where it is asked for. */
import { parseDocument, stringify } from 'yaml';

import type { FormValue } from './numbers';

export interface Manifest {
  readonly namespace: string;
  readonly name: string;
  readonly prefix: string;
  readonly spec: { readonly [field: string]: FormValue };
}

/** Returns the session as YAML: with its name, for `kubectl apply`, or with the beginning of one, for `kubectl create`. */
export function writeManifest({ namespace, name, prefix, spec }: Manifest): string {
  return writeYaml({
    apiVersion: 'agentic-operator.dev/v1alpha1',
    kind: 'AgenticSession',
    metadata: name === '' ? { generateName: `${prefix}-`, namespace } : { name, namespace },
    spec,
  });
}

/** Returns a value as YAML that other parsers read as the same value: `no` and `1e3` as texts are quoted. */
export function writeYaml(value: FormValue): string {
  return stringify(value, { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false });
}

/** Returns the value of a YAML text without aliases; raises `SyntaxError` with the place. */
export function readYaml(text: string): FormValue {
  const document = parseDocument(text, {
    intAsBigInt: true,
    uniqueKeys: true,
    merge: false,
    schema: 'core',
    customTags: [],
  });
  const [first] = document.errors;
  if (first !== undefined) throw new SyntaxError(first.message);
  return readValue(document.toJS({ maxAliasCount: 0 }));
}

function readValue(value: unknown): FormValue {
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  if (Array.isArray(value)) return value.map(readValue);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, readValue(each)]));
  }
  if (value === undefined || value === null) return null;
  if (typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean') return value;
  throw new SyntaxError('a value here has no JSON');
}
