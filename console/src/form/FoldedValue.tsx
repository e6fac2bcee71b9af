/** A value that few need to say: folded, with the names of what is said in it. Its fields are drawn once it is opened. */
import { ChevronRight } from 'lucide-react';
import { useState } from 'react';

import { showLine } from '@/lib/text';
import { formStrings } from '@/strings/form';
import type { FormValue } from './numbers';
import { isMembers } from './validator/objects';
import type { ValueState } from './value';
import { ModeSwitch, ValueFields } from './ValueFields';

const strings = formStrings.form;

interface FoldedValueProps {
  readonly state: ValueState;
  readonly title: string;
  readonly hint: string;
  readonly isOpen: boolean;
  readonly onToggle: (isOpen: boolean) => void;
  readonly isDisabled: boolean;
  readonly onChange: (value: FormValue | undefined) => void;
}

export function FoldedValue({
  state,
  title,
  hint,
  isOpen,
  onToggle,
  isDisabled,
  onChange,
}: FoldedValueProps) {
  const [wasOpened, setOpened] = useState(isOpen);
  if (isOpen && !wasOpened) setOpened(true);
  const said = listNames(state.sent);
  return (
    <details
      className="group rounded-md border"
      data-fold={state.idPrefix}
      open={isOpen}
      onToggle={({ currentTarget }) => onToggle(currentTarget.open)}
    >
      <FoldSummary title={title}>{said === '' ? hint : strings.said(said)}</FoldSummary>
      {wasOpened && (
        <div className="space-y-4 border-t px-3 py-3">
          {said !== '' && <p className="text-muted-foreground text-xs">{hint}</p>}
          <ModeSwitch state={state} label={`${title}: ${strings.modes}`} />
          <ValueFields state={state} label={title} isDisabled={isDisabled} onChange={onChange} />
        </div>
      )}
    </details>
  );
}

/** The line of a fold that is always there: its name, and a few words of what is in it. */
export function FoldSummary({ title, children = '' }: { title: string; children?: string }) {
  return (
    <summary className="flex cursor-pointer list-none items-center gap-2 rounded-md px-3 py-2 text-[13px] [&::-webkit-details-marker]:hidden">
      <ChevronRight
        aria-hidden
        className="text-muted-foreground size-3.5 shrink-0 transition-transform group-open:rotate-90"
      />
      <span className="shrink-0 font-medium">{title}</span>
      <span dir="auto" className="text-muted-foreground min-w-0 truncate text-xs">
        {children}
      </span>
    </summary>
  );
}

/** Returns the names of a value's members, in one line. */
function listNames(value: FormValue | undefined): string {
  return isMembers(value) ? showLine(Object.keys(value).join(', ')) : '';
}
