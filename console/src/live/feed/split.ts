/** Splits a growing Markdown text into parts that are finished and one that is not. Pure. */

const FENCE = /^ {0,3}(`{3,}|~{3,})/;

/**
 * Returns a text in parts that begin at a paragraph outside of code and lists, so that each can be read by itself and
 * all but the last stay the same while the text grows. Joined they are the text.
 */
export function splitGrowing(text: string): string[] {
  const parts: string[] = [];
  let fence = '';
  let start = 0;
  let at = 0;
  let wasBlank = false;
  while (at < text.length) {
    const end = text.indexOf('\n', at);
    const next = end < 0 ? text.length : end + 1;
    const line = text.slice(at, next);
    const mark = FENCE.exec(line)?.[1] ?? '';
    const isBlank = line.trim() === '';
    const isPlain = !isBlank && !/^[\s>|\-*+\d:[]/.test(line);
    if (fence === '' && wasBlank && isPlain && at > start) {
      parts.push(text.slice(start, at));
      start = at;
    }
    if (fence === '') fence = mark;
    else if (mark.startsWith(fence)) fence = '';
    wasBlank = isBlank;
    at = next;
  }
  parts.push(text.slice(start));
  return parts;
}
