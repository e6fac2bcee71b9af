import { describe, expect, it } from 'vitest';

import type { JsonObject } from '@/api';
import { readConfigRules, readContextRules } from './settings';

const SCHEMA: JsonObject = {
  title: 'Context',
  type: 'object',
  properties: {
    user: { type: 'string' },
    model: { type: 'string', default: 'small' },
    deep: { $ref: '#/$defs/Deep' },
    default: { type: 'boolean', default: true },
  },
  required: ['user'],
  $defs: { Deep: { type: 'object', properties: { a: { type: 'string', default: 'x' } } } },
  'x-graph-accepts': {
    type: 'object',
    properties: { user: {}, model: {}, deep: {}, default: {} },
    required: ['user'],
    additionalProperties: false,
  },
};
const define = (defaults: JsonObject = {}): JsonObject => ({ spec: { defaults } });

describe('a context', () => {
  const rules = readContextRules(SCHEMA, define());
  const given = readContextRules(SCHEMA, define({ context: { user: 'ann', model: 'large' } }));

  it('begins with what holds anyway, the definition before the graph', () => {
    expect(given.schema).toMatchObject({
      properties: { user: { default: 'ann' }, model: { default: 'large' } },
    });
    expect(given.schema).not.toHaveProperty('required');
    expect([rules.isNeeded, given.isNeeded]).toEqual([true, false]);
    expect(rules.schema).toMatchObject({ required: ['user'] });
  });

  it.each([
    [{ user: 'ann', model: 'large' }, undefined],
    [{ user: 'ann', model: 'small' }, { model: 'small' }],
    [{ user: null, default: true }, { user: null }],
    [undefined, undefined],
    [{}, undefined],
    [7, 7],
  ])('%j is sent as %j', (value, sent) => {
    expect(given.trim(value)).toEqual(sent);
  });

  it.each([
    ['needs what nobody gives', undefined, undefined, ['/user']],
    ['takes what it knows alone', { user: 'a', 'x/y': 1 }, undefined, ['/x~1y']],
    ['may be read from the config where there is none', undefined, { configurable: { user: 'a' } }, []],
    ['is needed whole where some of it is given', { model: 'm' }, { configurable: { user: 'a' } }, ['/user']],
  ])('%s', (_, context, config, pointers) => {
    expect(rules.check(context, config).map(({ pointer }) => pointer)).toEqual(pointers);
  });

  it('takes any JSON where nothing is known of it', () => {
    const free = readContextRules(null, define());
    expect([free.schema, free.check({ a: 1 }, undefined)]).toEqual([null, []]);
  });
});

describe('a config', () => {
  const rules = readConfigRules(
    SCHEMA,
    define({ config: { configurable: { user: 'ann' }, recursion_limit: 50 } }),
  );

  it('has the definitions of its schema, and of defaults those of the definition alone', () => {
    expect(rules.schema).toMatchObject({
      $defs: { Deep: { properties: { a: { type: 'string' } } } },
      properties: { recursion_limit: { default: 50 } },
    });
    const text = JSON.stringify(rules.schema);
    expect(text).not.toContain('small');
    expect(text).not.toContain('"default":"x"');
    expect(text).toContain('"default":{"type":"boolean"}');
    expect(text).toContain('"default":"ann"');
  });

  it.each([
    [{ configurable: { user: 'ann' }, recursion_limit: 50 }, undefined],
    [
      { configurable: { user: 'bob' }, recursion_limit: 51 },
      { configurable: { user: 'bob' }, recursion_limit: 51 },
    ],
    [{ configurable: {}, tags: [], metadata: undefined }, undefined],
    [
      { tags: ['nightly'], metadata: { team: 'red' } },
      { tags: ['nightly'], metadata: { team: 'red' } },
    ],
    [{ configurable: { model: 'small' } }, { configurable: { model: 'small' } }],
  ])('%j is sent as %j', (value, sent) => {
    expect(rules.trim(value as never)).toEqual(sent);
  });
});
