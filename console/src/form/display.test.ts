import { describe, expect, it } from 'vitest';
import { orderMembers } from './display';

const SCHEMA = { properties: { a: {}, b: {}, c: {}, d: {} }, required: ['c', 'a'] };

describe('the fields of an object', () => {
  // The command line's has the same cases: tests/unit/cli/test_prompting.py.
  it.each([
    [[], undefined, ['c', 'a', 'b', 'd']],
    [[], ['d', 'b'], ['d', 'b', 'c', 'a']],
    [['b'], ['d', 'c'], ['b', 'd', 'c', 'a']],
    [['*', 'c'], ['d'], ['d', 'a', 'b', 'c']],
    [['b', '*', 'a', 'b', 'gone'], undefined, ['b', 'c', 'd', 'a']],
    [['gone', 'a'], 'b', ['a', 'c', 'b', 'd']],
    [[], ['*', 'a'], ['c', 'b', 'd', 'a']],
  ])('with the hints %j and the order %j are drawn as %j', (hinted, order, drawn) => {
    expect(orderMembers({ ...SCHEMA, 'x-order': order }, hinted)).toEqual(drawn);
  });

  it('are none of a schema without members', () => {
    expect(orderMembers({ type: 'string' }, ['a'])).toBeNull();
  });
});
