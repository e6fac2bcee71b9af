/**
 * What a session gives its graph beside the inputs: config and context, over the definition's defaults. Pure.
 *
 * Members of `configurable` and `context` replace the definition's one by one. The forms begin with what holds anyway,
 * and what is left as it is is not sent: the session goes on to take it from its definition.
 */
import { deepEquals } from '@rjsf/utils';

import { type Json, type JsonObject, asObject } from '@/api';
import { type FormValue, toForm } from '@/form/numbers';
import type { Fault } from '@/form/validator';
import { isMembers } from '@/form/validator/objects';
import { joinPointer } from '@/form/validator/pointers';
import { formStrings } from '@/strings/form';
import { newSessionStrings } from '@/strings/newSession';

const strings = newSessionStrings.settings;
type Members = Readonly<Record<string, FormValue>>;

/** In a derived schema: the part of it that refuses. */
const GRAPH_ACCEPTS = 'x-graph-accepts';
const MAX_RECURSION_LIMIT = 1_000_000;
const DEFINED = ['$defs', 'definitions'] as const;
const NOTHING: Members = {};

export interface SettingRules {
  /** What the form is drawn from; null where any JSON is taken. */
  readonly schema: FormValue;
  readonly judging: FormValue;
  readonly trim: (value: FormValue | undefined) => FormValue | undefined;
}

export interface ContextRules extends SettingRules {
  /** Whether the graph needs something that the definition does not give. */
  readonly isNeeded: boolean;
  /** Returns what the graph could not be given, beside a config as it would be sent. */
  readonly check: (context: FormValue | undefined, config: FormValue | undefined) => readonly Fault[];
}

const readMembers = (value: Json | FormValue | undefined): Members => {
  const read = toForm((value ?? null) as Json);
  return isMembers(read) ? read : NOTHING;
};

/** Returns what a definition gives to all of its sessions. */
function readDefaults(definition: JsonObject): { config: Members; context: Members } {
  const defaults = readMembers(asObject(definition['spec'])?.['defaults']);
  return { config: readMembers(defaults['config']), context: readMembers(defaults['context']) };
}

/** Returns the rules of a session's config by the schema of its `configurable`, of which nothing has to be there. */
export function readConfigRules(schema: Json | undefined, definition: JsonObject): SettingRules {
  const { config } = readDefaults(definition);
  const configurable = readMembers(config['configurable']);
  const known = dropDefaults(readMembers(schema)) as Members;
  const rest = Object.fromEntries(Object.entries(known).filter(([key]) => !DEFINED.includes(key as never)));
  const defined = Object.fromEntries(DEFINED.filter((key) => key in known).map((key) => [key, known[key]]));
  const limit: Members = { type: 'integer', minimum: 1, maximum: MAX_RECURSION_LIMIT };
  const own = config['recursion_limit'];
  const others = {
    recursion_limit: limit,
    tags: {
      type: 'array',
      maxItems: 32,
      uniqueItems: true,
      items: { type: 'string', minLength: 1, maxLength: 256, title: strings.tagTitle },
    },
    metadata: { type: 'object', maxProperties: 128 },
  };
  return {
    schema: {
      ...defined,
      type: 'object',
      required: ['configurable'],
      properties: {
        configurable: {
          type: 'object',
          ...withDefaults(rest, configurable),
          title: strings.configurableTitle,
          description: strings.configurable,
        },
        recursion_limit: {
          ...others.recursion_limit,
          ...(own === undefined ? {} : { default: own }),
          title: strings.recursionLimitTitle,
          description: strings.recursionLimit,
        },
        tags: { ...others.tags, title: strings.tagsTitle, description: strings.tags },
        metadata: { ...others.metadata, title: strings.metadataTitle, description: strings.metadata },
      },
    },
    judging: {
      type: 'object',
      properties: { configurable: { type: 'object', maxProperties: 128 }, ...others },
      additionalProperties: false,
    },
    trim: (value) => {
      if (!isMembers(value)) return value;
      const { configurable: given, recursion_limit, ...more } = value as Members;
      const kept = omitEmpty({ ...more, configurable: dropSame(given, configurable) });
      const isOwn = recursion_limit === undefined || deepEquals(recursion_limit, own);
      return emptyToNothing(isOwn ? kept : { ...kept, recursion_limit });
    },
  };
}

/** Returns the rules of a session's context. */
export function readContextRules(schema: Json | undefined, definition: JsonObject): ContextRules {
  const { config, context: defaults } = readDefaults(definition);
  const known = readMembers(schema);
  const accepted = readMembers(known[GRAPH_ACCEPTS]);
  const needed = listTexts(accepted['required']).filter((name) => !(name in defaults));
  const names =
    accepted['additionalProperties'] === false ? Object.keys(readMembers(accepted['properties'])) : null;
  const drawn = withDefaults(known, defaults);
  const usual = { ...listDefaults(known), ...defaults };
  return {
    schema: schema === undefined || schema === null ? null : drawn,
    judging: { type: 'object', maxProperties: 128 },
    isNeeded: needed.length > 0,
    trim: (value) => emptyToNothing(dropSame(value, usual)),
    check: (context, beside) => {
      const given = isMembers(context) ? context : {};
      const configurable = {
        ...readMembers(config['configurable']),
        ...(isMembers(beside) && isMembers(beside.configurable) ? beside.configurable : {}),
      };
      const missing = needed.filter((name) => !(name in given));
      const isNothing = Object.keys(given).length === 0 && Object.keys(defaults).length === 0;
      // A graph of the time before contexts reads what it needs in `configurable`.
      if (isNothing && missing.every((name) => name in configurable)) return [];
      const unknown = names === null ? [] : Object.keys(given).filter((name) => !names.includes(name));
      return [
        ...missing.map((name) => fault(name, 'required', formStrings.faults.required)),
        ...unknown.map((name) => fault(name, 'additionalProperties', formStrings.faults.unknownProperty)),
      ];
    },
  };
}

const fault = (name: string, keyword: string, message: string): Fault => ({
  pointer: joinPointer([name]),
  keyword,
  message,
});

const listTexts = (value: FormValue | undefined): string[] =>
  Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];

/** Returns a schema of which members that have a default are those, and are not needed. */
function withDefaults(schema: Members, defaults: Members): Record<string, FormValue> {
  const drawn: Record<string, FormValue> = { ...schema };
  delete drawn[GRAPH_ACCEPTS];
  const needed = listTexts(schema['required']).filter((name) => !(name in defaults));
  delete drawn['required'];
  if (needed.length > 0) drawn['required'] = needed;
  if (!isMembers(schema['properties'])) return drawn;
  const members = Object.entries(schema['properties'] as Members).map(([name, rule]) => {
    const own = defaults[name];
    return [name, own !== undefined && isMembers(rule) ? { ...rule, default: own } : rule] as const;
  });
  drawn['properties'] = Object.fromEntries(members);
  return drawn;
}

/** Returns the defaults that a schema's own members have. */
function listDefaults(schema: Members): Members {
  const found = Object.entries(readMembers(schema['properties'])).filter(
    ([, rule]) => isMembers(rule) && rule.default !== undefined,
  );
  return Object.fromEntries(found.map(([name, rule]) => [name, (rule as Members)['default'] ?? null]));
}

/** Returns a schema without defaults: of `configurable` the graph's own hold nowhere. */
function dropDefaults(schema: FormValue): FormValue {
  if (Array.isArray(schema)) return schema.map(dropDefaults);
  if (!isMembers(schema)) return schema;
  const kept: Record<string, FormValue> = {};
  for (const [keyword, rule] of Object.entries(schema as Members)) {
    if (keyword === 'default') continue;
    if (['const', 'enum', 'examples'].includes(keyword)) kept[keyword] = rule;
    else if (['properties', 'patternProperties', ...DEFINED].includes(keyword) && isMembers(rule)) {
      const members = Object.entries(rule as Members).map(
        ([name, each]) => [name, dropDefaults(each)] as const,
      );
      kept[keyword] = Object.fromEntries(members);
    } else kept[keyword] = dropDefaults(rule);
  }
  return kept;
}

/** Returns a value without members that are what they would be anyway. */
function dropSame(value: FormValue | undefined, usual: Members): FormValue | undefined {
  if (!isMembers(value)) return value;
  const own = Object.entries(value as Members).filter(
    ([name, each]) => !(Object.hasOwn(usual, name) && deepEquals(each, usual[name])),
  );
  return Object.fromEntries(own);
}

function omitEmpty(value: Readonly<Record<string, FormValue | undefined>>): Members {
  const isEmpty = (each: FormValue | undefined): boolean =>
    each === undefined || (typeof each === 'object' && each !== null && Object.keys(each).length === 0);
  return Object.fromEntries(Object.entries(value).filter(([, each]) => !isEmpty(each))) as Members;
}

const emptyToNothing = (value: FormValue | undefined): FormValue | undefined =>
  isMembers(value) && Object.keys(value).length === 0 ? undefined : value;
