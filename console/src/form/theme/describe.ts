/** The attributes that tie a control to its label, description and errors. */
import { descriptionId, errorId, helpId } from '@rjsf/utils';

interface Described {
  readonly id: string;
  readonly required?: boolean | undefined;
  readonly rawErrors?: string[] | undefined;
  readonly hideError?: boolean | undefined;
  readonly schema: { description?: unknown };
  readonly options?: { description?: unknown; help?: unknown } | undefined;
}

export function describeControl({ id, required, rawErrors, schema, options }: Described) {
  const hasErrors = (rawErrors ?? []).length > 0;
  const ids = [
    hasErrors ? errorId(id) : '',
    schema.description || options?.description ? descriptionId(id) : '',
    options?.help ? helpId(id) : '',
  ].filter((each) => each !== '');
  return {
    'aria-invalid': hasErrors || undefined,
    'aria-required': required || undefined,
    'aria-describedby': ids.length > 0 ? ids.join(' ') : undefined,
  };
}
