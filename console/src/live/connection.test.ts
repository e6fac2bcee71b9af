import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LONGEST_PAUSE_MS, computePause } from '@/lib/backoff';
import { type Connection, type Effect, type Happening, MOST_BROKEN, advance, begin } from './connection';
import { aMessage } from './testing';

/** Returns the connection after everything happened, with all effects. */
function run(
  happenings: readonly ((now: Connection) => Happening)[],
  from = begin(),
): [Connection, Effect[]] {
  let now = from;
  const effects: Effect[] = [];
  for (const each of happenings) {
    const step = advance(now, each(now));
    now = step.connection;
    effects.push(...step.effects);
  }
  return [now, effects];
}

const start = (): Happening => ({ kind: 'start' });
const opened = (now: Connection): Happening => ({ kind: 'opened', attempt: now.attempt });
const due = (now: Connection): Happening => ({ kind: 'due', attempt: now.attempt });
const lost =
  (about: { code?: number; status?: number; retryAfterSeconds?: number; chance?: number } = {}) =>
  (now: Connection): Happening => ({ kind: 'lost', attempt: now.attempt, chance: 1, ...about });
const says =
  (seq: number, prev = seq - 1) =>
  (now: Connection): Happening => ({
    kind: 'message',
    attempt: now.attempt,
    message: aMessage({ seq, prev, event: 'custom' }),
  });
const final = (): Happening => ({ kind: 'final' });
const rest =
  (...seqs: number[]) =>
  (now: Connection): Happening => ({
    kind: 'rest',
    attempt: now.attempt,
    messages: seqs.map((seq) => aMessage({ seq, event: 'custom' })),
  });

const kinds = (effects: readonly Effect[]) => effects.map((each) => each.do);
const delivered = (effects: readonly Effect[]) =>
  effects.flatMap((each) => (each.do === 'deliver' ? [each.message.seq] : []));

describe('the states of a connection', () => {
  it('is connecting, connected, disconnected, connecting again', () => {
    const phases: string[] = [];
    let now = begin();
    for (const each of [start, opened, lost(), due, opened]) {
      now = advance(now, each(now)).connection;
      phases.push(now.phase);
    }
    expect(phases).toEqual(['connecting', 'connected', 'disconnected', 'connecting', 'connected']);
  });

  it('comes back with the number of the last message', () => {
    const [, effects] = run([start, opened, says(1), says(2), lost(), due]);
    expect(effects.at(-1)).toEqual({ do: 'connect', attempt: 3, after: 2 });
  });

  it('is not connected before the stream has opened', () => {
    const [now, effects] = run([start, says(1)]);
    expect(now.phase).toBe('connecting');
    expect(delivered(effects)).toEqual([]);
  });

  it('ignores what an older connection still brings', () => {
    const [now] = run([start, opened, says(1), lost(), due]);
    const stale: Happening = { kind: 'message', attempt: 1, message: aMessage({ seq: 2, event: 'custom' }) };
    expect(advance(now, stale)).toEqual({ connection: now, effects: [] });
  });

  it('tries at once when the network is back', () => {
    const [now, effects] = run([start, opened, lost(), () => ({ kind: 'nudge' })]);
    expect(now.phase).toBe('connecting');
    expect(kinds(effects).at(-1)).toBe('connect');
  });
});

describe('how it ends', () => {
  it.each([
    [{ code: 4403 }, 'forbidden'],
    [{ code: 4404 }, 'gone'],
    [{ status: 401 }, 'signed-out'],
    [{ status: 403 }, 'forbidden'],
    [{ status: 404 }, 'gone'],
    [{ status: 410 }, 'gone'],
  ] as const)('%j closes it: %s', (about, cause) => {
    const [now, effects] = run([start, opened, lost(about)]);
    expect(now).toMatchObject({ phase: 'closed', cause, pauseMs: null });
    expect(kinds(effects)).toEqual(['connect', 'hangUp']);
  });

  it.each([
    {},
    { code: 1006 },
    { code: 1011 },
    { code: 1012 },
    { code: 4008 },
    { status: 503 },
    { status: 500 },
    { status: 429 },
  ])('%j is followed by another attempt', (about) => {
    const [now, effects] = run([start, opened, lost(about), due]);
    expect(now.phase).toBe('connecting');
    expect(kinds(effects)).toEqual(['connect', 'hangUp', 'pause', 'connect']);
  });

  it('asks for another ticket at once after 4401, and only once without a message between', () => {
    const [now, effects] = run([start, opened, lost({ code: 4401 })]);
    expect(now.phase).toBe('connecting');
    expect(kinds(effects)).toEqual(['connect', 'hangUp', 'connect']);
    const [again] = run([opened, lost({ code: 4401 })], now);
    expect(again.phase).toBe('disconnected');
    const [after] = run([opened, says(1), lost({ code: 4401 })], now);
    expect(after.phase).toBe('connecting');
  });

  it('opens again after a new sign-in, and after no other end', () => {
    const nudge = (): Happening => ({ kind: 'nudge' });
    expect(run([start, opened, lost({ status: 401 }), nudge])[0].phase).toBe('connecting');
    expect(run([start, opened, lost({ code: 4404 }), nudge])[0].phase).toBe('closed');
  });

  it('reads what is left of a session that is final, page by page, then nothing more', () => {
    const [now, effects] = run([start, opened, says(1), final, rest(2, 3), rest(4), rest()]);
    expect(now).toMatchObject({ phase: 'closed', cause: 'ended', after: 4 });
    expect(delivered(effects)).toEqual([1, 2, 3, 4]);
    const later = run([due, () => ({ kind: 'nudge' }), final, lost(), start], now);
    expect(later).toEqual([now, []]);
  });

  it('reads the rest again where that failed, also of one that was disconnected', () => {
    const [now, effects] = run([start, opened, lost(), final, lost({ status: 503 }), due, rest(1), rest()]);
    expect(now).toMatchObject({ phase: 'closed', cause: 'ended' });
    expect(kinds(effects)).not.toContain('gap');
    expect(delivered(effects)).toEqual([1]);
  });
});

describe('pauses', () => {
  it('double to 30 seconds, and no pause is longer', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 8, 100].map((failures) => computePause(failures, 1))).toEqual([
      500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000,
    ]);
  });

  it('are a random share of that (full jitter)', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (failures, chance) => {
          const longest = Math.min(500 * 2 ** Math.min(failures - 1, 30), LONGEST_PAUSE_MS);
          expect(computePause(failures, chance)).toBe(Math.round(longest * chance));
        },
      ),
    );
  });

  it('are never shorter than the server asks for', () => {
    const [now] = run([start, lost({ status: 429, retryAfterSeconds: 7, chance: 0 })]);
    expect(now).toMatchObject({ pauseMs: 7000, cause: 'busy' });
  });

  it('begin anew after a message, not after a connection that only opened', () => {
    const [failing] = run([start, lost(), due, lost(), due, opened, lost()]);
    expect(failing.pauseMs).toBe(2000);
    const [better] = run([start, lost(), due, lost(), due, opened, says(1), lost()]);
    expect(better.pauseMs).toBe(500);
  });
});

describe('which messages are let through', () => {
  it('drops what came before', () => {
    expect(delivered(run([start, opened, says(1), says(2), says(1), says(2), says(3)])[1])).toEqual([
      1, 2, 3,
    ]);
  });

  it('takes a message that stands for several', () => {
    expect(delivered(run([start, opened, says(1), says(9, 0)])[1])).toEqual([1, 9]);
  });

  it('asks again for what was left out, and shows a gap where it never comes', () => {
    const [first, effects] = run([start, opened, says(1), says(4)]);
    expect(kinds(effects)).toEqual(['connect', 'deliver', 'hangUp', 'connect']);
    let now = first;
    for (let again = 1; again < MOST_BROKEN; again += 1) now = run([opened, says(4)], now)[0];
    const [after, shown] = run([opened, says(4)], now);
    expect(shown).toMatchObject([{ do: 'gap', first: 2, last: 3 }, { do: 'deliver' }]);
    expect(after).toMatchObject({ after: 4, phase: 'connected' });
  });
});

describe('whatever the network does', () => {
  it('delivers every message once and in order, or a gap for it, and never pauses over 30 s', () => {
    const losses = fc.array(
      fc.record({
        // How many messages come before the loss, how far back the server begins again, what ends the connection.
        messages: fc.nat(12),
        repeats: fc.nat(5),
        skips: fc.boolean(),
        code: fc.constantFrom(undefined, 1006, 1011, 1012, 4008, 4401),
        opens: fc.boolean(),
        chance: fc.double({ min: 0, max: 1, noNaN: true }),
        stale: fc.boolean(),
      }),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        losses,
        fc.uniqueArray(fc.integer({ min: 2, max: 59 })),
        (size, all, gone) => {
          // The log: numbers that are no longer kept are in the message that stands in their place.
          const log = buildLog(size, new Set(gone.filter((seq) => seq < size)));
          let now = begin();
          const effects: Effect[] = [];
          const happen = (happening: Happening): void => {
            const before = now;
            const step = advance(now, happening);
            now = step.connection;
            effects.push(...step.effects);
            if (before.phase === 'closed') expect(step.effects).toEqual([]);
          };
          happen({ kind: 'start' });
          for (const each of all) {
            if (each.stale)
              happen({
                kind: 'message',
                attempt: now.attempt - 1,
                message: aMessage({ seq: size, event: 'custom' }),
              });
            if (each.opens) {
              happen({ kind: 'opened', attempt: now.attempt });
              const { attempt } = now;
              const from = log.findIndex((message) => (message.seq ?? 0) > now.after);
              const first = Math.max(0, (from < 0 ? log.length : from) - each.repeats);
              log.slice(first, first + each.messages).forEach((message, place) => {
                if (each.skips && place === 1) return;
                happen({ kind: 'message', attempt, message });
              });
            }
            const code = each.code;
            happen({
              kind: 'lost',
              attempt: now.attempt,
              chance: each.chance,
              ...(code === undefined ? {} : { code }),
            });
            if (now.phase === 'disconnected') happen({ kind: 'due', attempt: now.attempt });
          }
          happen({ kind: 'final' });
          while (now.phase !== 'closed') {
            const page = log.filter((message) => (message.seq ?? 0) > now.after).slice(0, 7);
            happen({ kind: 'rest', attempt: now.attempt, messages: page });
          }
          const seen = effects.flatMap((effect): string[] => {
            if (effect.do === 'deliver') return [String(effect.message.seq)];
            return effect.do === 'gap' ? [`${String(effect.first)}-${String(effect.last)}`] : [];
          });
          expect(covers(effects, log)).toBe(true);
          expect(new Set(seen).size).toBe(seen.length);
          for (const effect of effects)
            if (effect.do === 'pause') expect(effect.ms).toBeLessThanOrEqual(LONGEST_PAUSE_MS);
          expect(now.after).toBe(size);
        },
      ),
      { numRuns: 500 },
    );
  });
});

function buildLog(size: number, gone: ReadonlySet<number>) {
  const log = [];
  let prev = 0;
  for (let seq = 1; seq <= size; seq += 1) {
    if (gone.has(seq)) continue;
    if (seq > prev + 1) {
      log.push(
        aMessage({ seq: seq - 1, prev, event: '', type: 'gap', data: { from: prev + 1, to: seq - 1 } }),
      );
      prev = seq - 1;
    }
    log.push(aMessage({ seq, prev, event: 'custom' }));
    prev = seq;
  }
  return log;
}

/** Whether what was delivered is the log: each message once, in order, or a gap exactly in its place. */
function covers(effects: readonly Effect[], log: readonly { seq: number | null }[]): boolean {
  const left = log.map((message) => message.seq ?? 0);
  let after = 0;
  for (const effect of effects) {
    if (effect.do === 'deliver') {
      if (effect.message.seq !== left.shift()) return false;
      after = effect.message.seq ?? after;
    } else if (effect.do === 'gap') {
      if (effect.first !== after + 1) return false;
      while (left.length > 0 && (left[0] ?? 0) <= effect.last) left.shift();
      after = effect.last;
    }
  }
  return left.length === 0;
}
