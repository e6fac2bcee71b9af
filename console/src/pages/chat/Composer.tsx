/** Where the next message is written. */

import { ArrowUp, Square, X } from 'lucide-react';
import { type KeyboardEvent, useEffect, useRef, useState } from 'react';
import { type Json, parseJson } from '@/api';
import { Button } from '@/components/ui/button';
import { fieldClasses } from '@/components/ui/input';
import { cn } from '@/lib/cn';
import { strings } from '@/strings/chat';
import { writeWords } from './conversation';

const MAX_BYTES = 32 * 1024;

interface ComposerProps {
  readonly text: string;
  readonly onChange: (text: string) => void;
  readonly onSend: (input: Json) => void;
  /** Whether the text is JSON, and how to change that. */
  readonly isJson: boolean;
  readonly onJson: (isJson: boolean) => void;
  readonly isSending: boolean;
  /** Stops the turn that is on; null where none is. */
  readonly onStop: (() => void) | null;
  readonly isStopping: boolean;
  /** What becomes of the earlier message that is edited; null where none is. */
  readonly editing: string | null;
  readonly onCancelEdit: () => void;
}

export function Composer(props: ComposerProps) {
  const { text, onChange, onSend, isJson, onJson, isSending, onStop, isStopping, editing, onCancelEdit } =
    props;
  const isEditing = editing !== null;
  const field = useRef<HTMLTextAreaElement>(null);
  const [fault, setFault] = useState('');
  useEffect(() => {
    if (isEditing) field.current?.focus();
  }, [isEditing]);
  const send = (): void => {
    if (text.trim() === '' || isSending) return;
    if (new TextEncoder().encode(text).length > MAX_BYTES) {
      setFault(strings.tooLarge);
      return;
    }
    let input: Json;
    try {
      input = isJson ? parseJson(text) : writeWords(text);
    } catch {
      setFault(strings.notJson);
      return;
    }
    setFault('');
    onSend(input);
  };
  const press = (event: KeyboardEvent): void => {
    if (event.key === 'Escape' && isEditing) onCancelEdit();
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };
  return (
    <form
      className="border-t px-4 py-3 sm:px-6"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <div className="mx-auto max-w-3xl space-y-1.5">
        {isEditing && (
          <p className="bg-muted flex items-center justify-between rounded-md px-2.5 py-1 text-xs">
            {editing}
            <Button variant="ghost" size="icon-sm" aria-label={strings.cancel} onClick={onCancelEdit}>
              <X aria-hidden />
            </Button>
          </p>
        )}
        <div className="relative">
          <textarea
            ref={field}
            aria-label={isJson ? strings.jsonLabel : strings.label}
            aria-invalid={fault !== ''}
            placeholder={isJson ? '{}' : strings.placeholder}
            rows={Math.min(10, Math.max(2, text.split('\n').length))}
            value={text}
            spellCheck={!isJson}
            className={cn(
              fieldClasses,
              'resize-none rounded-lg py-2.5 pr-24 leading-5',
              isJson && 'font-mono text-xs',
            )}
            onChange={(event) => {
              onChange(event.target.value);
              setFault('');
            }}
            onKeyDown={press}
          />
          <div className="absolute right-2 bottom-2.5 flex items-center gap-1">
            <Button
              variant="ghost"
              size="sm"
              aria-pressed={isJson}
              onClick={() => {
                onJson(!isJson);
                setFault('');
              }}
            >
              {isJson ? strings.text : strings.json}
            </Button>
            {onStop === null || text.trim() !== '' ? (
              <Button
                type="submit"
                size="icon-sm"
                aria-label={strings.send}
                isBusy={isSending}
                disabled={text.trim() === ''}
              >
                {!isSending && <ArrowUp aria-hidden />}
              </Button>
            ) : (
              <Button
                variant="outline"
                size="icon-sm"
                aria-label={isStopping ? strings.stopping : strings.stop}
                isBusy={isStopping}
                onClick={onStop}
              >
                {!isStopping && <Square aria-hidden className="fill-current" />}
              </Button>
            )}
          </div>
        </div>
        {fault !== '' && (
          <p role="alert" className="text-destructive text-xs">
            {fault}
          </p>
        )}
      </div>
    </form>
  );
}
