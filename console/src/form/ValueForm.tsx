/**
 * A whole form for one value: drawn from its schema or written as JSON or YAML, judged before it is sent, sent once.
 *
 * Nothing is sent while the value is refused here. What the server refuses stands at its fields, until these change.
 */
import { type FormEvent, type ReactNode, useCallback, useEffect, useMemo, useRef, useState } from 'react';

import { Problem } from '@/api';
import { Button } from '@/components/ui/button';
import { cn } from '@/lib/cn';
import { showLine } from '@/lib/text';
import { formStrings } from '@/strings/form';
import { fillRequired, toDisplay } from './display';
import { dropDraft, keepDraft, readDraft } from './drafts';
import { ErrorSummary } from './ErrorSummary';
import type { FormValue } from './numbers';
import { RawEditor } from './RawEditor';
import { SchemaForm } from './SchemaForm';
import { withoutSecrets } from './secrets';
import { type Fault, FormValidator, type Schema, prepareFor, withoutGaps } from './validator';
import { joinPointer, splitPointer } from './validator/pointers';

const strings = formStrings.form;
const DRAFT_MILLISECONDS = 250;

type Mode = 'form' | 'json' | 'yaml';

export interface ValueFormProps {
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
  readonly label: string;
  readonly submitLabel: string;
  readonly busyLabel: string;
  /** Sends the value; raises `Problem`. It is not called again before it has ended. */
  readonly onSubmit: (value: FormValue | undefined) => Promise<void>;
  /** What else can be done with the value. */
  readonly actions?: ((value: FormValue | undefined) => ReactNode) | undefined;
  /** Further fields of the same form, before those of the value. */
  readonly children?: ReactNode;
  readonly idPrefix?: string | undefined;
}

/** A fault that the server found, and the value that it found it in. */
interface Refusal extends Fault {
  readonly found: unknown;
}

export function ValueForm(props: ValueFormProps) {
  const { schema, judging = schema, hints, initial, draft, at, label, idPrefix = 'input' } = props;
  const [start] = useState(() => {
    const begun = fillRequired(initial, toDisplay(schema));
    const kept = draft === undefined ? null : readDraft(draft);
    return { initial: begun, value: kept ?? begun, isKept: kept !== null };
  });
  const [value, setValue] = useState<FormValue | undefined>(start.value);
  // Another generation is another form: the library keeps values of its own.
  const [generation, setGeneration] = useState(0);
  const [isKept, setKept] = useState(start.isKept);
  const [mode, setMode] = useState<Mode>(schema === null ? 'json' : 'form');
  const [unread, setUnread] = useState<string | null>(null);
  const [attempts, setAttempts] = useState(0);
  const [refusals, setRefusals] = useState<readonly Refusal[]>([]);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [isBusy, setBusy] = useState(false);
  const isSending = useRef(false);
  const form = useRef<HTMLFormElement>(null);
  const summary = useRef<HTMLDivElement>(null);
  const isReady = usePrepared(judging);
  const validator = useMemo(() => new FormValidator((judging ?? true) as Schema), [judging]);
  // The one who draws asks which alternative a value fits: by the schema that is drawn.
  const drawing = useMemo(
    () => (judging === schema ? validator : new FormValidator((schema ?? true) as Schema)),
    [judging, schema, validator],
  );

  useDraft(draft, value, schema, hints, start.value);

  const verdict = useMemo(
    () => (isReady && attempts > 0 ? validator.judge.judge(withoutGaps(value ?? {})) : null),
    [isReady, attempts, validator, value],
  );
  const standing = useMemo(
    () => refusals.filter(({ pointer, found }) => findAt(value, pointer) === found),
    [refusals, value],
  );
  const faults = useMemo(() => [...(verdict?.faults ?? []), ...standing], [verdict, standing]);

  const change = useCallback((next: FormValue | undefined) => {
    setValue(next);
    setProblem(null);
  }, []);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (isSending.current || !isReady) return;
    setProblem(null);
    const sent = withoutGaps(value) as FormValue | undefined;
    setAttempts((count) => count + 1);
    if (unread !== null || validator.judge.judge(sent ?? {}).faults.length > 0) return;
    isSending.current = true;
    setBusy(true);
    setRefusals([]);
    try {
      await props.onSubmit(sent);
      if (draft !== undefined) dropDraft(draft);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const found = readRefusals(error, at, value);
      setRefusals(found);
      setProblem(found.length > 0 && found.length === error.errors.length ? null : error);
      setAttempts((count) => count + 1);
    } finally {
      isSending.current = false;
      setBusy(false);
    }
  };

  // After a try that was refused, the first field that is wrong gets the focus; without one, what says so.
  useEffect(() => {
    if (attempts === 0 || isBusy) return;
    const first = form.current?.querySelector<HTMLElement>('[aria-invalid="true"]');
    const target = first === null || first === undefined ? summary.current : findControl(first);
    target?.focus();
  }, [attempts, isBusy]);

  const choose = (pointer: string) => {
    const parts = splitPointer(pointer);
    for (let length = parts.length; length >= 0; length -= 1) {
      const found = document.getElementById([idPrefix, ...parts.slice(0, length)].join('_'));
      if (found !== null) {
        findControl(found).focus();
        return;
      }
    }
  };

  const restart = () => {
    if (draft !== undefined) dropDraft(draft);
    setKept(false);
    setValue(start.initial);
    setGeneration((count) => count + 1);
    setUnread(null);
    setAttempts(0);
    setRefusals([]);
  };

  if (!isReady) return <p className="text-muted-foreground text-[13px]">{strings.preparing}</p>;
  return (
    <form
      ref={form}
      noValidate
      onSubmit={(event) => void submit(event)}
      className="space-y-4"
      aria-label={label}
    >
      {isKept && (
        <div
          role="status"
          className="bg-muted flex flex-wrap items-center justify-between gap-2 rounded-md px-3 py-1.5 text-xs"
        >
          {strings.draftRestored}
          <Button variant="ghost" size="sm" onClick={restart}>
            {strings.startOver}
          </Button>
        </div>
      )}
      <ModeSwitch mode={mode} hasForm={schema !== null} onChange={setMode} isBlocked={unread !== null} />
      <ErrorSummary ref={summary} faults={faults} schema={schema} onChoose={choose} />
      {problem !== null && (
        <div
          role="alert"
          className="border-destructive/40 bg-destructive/5 rounded-md border p-3 text-[13px]"
        >
          <p className="text-destructive font-medium">{showLine(problem.title)}</p>
          <p dir="auto" className="break-words">
            {showLine(problem.detail)}
          </p>
        </div>
      )}
      {mode === 'form' ? (
        <SchemaForm
          key={generation}
          schema={schema}
          hints={hints}
          validator={drawing}
          value={value}
          onChange={change}
          faults={faults}
          idPrefix={idPrefix}
          isDisabled={isBusy}
        />
      ) : (
        <RawEditor
          key={generation}
          language={mode}
          value={value}
          label={label}
          isDisabled={isBusy}
          onChange={(next, found) => {
            setUnread(found);
            if (found === null) change(next);
          }}
        />
      )}
      {verdict !== null && verdict.undecided !== null && (
        <p role="status" className="text-muted-foreground text-xs">
          {strings.undecided}
        </p>
      )}
      {props.children}
      <div className="bg-background/90 sticky bottom-0 -mx-1 flex flex-wrap items-center gap-2 border-t px-1 py-3 backdrop-blur">
        <Button type="submit" isBusy={isBusy}>
          {isBusy ? props.busyLabel : props.submitLabel}
        </Button>
        {props.actions?.(withoutGaps(value) as FormValue | undefined)}
      </div>
    </form>
  );
}

function ModeSwitch({
  mode,
  hasForm,
  onChange,
  isBlocked,
}: {
  mode: Mode;
  hasForm: boolean;
  onChange: (mode: Mode) => void;
  isBlocked: boolean;
}) {
  const modes: Mode[] = hasForm ? ['form', 'json', 'yaml'] : ['json', 'yaml'];
  return (
    <div role="group" aria-label={strings.modes} className="bg-muted flex w-fit gap-0.5 rounded-md p-0.5">
      {modes.map((each) => (
        <button
          key={each}
          type="button"
          aria-pressed={mode === each}
          // A text that cannot be read has no value that another mode could show.
          disabled={isBlocked && mode !== each}
          className={cn(
            'rounded px-2.5 py-1 text-xs font-medium disabled:opacity-50',
            mode === each ? 'bg-card shadow-xs' : 'text-muted-foreground hover:text-foreground',
          )}
          onClick={() => onChange(each)}
        >
          {strings.modeNames[each]}
        </button>
      ))}
    </div>
  );
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

/** Returns the control of a field: itself, or the first one in it. */
function findControl(element: HTMLElement): HTMLElement {
  const selector = 'input:not([type="hidden"]), select, textarea, button';
  return element.matches(selector) ? element : (element.querySelector<HTMLElement>(selector) ?? element);
}
