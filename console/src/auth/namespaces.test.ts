import { describe, expect, it } from 'vitest';
import { chooseNamespace } from './namespaces';

const found = (items: string[], mayListAll = false, isWhole = true) => ({ items, mayListAll, isWhole });

describe('the namespace of a page whose address names none', () => {
  it.each([
    [found(['a', 'b'], true), '', ''],
    [found(['a', 'b'], true), 'b', 'b'],
    [found(['a', 'b']), '', 'a'],
    [found(['a', 'b']), 'gone', 'a'],
    [found([], false, false), 'typed', 'typed'],
    [found([], false, false), '', null],
    [undefined, 'b', 'b'],
    [undefined, '', null],
  ])('of %j after %j is %j', (namespaces, last, chosen) => {
    expect(chooseNamespace(namespaces, last)).toBe(chosen);
  });
});
