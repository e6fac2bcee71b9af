/**
 * JSON in which no number loses a digit.
 *
 * A number that JavaScript can hold exactly is a `number`; any other one (`12345678901234567890`, `1e400`,
 * `0.10000000000000000001`) is a {@link LosslessNumber}, which keeps the text that was sent and is written as that.
 */
import { LosslessNumber, isLosslessNumber, parse, stringify } from 'lossless-json';

export { LosslessNumber, isLosslessNumber };

export type Json = null | boolean | number | LosslessNumber | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** Return the digits and the exponent of a JSON number, such that equal values have equal ones. */
function normalize(text: string): string {
  const found = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (found === null) return text;
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = found;
  const digits = (whole + fraction).replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  const power = BigInt(exponent) - BigInt(fraction.length) + BigInt(digits.length - significant.length);
  return `${sign}${significant}e${power.toString()}`;
}

/** Return whether a JavaScript number has exactly the value that the text of a JSON number says. */
export function isExact(text: string): boolean {
  const value = Number(text);
  return Number.isFinite(value) && normalize(String(value)) === normalize(text);
}

/** Return the value of a number's text: exact, whatever it takes. */
export function parseNumber(text: string): number | LosslessNumber {
  return isExact(text) ? Number(text) : new LosslessNumber(text);
}

/** Return the value of a JSON text; raises `SyntaxError`. Doubled keys are refused. */
export function parseJson(text: string): Json {
  return parse(text, undefined, { parseNumber }) as Json;
}

/** What may be a number that JavaScript does not hold exactly: many digits, or an exponent. */
const MAYBE_INEXACT = /[:,[\s]-?(?:[\d.]{16}|\d[\d.]*[eE])/;

/**
 * Return the value of a text that the gateway sent, as {@link parseJson} does.
 *
 * Most answers hold no number of more than 15 digits; the browser's own parser reads these ten times as fast.
 */
export function parseAnswer(text: string): Json {
  return MAYBE_INEXACT.test(text) || /^-?\d/.test(text) ? parseJson(text) : (JSON.parse(text) as Json);
}

/** Like {@link parseJson}, and `1.0` stays `1.0`: every number that would be written otherwise keeps its text. */
export function parseVerbatim(text: string): Json {
  const keep = (number: string): number | LosslessNumber =>
    String(Number(number)) === number ? Number(number) : new LosslessNumber(number);
  return parse(text, undefined, { parseNumber: keep }) as Json;
}

/** Return the JSON text of a value, with all digits of its numbers. What is `undefined` is left out. */
export function writeJson(value: unknown, indent?: number): string {
  return stringify(value, undefined, indent) ?? 'null';
}

/** Return the value as an object, null where it is none. */
export function asObject(value: Json | undefined): JsonObject | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isLosslessNumber(value)
    ? value
    : null;
}
