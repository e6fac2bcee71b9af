r"""Texts as people can be shown them: what steers a terminal, turns a line around or does not show is written out.

Whoever writes a text that is meant for people (a message, a question, a label, the name of a node) passes it through
here before it goes into a status, an Event or a log, and so does whoever prints one. Values (inputs, answers, results,
what ``interrupt()`` was given) are data and stay exact; only what is shown of them is escaped (decision 30).

A character of these kinds is shown as ``\u202e``, its number in hexadecimal, as in JSON and Python:

- control characters, C0 and C1, among them ESC, and half surrogate pairs;
- marks of direction, which turn the text around them: overrides, embeddings, isolates, and the marks LRM, RLM and ALM;
- what takes no room: zero width spaces, the byte order mark, soft hyphens, fillers, tags, variation selectors;
- separators of lines and paragraphs other than the line feed, private characters and noncharacters.

Letters of right-to-left scripts stay: a terminal orders them by themselves. Joiners (U+200C, U+200D) and variation
selectors stay where spelling needs them: one between two letters of a script that joins (Persian, Hindi, Khmer ...),
between two parts of an emoji, or behind the character that it varies. Anywhere else they show nothing and could only
make two texts look alike.

Shown text is shown as itself: passing through here twice changes nothing. So it is no encoding, and a text that holds a
backslash and ``u202e`` looks like one with the mark: the exact text is in the value.
"""

import re
from typing import Final

__all__ = ["cut", "escape_json", "find_hidden", "hides", "show_line", "show_text"]

# Characters that are shown by their number wherever they stand, but for tab and line feed.
_ALWAYS: Final = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e"
    r"\u2060-\u206f\u3164\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    r"\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U0010ffff"
)
_NONCHARACTERS: Final = "".join(f"\\U{plane:04x}fffe\\U{plane:04x}ffff" for plane in range(1, 0xE))
# Scripts whose letters change by joiners: Arabic to Myanmar, Khmer to Mongolian, and those beside them.
_JOINING: Final = (
    r"\u0620-\u070e\u0710-\u07ff\u0840-\u088f\u0892-\u08e1\u08e3-\u109f\u1780-\u17b3\u17b6-\u180a\u1820-\u1aff"
    r"\ua800-\uabff\U00010a00-\U000110bc\U000110d0-\U00011fff"
)
_EMOJI: Final = r"\u2122-\u27bf\u2900-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001fbff"
_VARIED: Final = rf"#*0-9\xa9\xae\u203c\u2049{_EMOJI}"
_IDEOGRAPHS: Final = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fffd\U00030000-\U0003fffd"

_HIDDEN: Final = re.compile(
    rf"[{_ALWAYS}{_NONCHARACTERS}]"
    rf"|(?!(?<=[{_JOINING}])[\u200c\u200d](?=[{_JOINING}])|(?<=[{_EMOJI}])\u200d(?=[{_EMOJI}])"
    rf"|(?<=[{_EMOJI}]\ufe0f)\u200d(?=[{_EMOJI}]))[\u200c\u200d]"
    rf"|(?<![{_VARIED}])[\ufe0e\ufe0f]"
    rf"|(?<![\u1820-\u18aa])[\u180b-\u180d\u180f]"
    rf"|(?<![{_IDEOGRAPHS}])[\U000e0100-\U000e01ef]"
)
# What must not be the last character before a cut: it would stand beside something else then.
_JOINERS: Final = "\u200c\u200d"


def hides(text: str) -> bool:
    """Return whether a text holds anything that is shown by its number."""
    return not (text.isascii() and text.isprintable()) and _HIDDEN.search(text) is not None


def find_hidden(text: str) -> list[str]:
    """Return the characters of a text that are shown by their numbers."""
    return _HIDDEN.findall(text)


def show_text(text: str) -> str:
    """Return a text as it may be shown, with its lines and tabs."""
    if text.isascii() and text.isprintable():
        return text
    return _HIDDEN.sub(_escape, text.replace("\r\n", "\n"))


def show_line(text: str) -> str:
    """Return a text as it may be shown, in one line: line feeds and tabs become spaces."""
    if text.isascii() and text.isprintable():
        return text
    return show_text(text).replace("\n", " ").replace("\t", " ")


def cut(text: str, limit: int, mark: str = "…") -> str:
    """Return a shown text in at most ``limit`` characters; a cut text ends with ``mark``."""
    return text if len(text) <= limit else text[: max(0, limit - len(mark))].rstrip(_JOINERS) + mark


def escape_json(text: str) -> str:
    """Return the text of a JSON document with the same value, in which nothing has to be shown by its number."""
    return _HIDDEN.sub(_escape_in_json, text)


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


def _escape_in_json(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number <= 0xFFFF:
        return f"\\u{number:04x}"
    number -= 0x10000
    return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"
