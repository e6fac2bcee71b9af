/** A form drawn from a schema. It holds no value of its own, and judges nothing: its owner does. */
import CoreForm from '@rjsf/core/lib/components/Form.js';
import type { Experimental_DefaultFormStateBehavior, GlobalUISchemaOptions } from '@rjsf/utils';
import { Component, type ReactNode, useMemo } from 'react';

import { formStrings as strings } from '@/strings/form';
import { fillRequired, readHints, toDisplay } from './display';
import type { FormValue } from './numbers';
import { fields } from './theme/fields';
import { templates } from './theme/templates';
import { widgets } from './theme/widgets';
import { type Fault, type FormValidator, buildErrorSchema } from './validator';

declare global {
  interface BigInt {
    toJSON(): string;
  }
}

// The form library compares forms by their JSON text, for which an integer beyond 2⁵³ has none. What is sent is written by
// `writeJson`, which never asks this.
BigInt.prototype.toJSON = function (this: bigint) {
  return this.toString();
};

/** Parts that may be left out are drawn once somebody wants to fill them in. */
const GLOBAL = {
  'ui:globalOptions': { enableOptionalDataFieldForType: ['object'] } as GlobalUISchemaOptions,
};
const DEFAULTS: Experimental_DefaultFormStateBehavior = {
  emptyObjectFields: 'skipEmptyDefaults',
  arrayMinItems: { populate: 'never' },
  allOf: 'populateDefaults',
  constAsDefaults: 'always',
  mergeDefaultsIntoFormData: 'useFormDataIfPresent',
};

export interface SchemaFormProps {
  readonly schema: FormValue;
  readonly hints: unknown;
  readonly validator: FormValidator;
  readonly value: FormValue | undefined;
  readonly onChange: (value: FormValue | undefined) => void;
  readonly faults: readonly Fault[];
  readonly idPrefix: string;
  readonly isDisabled: boolean;
}

export function SchemaForm({
  schema,
  hints,
  validator,
  value,
  onChange,
  faults,
  idPrefix,
  isDisabled,
}: SchemaFormProps) {
  const display = useMemo(() => toDisplay(schema), [schema]);
  const uiSchema = useMemo(() => ({ ...readHints(hints), ...GLOBAL }), [hints]);
  const errors = useMemo(() => buildErrorSchema(faults), [faults]);
  return (
    <Fallback>
      <CoreForm
        tagName="div"
        idPrefix={idPrefix}
        schema={display}
        uiSchema={uiSchema}
        validator={validator}
        formData={value}
        onChange={({ formData }) => onChange(fillRequired(formData as FormValue | undefined, display))}
        extraErrors={errors}
        noValidate
        showErrorList={false}
        disabled={isDisabled}
        fields={fields}
        templates={templates}
        widgets={widgets}
        experimental_defaultFormStateBehavior={DEFAULTS}
      >
        {/* Its owner has the button. */}
        <></>
      </CoreForm>
    </Fallback>
  );
}

/** A schema that cannot be drawn leaves the other ways to write the value. */
class Fallback extends Component<{ children: ReactNode }, { hasFailed: boolean }> {
  override state = { hasFailed: false };

  static getDerivedStateFromError() {
    return { hasFailed: true };
  }

  override render() {
    if (!this.state.hasFailed) return this.props.children;
    return (
      <p role="alert" className="text-warning text-[13px]">
        {strings.form.notDrawn}
      </p>
    );
  }
}
