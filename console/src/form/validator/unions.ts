/** `anyOf` and `oneOf`: of a value that fits none, the faults of the alternative that was meant are told. */
import type { JsonError, Keyword, SchemaNode, ValidationPath } from 'json-schema-library';

import { buildError, nameType } from './keywords';
import { isMembers } from './objects';
import { isSameJson } from './numbers';

interface Branch {
  readonly node: SchemaNode;
  readonly faults: JsonError[];
}

function union(keyword: 'anyOf' | 'oneOf'): Keyword {
  return {
    id: keyword,
    keyword,
    parse: (node) => {
      node[keyword] = (node.schema[keyword] as object[]).map((rule, index) => {
        const rest = `${keyword}/${index}`;
        return node.compileSchema(rule, `${node.evaluationPath}/${rest}`, `${node.schemaLocation}/${rest}`);
      });
    },
    addValidate: ({ schema }) => Array.isArray(schema[keyword]),
    validate: ({ node, data, pointer, path }) => {
      const branches: Branch[] = (node[keyword] ?? []).map((each) => ({
        node: each,
        faults: each.validate(data, pointer, [...path]).errors,
      }));
      const fitting = branches.filter(({ faults }) => faults.length === 0).length;
      if (fitting === 1 || (fitting > 0 && keyword === 'anyOf')) return undefined;
      if (fitting > 1) return buildError(node, 'oneOf-several', pointer, data);
      const meant = findMeant(branches, data, pointer, path);
      return meant === undefined ? buildError(node, keyword, pointer, data) : meant.faults;
    },
  };
}
export const ANY_OF = union('anyOf');
export const ONE_OF = union('oneOf');

function findMeant(
  branches: Branch[],
  data: unknown,
  pointer: string,
  path: ValidationPath,
): Branch | undefined {
  const schemas = branches.map(({ node }) => readSchema(node, pointer, path));
  const ofType = branches.filter((_, index) => allowsType(schemas[index], data));
  if (ofType.length === 1) return ofType[0];
  if (!isMembers(data)) return undefined;
  const tagged = branches.filter((_, index) => hasTag(schemas[index], data));
  return tagged.length === 1 ? tagged[0] : undefined;
}

function readSchema(node: SchemaNode, pointer: string, path: ValidationPath): Record<string, unknown> {
  const own: unknown = node.schema;
  if (!isMembers(own) || own.$ref === undefined) return isMembers(own) ? own : {};
  const target = node.resolveRef({ pointer, path: [...path] });
  return isMembers(target.schema) ? { ...target.schema, ...own } : own;
}

function allowsType(schema: Record<string, unknown> | undefined, data: unknown): boolean {
  const type = schema?.type;
  if (type === undefined) return true;
  const name = nameType(data);
  const types: unknown[] = Array.isArray(type) ? type : [type];
  return types.includes(name) || (name === 'integer' && types.includes('number'));
}

/** Returns whether a member of a value is the constant that an alternative names for it. */
function hasTag(schema: Record<string, unknown> | undefined, data: Record<string, unknown>): boolean {
  if (!isMembers(schema?.properties)) return false;
  return Object.entries(schema.properties).some(([name, rule]) => {
    if (!isMembers(rule) || !Object.hasOwn(data, name)) return false;
    if (rule.const !== undefined) return isSameJson(rule.const, data[name]);
    return Array.isArray(rule.enum) && rule.enum.some((each) => isSameJson(each, data[name]));
  });
}
