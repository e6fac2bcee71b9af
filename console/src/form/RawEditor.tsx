/** The same value as text: JSON or YAML, in step with the form. */
import { useId, useState } from 'react';

import { parseJson, writeJson } from '@/api';
import { makePart } from '@/components/Part';
import { Textarea } from '@/components/ui/input';
import { Skeleton } from '@/components/ui/skeleton';
import { showLine } from '@/lib/text';
import { formStrings } from '@/strings/form';
import { type FormValue, toForm } from './numbers';

const strings = formStrings.form;

export interface TextProps {
  readonly value: FormValue | undefined;
  /** Called with the value of each text that is one, and with why it is none otherwise. */
  readonly onChange: (value: FormValue | undefined, problem: string | null) => void;
  readonly label: string;
  readonly isDisabled: boolean;
}

export interface Notation {
  readonly write: (value: FormValue) => string;
  /** Raises an `Error` for a text that is no value. */
  readonly read: (text: string) => FormValue;
}

const JSON_NOTATION: Notation = {
  write: (value) => writeJson(value, 2),
  read: (text) => toForm(parseJson(text)),
};

const YamlEditor = makePart(async () => (await import('./YamlEditor')).YamlEditor, {
  waiting: () => <Skeleton className="h-52" />,
});

export function RawEditor({ language, ...props }: TextProps & { readonly language: 'json' | 'yaml' }) {
  return language === 'json' ? <TextEditor notation={JSON_NOTATION} {...props} /> : <YamlEditor {...props} />;
}

export function TextEditor({
  notation,
  value,
  onChange,
  label,
  isDisabled,
}: TextProps & { readonly notation: Notation }) {
  const id = useId();
  const write = (written: FormValue | undefined) => (written === undefined ? '' : notation.write(written));
  const [text, setText] = useState(() => write(value));
  const [known, setKnown] = useState(value);
  const [problem, setProblem] = useState<string | null>(null);

  // A value that did not come from this text replaces it.
  if (known !== value) {
    setKnown(value);
    setText(write(value));
    setProblem(null);
  }

  const change = (typed: string) => {
    setText(typed);
    try {
      const found = typed.trim() === '' ? undefined : notation.read(typed);
      setKnown(found);
      setProblem(null);
      onChange(found, null);
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      setProblem(said);
      onChange(value, said);
    }
  };

  return (
    <div className="space-y-1.5">
      <label htmlFor={id} className="sr-only">
        {label}
      </label>
      <Textarea
        id={id}
        rows={Math.min(Math.max(text.split('\n').length + 1, 10), 32)}
        spellCheck={false}
        autoComplete="off"
        className="resize-y font-mono text-xs"
        value={text}
        disabled={isDisabled}
        aria-invalid={problem !== null || undefined}
        aria-describedby={`${id}-problem`}
        onChange={({ target }) => change(target.value)}
      />
      <p
        id={`${id}-problem`}
        role="status"
        dir="auto"
        className="text-destructive min-h-4 text-xs break-words"
      >
        {problem === null ? '' : strings.notRead(showLine(problem))}
      </p>
    </div>
  );
}
