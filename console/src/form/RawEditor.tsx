/** The same value as text: JSON or YAML, in step with the form. */
import { useEffect, useId, useState } from 'react';

import { parseJson, writeJson } from '@/api';
import { Textarea } from '@/components/ui/input';
import { showLine } from '@/lib/text';
import { formStrings } from '@/strings/form';
import { type FormValue, toForm } from './numbers';

const strings = formStrings.form;

export type Language = 'json' | 'yaml';

interface RawEditorProps {
  readonly language: Language;
  readonly value: FormValue | undefined;
  /** Called with the value of each text that is one, and with why it is none otherwise. */
  readonly onChange: (value: FormValue | undefined, problem: string | null) => void;
  readonly label: string;
  readonly isDisabled: boolean;
}

async function write(language: Language, value: FormValue | undefined): Promise<string> {
  if (value === undefined) return '';
  return language === 'json' ? writeJson(value, 2) : (await import('./manifest')).writeYaml(value);
}

async function read(language: Language, text: string): Promise<FormValue | undefined> {
  if (text.trim() === '') return undefined;
  return language === 'json' ? toForm(parseJson(text)) : (await import('./manifest')).readYaml(text);
}

export function RawEditor({ language, value, onChange, label, isDisabled }: RawEditorProps) {
  const id = useId();
  const [text, setText] = useState<string | null>(null);
  const [known, setKnown] = useState<{ value: FormValue | undefined; language: Language } | null>(null);
  const [problem, setProblem] = useState<string | null>(null);

  // A value that did not come from this text replaces it.
  useEffect(() => {
    if (known !== null && known.language === language && known.value === value) return;
    let isCurrent = true;
    void write(language, value).then((written) => {
      if (!isCurrent) return;
      setText(written);
      setKnown({ value, language });
      setProblem(null);
    });
    return () => {
      isCurrent = false;
    };
  }, [language, value, known]);

  const change = async (typed: string) => {
    setText(typed);
    try {
      const found = await read(language, typed);
      setKnown({ value: found, language });
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
        rows={Math.min(Math.max((text ?? '').split('\n').length + 1, 10), 32)}
        spellCheck={false}
        autoComplete="off"
        className="resize-y font-mono text-xs"
        value={text ?? ''}
        disabled={isDisabled || text === null}
        aria-invalid={problem !== null || undefined}
        aria-describedby={`${id}-problem`}
        onChange={({ target }) => void change(target.value)}
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
