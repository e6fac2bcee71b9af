/** Keywords of objects and arrays: own members alone, pointers escaped, annotations collected as the specification says. */
import type { JsonError, Keyword, SchemaNode, ValidationPath } from 'json-schema-library';

import { buildError } from './keywords';
import { compilePattern } from './patterns';
import { escapePart } from './pointers';

type Members = Record<string, unknown>;

export function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function findFaults(node: SchemaNode, value: unknown, pointer: string, path: ValidationPath): JsonError[] {
  return node.validate(value, pointer, path).errors;
}

function take(nodes: Record<string, SchemaNode> | undefined, name: string): SchemaNode | undefined {
  return nodes !== undefined && Object.hasOwn(nodes, name) ? nodes[name] : undefined;
}

function compileAll(node: SchemaNode, keyword: string, rules: Members): Record<string, SchemaNode> {
  const found = Object.create(null) as Record<string, SchemaNode>;
  for (const [name, rule] of Object.entries(rules)) {
    const rest = `${keyword}/${encodeURIComponent(escapePart(name))}`;
    found[name] = node.compileSchema(
      rule as object,
      `${node.evaluationPath}/${rest}`,
      `${node.schemaLocation}/${rest}`,
    );
  }
  return found;
}

/** Returns a part of a schema, as an object's members; empty where it has none. */
function readRules(node: SchemaNode, keyword: string): Members {
  const rules: unknown = node.schema[keyword];
  return isMembers(rules) ? rules : {};
}

export const PROPERTIES: Keyword = {
  id: 'properties',
  keyword: 'properties',
  parse: (node) => {
    node.properties = compileAll(node, 'properties', readRules(node, 'properties'));
  },
  resolve: ({ node, key }) => take(node.properties, String(key)),
  addResolve: (node) => node.properties !== undefined,
  addValidate: (node) => node.properties !== undefined,
  validate: ({ node, data, pointer, path }) => {
    if (!isMembers(data)) return undefined;
    return Object.entries(data).flatMap(([name, value]) => {
      const rule = take(node.properties, name);
      return rule === undefined ? [] : findFaults(rule, value, `${pointer}/${escapePart(name)}`, path);
    });
  },
};

export const PATTERN_PROPERTIES: Keyword = {
  id: 'patternProperties',
  keyword: 'patternProperties',
  parse: (node) => {
    const nodes = compileAll(node, 'patternProperties', readRules(node, 'patternProperties'));
    node.patternProperties = Object.entries(nodes).map(([name, each]) => ({
      name,
      // The library asks `test` alone of it.
      pattern: compilePattern(name) as RegExp,
      node: each,
    }));
  },
  addValidate: (node) => node.patternProperties !== undefined,
  validate: ({ node, data, pointer, path }) => {
    if (!isMembers(data)) return undefined;
    return Object.entries(data).flatMap(([name, value]) =>
      (node.patternProperties ?? [])
        .filter(({ pattern }) => pattern.test(name))
        .flatMap(({ node: rule }) => findFaults(rule, value, `${pointer}/${escapePart(name)}`, path)),
    );
  },
};

function isListed(node: SchemaNode, name: string): boolean {
  return (
    take(node.properties, name) !== undefined ||
    (node.patternProperties ?? []).some(({ pattern }) => pattern.test(name))
  );
}

/** Returns the faults of a member that only `keyword` is about, whose rule is compiled or `false`. */
function judgeRest(
  node: SchemaNode,
  keyword: string,
  rule: SchemaNode | undefined,
  value: unknown,
  pointer: string,
  path: ValidationPath,
): JsonError[] {
  if (node.schema[keyword] === false) return [buildError(node, keyword, pointer, value)];
  return rule === undefined ? [] : findFaults(rule, value, pointer, path);
}

export const ADDITIONAL_PROPERTIES: Keyword = {
  id: 'additionalProperties',
  keyword: 'additionalProperties',
  order: -10,
  parse: (node) => {
    const rule: unknown = node.schema.additionalProperties;
    if (!isMembers(rule)) return;
    const at = 'additionalProperties';
    node.additionalProperties = node.compileSchema(
      rule,
      `${node.evaluationPath}/${at}`,
      `${node.schemaLocation}/${at}`,
    );
  },
  addValidate: ({ schema }) =>
    schema.additionalProperties !== undefined && schema.additionalProperties !== true,
  validate: ({ node, data, pointer, path }) => {
    if (!isMembers(data)) return undefined;
    return Object.entries(data)
      .filter(([name]) => !isListed(node, name))
      .flatMap(([name, value]) => {
        const at = `${pointer}/${escapePart(name)}`;
        return judgeRest(node, 'additionalProperties', node.additionalProperties, value, at, path);
      });
  },
};

export const REQUIRED: Keyword = {
  id: 'required',
  keyword: 'required',
  addValidate: ({ schema }) => Array.isArray(schema.required),
  validate: ({ node, data, pointer }) => {
    if (!isMembers(data)) return undefined;
    return (node.schema.required as string[])
      .filter((name) => !Object.hasOwn(data, name))
      .map((name) => buildError(node, 'required', `${pointer}/${escapePart(name)}`, undefined));
  },
};

export const DEPENDENT_REQUIRED: Keyword = {
  id: 'dependentRequired',
  keyword: 'dependentRequired',
  addValidate: ({ schema }) => isMembers(schema.dependentRequired),
  validate: ({ node, data, pointer }) => {
    if (!isMembers(data)) return undefined;
    return Object.entries(readRules(node, 'dependentRequired'))
      .filter(([name]) => Object.hasOwn(data, name))
      .flatMap(([, names]) => (names as string[]).filter((name) => !Object.hasOwn(data, name)))
      .map((name) => buildError(node, 'required', `${pointer}/${escapePart(name)}`, undefined));
  },
};

function dependent(keyword: 'dependentSchemas' | 'dependencies'): Keyword {
  return {
    id: keyword,
    keyword,
    parse: (node) => {
      const rules = Object.entries(readRules(node, keyword)).filter(([, rule]) => !Array.isArray(rule));
      node.dependentSchemas = compileAll(node, keyword, Object.fromEntries(rules));
    },
    addValidate: ({ schema }) => isMembers(schema[keyword]),
    validate: ({ node, data, pointer, path }) => {
      if (!isMembers(data)) return undefined;
      return Object.entries(readRules(node, keyword))
        .filter(([name]) => Object.hasOwn(data, name))
        .flatMap(([name, rule]) => {
          if (Array.isArray(rule)) {
            return (rule as string[])
              .filter((each) => !Object.hasOwn(data, each))
              .map((each) => buildError(node, 'required', `${pointer}/${escapePart(each)}`, undefined));
          }
          const found = take(node.dependentSchemas as Record<string, SchemaNode> | undefined, name);
          return found === undefined ? [] : findFaults(found, data, pointer, path);
        });
    },
  };
}
export const DEPENDENT_SCHEMAS = dependent('dependentSchemas');
export const DEPENDENCIES = dependent('dependencies');

export const CONTAINS: Keyword = {
  id: 'contains',
  keyword: 'contains',
  parse: (node) => {
    node.contains = node.compileSchema(
      node.schema.contains as object,
      `${node.evaluationPath}/contains`,
      `${node.schemaLocation}/contains`,
    );
  },
  addValidate: ({ schema }) => schema.contains !== undefined,
  validate: ({ node, data, pointer, path }) => {
    if (!Array.isArray(data)) return undefined;
    const count = listContained(node, data, pointer, path).length;
    const hasBounds = node.getDraftVersion() >= 'draft-2019';
    const least = hasBounds ? Number(node.schema.minContains ?? 1) : 1;
    const most = hasBounds ? Number(node.schema.maxContains ?? Infinity) : Infinity;
    return count >= least && count <= most ? undefined : buildError(node, 'contains', pointer, data);
  },
};

function listContained(node: SchemaNode, data: unknown[], pointer: string, path: ValidationPath): number[] {
  const rule = node.contains;
  if (rule === undefined) return [];
  return data.flatMap((each, index) =>
    findFaults(rule, each, `${pointer}/${index}`, path).length === 0 ? [index] : [],
  );
}

/** Yields the subschemas of a node that hold for the same value. */
function* listInPlace(
  node: SchemaNode,
  data: unknown,
  pointer: string,
  path: ValidationPath,
): Generator<SchemaNode> {
  const holds = (each: SchemaNode) => findFaults(each, data, pointer, [...path]).length === 0;
  yield* node.allOf ?? [];
  yield* (node.anyOf ?? []).filter(holds);
  yield* (node.oneOf ?? []).filter(holds);
  if (node.if !== undefined) {
    if (holds(node.if)) {
      yield node.if;
      if (node.then !== undefined) yield node.then;
    } else if (node.else !== undefined) yield node.else;
  }
  if (isMembers(data)) {
    for (const [name, rule] of Object.entries(node.dependentSchemas ?? {})) {
      if (Object.hasOwn(data, name) && typeof rule === 'object') yield rule;
    }
  }
  if (
    isMembers(node.schema) &&
    ['$ref', '$dynamicRef', '$recursiveRef'].some((name) => name in node.schema)
  ) {
    const target = node.resolveRef({ pointer, path });
    if (target !== undefined && target !== node && 'validators' in target) yield target;
  }
}

/** Returns the members that a node's other keywords have looked at; null for all. */
function listEvaluated(
  node: SchemaNode,
  data: Members,
  pointer: string,
  path: ValidationPath,
): Set<string> | null {
  const found = new Set(Object.keys(data).filter((name) => isListed(node, name)));
  if (node.schema.additionalProperties !== undefined) return null;
  for (const each of listInPlace(node, data, pointer, path)) {
    if (!isMembers(each.schema)) continue;
    if (each.schema.unevaluatedProperties !== undefined) return null;
    const more = listEvaluated(each, data, pointer, path);
    if (more === null) return null;
    for (const name of more) found.add(name);
  }
  return found;
}

/** Returns how many items from the first on a node's keywords have looked at, and which others. */
function listEvaluatedItems(
  node: SchemaNode,
  data: unknown[],
  pointer: string,
  path: ValidationPath,
): { upTo: number; others: Set<number> } {
  const is2020 = node.getDraftVersion() === 'draft-2020-12';
  const all = { upTo: Infinity, others: new Set<number>() };
  const { items, additionalItems, prefixItems }: Record<string, unknown> = node.schema;
  if (items !== undefined && !Array.isArray(items)) return all;
  if (Array.isArray(items) && additionalItems !== undefined) return all;
  const tuple: unknown = is2020 ? prefixItems : items;
  let upTo = Array.isArray(tuple) ? tuple.length : 0;
  const others = new Set<number>(is2020 ? listContained(node, data, pointer, path) : []);
  for (const each of listInPlace(node, data, pointer, path)) {
    if (!isMembers(each.schema)) continue;
    if (each.schema.unevaluatedItems !== undefined) return all;
    const more = listEvaluatedItems(each, data, pointer, path);
    upTo = Math.max(upTo, more.upTo);
    for (const index of more.others) others.add(index);
  }
  return { upTo, others };
}

function parseRest(keyword: 'unevaluatedProperties' | 'unevaluatedItems'): (node: SchemaNode) => void {
  return (node) => {
    const rule: unknown = node.schema[keyword];
    if (!isMembers(rule)) return;
    node[keyword] = node.compileSchema(
      rule,
      `${node.evaluationPath}/${keyword}`,
      `${node.schemaLocation}/${keyword}`,
    );
  };
}

export const UNEVALUATED_PROPERTIES: Keyword = {
  id: 'unevaluatedProperties',
  keyword: 'unevaluatedProperties',
  order: -20,
  parse: parseRest('unevaluatedProperties'),
  addValidate: ({ schema }) =>
    schema.unevaluatedProperties !== undefined && schema.unevaluatedProperties !== true,
  validate: ({ node, data, pointer, path }) => {
    if (!isMembers(data)) return undefined;
    const known = listEvaluated(node, data, pointer, path);
    if (known === null) return undefined;
    return Object.entries(data)
      .filter(([name]) => !known.has(name))
      .flatMap(([name, value]) => {
        const at = `${pointer}/${escapePart(name)}`;
        return judgeRest(node, 'unevaluatedProperties', node.unevaluatedProperties, value, at, path);
      });
  },
};

export const UNEVALUATED_ITEMS: Keyword = {
  id: 'unevaluatedItems',
  keyword: 'unevaluatedItems',
  order: -20,
  parse: parseRest('unevaluatedItems'),
  addValidate: ({ schema }) => schema.unevaluatedItems !== undefined && schema.unevaluatedItems !== true,
  validate: ({ node, data, pointer, path }) => {
    if (!Array.isArray(data)) return undefined;
    const { upTo, others } = listEvaluatedItems(node, data, pointer, path);
    return data.flatMap((value, index) =>
      index < upTo || others.has(index)
        ? []
        : judgeRest(node, 'unevaluatedItems', node.unevaluatedItems, value, `${pointer}/${index}`, path),
    );
  },
};

export const PROPERTY_NAMES: Keyword = {
  id: 'propertyNames',
  keyword: 'propertyNames',
  parse: (node) => {
    node.propertyNames = node.compileSchema(
      node.schema.propertyNames as object,
      `${node.evaluationPath}/propertyNames`,
      `${node.schemaLocation}/propertyNames`,
    );
  },
  addValidate: ({ schema }) => schema.propertyNames !== undefined,
  validate: ({ node, data, pointer, path }) => {
    if (!isMembers(data)) return undefined;
    return Object.keys(data).flatMap((name) => {
      const rule = node.propertyNames;
      if (rule === undefined || findFaults(rule, name, pointer, path).length === 0) return [];
      return [buildError(node, 'propertyNames', `${pointer}/${escapePart(name)}`, name)];
    });
  },
};
