/** The fields of one value: drawn from its schema, or its text as JSON or YAML. */
import { cn } from '@/lib/cn';
import { formStrings } from '@/strings/form';
import { RawEditor } from './RawEditor';
import { SchemaForm } from './SchemaForm';
import type { Mode, ValueState } from './value';

const strings = formStrings.form;

interface ValueFieldsProps {
  readonly state: ValueState;
  readonly label: string;
  readonly isDisabled: boolean;
  readonly onChange: (value: ValueState['value']) => void;
}

export function ModeSwitch({ state, label }: { state: ValueState; label: string }) {
  const { schema, mode, setMode, unread } = state;
  const modes: Mode[] = schema === null ? ['json', 'yaml'] : ['form', 'json', 'yaml'];
  return (
    <div role="group" aria-label={label} className="bg-muted flex w-fit gap-0.5 rounded-md p-0.5">
      {modes.map((each) => (
        <button
          key={each}
          type="button"
          aria-pressed={mode === each}
          // A text that cannot be read has no value that another mode could show.
          disabled={unread !== null && mode !== each}
          className={cn(
            'rounded px-2.5 py-1 text-xs font-medium disabled:opacity-50',
            mode === each ? 'bg-card shadow-xs' : 'text-muted-foreground hover:text-foreground',
          )}
          onClick={() => setMode(each)}
        >
          {strings.modeNames[each]}
        </button>
      ))}
    </div>
  );
}

export function ValueFields({ state, label, isDisabled, onChange }: ValueFieldsProps) {
  return (
    <>
      {state.mode === 'form' ? (
        <SchemaForm
          key={state.generation}
          schema={state.schema}
          hints={state.hints}
          validator={state.drawing}
          value={state.value}
          onChange={onChange}
          faults={state.faults}
          idPrefix={state.idPrefix}
          isDisabled={isDisabled}
        />
      ) : (
        <RawEditor
          key={state.generation}
          language={state.mode}
          value={state.value}
          label={label}
          isDisabled={isDisabled}
          onChange={(next, found) => {
            state.setUnread(found);
            if (found === null) onChange(next);
          }}
        />
      )}
      {state.isUndecided && (
        <p role="status" className="text-muted-foreground text-xs">
          {strings.undecided}
        </p>
      )}
    </>
  );
}
