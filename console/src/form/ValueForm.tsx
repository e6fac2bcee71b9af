/**
 * A whole form: one value, and further ones in folds, each drawn from its schema or written as JSON or YAML.
 *
 * All of them are judged before anything is sent, and sent once. Nothing is sent while one of them is refused here. What
 * the server refuses stands at its fields, until these change.
 */
import { type FormEvent, type ReactNode, useCallback, useEffect, useRef, useState } from 'react';
import { flushSync } from 'react-dom';

import { Problem } from '@/api';
import { Button } from '@/components/ui/button';
import { showLine } from '@/lib/text';
import { formStrings } from '@/strings/form';
import { ErrorSummary, type Place } from './ErrorSummary';
import { FoldedValue } from './FoldedValue';
import type { FormValue } from './numbers';
import { type ValueSource, type ValueState, useValue } from './value';
import { ModeSwitch, ValueFields } from './ValueFields';
import { splitPointer } from './validator/pointers';

const strings = formStrings.form;

/** A value beside the form's own. */
export interface FurtherValue {
  readonly state: ValueState;
  readonly title: string;
  readonly hint: string;
  /** Whether something in it has to be said: then it is not folded. */
  readonly isNeeded: boolean;
}

export interface ValueFormProps extends ValueSource {
  readonly label: string;
  readonly submitLabel: string;
  readonly busyLabel: string;
  readonly further?: readonly FurtherValue[];
  /** Sends the value; raises `Problem`. It is not called again before it has ended. */
  readonly onSubmit: (value: FormValue | undefined) => Promise<void>;
  /** What else can be done with the value. */
  readonly actions?: ((value: FormValue | undefined) => ReactNode) | undefined;
  /** Further fields of the same form, after those of the values. */
  readonly children?: ReactNode;
}

const NO_FURTHER: readonly FurtherValue[] = [];

export function ValueForm(props: ValueFormProps) {
  const { label, further = NO_FURTHER } = props;
  const own = useValue(props);
  const states = [own, ...further.map(({ state }) => state)];
  const [opened, setOpened] = useState<ReadonlySet<string>>(
    () =>
      new Set(
        further.filter(({ state, isNeeded }) => isNeeded || state.isKept).map(({ state }) => state.idPrefix),
      ),
  );
  const [attempts, setAttempts] = useState(0);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [isBusy, setBusy] = useState(false);
  const isSending = useRef(false);
  const form = useRef<HTMLFormElement>(null);
  const summary = useRef<HTMLDivElement>(null);

  const setOpen = useCallback((idPrefix: string, isOpen: boolean) => {
    setOpened((known) => {
      if (known.has(idPrefix) === isOpen) return known;
      return isOpen ? new Set([...known, idPrefix]) : new Set([...known].filter((each) => each !== idPrefix));
    });
  }, []);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (isSending.current || states.some(({ isReady }) => !isReady)) return;
    setProblem(null);
    setAttempts((count) => count + 1);
    const refused = states.filter((state) => !state.judge());
    for (const { idPrefix } of refused) setOpen(idPrefix, true);
    if (refused.length > 0) return;
    isSending.current = true;
    setBusy(true);
    for (const state of states) state.forgetRefusals();
    try {
      await props.onSubmit(own.sent);
      for (const state of states) state.dropDraft();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      let placed = 0;
      for (const state of states) {
        const count = state.takeRefusals(error);
        if (count > 0) setOpen(state.idPrefix, true);
        placed += count;
      }
      setProblem(placed > 0 && placed === error.errors.length ? null : error);
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

  const choose = (idPrefix: string, pointer: string) => {
    flushSync(() => setOpen(idPrefix, true));
    const parts = splitPointer(pointer);
    for (let length = parts.length; length >= 0; length -= 1) {
      const found = document.getElementById([idPrefix, ...parts.slice(0, length)].join('_'));
      if (found !== null) {
        findControl(found).focus();
        return;
      }
    }
  };
  const places: Place[] = [{ state: own, title: '' }, ...further].flatMap(({ state, title }) =>
    state.faults.map((fault) => ({
      ...fault,
      title,
      schema: state.schema,
      onChoose: () => choose(state.idPrefix, fault.pointer),
    })),
  );

  const restart = () => {
    for (const state of states) state.restart();
    setAttempts(0);
    setProblem(null);
  };
  const change = (state: ValueState) => (next: FormValue | undefined) => {
    state.change(next);
    setProblem(null);
  };

  if (!own.isReady) return <p className="text-muted-foreground text-[13px]">{strings.preparing}</p>;
  return (
    <form
      ref={form}
      noValidate
      onSubmit={(event) => void submit(event)}
      className="space-y-4"
      aria-label={label}
    >
      {states.some(({ isKept }) => isKept) && (
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
      <ModeSwitch state={own} label={strings.modes} />
      <ErrorSummary ref={summary} places={places} />
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
      <ValueFields state={own} label={label} isDisabled={isBusy} onChange={change(own)} />
      {further.map(({ state, title, hint }) => (
        <FoldedValue
          key={state.idPrefix}
          state={state}
          title={title}
          hint={hint}
          isOpen={opened.has(state.idPrefix)}
          onToggle={(isOpen) => setOpen(state.idPrefix, isOpen)}
          isDisabled={isBusy}
          onChange={change(state)}
        />
      ))}
      {props.children}
      <div className="bg-background/90 sticky bottom-0 -mx-1 flex flex-wrap items-center gap-2 border-t px-1 py-3 backdrop-blur">
        <Button type="submit" isBusy={isBusy}>
          {isBusy ? props.busyLabel : props.submitLabel}
        </Button>
        {props.actions?.(own.sent)}
      </div>
    </form>
  );
}

/** Returns the control of a field: itself, or the first one in it. */
function findControl(element: HTMLElement): HTMLElement {
  const selector = 'input:not([type="hidden"]), select, textarea, button';
  return element.matches(selector) ? element : (element.querySelector<HTMLElement>(selector) ?? element);
}
