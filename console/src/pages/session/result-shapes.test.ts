import { describe, expect, it } from 'vitest';
import { parseVerbatim, writeJson } from '@/api';
import { findImage, readTable } from './result-shapes';

describe('the shape of a result', () => {
  it('is a table where it is a list of objects', () => {
    const table = readTable([{ a: 1 }, { b: 'x', a: 2 }]);
    expect(table?.columns).toEqual(['a', 'b']);
    expect(table?.rows).toHaveLength(2);
  });

  it.each([[[]], [[1, 2]], [[{ a: 1 }, 2]], [{ a: 1 }], [[{}]], ['text'], [null]])(
    'is no table for %j',
    (value) => {
      expect(readTable(value)).toBeNull();
    },
  );

  it('keeps each digit in its cells', () => {
    const table = readTable(parseVerbatim('[{"amount": 12345678901234567890.10}]'));
    expect(writeJson(table?.rows[0]?.['amount'])).toBe('12345678901234567890.10');
  });

  it('is an image by its own bytes alone, and never SVG', () => {
    expect(findImage('data:image/png;base64,iVBORw0KGgo=')).toEqual({
      type: 'image/png',
      base64: 'iVBORw0KGgo=',
    });
    expect(findImage({ type: 'image', mime_type: 'image/jpeg', data: 'AAAA' })).toEqual({
      type: 'image/jpeg',
      base64: 'AAAA',
    });
    for (const value of [
      'data:image/svg+xml;base64,PHN2Zz4=',
      'https://example.org/a.png',
      'data:text/html;base64,AAAA',
      { mime_type: 'image/svg+xml', data: 'AAAA' },
      { mime_type: 'image/png', url: 'https://example.org/a.png' },
    ]) {
      expect(findImage(value)).toBeNull();
    }
  });
});
