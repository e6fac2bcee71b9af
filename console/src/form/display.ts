/**
 * What forms are drawn from: a schema as react-jsonschema-form knows it, and hints that cannot do harm.
 *
 * Values are always judged by the schema itself. Here newer keywords get the names that the library draws, numbers of
 * rules are doubles, and of hints only a known few are kept: a definition's author does not style the console.
 */
import type { RJSFSchema, UiSchema } from '@rjsf/utils';

import { writeJson } from '@/api';
import type { FormValue } from './numbers';
import { isMembers } from './validator/objects';

type Members = Record<string, unknown>;
type Options = Record<string, string | number | boolean | null>;

/** Under these stand values, whatever they look like. */
const VALUES = new Set(['default', 'const', 'enum', 'examples']);
const MAPS = new Set(['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas']);
const LISTS = new Set(['allOf', 'anyOf', 'oneOf', 'prefixItems']);
/** A schema that allows anything; an empty one is not drawn. */
const ANYTHING = { 'x-any': true };

/** Returns the schema that a form is drawn from. */
export function toDisplay(schema: FormValue): RJSFSchema {
  return drawSchema(schema) as RJSFSchema;
}

function drawSchema(schema: unknown): unknown {
  if (schema === true) return { ...ANYTHING };
  if (schema === false) return { not: {}, 'x-any': true };
  if (!isMembers(schema)) return {};
  const drawn: Members = {};
  for (const [keyword, rule] of Object.entries(schema)) drawn[keyword] = drawRule(keyword, rule);
  return Object.keys(drawn).length === 0 ? { ...ANYTHING } : rename(drawn);
}

function drawRule(keyword: string, rule: unknown): unknown {
  if (VALUES.has(keyword)) return rule;
  if (typeof rule === 'bigint') return Number(rule);
  if (MAPS.has(keyword) && isMembers(rule)) {
    return Object.fromEntries(Object.entries(rule).map(([name, each]) => [name, drawSchema(each)]));
  }
  if (LISTS.has(keyword) && Array.isArray(rule)) return rule.map(drawSchema);
  if (keyword === 'additionalProperties' || keyword === 'unevaluatedProperties') {
    return typeof rule === 'boolean' ? rule : drawSchema(rule);
  }
  if (
    ['items', 'additionalItems', 'not', 'if', 'then', 'else', 'contains', 'propertyNames'].includes(keyword)
  ) {
    return Array.isArray(rule) ? rule.map(drawSchema) : drawSchema(rule);
  }
  return rule;
}

/** Returns alternatives that are constants as one choice, which begins with none chosen. */
function joinConstants(schema: Members): Members {
  for (const keyword of ['oneOf', 'anyOf'] as const) {
    const branches: unknown = schema[keyword];
    if (!Array.isArray(branches) || branches.length === 0 || schema.enum !== undefined) continue;
    if (
      !branches.every((each) => isMembers(each) && each.const !== undefined && each.properties === undefined)
    )
      continue;
    const constants = branches as Members[];
    const { [keyword]: _, ...rest } = schema;
    const labels = constants.map((each) => (typeof each.title === 'string' ? each.title : null));
    return { ...rest, enum: constants.map((each) => each.const), 'x-labels': labels };
  }
  return schema;
}

function rename(given: Members): Members {
  const schema = joinConstants(given);
  const { prefixItems, items, dependentSchemas, dependentRequired, ...rest } = schema;
  const drawn: Members = { ...rest };
  if (Array.isArray(prefixItems)) {
    drawn.items = prefixItems;
    drawn.additionalItems = items ?? false;
  } else if (items !== undefined) drawn.items = items;
  if (isMembers(dependentSchemas) || isMembers(dependentRequired)) {
    const known = isMembers(rest.dependencies) ? rest.dependencies : {};
    const required = isMembers(dependentRequired) ? dependentRequired : {};
    drawn.dependencies = { ...known, ...required, ...(isMembers(dependentSchemas) ? dependentSchemas : {}) };
  }
  return drawn;
}

/** What `x-component` and `ui:widget` may name, and the widget that it is here. */
export const COMPONENTS: Readonly<Record<string, string>> = {
  text: 'text',
  textarea: 'textarea',
  password: 'password',
  select: 'select',
  radio: 'radio',
  checkbox: 'checkbox',
  checkboxes: 'checkboxes',
  date: 'date',
  'date-time': 'date-time',
  datetime: 'date-time',
  time: 'time',
  email: 'email',
  uri: 'uri',
  url: 'uri',
  file: 'file',
  number: 'text',
  updown: 'text',
  hidden: 'hidden',
};
/** Those that draw a whole value, of any type. */
export const COMPONENT_FIELDS: Readonly<Record<string, string>> = {
  json: 'JsonField',
  messages: 'MessagesField',
  chat: 'MessagesField',
};

const TEXTS = ['title', 'description', 'help', 'placeholder'] as const;
const FLAGS = ['readonly', 'disabled', 'inline', 'addable', 'removable', 'orderable', 'label'] as const;
const MAX_COLUMNS = 4;

/** Returns the hints of a definition's `uiSchema` that are kept; anything else in it does nothing. */
export function readHints(given: unknown): UiSchema {
  if (!isMembers(given)) return {};
  const hints: UiSchema = {};
  const own: Members = { ...(isMembers(given['ui:options']) ? given['ui:options'] : {}) };
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith('ui:')) own[name.slice(3)] = value;
    else if (name === 'anyOf' || name === 'oneOf') {
      if (Array.isArray(value)) hints[name] = value.map(readHints);
    } else if (isMembers(value)) hints[name] = readHints(value);
  }
  const options: Options = {};
  for (const name of [...TEXTS, ...FLAGS]) {
    const option = own[name];
    const isText = (TEXTS as readonly string[]).includes(name);
    if ((isText && typeof option === 'string') || (!isText && typeof option === 'boolean'))
      options[name] = option;
  }
  if (typeof own.rows === 'number') options.rows = Math.min(Math.max(Math.trunc(own.rows), 1), 40);
  const columns = readColumns(own.columns);
  if (columns !== null) options.columns = columns;
  const span = readColumns(own.span);
  if (span !== null) options.span = span;
  if (Array.isArray(own.order) && own.order.every((each) => typeof each === 'string'))
    hints['ui:order'] = own.order;
  if (Array.isArray(own.enumNames)) hints['ui:enumNames'] = own.enumNames.map(String);
  if (typeof own.widget === 'string') Object.assign(hints, readComponent(own.widget));
  if (Object.keys(options).length > 0) hints['ui:options'] = options;
  return hints;
}

/** Returns the hints that name a component; none for one that is not known, so that the field falls back. */
export function readComponent(name: unknown): UiSchema {
  if (typeof name !== 'string') return {};
  const key = name.toLowerCase();
  if (Object.hasOwn(COMPONENTS, key)) return { 'ui:widget': COMPONENTS[key] ?? 'text' };
  if (Object.hasOwn(COMPONENT_FIELDS, key)) {
    return { 'ui:field': COMPONENT_FIELDS[key] ?? 'JsonField', 'ui:fieldReplacesAnyOrOneOf': true };
  }
  return {};
}

/** Returns a number of columns from 1 to 4; null where none is named. */
export function readColumns(value: unknown): number | null {
  const count = isMembers(value) ? value.columns : value;
  return typeof count === 'number' && count >= 1 ? Math.min(Math.trunc(count), MAX_COLUMNS) : null;
}

const LONG_TEXT = 300;

/** Returns the schema and the hints that one field is drawn by; `resolved` is the schema without references. */
export function drawField(
  schema: RJSFSchema,
  resolve: (schema: RJSFSchema) => RJSFSchema,
  given: UiSchema,
  isRequired: boolean,
): { schema: RJSFSchema; hints: UiSchema } {
  const drawn = unwrapNullable(schema, isRequired);
  const resolved = resolve(drawn);
  const isNullable = drawn !== schema || (Array.isArray(resolved.type) && resolved.type.includes('null'));
  const component = readComponent((schema as Members)['x-component'] ?? (resolved as Members)['x-component']);
  const chosen = given['ui:widget'] !== undefined || given['ui:field'] !== undefined ? {} : component;
  const isChosen =
    Object.keys({ ...chosen }).length > 0 ||
    given['ui:widget'] !== undefined ||
    given['ui:field'] !== undefined;
  const guessed = isChosen ? {} : guessComponent(resolved);
  const layout = readLayout(resolved);
  const options = {
    ...layout,
    ...(given['ui:options'] ?? {}),
    ...(isNullable && isRequired ? { emptyValue: null } : {}),
  };
  const order = orderMembers(resolved, given['ui:order'] ?? []);
  const labels = readLabels(resolved);
  const fixed = (resolved as Members).const !== undefined ? { 'ui:readonly': true } : {};
  return {
    schema: drawn,
    hints: {
      ...fixed,
      ...(labels === null ? {} : { 'ui:enumNames': labels }),
      ...guessed,
      ...chosen,
      ...given,
      ...(order === null ? {} : { 'ui:order': order }),
      ...(Object.keys(options).length > 0 ? { 'ui:options': options } : {}),
    },
  };
}

function readLayout(schema: Members): Options {
  const columns = readColumns(schema['x-layout']) ?? readColumns(schema['x-columns']);
  const span = readColumns(schema['x-span']);
  return { ...(columns === null ? {} : { columns }), ...(span === null ? {} : { span }) };
}

/** Returns the one alternative beside `null`, as if it stood alone: absent is how people say `null`. */
function unwrapNullable(schema: RJSFSchema, isRequired: boolean): RJSFSchema {
  for (const keyword of ['anyOf', 'oneOf'] as const) {
    const branches = schema[keyword];
    if (!Array.isArray(branches)) continue;
    const real = branches.filter((each) => !isMembers(each) || each.type !== 'null');
    if (real.length === branches.length || real.length === 0) continue;
    const { [keyword]: _, ...rest } = schema;
    const first = real[0];
    if (real.length === 1 && isMembers(first)) return { ...first, ...rest };
    if (!isRequired) return { ...rest, [keyword]: real };
  }
  return schema;
}

const JSON_FIELD = { 'ui:field': 'JsonField', 'ui:fieldReplacesAnyOrOneOf': true };

function guessComponent(schema: RJSFSchema): UiSchema {
  if (isMessages(schema)) return { 'ui:field': 'MessagesField', 'ui:fieldReplacesAnyOrOneOf': true };
  const types = (Array.isArray(schema.type) ? schema.type : [schema.type]).filter((each) => each !== 'null');
  const hasChoice = schema.anyOf !== undefined || schema.oneOf !== undefined || schema.enum !== undefined;
  if (hasChoice) return types.length > 1 && schema.enum === undefined ? JSON_FIELD : {};
  if (types.length > 1) return JSON_FIELD;
  switch (types[0]) {
    case 'string':
      return guessText(schema);
    case 'array':
      return guessList(schema);
    case 'object':
      return isOpenObject(schema) ? JSON_FIELD : {};
    case undefined:
      if (schema.const !== undefined || schema.properties !== undefined) return {};
      return schema.$ref === undefined && schema.allOf === undefined ? JSON_FIELD : {};
    default:
      return {};
  }
}

function guessText(schema: RJSFSchema): UiSchema {
  if (schema.const !== undefined) return {};
  if (schema.contentEncoding !== undefined || schema.contentMediaType !== undefined)
    return { 'ui:widget': 'file' };
  const known: Readonly<Record<string, string>> = {
    date: 'date',
    'date-time': 'date-time',
    time: 'time',
    password: 'password',
    email: 'email',
    uri: 'uri',
  };
  const format =
    typeof schema.format === 'string' && Object.hasOwn(known, schema.format)
      ? known[schema.format]
      : undefined;
  if (format !== undefined) return { 'ui:widget': format };
  // A format that the library would draw in its own way, or not at all, is a text.
  if (schema.writeOnly === true) return { 'ui:widget': 'password' };
  return { 'ui:widget': Number(schema.maxLength ?? 0) > LONG_TEXT ? 'textarea' : 'text' };
}

function guessList(schema: RJSFSchema): UiSchema {
  if (schema.items === undefined) return JSON_FIELD;
  const items = schema.items;
  const isChoice = isMembers(items) && Array.isArray(items.enum) && schema.uniqueItems === true;
  return isChoice ? { 'ui:widget': 'checkboxes' } : {};
}

function isOpenObject(schema: RJSFSchema): boolean {
  const hasNamed = isMembers(schema.properties) && Object.keys(schema.properties).length > 0;
  if (hasNamed || ['allOf', 'if', 'dependencies'].some((name) => name in schema)) return false;
  const rest: unknown = schema.additionalProperties;
  return !(isMembers(rest) && !('x-any' in rest)) && schema.patternProperties === undefined;
}

/** Returns whether a schema is of a list of chat messages: items with a role and a content. */
function isMessages(schema: RJSFSchema): boolean {
  const lists = [schema, ...(Array.isArray(schema.anyOf) ? (schema.anyOf as RJSFSchema[]) : [])];
  return lists.some((each) => {
    const items: unknown = each.items;
    if (each.type !== 'array' || !isMembers(items)) return false;
    if (items.$ref === '#/$defs/Message') return true;
    const properties: unknown = items.properties;
    return isMembers(properties) && Object.keys(properties).sort().join() === 'content,role';
  });
}

const MAX_DEPTH = 16;

/**
 * Returns a value in which each object that is needed is there, so that its own fields say what is missing.
 *
 * A list or a text is left alone: an empty one is something that somebody says.
 */
export function fillRequired(value: FormValue | undefined, schema: RJSFSchema): FormValue | undefined {
  return fill(value, schema, schema, 0);
}

function fill(
  value: FormValue | undefined,
  rule: unknown,
  root: RJSFSchema,
  depth: number,
): FormValue | undefined {
  const schema = follow(rule, root);
  if (!isMembers(schema) || depth > MAX_DEPTH || !isMembers(schema.properties)) return value;
  if (schema.type !== undefined && schema.type !== 'object') return value;
  if (value !== undefined && !isMembers(value)) return value;
  const members = (value ?? {}) as Record<string, FormValue>;
  const required: unknown[] = Array.isArray(schema.required) ? schema.required : [];
  let filled = members;
  for (const [name, each] of Object.entries(schema.properties)) {
    const isThere = Object.hasOwn(members, name) && members[name] !== undefined;
    const target = follow(each, root);
    const isWanted =
      required.includes(name) &&
      isMembers(target) &&
      target.type === 'object' &&
      isMembers(target.properties);
    if (!isThere && !isWanted) continue;
    const found = fill(isThere ? members[name] : {}, each, root, depth + 1);
    if (found !== undefined && found !== members[name]) filled = { ...filled, [name]: found };
  }
  return value === undefined && filled === members && depth > 0 ? value : filled;
}

function follow(rule: unknown, root: RJSFSchema): unknown {
  const reference: unknown = isMembers(rule) ? rule.$ref : undefined;
  const found = typeof reference === 'string' ? /^#\/(\$defs|definitions)\/([^/~%]+)$/.exec(reference) : null;
  if (found === null) return rule;
  const defined: unknown = (root as Members)[found[1] ?? ''];
  return isMembers(defined) ? defined[found[2] ?? ''] : undefined;
}

/** Returns what the values of a choice are called; null where they have no names. */
function readLabels(schema: Members): string[] | null {
  const labels = schema['x-labels'];
  const values = schema.enum;
  if (!Array.isArray(labels) || !Array.isArray(values)) return null;
  return values.map((value, index) => {
    const label: unknown = labels[index];
    return typeof label === 'string' ? label : typeof value === 'string' ? value : writeJson(value);
  });
}

/**
 * Returns in which order an object's members are drawn, each by its name; null for no object. The command line asks for
 * them alike. `*` in the first order that is given stands for all that it does not name.
 *
 * The API server keeps no order but that of lists. The library's own mark for all others would lose `constructor`.
 */
export function orderMembers(schema: Members, hinted: readonly string[]): string[] | null {
  if (!isMembers(schema.properties)) return null;
  const known = Object.keys(schema.properties);
  const read = (names: unknown): string[] =>
    Array.isArray(names) ? names.filter((each): each is string => typeof each === 'string') : [];
  const [first = [], ...others] = [read(hinted), read(schema['x-order'])].filter((names) => names.length > 0);
  const place = first.includes('*') ? first.indexOf('*') : first.length;
  const head = first.slice(0, place);
  const last = new Set(first.slice(place + 1).filter((each) => known.includes(each) && !head.includes(each)));
  const names = [...head, ...others.flat(), ...read(schema.required), ...known];
  return [...new Set([...names.filter((each) => known.includes(each) && !last.has(each)), ...last])];
}
