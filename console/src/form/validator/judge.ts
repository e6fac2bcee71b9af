/**
 * Judges values by a schema as the server does: the same verdict, each fault with its pointer (decision 45).
 *
 * Synchronous, without `eval`: it works where the page's policy allows no code but its own.
 */
import { compileSchema } from 'json-schema-library';
import type { JsonError, SchemaNode } from 'json-schema-library';

import { formStrings as strings } from '@/strings/form';
import { compile } from './engine';
import { beginCount } from './keywords';
import { findUnstorable } from './limits';
import { isMembers } from './objects';
import { splitPointer } from './pointers';
import { Undecided } from './undecided';
import { word } from './words';

export type Schema = Record<string, unknown> | boolean;

/** One fault of a value; `pointer` (RFC 6901) leads into the value, to the place of what is missing too. */
export interface Fault {
  readonly pointer: string;
  readonly keyword: string;
  readonly message: string;
}

/** What is known of a value. `undecided` says why the server alone can tell; then no fault is certain. */
export interface Verdict {
  readonly faults: readonly Fault[];
  readonly undecided: string | null;
}

/** How the library names faults of the keywords that are its own. */
const KEYWORDS: Readonly<Record<string, string>> = {
  'invalid-data-error': 'false',
  'min-length-error': 'minLength',
  'min-length-one-error': 'minLength',
  'max-length-error': 'maxLength',
  'min-items-error': 'minItems',
  'min-items-one-error': 'minItems',
  'max-items-error': 'maxItems',
  'min-properties-error': 'minProperties',
  'max-properties-error': 'maxProperties',
  'additional-items-error': 'items',
  'not-error': 'not',
};

export class Judge {
  private readonly root: SchemaNode | null;
  private readonly refusal: string | null;
  private readonly parts = new Map<string, SchemaNode>();

  constructor(schema: Schema) {
    [this.root, this.refusal] = compileOr(schema);
  }

  /** Returns what is wrong with a value by the whole schema, and what no part could store. */
  judge(value: unknown): Verdict {
    const unstorable = findUnstorable(value);
    if (unstorable !== null) {
      const message = strings.limits[unstorable.fault];
      return { faults: [{ pointer: unstorable.pointer, keyword: '', message }], undecided: null };
    }
    if (this.root === null) return { faults: [], undecided: this.refusal };
    return this.check(this.root, value);
  }

  /** Returns whether a value fits a part of the schema, whose references lead into the whole; false if undecided. */
  fits(part: Schema, value: unknown): boolean {
    if (typeof part === 'boolean') return part;
    if (this.root === null) return false;
    const key = JSON.stringify(part, (_, each: unknown) => (typeof each === 'bigint' ? `${each}n` : each));
    let node = this.parts.get(key);
    if (node === undefined) {
      const { $id: _, ...rest } = part;
      node = this.root.compileSchema(rest, `#/parts/${this.parts.size}`, `#/parts/${this.parts.size}`);
      this.parts.set(key, node);
    }
    const verdict = this.check(node, value);
    return verdict.undecided === null && verdict.faults.length === 0;
  }

  private check(node: SchemaNode, value: unknown): Verdict {
    beginCount();
    try {
      const { errors } = node.validate(value, '#');
      if (errors.some(({ code }) => code === 'ref-error'))
        throw new Undecided('it refers to another document');
      return { faults: sortFaults(errors.map((each) => buildFault(each))), undecided: null };
    } catch (error) {
      if (error instanceof Undecided) return { faults: [], undecided: error.message };
      if (error instanceof RangeError) return { faults: [], undecided: 'it refers to itself without end' };
      throw error;
    }
  }
}

function compileOr(schema: Schema): [SchemaNode | null, string | null] {
  try {
    const node = compile(structuredClone(schema)) as ReturnType<typeof compileSchema>;
    const first = node.schemaErrors?.[0];
    return first === undefined ? [node, null] : [null, first.message];
  } catch (error) {
    if (error instanceof Error) return [null, error.message];
    throw error;
  }
}

function buildFault(error: JsonError): Fault {
  const data = error.data as { pointer: string; schema: unknown; value: unknown };
  const code = typeof error.code === 'string' ? error.code : '';
  const keyword = KEYWORDS[code] ?? code;
  const pointer = data.pointer.replace(/^#/, '');
  const schema = isMembers(data.schema) ? data.schema : {};
  const name = splitPointer(pointer).at(-1) ?? '';
  const own = findOwnMessage(schema, keyword, name);
  return {
    pointer,
    keyword: keyword === 'oneOf-several' ? 'oneOf' : keyword,
    message: own ?? word(keyword, schema, data.value),
  };
}

/**
 * Returns the author's words for a fault; undefined where there are none.
 *
 * `errorMessage` is a text for each fault of its schema, or an object of texts by keyword; under `required` also by name.
 */
function findOwnMessage(schema: Record<string, unknown>, keyword: string, name: string): string | undefined {
  const given = schema.errorMessage;
  if (keyword === 'required') return findMissingMessage(schema, name);
  if (typeof given === 'string') return given;
  if (!isMembers(given)) return undefined;
  const found = given[keyword === 'oneOf-several' ? 'oneOf' : keyword];
  return typeof found === 'string' ? found : undefined;
}

function findMissingMessage(schema: Record<string, unknown>, name: string): string | undefined {
  const given = isMembers(schema.errorMessage) ? schema.errorMessage.required : undefined;
  if (typeof given === 'string') return given;
  if (isMembers(given) && Object.hasOwn(given, name) && typeof given[name] === 'string') return given[name];
  const properties = isMembers(schema.properties) ? schema.properties : {};
  const missing = Object.hasOwn(properties, name) ? properties[name] : undefined;
  if (!isMembers(missing)) return undefined;
  const own = missing.errorMessage;
  if (typeof own === 'string') return own;
  return isMembers(own) && typeof own.required === 'string' ? own.required : undefined;
}

function sortFaults(faults: Fault[]): Fault[] {
  const known = new Map(faults.map((each) => [`${each.pointer}\n${each.message}`, each]));
  return [...known.values()];
}
