/**
 * Patterns of schemas, in JavaScript's language, with a bound on their work.
 *
 * The server runs them on an engine that is linear in the text. A browser's backtracks: `^(a+)+$` on thirty letters holds
 * up a page for minutes. So the most that a pattern can cost on a text is estimated first, and what may cost too much is
 * left to the server.
 */
import { Part } from '@/lib/part';
import { Undecided } from './undecided';

export interface Pattern {
  /** Returns whether the pattern matches somewhere in a text; throws `Undecided` where finding out may take too long. */
  test(text: string): boolean;
}

/** Steps that one test may cost at most, by the estimate: a few tens of milliseconds. */
const MAX_STEPS = 5_000_000;
const MAX_KNOWN = 500;
const KNOWN = new Map<string, Pattern>();

/** Returns a pattern. One that a browser does not read as the server does is undecided on each text. */
export function compilePattern(source: string): Pattern {
  let known = KNOWN.get(source);
  if (known === undefined) {
    if (KNOWN.size >= MAX_KNOWN) KNOWN.clear();
    known = new BoundedPattern(source);
    KNOWN.set(source, known);
  }
  return known;
}

/** Returns a test that is linear in the text; undefined for a pattern that needs to backtrack. */
type Linear = (source: string) => ((text: string) => boolean) | undefined;
let linear: Linear | undefined;
const engine = new Part(() => import('./linear'));

/** Loads the engine for patterns that could take too long here, if a schema has any; call it before the first check.
 *
 * Where it cannot be fetched, what needs it stays undecided: the server judges it.
 */
export async function prepareFor(schema: unknown): Promise<void> {
  if (linear !== undefined || !hasCostlyPattern(schema)) return;
  await engine.load();
  linear = engine.read().value?.compileLinear;
}

function hasCostlyPattern(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasCostlyPattern);
  if (typeof value !== 'object' || value === null) return false;
  const members = value as Record<string, unknown>;
  const selecting = members.patternProperties;
  const sources = [
    members.pattern,
    ...(typeof selecting === 'object' && selecting !== null ? Object.keys(selecting) : []),
  ];
  return (
    sources.some((each) => typeof each === 'string' && isCostly(each)) ||
    Object.values(members).some(hasCostlyPattern)
  );
}

function isCostly(source: string): boolean {
  const { isNested, loops } = readPattern(source).cost;
  return isNested || loops > 1;
}

class BoundedPattern implements Pattern {
  private readonly expression: RegExp | null;
  private readonly cost: Cost;
  private readonly hasBoundary: boolean;
  private readonly source: string;

  constructor(source: string) {
    this.source = source;
    this.hasBoundary = /\\[bB]/.test(source);
    const { text, cost } = readPattern(source);
    this.cost = cost;
    this.expression = compileOrNull(text);
  }

  test(text: string): boolean {
    if (this.expression === null) throw new Undecided("a pattern is not written in JavaScript's language");
    // The server's word boundaries know all letters, JavaScript's those of ASCII.
    if (this.hasBoundary && /[^\0-\x7f]/.test(text))
      throw new Undecided('a pattern looks for words beyond ASCII');
    if (this.costs(text) <= MAX_STEPS) return this.expression.test(text);
    const other = linear?.(this.source);
    if (other === undefined) throw new Undecided('a pattern may take too long on a text of this length');
    return other(text);
  }

  private costs(text: string): number {
    const { isNested, loops, isAnchored } = this.cost;
    // Each loop may end at each place, and a pattern without an anchor begins at each. Nested loops double.
    const tries = loops + (isAnchored ? 0 : 1);
    return isNested ? 2 ** Math.min(text.length, 60) : text.length ** Math.max(tries, 1);
  }
}

function compileOrNull(text: string | null): RegExp | null {
  if (text === null) return null;
  try {
    return new RegExp(text, 'u');
  } catch {
    return null;
  }
}

interface Cost {
  /** Whether a loop stands in a loop, or alternatives do, so that a text may be split in exponentially many ways. */
  readonly isNested: boolean;
  /** Loops that have no small bound. */
  readonly loops: number;
  readonly isAnchored: boolean;
}

const SYNTAX = new Set('^$\\.*+?()[]{}|/');
const SMALL_BOUND = 32;

/**
 * Returns a pattern as JavaScript's `u` flag takes it, and what it may cost.
 *
 * The server's engine takes an escape before any punctuation, and a lone `]` or `}`; `\<` and `\>` are bounds of words
 * to it, for which there is no text here.
 */
export function readPattern(source: string): { text: string | null; cost: Cost } {
  const characters = [...source];
  const groups: { hasLoop: boolean; hasAlternatives: boolean }[] = [
    { hasLoop: false, hasAlternatives: false },
  ];
  let [text, loops, isNested, isInClass, isOther, closed] = [
    '',
    0,
    false,
    false,
    false,
    null as (typeof groups)[0] | null,
  ];
  for (let at = 0; at < characters.length; at += 1) {
    const character = characters[at] ?? '';
    const group = groups[groups.length - 1] ?? { hasLoop: false, hasAlternatives: false };
    const before = closed;
    closed = null;
    if (character === '\\') {
      const next = characters[at + 1] ?? '';
      at += 1;
      const braced = /^[pPu]\{[^}]*\}/.exec(characters.slice(at).join(''));
      if (braced !== null) {
        text += `\\${braced[0]}`;
        at += braced[0].length - 1;
        continue;
      }
      const isLiteral = /[!-/:-@[-`{-~ ]/.test(next) && !SYNTAX.has(next) && !(isInClass && next === '-');
      isOther ||= isLiteral && /[<>]/.test(next);
      text += isLiteral ? next : `\\${next}`;
    } else if (isInClass) {
      if (character === ']') isInClass = false;
      text += character === '[' ? '\\[' : character;
    } else if (character === '[') {
      isInClass = true;
      text += character;
      if (characters[at + 1] === '^') text += characters[(at += 1)] ?? '';
    } else if (character === '(') {
      groups.push({ hasLoop: false, hasAlternatives: false });
      text += character;
    } else if (character === ')') {
      closed = groups.length > 1 ? (groups.pop() ?? null) : null;
      const outer = groups[groups.length - 1];
      if (outer !== undefined && closed !== null) {
        outer.hasLoop ||= closed.hasLoop;
        outer.hasAlternatives ||= closed.hasAlternatives;
      }
      text += character;
    } else if (character === '|') {
      group.hasAlternatives = true;
      text += character;
    } else {
      const counted = character === '{' ? /^\{(\d+)(,?)(\d*)\}/.exec(characters.slice(at).join('')) : null;
      const isLoop = character === '*' || character === '+' || counted !== null;
      if (isLoop) {
        const most =
          counted === null
            ? Infinity
            : counted[2] === '' || counted[3] !== ''
              ? Number(counted[3] || counted[1])
              : Infinity;
        if (most > 1) {
          if (before !== null && (before.hasLoop || before.hasAlternatives)) isNested = true;
          group.hasLoop = true;
        }
        if (most > SMALL_BOUND) loops += 1;
      }
      if (counted !== null) {
        text += counted[0];
        at += counted[0].length - 1;
      } else text += character === '}' || character === ']' ? `\\${character}` : character;
    }
  }
  const isAnchored = source.startsWith('^') && !groups[0]?.hasAlternatives;
  return { text: isOther ? null : text, cost: { isNested, loops, isAnchored } };
}
