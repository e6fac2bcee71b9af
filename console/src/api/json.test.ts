import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LosslessNumber, isExact, parseAnswer, parseJson, parseVerbatim, writeJson } from './json';

describe('JSON without loss', () => {
  it.each(['12345678901234567890', '1e400', '-1e-400', '0.10000000000000000001', '9007199254740993'])(
    'keeps every digit of %s',
    (text) => {
      expect(isExact(text)).toBe(false);
      expect(parseJson(text)).toEqual(new LosslessNumber(text));
      expect(writeJson({ at: parseJson(text) })).toBe(`{"at":${text}}`);
    },
  );

  it.each([
    ['1.0', 1],
    ['1e2', 100],
    ['0.1', 0.1],
    ['-0.0', -0],
    ['1e21', 1e21],
  ])('takes %s as a number of JavaScript', (text, value) => {
    expect(parseJson(text)).toEqual(value);
  });

  it('keeps the text of a number where that is asked for', () => {
    expect(writeJson(parseVerbatim('[1.0,1,1e2,-0]'))).toBe('[1.0,1,1e2,-0]');
  });

  it('refuses doubled keys', () => {
    expect(() => parseJson('{"a":1,"a":2}')).toThrow(SyntaxError);
  });

  it('reads what it writes, of any JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        expect(JSON.parse(writeJson(parseJson(JSON.stringify(value))))).toEqual(
          JSON.parse(JSON.stringify(value)),
        );
      }),
    );
  });

  it('reads an answer as any other text, whichever parser takes it', () => {
    const digits = fc.stringMatching(/^-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?$/);
    const text = fc.oneof(
      digits,
      digits.map((each) => `{"a": ${each}, "b":[${each}]}`),
      fc.json(),
    );
    fc.assert(
      fc.property(text, (each) => {
        expect(writeJson(parseAnswer(each))).toBe(writeJson(parseJson(each)));
      }),
    );
    expect(parseAnswer('{"a":9007199254740993}')).toEqual({ a: new LosslessNumber('9007199254740993') });
  });
});
