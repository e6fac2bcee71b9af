/** The digest of a question, by which an answer is one to what was shown (`docs/human-input.md`). */

import { isLosslessNumber } from '@/api';
import type { ShownQuestion } from './AnswerForm';

/** Returns the SHA-256 of a question's content; empty where the browser has none, on a page without TLS. */
export async function digestQuestion({
  prompt,
  value = null,
  options,
  schema = null,
}: Pick<ShownQuestion, 'prompt' | 'value' | 'options' | 'schema'>): Promise<string> {
  // A page over plain HTTP has no such thing, whatever the types say.
  const subtle = crypto.subtle as SubtleCrypto | undefined;
  if (subtle === undefined) return '';
  const shown = {
    prompt: prompt === '' ? null : prompt,
    value,
    options: options.map((each) => ({ label: each.label, value: each.value ?? null })),
    schema,
  };
  const hash = await subtle.digest('SHA-256', new TextEncoder().encode(spell(shown)));
  return [...new Uint8Array(hash)].map((each) => each.toString(16).padStart(2, '0')).join('');
}

/** Returns the one spelling of a value (RFC 8785): members in order, numbers as in ECMAScript, integers with all digits. */
export function spell(value: unknown): string {
  if (isLosslessNumber(value)) return spellNumber(value.toString());
  if (Array.isArray(value)) return `[${value.map(spell).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value ?? null);
  const members = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return `{${members.map(([name, each]) => `${JSON.stringify(name)}:${spell(each)}`).join(',')}}`;
}

function spellNumber(text: string): string {
  return /^-?\d+$/.test(text) ? text : String(Number(text));
}
