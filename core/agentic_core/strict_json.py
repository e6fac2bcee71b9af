"""JSON that every part of the system can store and read back: its limits, and the refusals that name the place.

The API server, PostgreSQL (``jsonb``) and the checkpoints do not agree on the edges of JSON: numbers beyond a double,
``NaN``, lone surrogates, ``\\u0000``, doubled keys, deep nesting. What one of them would refuse later, or change in
silence, is refused here with the JSON pointer of the value.

The API server keeps integers of 64 bits and makes doubles of all longer ones, in silence: 12345678901234567890 is
stored as 12345678901234567000. Once stored, such a number cannot be told from one that was meant so. Hence values that
travel through it (``as_stored``) hold no number of 2⁶³ or more.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator

MAX_INSTANCE_BYTES = 256 * 1024
MAX_SCHEMA_BYTES = 64 * 1024
MAX_DEPTH = 64
MAX_POINTER_CHARACTERS = 512

_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_TO_BRACKETS = bytes(ord("[") if c in b"[{" else ord("]") if c in b"]}" else c for c in range(256))
_NOT_BRACKETS = bytes(c for c in range(256) if c not in b"[]{}")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*+\\u0000")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
MAX_INTEGER = 2**63 - 1
MIN_INTEGER = -(2**63)
_MAX_DIGITS = 4300
_TO_ZEROS = bytes(ord("0") if chr(c).isdecimal() and c < 128 else ord("e") if c == ord("E") else c for c in range(256))


class JsonRefused(ValueError):
    """A value that is not JSON, or is JSON that cannot be stored; ``pointer`` is its place, if known."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.pointer = pointer


def json_pointer(path: Iterable[str | int]) -> str:
    """Return the RFC 6901 pointer of ``path``; absurdly long ones are cut off, characters nobody can store replaced."""
    parts = (escape_part(part) if isinstance(part, str) else str(part) for part in path)
    return clip("".join(f"/{part}" for part in parts), MAX_POINTER_CHARACTERS)


def escape_part(name: str) -> str:
    """Return a name as a part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def clip(text: str, limit: int) -> str:
    """Return ``text`` fit for a status field: at most ``limit`` characters, no NUL and no lone surrogates."""
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    if short.isprintable():
        return short
    return _UNSTORABLE.sub("\ufffd", short)


def encode_json(value: object) -> bytes:
    """Return the compact UTF-8 text of ``value``; what is wrong inside it is for ``parse_strict_json`` to find.

    ``value`` is a tree as a JSON parser returns it: a YAML document with aliases must be parsed elsewhere, because
    shared parts are written out each time they occur. Raises ``JsonRefused`` if it is no JSON at all.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        raise _too_deep(MAX_DEPTH) from None
    except (TypeError, ValueError) as error:
        raise JsonRefused(f"not JSON: {error}") from error
    return text.encode("utf-8", "surrogatepass")


def parse_strict_json(
    text: bytes | str,
    *,
    max_bytes: int = MAX_INSTANCE_BYTES,
    max_depth: int = MAX_DEPTH,
    unique_keys: bool = True,
    as_stored: bool = False,
) -> object:
    """Parse one JSON document within the limits.

    The size counts the UTF-8 text as given. ``unique_keys=False`` saves the look at doubled keys for text that
    ``encode_json`` wrote. ``as_stored`` refuses numbers that the API server would not keep. Raises ``JsonRefused``.
    """
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    refuse_oversize(raw, max_bytes)
    if has_deeper_nesting(raw, max_depth):
        raise _too_deep(max_depth)
    value = _parse(raw, unique_keys)
    if as_stored and has_long_numbers(raw) and (wide := find_wide_number(value)) is not None:
        raise wide
    if b"\\u0000" in raw and _NUL.search(raw):
        raise JsonRefused("the character \\u0000 cannot be stored; remove it", _find(value, _has_nul) or "")
    return value


def refuse_oversize(text: bytes, limit: int) -> None:
    """Raise ``JsonRefused`` when the text is longer than ``limit`` bytes."""
    if len(text) > limit:
        raise JsonRefused(f"{len(text)} bytes of JSON are over the limit of {limit}; make it smaller")


def has_deeper_nesting(raw: bytes, limit: int) -> bool:
    """Return whether the JSON text nests lists and objects more than ``limit`` levels deep.

    Works on the text in linear passes of C code, because a walk in Python over a large document is what a check
    with a CPU limit cannot afford, and because the parser itself must not be handed a text that overflows its stack.
    """
    if raw.count(b"[") + raw.count(b"{") <= limit:
        return False
    brackets = _STRINGS.sub(b"", raw).translate(_TO_BRACKETS, _NOT_BRACKETS)
    depth = 0
    for opened in brackets.split(b"]"):
        depth += len(opened)
        if depth > limit:
            return True
        depth -= 1
    return False


def has_long_numbers(raw: bytes) -> bool:
    """Return whether the JSON text may hold a number of 2⁶³ or more; cheap, and right when it says no."""
    digits = raw.translate(_TO_ZEROS, b"+")
    return b"0" * 19 in digits or b"0e00" in digits


def has_longer_numbers(raw: bytes, limit: int) -> bool:
    """Return whether the JSON text holds a number with more than ``limit`` digits in a row; digits in texts count not.

    Works as :func:`has_deeper_nesting` does, before a parser spends time that grows with the square of the digits.
    """
    run = b"0" * (limit + 1)
    if run not in raw.translate(_TO_ZEROS):
        return False
    return run in _STRINGS.sub(b'""', raw).translate(_TO_ZEROS)


def find_wide_number(value: object) -> JsonRefused | None:
    """Return the refusal of the first number that the API server would not keep; None without one."""
    for path, number in _numbers(value, ()):
        if not MIN_INTEGER <= number <= MAX_INTEGER:
            shown = str(number) if isinstance(number, float) else _show_integer(number)
            message = f"the number {shown} is beyond 64 bits, which the API server would round in silence; use a string"
            return JsonRefused(message, json_pointer(path))
    return None


def spell_wide_integers(value: object) -> object:
    """Return a value in which the integers that the API server would round are texts with all their digits."""
    if isinstance(value, dict):
        return {name: spell_wide_integers(member) for name, member in value.items()}
    if isinstance(value, list):
        return [spell_wide_integers(item) for item in value]
    if isinstance(value, int) and not MIN_INTEGER <= value <= MAX_INTEGER:
        return str(value)
    return value


def _show_integer(number: int) -> str:
    return str(number) if abs(number) < 10**40 else f"of over 40 digits ({str(number)[:20]}…)"


def _numbers(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], int | float]]:
    if isinstance(value, int | float):
        yield path, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _numbers(item, (*path, index))
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from _numbers(member, (*path, key))


def _parse(raw: bytes, unique_keys: bool) -> object:
    digits = raw.translate(_TO_ZEROS, b"+")
    numbers = _Numbers()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _undecodable(raw, error) from None
    try:
        value: object = json.loads(
            text,
            parse_constant=numbers.note_constant,
            parse_float=numbers.read_float if _may_overflow(digits) else None,
            parse_int=numbers.read_integer if b"0" * _MAX_DIGITS in digits else None,
            object_pairs_hook=_unique if unique_keys else None,
        )
    except JsonRefused:
        raise
    except ValueError as error:
        raise JsonRefused(f"not JSON: {error}") from None
    if numbers.refused:
        place = next(path for path, number in _numbers(value, ()) if math.isinf(number) or math.isnan(number))
        raise JsonRefused(numbers.refused[0], json_pointer(place))
    # An escape such as \ud800 passes the parser, but no database and no UTF-8 text can hold what it makes.
    if _SURROGATE_ESCAPE.search(raw):
        _refuse_surrogates(value)
    return value


def _may_overflow(digits: bytes) -> bool:
    """Return whether a number in the text needs a second look; all other texts keep the C scanner's float parser."""
    return b"e000" in digits or b"e-000" in digits or b"0" * 300 in digits


def _undecodable(raw: bytes, error: UnicodeDecodeError) -> JsonRefused:
    try:
        _refuse_surrogates(json.loads(raw.decode("utf-8", "surrogatepass")))
    except JsonRefused as refused:
        return refused
    except ValueError:
        pass
    return JsonRefused(f"not UTF-8 text: {error.reason} at byte {error.start}")


def _refuse_surrogates(value: object) -> None:
    place = _find(value, _has_surrogate)
    if place is not None:
        raise JsonRefused("a lone surrogate is not a character; remove it", place)


def _has_nul(text: str) -> bool:
    return "\0" in text


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


class _Numbers:
    """Reads what is no number that can be kept as infinity, and remembers why: only the whole value knows the place."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def note_constant(self, name: str) -> float:
        return self._refuse(f"{name} is not a JSON number; use null or a string")

    def read_float(self, text: str) -> float:
        number = float(text)
        if math.isinf(number):
            return self._refuse(f"the number {text[:40]} is beyond the range of a double; use a string")
        if number == 0 and text.lstrip("-0.").lower()[:1] not in ("", "e"):
            return self._refuse(f"the number {text[:40]} is too small for a double; use 0 or a string")
        return number

    def read_integer(self, text: str) -> int | float:
        if len(text) > _MAX_DIGITS:
            return self._refuse(f"an integer of {len(text)} digits is too long; use a string")
        return int(text)

    def _refuse(self, message: str) -> float:
        self.refused.append(message)
        return math.inf


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        doubled = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise JsonRefused(f"the key {doubled[:40]!r} occurs twice in one object; keep one")
    return members


def _too_deep(limit: int) -> JsonRefused:
    return JsonRefused(f"lists and objects are nested more than {limit} levels deep; flatten the data")


def _find(value: object, is_wanted: Callable[[str], bool]) -> str | None:
    """Return the pointer of the first text, value or key, that is wanted."""
    return next((json_pointer(path) for path, text in _texts(value, ()) if is_wanted(text)), None)


def _texts(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))
    elif isinstance(value, dict):
        for key, member in value.items():
            yield (*path, key), key
            yield from _texts(member, (*path, key))
