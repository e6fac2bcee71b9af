/** The corpus of verdicts that the server's tests share: the same values are taken and refused here. */
import { describe, expect, it } from 'vitest';

import { type Json, type JsonObject, asObject, parseJson } from '@/api';
import corpus from '../../../../tests/corpus/schema_verdicts.json?raw';
import { toForm } from '../numbers';
import { Judge, type Schema } from './judge';
import { prepareFor } from './patterns';

const groups = (asObject(parseJson(corpus))?.['groups'] ?? []) as JsonObject[];

function expand(value: Json): Json {
  const repeated = asObject(value)?.['$repeat'];
  if (!Array.isArray(repeated)) return value;
  return (repeated[0] as string).repeat(repeated[1] as number);
}

describe('the console judges as the corpus says', () => {
  it('has groups', () => {
    expect(groups.length).toBeGreaterThan(150);
  });

  for (const group of groups) {
    it(group['name'] as string, async () => {
      const schema = toForm(group['schema'] ?? null) as Schema;
      await prepareFor(schema);
      const judge = new Judge(schema);
      for (const [kind, isValid] of [
        ['valid', true],
        ['invalid', false],
      ] as const) {
        for (const value of (group[kind] ?? []) as Json[]) {
          const { faults, undecided } = judge.judge(toForm(expand(value)));
          expect({ value, undecided, isValid: faults.length === 0 }).toEqual({
            value,
            undecided: null,
            isValid,
          });
        }
      }
    });
  }
});
