/** One value of a form: what is typed, how it is written, what is wrong with it here and by the server, and its draft. */
import { useCallback, useEffect, useMemo, useState } from 'react';

import type { Problem } from '@/api';
import { fillRequired, toDisplay } from './display';
import { dropDraft, keepDraft, readDraft } from './drafts';
import type { FormValue } from './numbers';
import { withoutSecrets } from './secrets';
import { type Fault, FormValidator, type Schema, prepareFor, withoutGaps } from './validator';
import { joinPointer, splitPointer } from './validator/pointers';

const DRAFT_MILLISECONDS = 250;
const KEEP_ALL = (value: FormValue | undefined): FormValue | undefined => value;
const NOTHING_MORE = (): readonly Fault[] => [];

export type Mode = 'form' | 'json' | 'yaml';

/** The source of a value: none of it changes while the form is shown, but for `check`. */
export interface ValueSource {
  /** What the form is drawn from; null where any value is taken. */
  readonly schema: FormValue;
  /** What refuses values, where that is not the schema that the form is drawn from. */
  readonly judging?: FormValue | undefined;
  readonly hints?: unknown;
  readonly initial?: FormValue | undefined;
  /** Under this name what is typed survives a reload. */
  readonly draft?: string | undefined;
  /** Where the value stands in the body that is sent, such as `/spec/inputs`. */
  readonly at: string;
  readonly idPrefix?: string | undefined;
  /** Returns what is sent of a value. */
  readonly trim?: ((value: FormValue | undefined) => FormValue | undefined) | undefined;
  /** Returns what is wrong beyond the schema with a value that would be sent. */
  readonly check?: ((value: FormValue | undefined) => readonly Fault[]) | undefined;
}

/** A fault that the server found, and the value that it found it in. */
interface Refusal extends Fault {
  readonly found: unknown;
}

export interface ValueState {
  readonly schema: FormValue;
  readonly hints: unknown;
  readonly idPrefix: string;
  readonly value: FormValue | undefined;
  /** What would be sent of it. */
  readonly sent: FormValue | undefined;
  readonly change: (value: FormValue | undefined) => void;
  readonly mode: Mode;
  readonly setMode: (mode: Mode) => void;
  /** Why the text that is written is no value; null where it is one. */
  readonly unread: string | null;
  readonly setUnread: (problem: string | null) => void;
  /** Another generation is another form: the library keeps values of its own. */
  readonly generation: number;
  readonly drawing: FormValidator;
  readonly isReady: boolean;
  readonly isKept: boolean;
  readonly faults: readonly Fault[];
  readonly isUndecided: boolean;
  /** Returns whether the value can be sent; from now on what is wrong is shown. */
  readonly judge: () => boolean;
  /** Takes the faults of a refusal that are about this value, and returns how many they are. */
  readonly takeRefusals: (problem: Problem) => number;
  readonly forgetRefusals: () => void;
  readonly dropDraft: () => void;
  readonly restart: () => void;
}

export function useValue(source: ValueSource): ValueState {
  const { schema, judging = schema, hints, initial, draft, at, idPrefix = 'input' } = source;
  const { trim = KEEP_ALL, check = NOTHING_MORE } = source;
  const [start] = useState(() => {
    const begun = fillRequired(initial, toDisplay(schema));
    const kept = draft === undefined ? null : readDraft(draft);
    return { initial: begun, value: kept ?? begun, isKept: kept !== null };
  });
  const [value, setValue] = useState<FormValue | undefined>(start.value);
  const [generation, setGeneration] = useState(0);
  const [isKept, setKept] = useState(start.isKept);
  const [mode, setMode] = useState<Mode>(schema === null ? 'json' : 'form');
  const [unread, setUnread] = useState<string | null>(null);
  const [isJudged, setJudged] = useState(false);
  const [refusals, setRefusals] = useState<readonly Refusal[]>([]);
  const isReady = usePrepared(judging);
  const validator = useMemo(() => new FormValidator((judging ?? true) as Schema), [judging]);
  // The one who draws asks which alternative a value fits: by the schema that is drawn.
  const drawing = useMemo(
    () => (judging === schema ? validator : new FormValidator((schema ?? true) as Schema)),
    [judging, schema, validator],
  );
  useDraft(draft, value, schema, hints, start.value);

  const whole = useMemo(() => withoutGaps(value) as FormValue | undefined, [value]);
  const sent = useMemo(() => trim(whole), [trim, whole]);
  const verdict = useMemo(
    () => (isReady && isJudged ? validator.judge.judge(whole ?? {}) : null),
    [isReady, isJudged, validator, whole],
  );
  const faults = useMemo(() => {
    const standing = refusals.filter(({ pointer, found }) => findAt(value, pointer) === found);
    return [...(verdict?.faults ?? []), ...(isJudged ? check(sent) : []), ...standing];
  }, [verdict, isJudged, check, sent, refusals, value]);
  const forgetRefusals = useCallback(() => setRefusals([]), []);

  return {
    schema,
    hints,
    idPrefix,
    value,
    sent,
    change: setValue,
    mode,
    setMode,
    unread,
    setUnread,
    generation,
    drawing,
    isReady,
    isKept,
    faults,
    isUndecided: verdict !== null && verdict.undecided !== null,
    judge: () => {
      setJudged(true);
      return (
        unread === null && validator.judge.judge(whole ?? {}).faults.length === 0 && check(sent).length === 0
      );
    },
    takeRefusals: (problem) => {
      const found = readRefusals(problem, at, value);
      setRefusals(found);
      return found.length;
    },
    forgetRefusals,
    dropDraft: () => {
      if (draft !== undefined) dropDraft(draft);
    },
    restart: () => {
      if (draft !== undefined) dropDraft(draft);
      setKept(false);
      setValue(start.initial);
      setGeneration((count) => count + 1);
      setUnread(null);
      setJudged(false);
      setRefusals([]);
    },
  };
}

/** Returns whether what a schema needs for its checks is loaded. */
function usePrepared(schema: FormValue): boolean {
  const [prepared, setPrepared] = useState<FormValue | undefined>(undefined);
  useEffect(() => {
    let isCurrent = true;
    void prepareFor(schema).then(() => {
      if (isCurrent) setPrepared(schema);
    });
    return () => {
      isCurrent = false;
    };
  }, [schema]);
  return prepared === schema;
}

/** Keeps what is typed, a moment after the last key and when the page goes. */
function useDraft(
  name: string | undefined,
  value: FormValue | undefined,
  schema: FormValue,
  hints: unknown,
  start: FormValue | undefined,
): void {
  useEffect(() => {
    if (name === undefined || value === undefined || value === start) return;
    const keep = () => keepDraft(name, withoutSecrets(value, schema, hints));
    const timer = setTimeout(keep, DRAFT_MILLISECONDS);
    window.addEventListener('pagehide', keep);
    return () => {
      clearTimeout(timer);
      window.removeEventListener('pagehide', keep);
    };
  }, [name, value, schema, hints, start]);
}

/** Returns the faults of a refusal that are about the value, with pointers into it. */
function readRefusals(problem: Problem, at: string, value: FormValue | undefined): Refusal[] {
  return problem.errors
    .filter(({ pointer }) => pointer === at || pointer.startsWith(`${at}/`))
    .map(({ pointer, message, keyword }) => {
      const place = joinPointer(splitPointer(pointer.slice(at.length)));
      return { pointer: place, message, keyword, found: findAt(value, place) };
    });
}

function findAt(value: unknown, pointer: string): unknown {
  let found = value;
  for (const part of splitPointer(pointer)) {
    found =
      typeof found === 'object' && found !== null ? (found as Record<string, unknown>)[part] : undefined;
  }
  return found;
}
