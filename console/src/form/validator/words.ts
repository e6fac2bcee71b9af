/** Words for faults of values: short sentences about the field that they stand below. */
import { formStrings } from '@/strings/form';
import { isMembers } from './objects';

const strings = formStrings.faults;
const MAX_QUOTED = 60;

/** Returns what is wrong, for people. */
export function word(keyword: string, schema: Record<string, unknown>, value: unknown): string {
  const rule = schema[keyword];
  switch (keyword) {
    case 'type':
      return strings.type(
        (Array.isArray(rule) ? rule : [rule]).map((each) => strings.types[String(each)] ?? String(each)),
      );
    case 'required':
      return strings.required;
    case 'minimum':
      return schema.exclusiveMinimum === true
        ? strings.exclusiveMinimum(show(rule))
        : strings.minimum(show(rule));
    case 'maximum':
      return schema.exclusiveMaximum === true
        ? strings.exclusiveMaximum(show(rule))
        : strings.maximum(show(rule));
    case 'exclusiveMinimum':
      return strings.exclusiveMinimum(show(rule));
    case 'exclusiveMaximum':
      return strings.exclusiveMaximum(show(rule));
    case 'multipleOf':
      return strings.multipleOf(show(rule));
    case 'minLength':
      return strings.minLength(Number(rule));
    case 'maxLength':
      return strings.maxLength(Number(rule), typeof value === 'string' ? [...value].length : 0);
    case 'pattern':
      return strings.pattern(show(rule));
    case 'enum':
      return strings.enum((Array.isArray(rule) ? rule : []).map(show));
    case 'const':
      return strings.const(show(rule));
    case 'minItems':
      return strings.minItems(Number(rule));
    case 'maxItems':
      return strings.maxItems(Number(rule));
    case 'uniqueItems':
      return strings.uniqueItems;
    case 'contains':
      return strings.contains;
    case 'minProperties':
      return strings.minProperties(Number(rule));
    case 'maxProperties':
      return strings.maxProperties(Number(rule));
    case 'additionalProperties':
    case 'unevaluatedProperties':
      return strings.unknownProperty;
    case 'unevaluatedItems':
    case 'items':
      return strings.unknownItem;
    case 'propertyNames':
      return strings.propertyName;
    case 'anyOf':
    case 'oneOf':
      return strings.noForm;
    case 'oneOf-several':
      return strings.severalForms;
    case 'not':
      return strings.not;
    case 'false':
      return strings.nothingAllowed;
    default:
      return strings.other(keyword);
  }
}

/** Returns a value in part, as JSON. */
export function show(value: unknown): string {
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return strings.list(value.length);
  if (isMembers(value)) return strings.object;
  const text = JSON.stringify(value) ?? '';
  const characters = [...text];
  return characters.length <= MAX_QUOTED ? text : `${characters.slice(0, MAX_QUOTED - 1).join('')}…`;
}
