"""Files that people hand over: YAML and JSON, read as plain JSON values and nothing else.

YAML here is what JSON can say: no aliases (they make bombs), no tags, no doubled keys, one document; ``no``, ``010``
and ``2024-01-01`` are text. It is built from the parser's events, so depth and size are bounded on the way.
"""

import re
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from agentic_core.errors import PermanentError
from agentic_core.strict_json import MAX_DEPTH, JsonRefused, encode_json, parse_strict_json

MAX_DOCUMENT_BYTES: Final = 1024 * 1024
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_NULL: Final = dict.fromkeys(("", "~", "null", "Null", "NULL"))
_TRUE: Final = dict.fromkeys(("true", "True", "TRUE"), True)
_FALSE: Final = dict.fromkeys(("false", "False", "FALSE"), False)
_CONSTANTS: Final[dict[str, Any]] = {**_NULL, **_TRUE, **_FALSE}


def read_document(source: str) -> Any:
    """Read a file, ``-`` for standard input, as a JSON value; raise ``PermanentError`` with the reason."""
    name = "standard input" if source == "-" else repr(source)
    try:
        if source == "-":
            raw = sys.stdin.buffer.read(MAX_DOCUMENT_BYTES + 1)
        else:
            with Path(source).open("rb") as file:
                raw = file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise PermanentError(f"{name} cannot be read: {error.strerror}") from error
    if len(raw) > MAX_DOCUMENT_BYTES:
        raise PermanentError(f"{name} is over the limit of 1 MiB; make it smaller")
    try:
        return parse_document(raw, is_json=source.endswith(".json"))
    except JsonRefused as refused:
        place = f" at {refused.pointer}" if refused.pointer else ""
        raise PermanentError(f"{name}{place}: {refused.message}") from None


def parse_document(raw: bytes, *, is_json: bool = False) -> Any:
    """Parse JSON, or YAML if the text is not JSON and need not be. Raises ``JsonRefused``."""
    try:
        return parse_strict_json(raw, max_bytes=MAX_DOCUMENT_BYTES)
    except JsonRefused as refused:
        # JSON that is refused because of its content stays refused.
        if is_json or not refused.message.startswith("not JSON"):
            raise
    value = _parse_yaml(raw)
    # The same limits as for JSON: characters that nobody can store, numbers beyond a double.
    return parse_strict_json(encode_json(value), max_bytes=4 * MAX_DOCUMENT_BYTES)


class _Builder:
    """A JSON value that grows event by event, without recursion."""

    def __init__(self) -> None:
        self.root: list[Any] = []
        self._open: list[tuple[Any, list[Any]]] = [(self.root, [])]

    def scalar(self, event: Any) -> None:
        if event.tag not in (None, "!"):
            raise _refuse(event, f"the tag {event.tag} is not JSON; remove it")
        is_plain = event.implicit[0]
        self._add(_resolve(event) if is_plain else event.value, event, is_text=not is_plain)

    def open(self, container: Any, event: Any) -> None:
        if event.tag not in (None, "!"):
            raise _refuse(event, f"the tag {event.tag} is not JSON; remove it")
        if len(self._open) > MAX_DEPTH:
            raise _refuse(event, f"lists and objects are nested more than {MAX_DEPTH} levels deep; flatten the data")
        self._add(container, event)
        self._open.append((container, []))

    def close(self) -> None:
        self._open.pop()

    def _add(self, value: Any, event: Any, *, is_text: bool = False) -> None:
        container, key = self._open[-1]
        if isinstance(container, list):
            container.append(value)
        elif key:
            container[key.pop()] = value
        else:
            if isinstance(value, dict | list):
                raise _refuse(event, "a key must be text")
            text = value if is_text else event.value
            if text == "<<" and not is_text:
                raise _refuse(event, "merge keys are not JSON; write the members out")
            if text in container:
                raise _refuse(event, f"the key {text[:40]!r} occurs twice in one object; keep one")
            key.append(text)


def _parse_yaml(raw: bytes) -> Any:
    builder = _Builder()
    documents = 0
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JsonRefused(f"not UTF-8 text: {error.reason} at byte {error.start}") from None
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            match event:
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        raise _refuse(event, "there is more than one document; give one")
                case yaml.AliasEvent():
                    raise _refuse(event, "aliases are not JSON; write the value out")
                case yaml.ScalarEvent():
                    builder.scalar(event)
                case yaml.MappingStartEvent():
                    builder.open({}, event)
                case yaml.SequenceStartEvent():
                    builder.open([], event)
                case yaml.CollectionEndEvent():
                    builder.close()
    except yaml.YAMLError as error:
        raise JsonRefused(f"not YAML: {' '.join(str(error).split())}") from None
    return builder.root[0] if builder.root else None


def _resolve(event: Any) -> Any:
    text = event.value
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    if match[2] is None and match[3] is None:
        # Python refuses to read thousands of digits, for they cost quadratic time.
        if len(text) > sys.int_info.str_digits_check_threshold:
            raise _refuse(event, f"the number {text[:40]} is too long; use a string")
        return int(text)
    return float(text)


def _refuse(event: Any, message: str) -> JsonRefused:
    mark = event.start_mark
    return JsonRefused(f"line {mark.line + 1}: {message}")
