import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { showLine, showText } from './text';

describe('texts that people are shown', () => {
  it.each([
    ['pay \u202e 001', String.raw`pay \u202e 001`],
    ['zero\u200bwidth', String.raw`zero\u200bwidth`],
    ['\u001b[2J', String.raw`\u001b[2J`],
    ['tag \u{e0041}', String.raw`tag \U000e0041`],
    ['a\u200db', String.raw`a\u200db`],
    ['\ud800', String.raw`\ud800`],
  ])('write out what does not show in %j', (text, shown) => {
    expect(showText(text)).toBe(shown);
    expect(showText(shown)).toBe(shown);
  });

  it.each([
    'مرحبا بالعالم',
    'שלום עולם',
    'می\u200cخواهم',
    '👩\u200d💻 and 🏳\ufe0f\u200d🌈 and 👨\u200d👩\u200d👧',
    'two\nlines\tand a tab',
  ])('leave %j as it is', (text) => {
    expect(showText(text)).toBe(text);
  });

  it('take one line where one is asked for', () => {
    expect(showLine('a\nb\tc')).toBe('a b c');
  });

  it('show every character as the Python code does', () => {
    // `tests/unit/core/test_display.py` checks that this list is what `core/agentic_core/display.py` hides.
    const listed = new Set(
      readFileSync('src/lib/hidden-characters.txt', 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .flatMap((line) => {
          const [first = 0, last = first] = line.split('-').map((each) => parseInt(each, 16));
          return Array.from({ length: last - first + 1 }, (_, offset) => first + offset);
        }),
    );
    const differing: string[] = [];
    for (let number = 0; number <= 0x10ffff; number += 1) {
      const text = `a${String.fromCodePoint(number)}b`;
      if (number !== 0xd && (showText(text) !== text) !== listed.has(number))
        differing.push(number.toString(16));
    }
    expect(differing).toEqual([]);
  });
});
