/** The dialects of json-schema-library, with the keywords of `keywords.ts` in place of its own. */
import {
  compileSchema,
  draft04,
  draft06,
  draft07,
  draft2019,
  draft2020,
  extendDraft,
} from 'json-schema-library';
import type { Draft, SchemaNode } from 'json-schema-library';

import * as ours from './keywords';
import * as objects from './objects';
import * as unions from './unions';

const REPLACED = [
  ours.TYPE,
  ours.MINIMUM,
  ours.MAXIMUM,
  ours.EXCLUSIVE_MINIMUM,
  ours.EXCLUSIVE_MAXIMUM,
  ours.MULTIPLE_OF,
  ours.ENUM,
  ours.CONST,
  ours.UNIQUE_ITEMS,
  ours.PATTERN,
  objects.PROPERTIES,
  objects.PATTERN_PROPERTIES,
  objects.ADDITIONAL_PROPERTIES,
  objects.REQUIRED,
  objects.DEPENDENT_REQUIRED,
  objects.DEPENDENT_SCHEMAS,
  objects.DEPENDENCIES,
  objects.CONTAINS,
  objects.UNEVALUATED_PROPERTIES,
  objects.UNEVALUATED_ITEMS,
  objects.PROPERTY_NAMES,
  unions.ANY_OF,
  unions.ONE_OF,
];

function adapt(draft: Draft): Draft {
  const known = new Set(draft.keywords.map(({ keyword }) => keyword));
  // What it says of a deprecated value counts as a fault inside `anyOf`.
  const kept = draft.keywords.filter(({ keyword }) => keyword !== 'deprecated');
  const references = draft.keywords.filter(({ keyword }) => keyword === '$ref').map(ours.keepReferences);
  return extendDraft(
    { ...draft, keywords: kept },
    { keywords: [...REPLACED.filter(({ keyword }) => known.has(keyword)), ...references] },
  );
}

const DRAFTS = [draft04, draft06, draft07, draft2019, draft2020].map(adapt);

export function compile(schema: object | boolean): SchemaNode {
  return compileSchema(schema, { drafts: DRAFTS, formatAssertion: false });
}
