/** Controls of single values. */
import {
  type WidgetProps,
  enumOptionValueDecoder,
  enumOptionsDeselectValue,
  enumOptionsIsSelected,
  enumOptionsSelectValue,
  optionId,
} from '@rjsf/utils';
import { Eye, EyeOff, FileUp, X } from 'lucide-react';
import { type ChangeEvent, useRef, useState } from 'react';

import { Button } from '@/components/ui/button';
import { Checkbox } from '@/components/ui/checkbox';
import { Input, Textarea, fieldClasses } from '@/components/ui/input';
import { Select } from '@/components/ui/select';
import { showLine } from '@/lib/text';
import { formStrings } from '@/strings/form';
import { isSameJson } from '../validator/numbers';
import { MAX_INPUT_BYTES } from '../validator/limits';
import { describeControl } from './describe';
import { estimateBytes, readEncoding, readFile } from './files';
import { fromLocal, nameZone, toLocal } from './times';

const strings = formStrings.form;

type Choice = { value: unknown; label: string };

function readChoices(options: WidgetProps['options']): Choice[] {
  return ((options.enumOptions ?? []) as Choice[]).map(({ value, label }) => ({
    value,
    label: showLine(label),
  }));
}

function asText(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean'
    ? String(value)
    : '';
}

function TextControl({ type, ...props }: WidgetProps & { type: string }) {
  const { id, options, readonly, disabled, autofocus, placeholder, onChange, onBlur, onFocus } = props;
  const value: unknown = props.value;
  return (
    <Input
      id={id}
      type={type}
      value={asText(value)}
      placeholder={placeholder ? showLine(placeholder) : undefined}
      readOnly={readonly}
      disabled={disabled}
      autoFocus={autofocus}
      autoComplete="off"
      onChange={({ target }) => onChange(target.value === '' ? options.emptyValue : target.value)}
      onBlur={({ target }) => onBlur(id, target.value)}
      onFocus={({ target }) => onFocus(id, target.value)}
      {...describeControl(props)}
    />
  );
}

export const TextWidget = (props: WidgetProps) => <TextControl {...props} type="text" />;
// The browser's own checks of these types would be another verdict than the server's: the type is for the keyboard.
export const EmailWidget = (props: WidgetProps) => <TextControl {...props} type="email" />;
export const UriWidget = (props: WidgetProps) => <TextControl {...props} type="url" />;
export const TimeWidget = (props: WidgetProps) => <TextControl {...props} type="text" />;

export function TextareaWidget(props: WidgetProps) {
  const { id, options, readonly, disabled, placeholder, onChange, onBlur, onFocus } = props;
  const value: unknown = props.value;
  const rows: unknown = options.rows;
  return (
    <Textarea
      id={id}
      value={asText(value)}
      rows={typeof rows === 'number' ? rows : 5}
      placeholder={placeholder ? showLine(placeholder) : undefined}
      readOnly={readonly}
      disabled={disabled}
      className="resize-y"
      onChange={({ target }) => onChange(target.value === '' ? options.emptyValue : target.value)}
      onBlur={({ target }) => onBlur(id, target.value)}
      onFocus={({ target }) => onFocus(id, target.value)}
      {...describeControl(props)}
    />
  );
}

export function PasswordWidget(props: WidgetProps) {
  const { id, options, readonly, disabled, onChange, onBlur, onFocus } = props;
  const value: unknown = props.value;
  const [isShown, setShown] = useState(false);
  const Icon = isShown ? EyeOff : Eye;
  return (
    <div className="relative">
      <Input
        id={id}
        type={isShown ? 'text' : 'password'}
        value={asText(value)}
        readOnly={readonly}
        disabled={disabled}
        autoComplete="new-password"
        spellCheck={false}
        className="pr-9"
        onChange={({ target }) => onChange(target.value === '' ? options.emptyValue : target.value)}
        onBlur={() => onBlur(id, '')}
        onFocus={() => onFocus(id, '')}
        {...describeControl(props)}
      />
      <Button
        variant="ghost"
        size="icon-sm"
        className="absolute top-0.5 right-0.5"
        aria-label={isShown ? strings.hidePassword : strings.showPassword}
        aria-pressed={isShown}
        onClick={() => setShown(!isShown)}
      >
        <Icon aria-hidden />
      </Button>
    </div>
  );
}

export function CheckboxWidget(props: WidgetProps) {
  const { id, label, required, readonly, disabled, onChange } = props;
  const value: unknown = props.value;
  return (
    <label htmlFor={id} className="flex w-fit items-start gap-2 py-1 text-[13px]">
      <Checkbox
        id={id}
        checked={value === true}
        disabled={disabled === true || readonly === true}
        className="mt-0.5"
        onChange={({ target }) => onChange(target.checked)}
        {...describeControl(props)}
      />
      <span dir="auto" className="font-medium">
        {showLine(label)}
        {required === true && <RequiredMark />}
      </span>
    </label>
  );
}

export function RequiredMark() {
  return (
    <span aria-hidden className="text-destructive ml-0.5">
      *
    </span>
  );
}

/** Several choices are checkboxes; one is the browser's own list. */
export function SelectWidget(props: WidgetProps) {
  const { id, label, options, multiple, readonly, disabled, placeholder, onChange, onBlur, onFocus } = props;
  const value: unknown = props.value;
  if (multiple === true) return <CheckboxesWidget {...props} />;
  const choices = readChoices(options);
  const index = choices.findIndex((each) => isSameJson(each.value, value));
  return (
    <Select
      id={id}
      // What chooses between alternatives stands below no label of its own.
      aria-label={id.endsWith('of_select') ? showLine(label) : undefined}
      className="w-full"
      value={index === -1 ? '' : String(index)}
      disabled={disabled === true || readonly === true}
      onChange={({ target }: ChangeEvent<HTMLSelectElement>) =>
        onChange(target.value === '' ? options.emptyValue : choices[Number(target.value)]?.value)
      }
      onBlur={() => onBlur(id, value)}
      onFocus={() => onFocus(id, value)}
      {...describeControl(props)}
    >
      {/* Of a choice that was made another can be made; that none is made is said by this one. */}
      <option value="">{placeholder ? showLine(placeholder) : strings.choose}</option>
      {choices.map(({ label }, position) => (
        <option key={position} value={String(position)}>
          {label}
        </option>
      ))}
    </Select>
  );
}

export function RadioWidget(props: WidgetProps) {
  const { id, label, options, readonly, disabled, onChange } = props;
  const value: unknown = props.value;
  const choices = readChoices(options);
  return (
    <div
      role="radiogroup"
      aria-label={showLine(label)}
      id={id}
      className={options.inline === true ? 'flex flex-wrap gap-x-4' : 'space-y-0.5'}
      {...describeControl(props)}
    >
      {choices.map(({ label: shown, value: choice }, index) => (
        <label
          key={index}
          htmlFor={optionId(id, index)}
          className="flex w-fit items-start gap-2 py-1 text-[13px]"
        >
          <input
            type="radio"
            id={optionId(id, index)}
            name={id}
            className="accent-primary mt-0.5 size-4"
            checked={isSameJson(choice, value)}
            disabled={disabled === true || readonly === true}
            onChange={() => onChange(choice)}
          />
          <span dir="auto">{shown}</span>
        </label>
      ))}
    </div>
  );
}

export function CheckboxesWidget(props: WidgetProps) {
  const { id, label, options, readonly, disabled, onChange } = props;
  const value: unknown = props.value;
  const known = options.enumOptions ?? [];
  const chosen: unknown[] = Array.isArray(value) ? (value as unknown[]) : [];
  return (
    <div
      role="group"
      aria-label={showLine(label)}
      id={id}
      className="space-y-0.5"
      {...describeControl(props)}
    >
      {readChoices(options).map(({ label: shown }, index) => (
        <label
          key={index}
          htmlFor={optionId(id, index)}
          className="flex w-fit items-start gap-2 py-1 text-[13px]"
        >
          <Checkbox
            id={optionId(id, index)}
            className="mt-0.5"
            checked={enumOptionsIsSelected(
              enumOptionValueDecoder(String(index), known, 'indexed', undefined),
              chosen,
            )}
            disabled={disabled === true || readonly === true}
            onChange={({ target }) =>
              onChange(
                target.checked
                  ? enumOptionsSelectValue(index, chosen, known)
                  : enumOptionsDeselectValue(index, chosen, known),
              )
            }
          />
          <span dir="auto">{shown}</span>
        </label>
      ))}
    </div>
  );
}

export function DateWidget(props: WidgetProps) {
  const { id, options, readonly, disabled, onChange, onBlur, onFocus } = props;
  const value: unknown = props.value;
  return (
    <Input
      id={id}
      type="date"
      value={asText(value)}
      readOnly={readonly}
      disabled={disabled}
      className="max-w-48"
      onChange={({ target }) => onChange(target.value === '' ? options.emptyValue : target.value)}
      onBlur={({ target }) => onBlur(id, target.value)}
      onFocus={({ target }) => onFocus(id, target.value)}
      {...describeControl(props)}
    />
  );
}

export function DateTimeWidget(props: WidgetProps) {
  const { id, options, readonly, disabled, onChange, onBlur, onFocus } = props;
  const value: unknown = props.value;
  return (
    <div className="flex flex-wrap items-center gap-x-2 gap-y-1">
      <Input
        id={id}
        type="datetime-local"
        step={1}
        value={toLocal(value)}
        readOnly={readonly}
        disabled={disabled}
        className="max-w-60"
        onChange={({ target }) => onChange(fromLocal(target.value) ?? options.emptyValue)}
        onBlur={({ target }) => onBlur(id, target.value)}
        onFocus={({ target }) => onFocus(id, target.value)}
        {...describeControl(props)}
      />
      <span className="text-muted-foreground text-xs">{strings.zone(nameZone())}</span>
    </div>
  );
}

/** A text that may come from a file; binary ones are in base64, as the schema says. */
export function FileWidget(props: WidgetProps) {
  const { id, options, schema, label, readonly, disabled, onChange } = props;
  const value: unknown = props.value;
  const picker = useRef<HTMLInputElement>(null);
  const [said, setSaid] = useState<{ name: string; size: number } | { problem: string } | null>(null);
  const encoding = readEncoding(schema.contentEncoding);
  const media = typeof schema.contentMediaType === 'string' ? schema.contentMediaType : '';
  const isOff = disabled === true || readonly === true;
  const text = asText(value);

  const take = async (file: File) => {
    if (estimateBytes(file.size, encoding) > MAX_INPUT_BYTES) {
      setSaid({ problem: strings.fileTooLarge(file.size) });
      return;
    }
    try {
      onChange(await readFile(file, encoding));
      setSaid({ name: file.name, size: file.size });
    } catch {
      setSaid({ problem: strings.fileIsNoText });
    }
  };

  return (
    <div className="space-y-2">
      {encoding === 'text' && <TextareaWidget {...props} options={{ ...options, rows: options.rows ?? 6 }} />}
      <div className="flex flex-wrap items-center gap-2">
        <input
          ref={picker}
          id={encoding === 'text' ? `${id}__file` : id}
          type="file"
          accept={/^[\w.+-]+\/[\w.+*-]+$/.test(media) ? media : undefined}
          disabled={isOff}
          aria-label={encoding === 'text' ? strings.readFile(showLine(label)) : undefined}
          className={`${fieldClasses} file:bg-secondary h-8 max-w-80 py-1 text-xs file:mr-2 file:rounded file:border-0 file:px-2 file:text-xs`}
          onChange={({ target }) => {
            const file = target.files?.[0];
            if (file !== undefined) void take(file);
          }}
          {...(encoding === 'text' ? {} : describeControl(props))}
        />
        {encoding !== 'text' && text !== '' && (
          <>
            <span className="text-muted-foreground inline-flex items-center gap-1 text-xs">
              <FileUp aria-hidden className="size-3.5" />
              {strings.fileKept(text.length)}
            </span>
            <Button
              variant="ghost"
              size="icon-sm"
              aria-label={strings.removeFile}
              disabled={isOff}
              onClick={() => {
                if (picker.current !== null) picker.current.value = '';
                setSaid(null);
                onChange(options.emptyValue);
              }}
            >
              <X aria-hidden />
            </Button>
          </>
        )}
      </div>
      <p role="status" className="text-xs">
        {said !== null && 'problem' in said && <span className="text-destructive">{said.problem}</span>}
        {said !== null && 'name' in said && (
          <span className="text-muted-foreground">{strings.fileRead(showLine(said.name), said.size)}</span>
        )}
      </p>
    </div>
  );
}

export const HiddenWidget = () => null;

export const widgets = {
  TextWidget,
  TextareaWidget,
  PasswordWidget,
  CheckboxWidget,
  SelectWidget,
  RadioWidget,
  CheckboxesWidget,
  DateWidget,
  DateTimeWidget,
  TimeWidget,
  EmailWidget,
  URLWidget: UriWidget,
  FileWidget,
  HiddenWidget,
  text: TextWidget,
  textarea: TextareaWidget,
  password: PasswordWidget,
  checkbox: CheckboxWidget,
  select: SelectWidget,
  radio: RadioWidget,
  checkboxes: CheckboxesWidget,
  date: DateWidget,
  'date-time': DateTimeWidget,
  time: TimeWidget,
  email: EmailWidget,
  uri: UriWidget,
  file: FileWidget,
};
