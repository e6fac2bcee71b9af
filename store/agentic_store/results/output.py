"""Results of graphs as JSON that PostgreSQL can store.

Graph state is Python: messages, models, dates, arrays. PostgreSQL's ``jsonb`` refuses things that JSON encoders let
through. The rules, so that a finished run is never lost for its last value:

=====================================  ==============================================================================
a date or time, UUID, path, decimal    its text (ISO 8601 for times)
bytes                                  base64 text
a set                                  a list, sorted where its items can be
an enum                                its value
a dataclass, a pydantic model, a       an object of its fields
LangChain message (``model_dump``)
an array or scalar with ``tolist()``   a list or number
NaN, Infinity, -Infinity               null, noted
U+0000 and lone surrogates in text     U+FFFD, noted
a number of over 4,300 digits          null, noted
anything else                          its ``str()``, noted
=====================================  ==============================================================================

What is *noted* is listed in ``EncodedOutput.replacements`` by JSON pointer. A value that contains itself or is nested
deeper than the encoder can follow is refused with ``UnstorableOutput``, and 100 MB or more with ``OutputTooLarge``.
"""

import base64
import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from agentic_core.contract import MAX_OUTPUT_BYTES
from agentic_core.errors import OutputTooLarge
from agentic_store.errors import OUTPUT_TOO_LARGE, UnstorableOutput
from agentic_store.records import Json

_MAX_DIGITS: Final = 4300
_MAX_NOTED: Final = 100
TOO_DEEP: Final = "the output contains itself or is nested too deep for JSON: return a flatter value"
BAD_TEXT: Final = "text holds U+0000 or half a surrogate pair"
_REFUSED: Final = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT: Final = "\ufffd"


@dataclasses.dataclass(frozen=True)
class Replacement:
    """One value that could not be stored as it was: where (JSON pointer) and why."""

    pointer: str
    reason: str


@dataclasses.dataclass(frozen=True)
class EncodedOutput:
    """A value as compact JSON text; ``size`` and ``sha256`` are those of its UTF-8 bytes."""

    text: str
    size: int
    sha256: str
    replacements: tuple[Replacement, ...] = ()

    def value(self) -> Json:
        """Return the value as readers of the JSON get it."""
        parsed: Json = json.loads(self.text)
        return parsed


def encode_output(value: object, *, limit_bytes: int = MAX_OUTPUT_BYTES) -> EncodedOutput:
    """Encode a result at once; see the module for the rules, and ``output_stream`` for results of any size.

    Raises ``OutputTooLarge`` at ``limit_bytes`` or more and ``UnstorableOutput`` if there is no JSON for it.
    """
    text, replacements = _encode(value)
    data = text.encode()
    if len(data) >= limit_bytes:
        raise OutputTooLarge(OUTPUT_TOO_LARGE)
    return EncodedOutput(text, len(data), hashlib.sha256(data).hexdigest(), replacements)


def encode_json(value: object) -> str:
    """Encode inputs, events and errors by the same rules, without measuring."""
    return _encode(value)[0]


def _encode(value: object) -> tuple[str, tuple[Replacement, ...]]:
    walk = Walk()
    try:
        text = dump_plain(value)
        return dump(walk.plain(value, ())) if text is None else text, tuple(walk.replacements)
    except RecursionError:
        raise UnstorableOutput(TOO_DEEP) from None


def dump_plain(value: object) -> str | None:
    """Return the text of a value that is storable JSON as it is, None of any other.

    Most results are plain JSON already: the C encoder takes these at many times the speed of the walk.
    """
    try:
        text = dump(value)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        return None
    return None if "\\u0000" in text else text


def dump(value: object) -> str:
    """Return plain JSON as compact text."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


class Walk:
    """Converts any value to JSON types, and records the replacements."""

    def __init__(self) -> None:
        self.replacements: list[Replacement] = []

    def plain(self, value: Any, path: tuple[str, ...]) -> Json:
        match value:
            case None | bool():
                return value
            case Enum():
                return self.plain(value.value, path)
            case str():
                return self._text(value, path)
            case int():
                return self._integer(value, path)
            case float():
                return float(value) if math.isfinite(value) else self.note(path, f"{value} is no JSON number", None)
            case bytes() | bytearray() | memoryview():
                return base64.b64encode(value).decode()
            case datetime() | date() | time():
                return value.isoformat()
            case timedelta():
                return value.total_seconds()
            case UUID() | Decimal() | PurePath():
                return self._text(str(value), path)
            case Mapping():
                return self._object(value.items(), path)
            case set() | frozenset():
                return self.items(ordered(value), path)
            case list() | tuple():
                return self.items(value, path)
            case _:
                return self._other(value, path)

    def _other(self, value: Any, path: tuple[str, ...]) -> Json:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
            return self._object(fields, path)
        for method in ("model_dump", "tolist"):
            convert: Callable[[], Any] | None = None if isinstance(value, type) else getattr(value, method, None)
            if callable(convert):
                return self.plain(convert(), path)
        return self.note(path, f"a {type(value).__name__} is no JSON value", self._text(str(value), path))

    def _object(self, items: Iterable[tuple[Any, Any]], path: tuple[str, ...]) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for key, value in items:
            name = self.name(key, path)
            found[name] = self.plain(value, (*path, name))
        return found

    def name(self, key: Any, path: tuple[str, ...]) -> str:
        """Return a mapping's key as that of an object."""
        plain = self.plain(key, path)
        return plain if isinstance(plain, str) else dump(plain)

    def items(self, items: Iterable[Any], path: tuple[str, ...], start: int = 0) -> list[Json]:
        """Return items, the first of which has the index ``start``."""
        return [self.plain(item, (*path, str(index))) for index, item in enumerate(items, start)]

    def _text(self, value: str, path: tuple[str, ...]) -> str:
        # str() also takes a subclass down to the text itself.
        text = str.__str__(value)
        if is_storable(text):
            return text
        self.note(path, BAD_TEXT, None)
        return make_storable(text)

    def _integer(self, value: int, path: tuple[str, ...]) -> Json:
        # Four bits hold a digit and a bit more: a cheap bound before the exact, quadratic count.
        if value.bit_length() > _MAX_DIGITS * 3 and abs(value) >= 10**_MAX_DIGITS:
            return self.note(path, f"a number of over {_MAX_DIGITS} digits", None)
        return int(value)

    def note(self, path: tuple[str, ...], reason: str, instead: Json) -> Json:
        """Record a replacement and return the new value."""
        if len(self.replacements) < _MAX_NOTED:
            steps = (step.replace("~", "~0").replace("/", "~1") for step in path)
            self.replacements.append(Replacement("".join(f"/{step}" for step in steps), reason))
        return instead


def is_storable(text: str) -> bool:
    """Return whether PostgreSQL takes a text as it is."""
    return not _REFUSED.search(text)


def make_storable(text: str) -> str:
    """Replace what PostgreSQL refuses in a text."""
    return _REFUSED.sub(_REPLACEMENT, text)


def ordered(items: Iterable[Any]) -> list[Any]:
    """Return a set's items, sorted where they can be."""
    try:
        return sorted(items)
    except TypeError:
        return list(items)
