/** What people type to find sessions by their inputs. */
import { asObject, parseJson, writeJson } from '@/api';

/**
 * Return the JSON object that inputs have to contain, null for what is none.
 *
 * `key=value` is one of its members; the value is JSON where it can be read as that, else a text. Several are
 * separated by commas or spaces.
 */
export function readInput(typed: string): string | null {
  const text = typed.trim();
  if (text.startsWith('{')) {
    try {
      return asObject(parseJson(text)) === null ? null : text;
    } catch {
      return null;
    }
  }
  const members: Record<string, unknown> = {};
  for (const part of text.match(/[^\s,=]+=(?:"(?:[^"\\]|\\.)*"|[^\s,]*)/g) ?? []) {
    const place = part.indexOf('=');
    members[part.slice(0, place)] = readValue(part.slice(place + 1));
  }
  const rest = text.replace(/[^\s,=]+=(?:"(?:[^"\\]|\\.)*"|[^\s,]*)/g, '').replace(/[\s,]/g, '');
  return rest === '' && Object.keys(members).length > 0 ? writeJson(members) : null;
}

function readValue(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return text;
  }
}
