/**
 * Keywords of json-schema-library that decide otherwise than the server's engine, written anew.
 *
 * Each replaces the library's keyword of the same name in every dialect: exact comparison of numbers, equality of JSON
 * values, patterns whose work is bounded, references that are compiled once and counted.
 */
import type { JsonError, Keyword, SchemaNode } from 'json-schema-library';

import { compareNumbers, isMultiple, isNumeric, isSameJson, isWhole, type Numeric } from './numbers';
import { compilePattern } from './patterns';
import { Undecided } from './undecided';

/** References that are followed in one check at most: what doubles at each level must not hold up the page. */
const MAX_REFERENCES = 100_000;
let followed = 0;

export function beginCount(): void {
  followed = 0;
}

type Check = (value: unknown, rule: unknown, schema: Record<string, unknown>) => boolean;

function refuseBy(keyword: string, takes: Check, isRule: (rule: unknown) => boolean = () => true): Keyword {
  return {
    id: keyword,
    keyword,
    addValidate: ({ schema }) => Object.hasOwn(schema, keyword) && isRule(schema[keyword]),
    validate: ({ node, data, pointer }) =>
      takes(data, node.schema[keyword], node.schema) ? undefined : buildError(node, keyword, pointer, data),
  };
}

export function buildError(node: SchemaNode, keyword: string, pointer: string, value: unknown): JsonError {
  return node.createError(keyword, { pointer, schema: node.schema, value, keyword }, keyword);
}

/** Returns the name of a value's type; a number without a fraction is an integer in every dialect. */
export function nameType(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (isNumeric(value)) return isWhole(value) ? 'integer' : 'number';
  return typeof value;
}

function isOfType(value: unknown, type: unknown): boolean {
  const name = nameType(value);
  return name === type || (type === 'number' && name === 'integer');
}

const bound = (
  keyword: string,
  holds: (order: number, schema: Record<string, unknown>) => boolean,
): Keyword =>
  refuseBy(
    keyword,
    (value, limit, schema) => !isNumeric(value) || holds(compareNumbers(value, limit as Numeric), schema),
    isNumeric,
  );

export const TYPE = refuseBy('type', (value, type) =>
  Array.isArray(type) ? type.some((each) => isOfType(value, each)) : isOfType(value, type),
);
// In draft 4 the exclusive bounds are true or false beside the others.
export const MINIMUM = bound(
  'minimum',
  (order, schema) => order > 0 || (order === 0 && schema.exclusiveMinimum !== true),
);
export const MAXIMUM = bound(
  'maximum',
  (order, schema) => order < 0 || (order === 0 && schema.exclusiveMaximum !== true),
);
export const EXCLUSIVE_MINIMUM = bound('exclusiveMinimum', (order) => order > 0);
export const EXCLUSIVE_MAXIMUM = bound('exclusiveMaximum', (order) => order < 0);
export const MULTIPLE_OF = refuseBy(
  'multipleOf',
  (value, divisor) => !isNumeric(value) || isMultiple(value, divisor as Numeric),
  isNumeric,
);
export const ENUM = refuseBy(
  'enum',
  (value, options) => (options as unknown[]).some((each) => isSameJson(value, each)),
  Array.isArray,
);
export const CONST = refuseBy('const', (value, wanted) => isSameJson(value, wanted));
export const UNIQUE_ITEMS = refuseBy(
  'uniqueItems',
  (value) =>
    !Array.isArray(value) ||
    value.every((each, index) => !value.slice(0, index).some((before) => isSameJson(each, before))),
  (rule) => rule === true,
);
export const PATTERN = refuseBy(
  'pattern',
  (value, pattern) => typeof value !== 'string' || compilePattern(String(pattern)).test(value),
  (rule) => typeof rule === 'string',
);

/** Wraps a dialect's `$ref`: a reference that does not depend on the way that led to it is compiled once. */
export function keepReferences(keyword: Keyword): Keyword {
  return {
    ...keyword,
    parse: (node) => {
      const found = keyword.parse?.(node);
      const resolve = node.resolveRef.bind(node);
      let known: SchemaNode | undefined;
      node.resolveRef = (given) => {
        if (node.schema.$dynamicRef !== undefined || node.schema.$recursiveRef !== undefined) {
          count();
          return resolve(given);
        }
        if (node.schema.$ref === undefined) return resolve(given);
        count();
        if (known === undefined) return (known = resolve(given));
        given?.path?.push({ pointer: given.pointer ?? '#', node: known });
        return known;
      };
      return found;
    },
  };
}

function count(): void {
  followed += 1;
  if (followed > MAX_REFERENCES) throw new Undecided('its references are followed too often');
}
