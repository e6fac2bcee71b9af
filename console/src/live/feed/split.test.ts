import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitGrowing } from './split';

describe('a growing text', () => {
  it('is split between paragraphs, never within code or a list', () => {
    const text = 'One.\n\nTwo.\n\n```py\na\n\nb\n```\n\nThree\n\n- a\n\n- b\n\nFour';
    expect(splitGrowing(text)).toEqual([
      'One.\n\n',
      'Two.\n\n',
      '```py\na\n\nb\n```\n\n',
      'Three\n\n- a\n\n- b\n\n',
      'Four',
    ]);
  });

  it('loses nothing, and what is finished stays as it is', () => {
    const line = fc.constantFrom(
      '',
      'word',
      '```',
      '- item',
      '> quote',
      '~~~~',
      '    code',
      '1. one',
      '|a|b|',
    );
    fc.assert(
      fc.property(fc.array(line), fc.array(line), (before, after) => {
        const first = [...before, ''].join('\n');
        const parts = splitGrowing(first);
        const grown = splitGrowing(first + after.join('\n'));
        expect(parts.join('')).toBe(first);
        expect(grown.slice(0, parts.length - 1)).toEqual(parts.slice(0, -1));
      }),
    );
  });
});
