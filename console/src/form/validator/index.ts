/** The validator that react-jsonschema-form asks: verdicts of {@link Judge}, errors at the pointers of its faults. */
import {
  type ErrorSchema,
  ErrorSchemaBuilder,
  type RJSFSchema,
  type RJSFValidationError,
  type ValidationData,
  type ValidatorType,
} from '@rjsf/utils';

import { type Fault, Judge, type Schema } from './judge';
import { splitPointer } from './pointers';

export { Judge, type Fault, type Schema, type Verdict } from './judge';
export { prepareFor } from './patterns';

/**
 * Answers the form library's questions by the schema itself, whatever the schema looks like that the form is drawn from.
 */
export class FormValidator implements ValidatorType {
  readonly judge: Judge;

  constructor(schema: Schema) {
    this.judge = new Judge(schema);
  }

  validateFormData(data: unknown): ValidationData<unknown> {
    const { faults } = this.judge.judge(withoutGaps(data));
    return { errors: faults.map(buildError), errorSchema: buildErrorSchema(faults) };
  }

  isValid(part: RJSFSchema, data: unknown): boolean {
    return this.judge.fits(part, withoutGaps(data));
  }

  rawValidation<Result = unknown>(_schema: RJSFSchema, data?: unknown): { errors?: Result[] } {
    return { errors: this.judge.judge(withoutGaps(data)).faults.map(buildError) as Result[] };
  }
}

/** Returns the errors of a form by field; a key of a member may hold any character. */
export function buildErrorSchema(faults: readonly Fault[]): ErrorSchema {
  const builder = new ErrorSchemaBuilder();
  for (const { pointer, message } of faults) builder.addErrors(message, splitPointer(pointer));
  return builder.ErrorSchema;
}

function buildError({ pointer, keyword, message }: Fault): RJSFValidationError {
  return {
    name: keyword,
    message,
    property: `.${splitPointer(pointer).join('.')}`,
    stack: message,
    params: { pointer },
  };
}

/** Returns a value without members that are `undefined`, as JSON is written. */
export function withoutGaps(value: unknown): unknown {
  if (Array.isArray(value))
    return value.map((each: unknown) => (each === undefined ? null : withoutGaps(each)));
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.fromEntries(members.map(([name, each]) => [name, withoutGaps(each)]));
}
