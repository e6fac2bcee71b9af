/**
 * Texts as people can be shown them: what turns a line around, or does not show, is written out as `\u202e`.
 *
 * The same rule as `core/agentic_core/display.py` has, character by character: the operator, the command line and
 * the console show one text alike. Values stay exact; only what is shown of them passes through here.
 */

/** Characters that are shown by their number wherever they stand, but for tab and line feed. */
const ALWAYS =
  String.raw`\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5` +
  String.raw`\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef` +
  String.raw`\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\u{110bd}\u{110cd}\u{13430}-\u{1343f}` +
  String.raw`\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e00ff}\u{e01f0}-\u{10ffff}`;
const NONCHARACTERS =
  String.raw`\u{1fffe}\u{1ffff}\u{2fffe}\u{2ffff}\u{3fffe}\u{3ffff}\u{4fffe}\u{4ffff}\u{5fffe}\u{5ffff}` +
  String.raw`\u{6fffe}\u{6ffff}\u{7fffe}\u{7ffff}\u{8fffe}\u{8ffff}\u{9fffe}\u{9ffff}\u{afffe}\u{affff}` +
  String.raw`\u{bfffe}\u{bffff}\u{cfffe}\u{cffff}\u{dfffe}\u{dffff}`;
/** Scripts whose letters change by joiners. */
const JOINING =
  String.raw`\u0620-\u070e\u0710-\u07ff\u0840-\u088f\u0892-\u08e1\u08e3-\u109f\u1780-\u17b3\u17b6-\u180a` +
  String.raw`\u1820-\u1aff\ua800-\uabff\u{10a00}-\u{110bc}\u{110d0}-\u{11fff}`;
const EMOJI = String.raw`\u2122-\u27bf\u2900-\u2bff\u3030\u303d\u3297\u3299\u{1f000}-\u{1fbff}`;
const VARIED = String.raw`#*0-9\xa9\xae\u203c\u2049${EMOJI}`;
const IDEOGRAPHS = String.raw`\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{2fffd}\u{30000}-\u{3fffd}`;

const HIDDEN = new RegExp(
  // eslint-disable-next-line no-misleading-character-class -- the ranges are of single characters
  `[${ALWAYS}${NONCHARACTERS}]` +
    String.raw`|(?!(?<=[${JOINING}])[\u200c\u200d](?=[${JOINING}])|(?<=[${EMOJI}])\u200d(?=[${EMOJI}])` +
    String.raw`|(?<=[${EMOJI}]\ufe0f)\u200d(?=[${EMOJI}]))[\u200c\u200d]` +
    String.raw`|(?<![${VARIED}])[\ufe0e\ufe0f]` +
    String.raw`|(?<![\u1820-\u18aa])[\u180b-\u180d\u180f]` +
    String.raw`|(?<![${IDEOGRAPHS}])[\u{e0100}-\u{e01ef}]`,
  'gu',
);

function escape(character: string): string {
  const number = character.codePointAt(0) ?? 0;
  const digits = number.toString(16);
  return number <= 0xffff ? `\\u${digits.padStart(4, '0')}` : `\\U${digits.padStart(8, '0')}`;
}

/** Return a text as it may be shown, with its lines and tabs. */
export function showText(text: string): string {
  return /^[ -~]*$/.test(text) ? text : text.replaceAll('\r\n', '\n').replace(HIDDEN, escape);
}

/** Return a text as it may be shown, in one line. */
export function showLine(text: string): string {
  return showText(text).replace(/[\n\t]/g, ' ');
}
