/** Between JSON without loss, as the api has it, and the values of a form: `number`, and `bigint` beyond 2⁵³. */
import { isLosslessNumber, type Json } from '@/api';

export type FormValue =
  null | boolean | number | bigint | string | FormValue[] | { [name: string]: FormValue };

/** Returns the form's value of a JSON value. A number that is none here (`1e400`, `1e-400`) becomes one that no part stores. */
export function toForm(value: Json): FormValue {
  if (isLosslessNumber(value)) return readNumber(value.value);
  if (Array.isArray(value)) return value.map(toForm);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, toForm(each)]));
}

/** Returns the value of a JSON number's text; a decimal becomes the double that the cluster keeps of it. */
export function readNumber(text: string): number | bigint {
  if (/^-?\d+$/.test(text)) {
    const whole = Number(text);
    return Number.isSafeInteger(whole) ? whole : BigInt(text);
  }
  const value = Number(text);
  return value === 0 && /[1-9]/.test(text.toLowerCase().split('e')[0] ?? '') ? Number.NaN : value;
}
