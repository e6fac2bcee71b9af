/** The frame around fields: labels, descriptions, errors, groups, lists and their buttons. */
import {
  ADDITIONAL_PROPERTY_FLAG,
  type ArrayFieldItemTemplateProps,
  type ArrayFieldTemplateProps,
  type DescriptionFieldProps,
  type FieldErrorProps,
  type FieldHelpProps,
  type FieldTemplateProps,
  type IconButtonProps,
  type MultiSchemaFieldTemplateProps,
  type ObjectFieldTemplateProps,
  type OptionalDataControlsTemplateProps,
  type UnsupportedFieldProps,
  type WrapIfAdditionalTemplateProps,
  buttonId,
  canExpand,
  errorId,
  getUiOptions,
  helpId,
} from '@rjsf/utils';
import { ArrowDown, ArrowUp, CircleAlert, Plus, Trash2, X } from 'lucide-react';
import type { ReactNode } from 'react';

import { Button } from '@/components/ui/button';
import { Input } from '@/components/ui/input';
import { Label } from '@/components/ui/label';
import { cn } from '@/lib/cn';
import { showLine, showText } from '@/lib/text';
import { formStrings } from '@/strings/form';
import { readColumns } from '../display';
import { RequiredMark } from './widgets';

const strings = formStrings.form;

const COLUMNS: Readonly<Record<number, string>> = {
  1: '',
  2: 'sm:grid-cols-2',
  3: 'sm:grid-cols-2 lg:grid-cols-3',
  4: 'sm:grid-cols-2 lg:grid-cols-4',
};
const SPANS: Readonly<Record<number, string>> = {
  1: '',
  2: 'sm:col-span-2',
  3: 'sm:col-span-2 lg:col-span-3',
  4: 'sm:col-span-2 lg:col-span-4',
};

function FieldTemplate(props: FieldTemplateProps) {
  const {
    id,
    label,
    children,
    errors,
    help,
    rawDescription,
    description,
    hidden,
    required,
    displayLabel,
    schema,
  } = props;
  const options = getUiOptions(props.uiSchema);
  if (hidden === true) return <div className="hidden">{children}</div>;
  const isCheckbox =
    schema.type === 'boolean' && (options.widget === undefined || options.widget === 'checkbox');
  const isGroup = options.widget === 'radio' || options.widget === 'checkboxes';
  const text = showLine(label);
  const span = readColumns(options.span);
  return (
    <WrapIfAdditional {...props}>
      <div className={cn('min-w-0 space-y-1.5', span === null ? '' : SPANS[span])}>
        {displayLabel === true && !isCheckbox && text !== '' && (
          <Label htmlFor={isGroup ? undefined : id} dir="auto" className="block">
            {text}
            {required === true && <RequiredMark />}
          </Label>
        )}
        {displayLabel === true && !isCheckbox && rawDescription ? description : null}
        {children}
        {displayLabel === true && isCheckbox && rawDescription ? description : null}
        {errors}
        {help}
      </div>
    </WrapIfAdditional>
  );
}

function WrapIfAdditional(props: WrapIfAdditionalTemplateProps) {
  const { id, label, schema, children, disabled, readonly, onKeyRenameBlur, onRemoveProperty } = props;
  if (!(ADDITIONAL_PROPERTY_FLAG in schema)) return <>{children}</>;
  return (
    <div className="grid grid-cols-[minmax(0,1fr)_minmax(0,2fr)_auto] items-start gap-2">
      <div className="space-y-1.5">
        <Label htmlFor={`${id}-key`} className="block">
          {strings.keyName}
        </Label>
        <Input
          key={label}
          id={`${id}-key`}
          defaultValue={label}
          disabled={disabled === true || readonly === true}
          onBlur={onKeyRenameBlur}
        />
      </div>
      {children}
      <Button
        id={buttonId(id, 'remove')}
        variant="ghost"
        size="icon"
        className="mt-6"
        aria-label={strings.removeMember(showLine(label))}
        disabled={disabled === true || readonly === true}
        onClick={onRemoveProperty}
      >
        <Trash2 aria-hidden />
      </Button>
    </div>
  );
}

function DescriptionFieldTemplate({ id, description }: DescriptionFieldProps) {
  if (typeof description !== 'string' || description === '') return null;
  return (
    <p id={id} dir="auto" className="text-muted-foreground text-xs leading-5 whitespace-pre-line">
      {showText(description)}
    </p>
  );
}

function FieldErrorTemplate({ errors, fieldPathId }: FieldErrorProps) {
  if (errors === undefined || errors.length === 0) return null;
  return (
    <div id={errorId(fieldPathId)} className="text-destructive space-y-0.5 text-xs">
      {errors.map((error, index) => (
        <p key={index} dir="auto" className="flex items-start gap-1">
          <CircleAlert aria-hidden className="mt-0.5 size-3 shrink-0" />
          <span className="min-w-0 break-words">{typeof error === 'string' ? showLine(error) : null}</span>
        </p>
      ))}
    </div>
  );
}

function FieldHelpTemplate({ help, fieldPathId }: FieldHelpProps) {
  if (typeof help !== 'string' || help === '') return null;
  return (
    <p id={helpId(fieldPathId)} dir="auto" className="text-muted-foreground text-xs">
      {showText(help)}
    </p>
  );
}

function Group({
  id,
  title,
  description,
  isRequired,
  isRoot,
  action,
  children,
}: {
  id: string;
  title: string;
  description: unknown;
  isRequired: boolean;
  isRoot: boolean;
  action?: ReactNode;
  children: ReactNode;
}) {
  const text = showLine(title);
  return (
    <fieldset id={id} className={cn('min-w-0', !isRoot && 'rounded-md border px-3 pt-1 pb-3')}>
      {text !== '' && !isRoot && (
        <legend dir="auto" className="px-1 text-[13px] font-semibold">
          {text}
          {isRequired && <RequiredMark />}
        </legend>
      )}
      <div className="space-y-3">
        {typeof description === 'string' && description !== '' && (
          <p
            id={`${id}__description`}
            dir="auto"
            className="text-muted-foreground text-xs leading-5 whitespace-pre-line"
          >
            {showText(description)}
          </p>
        )}
        {action}
        {children}
      </div>
    </fieldset>
  );
}

function ObjectFieldTemplate(props: ObjectFieldTemplateProps) {
  const { title, description, properties, required, schema, uiSchema, fieldPathId, onAddProperty } = props;
  const { disabled, readonly, optionalDataControl } = props;
  // Alternatives alone are drawn by their own field.
  if ((schema.oneOf || schema.anyOf) && !schema.properties && properties.length === 0) return null;
  const columns = readColumns(getUiOptions(uiSchema).columns) ?? 1;
  const isOff = disabled === true || readonly === true;
  return (
    <Group
      id={fieldPathId.$id}
      title={title}
      description={description}
      isRequired={required === true}
      isRoot={fieldPathId.path.length === 0}
      action={isOff ? undefined : optionalDataControl}
    >
      <div data-columns={columns} className={cn('grid grid-cols-1 gap-4', COLUMNS[columns])}>
        {properties.filter(({ hidden }) => !hidden).map(({ content }) => content)}
      </div>
      {canExpand(schema, uiSchema, props.formData as object) && (
        <Button
          id={buttonId(fieldPathId, 'add')}
          variant="outline"
          size="sm"
          disabled={isOff}
          onClick={() => {
            onAddProperty();
          }}
        >
          <Plus aria-hidden />
          {strings.addMember}
        </Button>
      )}
    </Group>
  );
}

function ArrayFieldTemplate(props: ArrayFieldTemplateProps) {
  const { title, items, canAdd, onAddClick, fieldPathId, required, schema, uiSchema, disabled, readonly } =
    props;
  const options = getUiOptions(uiSchema);
  const isOff = disabled === true || readonly === true;
  const shown = typeof options.title === 'string' ? options.title : title;
  return (
    <Group
      id={fieldPathId.$id}
      title={shown}
      description={options.description ?? schema.description}
      isRequired={required === true}
      isRoot={fieldPathId.path.length === 0}
      action={isOff ? undefined : props.optionalDataControl}
    >
      {items.length > 0 && <div className="space-y-2">{items}</div>}
      {items.length === 0 && <p className="text-muted-foreground text-xs">{strings.noItems}</p>}
      {canAdd && (
        <Button
          id={buttonId(fieldPathId, 'add')}
          variant="outline"
          size="sm"
          disabled={isOff}
          aria-label={strings.addItemTo(showLine(shown))}
          onClick={onAddClick}
        >
          <Plus aria-hidden />
          {strings.addItem}
        </Button>
      )}
    </Group>
  );
}

function ArrayFieldItemTemplate({ children, buttonsProps, hasToolbar, index }: ArrayFieldItemTemplateProps) {
  const { disabled, readonly, hasMoveUp, hasMoveDown, hasRemove, fieldPathId } = buttonsProps;
  const isOff = disabled === true || readonly === true;
  const position = index + 1;
  return (
    <div className="flex items-start gap-1.5">
      <span aria-hidden className="text-muted-foreground w-5 shrink-0 pt-2 text-right text-xs tabular-nums">
        {position}
      </span>
      <div className="min-w-0 flex-1">{children}</div>
      {hasToolbar && (
        <div className="flex shrink-0 pt-0.5">
          {(hasMoveUp || hasMoveDown) && (
            <>
              <ItemButton
                id={buttonId(fieldPathId, 'moveUp')}
                label={strings.moveUp(position)}
                isOff={isOff || !hasMoveUp}
                onClick={buttonsProps.onMoveUpItem}
              >
                <ArrowUp aria-hidden />
              </ItemButton>
              <ItemButton
                id={buttonId(fieldPathId, 'moveDown')}
                label={strings.moveDown(position)}
                isOff={isOff || !hasMoveDown}
                onClick={buttonsProps.onMoveDownItem}
              >
                <ArrowDown aria-hidden />
              </ItemButton>
            </>
          )}
          {hasRemove && (
            <ItemButton
              id={buttonId(fieldPathId, 'remove')}
              label={strings.removeItem(position)}
              isOff={isOff}
              onClick={buttonsProps.onRemoveItem}
            >
              <Trash2 aria-hidden />
            </ItemButton>
          )}
        </div>
      )}
    </div>
  );
}

function ItemButton({
  id,
  label,
  isOff,
  onClick,
  children,
}: {
  id: string;
  label: string;
  isOff: boolean;
  onClick: IconButtonProps['onClick'];
  children: ReactNode;
}) {
  return (
    <Button id={id} variant="ghost" size="icon-sm" aria-label={label} disabled={isOff} onClick={onClick}>
      {children}
    </Button>
  );
}

function MultiSchemaFieldTemplate({ selector, optionSchemaField }: MultiSchemaFieldTemplateProps) {
  return (
    <div className="border-primary/30 space-y-3 border-l-2 pl-3">
      {selector}
      {optionSchemaField}
    </div>
  );
}

function OptionalDataControlsTemplate({
  id,
  label,
  onAddClick,
  onRemoveClick,
}: OptionalDataControlsTemplateProps) {
  if (onAddClick !== undefined) {
    return (
      <Button id={id} variant="outline" size="sm" onClick={onAddClick}>
        <Plus aria-hidden />
        {strings.fillIn}
      </Button>
    );
  }
  if (onRemoveClick !== undefined) {
    return (
      <Button id={id} variant="ghost" size="sm" onClick={onRemoveClick}>
        <X aria-hidden />
        {strings.leaveOut}
      </Button>
    );
  }
  return <em id={id}>{label}</em>;
}

function UnsupportedFieldTemplate({ reason }: UnsupportedFieldProps) {
  return <p className="text-muted-foreground text-xs">{strings.unsupported(showLine(reason ?? ''))}</p>;
}

const Nothing = () => null;

export const templates = {
  FieldTemplate,
  DescriptionFieldTemplate,
  FieldErrorTemplate,
  FieldHelpTemplate,
  ObjectFieldTemplate,
  ArrayFieldTemplate,
  ArrayFieldItemTemplate,
  MultiSchemaFieldTemplate,
  OptionalDataControlsTemplate,
  UnsupportedFieldTemplate,
  WrapIfAdditionalTemplate: WrapIfAdditional,
  ErrorListTemplate: Nothing,
};
