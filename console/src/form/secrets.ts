/** Which values are secret: they are never kept in a draft. */
import type { FormValue } from './numbers';
import { isMembers } from './validator/objects';
import { splitPointer } from './validator/pointers';

const IN_PLACE = ['allOf', 'anyOf', 'oneOf'] as const;
const MAX_DEPTH = 64;

/** Returns a value without members that a schema, or a definition's hints, say are passwords. */
export function withoutSecrets(value: FormValue, schema: unknown, hints: unknown): FormValue {
  return strip(value, [schema], hints, schema, 0) ?? null;
}

function strip(
  value: FormValue,
  rules: unknown[],
  hints: unknown,
  root: unknown,
  depth: number,
): FormValue | undefined {
  if (depth > MAX_DEPTH) return undefined;
  const known = rules.flatMap((each) => expand(each, root, 0));
  if (known.some(isSecret) || isSecretHint(hints)) return undefined;
  const next = (members: unknown[], at: string): [unknown[], unknown] => [
    members,
    isMembers(hints) ? hints[at] : undefined,
  ];
  if (Array.isArray(value)) {
    const items = known.flatMap((each) => [
      each.items,
      ...(Array.isArray(each.prefixItems) ? (each.prefixItems as unknown[]) : []),
    ]);
    const [itemRules, itemHints] = next(items.flat(), 'items');
    return value.map((each) => strip(each, itemRules, itemHints, root, depth + 1) ?? null);
  }
  if (!isMembers(value)) return value;
  const kept: Record<string, FormValue> = {};
  for (const [name, member] of Object.entries(value as Record<string, FormValue>)) {
    const found = known.flatMap((each) => listRules(each, name));
    const [memberRules, memberHints] = next(found, name);
    const left = strip(member, memberRules, memberHints, root, depth + 1);
    if (left !== undefined) kept[name] = left;
  }
  return kept;
}

function listRules(schema: Record<string, unknown>, name: string): unknown[] {
  const own =
    isMembers(schema.properties) && Object.hasOwn(schema.properties, name) ? [schema.properties[name]] : [];
  const patterns = isMembers(schema.patternProperties) ? Object.values(schema.patternProperties) : [];
  return [...own, ...patterns, ...(own.length === 0 ? [schema.additionalProperties] : [])];
}

/** Returns a schema with all that holds for the same value. */
function expand(schema: unknown, root: unknown, depth: number): Record<string, unknown>[] {
  if (!isMembers(schema) || depth > MAX_DEPTH) return [];
  const parts: unknown[] = [schema.if, schema.then, schema.else];
  for (const keyword of IN_PLACE)
    if (Array.isArray(schema[keyword])) parts.push(...(schema[keyword] as unknown[]));
  if (isMembers(schema.dependentSchemas)) parts.push(...Object.values(schema.dependentSchemas));
  if (typeof schema.$ref === 'string') parts.push(follow(schema.$ref, root));
  return [schema, ...parts.flatMap((each) => expand(each, root, depth + 1))];
}

function follow(reference: string, root: unknown): unknown {
  if (!reference.startsWith('#/')) return undefined;
  let found: unknown = root;
  for (const part of splitPointer(safelyDecode(reference.slice(1)))) {
    found = isMembers(found)
      ? found[part]
      : Array.isArray(found)
        ? (found as unknown[])[Number(part)]
        : undefined;
  }
  return found;
}

function safelyDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function isSecret(schema: Record<string, unknown>): boolean {
  return schema.format === 'password' || schema['x-component'] === 'password' || schema.writeOnly === true;
}

function isSecretHint(hints: unknown): boolean {
  if (!isMembers(hints)) return false;
  const options = isMembers(hints['ui:options']) ? hints['ui:options'] : {};
  return hints['ui:widget'] === 'password' || options.widget === 'password';
}
