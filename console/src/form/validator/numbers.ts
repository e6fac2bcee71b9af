/**
 * Numbers without loss: integers beyond 2⁵³ are `bigint`, all others are `number`.
 *
 * The server compares integers exactly and decimals as the doubles that they are; so does this module.
 */

export type Numeric = number | bigint;

export function isNumeric(value: unknown): value is Numeric {
  return typeof value === 'number' || typeof value === 'bigint';
}

export function isWhole(value: Numeric): boolean {
  return typeof value === 'bigint' || Number.isInteger(value);
}

/** Returns a negative number, zero or a positive number; JavaScript compares the two kinds by their exact values. */
export function compareNumbers(left: Numeric, right: Numeric): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** A fraction as `numerator / 10^digits`, from the shortest decimal text of a double. */
function toDecimal(value: Numeric): { digits: bigint; scale: number } {
  if (typeof value === 'bigint') return { digits: value, scale: 0 };
  const [mantissa = '0', exponent = '0'] = String(value).toLowerCase().split('e');
  const [whole = '0', fraction = ''] = mantissa.split('.');
  const scale = fraction.length - Number(exponent);
  const digits = BigInt(whole + fraction);
  return scale < 0 ? { digits: digits * 10n ** BigInt(-scale), scale: 0 } : { digits, scale };
}

/** Returns whether `value` is `divisor` times an integer, in decimal arithmetic: 0.3 is a multiple of 0.1. */
export function isMultiple(value: Numeric, divisor: Numeric): boolean {
  const left = toDecimal(value);
  const right = toDecimal(divisor);
  const scale = Math.max(left.scale, right.scale);
  const by = right.digits * 10n ** BigInt(scale - right.scale);
  return by !== 0n && (left.digits * 10n ** BigInt(scale - left.scale)) % by === 0n;
}

/** Returns whether two JSON values are the same; `1`, `1.0` and `1n` are, the order of members is none. */
export function isSameJson(left: unknown, right: unknown): boolean {
  if (isNumeric(left) && isNumeric(right)) return compareNumbers(left, right) === 0;
  if (left === null || right === null || typeof left !== 'object' || typeof right !== 'object')
    return left === right;
  if (Array.isArray(left) || Array.isArray(right)) {
    if (!Array.isArray(left) || !Array.isArray(right) || left.length !== right.length) return false;
    return left.every((each, index) => isSameJson(each, right[index]));
  }
  const names = Object.keys(left);
  if (names.length !== Object.keys(right).length) return false;
  const other: Record<string, unknown> = right as Record<string, unknown>;
  return names.every(
    (name) => Object.hasOwn(other, name) && isSameJson((left as Record<string, unknown>)[name], other[name]),
  );
}
