/** Fields: what is drawn as which control, numbers with all their digits, values that no form describes, messages. */
import { type ErrorSchema, type FieldProps, type UiSchema, descriptionId } from '@rjsf/utils';
import CoreSchemaField from '@rjsf/core/lib/components/fields/SchemaField.js';
import { Plus, Trash2 } from 'lucide-react';
import { type ReactNode, useCallback, useState } from 'react';

import { parseJson, writeJson } from '@/api';
import { Button } from '@/components/ui/button';
import { Input, Textarea } from '@/components/ui/input';
import { Select } from '@/components/ui/select';
import { showLine, showText } from '@/lib/text';
import { formStrings } from '@/strings/form';
import { drawField } from '../display';
import { type FormValue, readNumber, toForm } from '../numbers';
import { isMembers } from '../validator/objects';
import { describeControl } from './describe';
import { RequiredMark } from './widgets';

const strings = formStrings.form;

const NOTHING_LEFT_OUT = { enableOptionalDataFieldForType: [] };

/** Draws a field by the hints of its schema, which may stand behind references. */
function HintedField(props: FieldProps) {
  const { schema, uiSchema, registry, required, fieldPathId } = props;
  const formData: unknown = props.formData;
  const { schema: drawn, hints } = drawField(
    schema,
    (each) => registry.schemaUtils.retrieveSchema(each, formData),
    (uiSchema ?? {}) as UiSchema,
    required === true,
  );
  // The whole value is never left out.
  const isRoot = fieldPathId.path.length === 0;
  const options = isRoot ? { 'ui:options': { ...hints['ui:options'], ...NOTHING_LEFT_OUT } } : {};
  return <CoreSchemaField {...props} schema={drawn} uiSchema={{ ...hints, ...options }} />;
}

const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;

/** Returns what a typed number is: a number with all its digits, or the text where it is none. */
export function readTyped(text: string): number | bigint | string | undefined {
  const typed = text.trim();
  if (typed === '') return undefined;
  if (!NUMBER.test(typed)) return typed;
  return readNumber(
    typed
      .replace(/^\+/, '')
      .replace(/^(-?)\./, '$10.')
      .replace(/\.(?=e|$)/i, ''),
  );
}

/** Returns what the cluster keeps of a typed number, where that is not the same; it keeps decimals as doubles. */
export function findKept(text: string, value: unknown): string | null {
  if (typeof value !== 'number' || !Number.isFinite(value)) return null;
  const digits = (each: string) =>
    each
      .toLowerCase()
      .split('e')[0]
      ?.replace(/[^0-9]/g, '')
      .replace(/^0+|0+$/g, '') ?? '';
  return digits(text) === digits(String(value)) ? null : String(value);
}

function NumberField(props: FieldProps) {
  const { schema, uiSchema, fieldPathId, required, rawErrors, onChange, onBlur, onFocus } = props;
  const value: unknown = props.formData;
  const [typed, setTyped] = useState<string | null>(null);
  const { StringField } = props.registry.fields;
  const isChoice = schema.enum !== undefined || schema.oneOf !== undefined || schema.anyOf !== undefined;
  const id = fieldPathId.$id;
  const change = useCallback(
    (text: string) => {
      setTyped(text);
      const empty: unknown = uiSchema?.['ui:options']?.emptyValue;
      onChange(readTyped(text) ?? empty, fieldPathId.path, undefined, id);
    },
    [onChange, fieldPathId, id, uiSchema],
  );
  if (StringField !== undefined && (isChoice || uiSchema?.['ui:widget'] === 'hidden')) {
    return <StringField {...props} />;
  }
  // What is typed stands as long as it means the value; a value from elsewhere is shown as it is.
  const shown =
    typed !== null && readTyped(typed) === (value ?? undefined)
      ? typed
      : value === undefined || value === null
        ? ''
        : asTyped(value);
  const kept = findKept(shown, value);
  const isInteger =
    schema.type === 'integer' || (Array.isArray(schema.type) && !schema.type.includes('number'));
  return (
    <div>
      <Input
        id={id}
        type="text"
        role="spinbutton"
        inputMode={isInteger && Number(schema.minimum ?? -1) >= 0 ? 'numeric' : 'decimal'}
        autoComplete="off"
        className="max-w-60 tabular-nums"
        value={shown}
        placeholder={uiSchema?.['ui:options']?.placeholder ?? rangeOf(schema)}
        readOnly={props.readonly}
        disabled={props.disabled}
        aria-valuenow={typeof value === 'number' ? value : undefined}
        aria-valuetext={typeof value === 'bigint' ? value.toString() : undefined}
        aria-valuemin={typeof schema.minimum === 'number' ? schema.minimum : undefined}
        aria-valuemax={typeof schema.maximum === 'number' ? schema.maximum : undefined}
        onKeyDown={(event) => {
          const step = event.key === 'ArrowUp' ? 1 : event.key === 'ArrowDown' ? -1 : 0;
          if (step === 0 || props.readonly === true) return;
          event.preventDefault();
          change(stepFrom(value, step, schema));
        }}
        onChange={({ target }) => change(target.value)}
        onBlur={() => onBlur(id, value)}
        onFocus={() => onFocus(id, value)}
        {...describeControl({ id, required, rawErrors, schema, options: uiSchema?.['ui:options'] as object })}
      />
      {kept !== null && (
        <p role="status" className="text-warning mt-1 text-xs">
          {strings.keptAs(kept)}
        </p>
      )}
    </div>
  );
}

function asTyped(value: unknown): string {
  return typeof value === 'number' || typeof value === 'bigint' || typeof value === 'string'
    ? String(value)
    : '';
}

function rangeOf({ minimum, maximum }: FieldProps['schema']): string | undefined {
  return typeof minimum === 'number' && typeof maximum === 'number'
    ? `${String(minimum)} – ${String(maximum)}`
    : undefined;
}

/** Returns the next value up or down, by the schema's step and within its bounds. */
function stepFrom(
  value: unknown,
  direction: number,
  { multipleOf, minimum, maximum }: FieldProps['schema'],
): string {
  if (typeof value === 'bigint') return String(value + BigInt(direction));
  const step = multipleOf ?? 1;
  const from =
    typeof value === 'number' ? value : direction > 0 ? (minimum ?? 0) - step : (maximum ?? 0) + step;
  const next = Math.round((from + direction * step) / step) * step;
  const bounded = Math.min(Math.max(next, minimum ?? -Infinity), maximum ?? Infinity);
  return String(Number(bounded.toPrecision(15)));
}

/** A label and a description around a field that draws a whole value. */
function Whole({
  props,
  htmlFor,
  children,
}: {
  props: FieldProps;
  htmlFor?: string | undefined;
  children: ReactNode;
}) {
  const { schema, uiSchema, name, required, fieldPathId } = props;
  const title = String(uiSchema?.['ui:options']?.title ?? schema.title ?? props.title ?? name);
  const description = uiSchema?.['ui:options']?.description ?? schema.description;
  const text = showLine(title);
  return (
    <div className="space-y-1.5">
      {text !== '' && (
        <label
          htmlFor={htmlFor}
          id={`${fieldPathId.$id}__title`}
          dir="auto"
          className="block text-[13px] font-medium"
        >
          {text}
          {required === true && <RequiredMark />}
        </label>
      )}
      {typeof description === 'string' && description !== '' && (
        <p
          id={descriptionId(fieldPathId)}
          dir="auto"
          className="text-muted-foreground text-xs leading-5 whitespace-pre-line"
        >
          {showText(description)}
        </p>
      )}
      {children}
    </div>
  );
}

/** Any value, as JSON. */
function JsonField(props: FieldProps) {
  const { fieldPathId, required, rawErrors, schema, onChange, readonly, disabled } = props;
  const value = props.formData as FormValue | undefined;
  const written = value === undefined ? '' : writeJson(value, 2);
  const [typed, setTyped] = useState({ text: written, written });
  const [problem, setProblem] = useState<string | null>(null);
  const id = fieldPathId.$id;
  // A value that came from elsewhere replaces what was typed.
  if (written !== typed.written) {
    setTyped({ text: written, written });
    setProblem(null);
  }
  const change = (text: string) => {
    if (text.trim() === '') {
      setTyped({ text, written: '' });
      setProblem(null);
      onChange(undefined, fieldPathId.path);
      return;
    }
    try {
      const read = toForm(parseJson(text));
      setTyped({ text, written: writeJson(read, 2) });
      setProblem(null);
      onChange(read, fieldPathId.path);
    } catch {
      // A text that is no JSON yet is the value: it says so itself, and nothing older is sent in its place.
      setTyped({ text, written: writeJson(text, 2) });
      setProblem(strings.noJson);
      onChange(text, fieldPathId.path);
    }
  };
  return (
    <Whole props={props} htmlFor={id}>
      <Textarea
        id={id}
        rows={4}
        spellCheck={false}
        className="resize-y font-mono text-xs"
        placeholder={strings.jsonPlaceholder}
        value={typed.text}
        readOnly={readonly}
        disabled={disabled}
        onChange={({ target }) => change(target.value)}
        {...describeControl({ id, required, rawErrors, schema })}
      />
      {problem !== null && (
        <p role="status" className="text-muted-foreground text-xs">
          {problem}
        </p>
      )}
    </Whole>
  );
}

interface Message {
  role: string;
  content: string;
}

/** Returns messages as this field edits them; null where they are written in another form. */
function readMessages(value: unknown): Message[] | null {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) return null;
  const found = value.map((each: unknown) =>
    isMembers(each) &&
    typeof each.role === 'string' &&
    (each.content === undefined || typeof each.content === 'string') &&
    Object.keys(each).every((name) => name === 'role' || name === 'content')
      ? { role: each.role, content: each.content ?? '' }
      : null,
  );
  return found.every((each) => each !== null) ? found : null;
}

function readRoles(props: FieldProps): string[] {
  const { schemaUtils } = props.registry;
  const items: unknown = props.schema.items;
  const item: unknown = isMembers(items) ? schemaUtils.retrieveSchema(items) : null;
  const role: unknown = isMembers(item) && isMembers(item.properties) ? item.properties.role : null;
  if (isMembers(role) && Array.isArray(role.enum)) return role.enum.map(String);
  if (isMembers(role) && typeof role.const === 'string') return [role.const];
  return ['user', 'assistant', 'system'];
}

/** A list of chat messages, as a conversation is written. */
function MessagesField(props: FieldProps) {
  const { fieldPathId, errorSchema, onChange, readonly, disabled } = props;
  const messages = readMessages(props.formData);
  if (messages === null) return <JsonField {...props} />;
  const id = fieldPathId.$id;
  const roles = readRoles(props);
  const first = roles.includes('user') ? 'user' : (roles[0] ?? 'user');
  const shown = messages.length === 0 ? [{ role: first, content: '' }] : messages;
  const isOff = readonly === true || disabled === true;
  const write = (next: Message[]) => {
    const isEmpty = next.every(({ content }) => content === '') && next.length < 2;
    onChange(isEmpty ? undefined : next, fieldPathId.path);
  };
  const replace = (index: number, change: Partial<Message>) => {
    write(shown.map((each, position) => (position === index ? { ...each, ...change } : each)));
  };
  return (
    <Whole props={props} htmlFor={`${id}_0`}>
      <ol className="space-y-2">
        {shown.map(({ role, content }, index) => {
          const faults = collect((errorSchema as Record<string, ErrorSchema> | undefined)?.[String(index)]);
          const errorAt = `${id}_${String(index)}__error`;
          return (
            <li key={index} className="bg-card space-y-1 rounded-md border p-2 shadow-xs">
              <div className="flex items-center justify-between">
                {roles.length > 1 ? (
                  <Select
                    aria-label={strings.roleOf(index + 1)}
                    className="w-fit"
                    value={role}
                    disabled={isOff}
                    onChange={({ target }) => replace(index, { role: target.value })}
                  >
                    {[...new Set([...roles, role])].map((each) => (
                      <option key={each} value={each}>
                        {showLine(each)}
                      </option>
                    ))}
                  </Select>
                ) : (
                  <span className="text-muted-foreground text-xs">{showLine(role)}</span>
                )}
                {shown.length > 1 && (
                  <Button
                    variant="ghost"
                    size="icon-sm"
                    aria-label={strings.removeItem(index + 1)}
                    disabled={isOff}
                    onClick={() => write(shown.filter((_, position) => position !== index))}
                  >
                    <Trash2 aria-hidden />
                  </Button>
                )}
              </div>
              <Textarea
                id={`${id}_${String(index)}`}
                rows={3}
                aria-label={strings.message(index + 1)}
                aria-invalid={faults.length > 0 || undefined}
                aria-describedby={faults.length > 0 ? errorAt : undefined}
                placeholder={strings.messagePlaceholder}
                className="resize-y border-0 shadow-none"
                value={content}
                disabled={isOff}
                onChange={({ target }) => replace(index, { content: target.value })}
              />
              {faults.length > 0 && (
                <p id={errorAt} className="text-destructive text-xs">
                  {faults.join(' ')}
                </p>
              )}
            </li>
          );
        })}
      </ol>
      <Button
        variant="outline"
        size="sm"
        disabled={isOff}
        onClick={() => write([...shown, { role: first, content: '' }])}
      >
        <Plus aria-hidden />
        {strings.addMessage}
      </Button>
    </Whole>
  );
}

/** Returns all errors of a part, of whatever depth. */
function collect(errors: ErrorSchema | undefined): string[] {
  if (errors === undefined) return [];
  return Object.entries(errors).flatMap(([name, each]) =>
    name === '__errors' ? (each as unknown as string[]) : collect(each as ErrorSchema),
  );
}

export const fields = { SchemaField: HintedField, NumberField, JsonField, MessagesField };
