/** All that is wrong, above the form, each with the way to its field. */
import { CircleAlert } from 'lucide-react';
import type { Ref } from 'react';

import { showLine } from '@/lib/text';
import { formStrings } from '@/strings/form';
import { isMembers } from './validator/objects';
import { splitPointer } from './validator/pointers';
import type { Fault } from './validator';

const strings = formStrings.form;
const MAX_SHOWN = 20;

/** A fault, what it is in, and the way there. */
export interface Place extends Fault {
  /** The name of the value that it is in; empty for the form's own. */
  readonly title: string;
  readonly schema: unknown;
  readonly onChoose: () => void;
}

interface ErrorSummaryProps {
  readonly places: readonly Place[];
  readonly ref: Ref<HTMLDivElement>;
}

export function ErrorSummary({ places, ref }: ErrorSummaryProps) {
  if (places.length === 0) return null;
  return (
    <div
      ref={ref}
      role="alert"
      tabIndex={-1}
      className="border-destructive/40 bg-destructive/5 space-y-1.5 rounded-md border p-3 text-[13px]"
    >
      <p className="text-destructive flex items-center gap-1.5 font-medium">
        <CircleAlert aria-hidden className="size-3.5" />
        {strings.faultCount(places.length)}
      </p>
      <ul className="list-disc space-y-0.5 pl-5">
        {places.slice(0, MAX_SHOWN).map(({ pointer, message, title, schema, onChoose }, index) => (
          <li key={index}>
            {(pointer !== '' || title !== '') && (
              <>
                <button
                  type="button"
                  dir="auto"
                  className="font-medium break-all underline underline-offset-2"
                  onClick={onChoose}
                >
                  {[title, namePlace(pointer, schema)].filter((each) => each !== '').join(' › ')}
                </button>
                {': '}
              </>
            )}
            <span dir="auto" className="break-words">
              {showLine(message)}
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** Returns the place of a pointer in words: titles where the schema has them, names and positions otherwise. */
export function namePlace(pointer: string, schema: unknown): string {
  let rule: unknown = schema;
  const words = splitPointer(pointer).map((part) => {
    const isItem = /^\d+$/.test(part);
    const members: unknown = isMembers(rule) ? rule.properties : undefined;
    if (isMembers(members) && Object.hasOwn(members, part)) rule = members[part];
    else rule = isItem && isMembers(rule) ? rule.items : undefined;
    const title: unknown = isMembers(rule) && !isItem ? rule.title : undefined;
    return typeof title === 'string' && title !== '' ? title : isItem ? String(Number(part) + 1) : part;
  });
  return showLine(words.join(' › '));
}
