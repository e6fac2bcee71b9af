/** Patterns on an engine whose work is linear in the text, as on the server; loaded only where a schema needs it. */
import { RE2JS } from 're2js';

/** JavaScript's white space; RE2's is that of ASCII. */
const SPACE =
  '\\t\\n\\x0B\\f\\r \\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}\\x{feff}';

/** Returns a test for a pattern; undefined where it needs to backtrack, or means another thing there. */
export function compileLinear(source: string): ((text: string) => boolean) | undefined {
  const translated = translate(source);
  if (translated === undefined) return undefined;
  try {
    const pattern = RE2JS.compile(translated);
    return (text) => pattern.matcher(text).find();
  } catch {
    return undefined;
  }
}

function translate(source: string): string | undefined {
  let [text, isInClass] = ['', false];
  for (let at = 0; at < source.length; at += 1) {
    const character = source.charAt(at);
    if (character === '\\') {
      const next = source.charAt((at += 1));
      if (next === 'S' && isInClass) return undefined;
      if (next === 's') text += isInClass ? SPACE : `[${SPACE}]`;
      else if (next === 'S') text += `[^${SPACE}]`;
      else if (next === 'u') {
        const found = /^(?:([0-9a-fA-F]{4})|\{([0-9a-fA-F]{1,6})\})/.exec(source.slice(at + 1));
        if (found === null || /^d[89a-f]/i.test(found[1] ?? '')) return undefined;
        text += `\\x{${found[1] ?? found[2] ?? ''}}`;
        at += found[0].length;
      } else if (/[1-9kc]/.test(next)) return undefined;
      else text += `\\${next}`;
    } else if (character === '.' && !isInClass) text += '[^\\n\\r\\x{2028}\\x{2029}]';
    else {
      if (character === '[' && !isInClass) isInClass = true;
      else if (character === '[') text += '\\';
      else if (character === ']') isInClass = false;
      text += character;
    }
  }
  return text;
}
