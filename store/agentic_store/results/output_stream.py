"""Encodes results of any size as JSON in pieces: the same text as ``output``, without a second copy of the whole.

The C encoder gets small values in batches; large ones are split. So a result of 500 MB needs its own memory and that
of a few pieces.
"""

import base64
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final

from agentic_store.errors import UnstorableOutput
from agentic_store.results.output import (
    BAD_TEXT,
    TOO_DEEP,
    Replacement,
    Walk,
    dump,
    dump_plain,
    is_storable,
    make_storable,
    ordered,
)

PIECE: Final = 1024 * 1024
# A multiple of three bytes becomes base64 without padding, so that pieces can be joined.
_BASE64_PIECE: Final = PIECE // 4 * 3


class OutputStream:
    """A value as pieces of JSON in UTF-8, encoded while they are read; a new iteration starts from the beginning.

    ``replacements`` lists the values that were replaced in the pieces read so far. Raises ``UnstorableOutput`` if there
    is no JSON for the value.
    """

    def __init__(self, value: object) -> None:
        self._value = value
        self._walk = Walk()

    @property
    def replacements(self) -> tuple[Replacement, ...]:
        return tuple(self._walk.replacements)

    def __iter__(self) -> Iterator[bytes]:
        self._walk = Walk()
        waiting: list[str] = []
        length = 0
        try:
            for text in _Pieces(self._walk).value(self._value, ()):
                waiting.append(text)
                length += len(text)
                if length >= PIECE:
                    yield "".join(waiting).encode()
                    waiting, length = [], 0
        except RecursionError:
            raise UnstorableOutput(TOO_DEEP) from None
        if waiting:
            yield "".join(waiting).encode()


class _Pieces:
    def __init__(self, walk: Walk) -> None:
        self._walk = walk

    def value(self, value: Any, path: tuple[str, ...], *, is_large: bool | None = None) -> Iterator[str]:
        if not (_is_large(value) if is_large is None else is_large):
            yield self._small(value, path)
            return
        match value:
            case Enum():
                yield from self.value(value.value, path)
            case str():
                yield from self._text(value, path)
            case int():
                yield dump(self._walk.plain(value, path))
            case bytes() | bytearray() | memoryview():
                yield from _base64(memoryview(value).cast("B"))
            case Mapping():
                yield from self._object(value, path)
            case set() | frozenset():
                yield from self._list(ordered(value), path)
            case list() | tuple():
                yield from self._list(value, path)
            case _:
                yield from self._other(value, path)

    def _small(self, value: Any, path: tuple[str, ...]) -> str:
        text = dump_plain(value)
        return dump(self._walk.plain(value, path)) if text is None else text

    def _small_items(self, items: list[Any], path: tuple[str, ...], start: int) -> str:
        text = dump_plain(items)
        return (dump(self._walk.items(items, path, start)) if text is None else text)[1:-1]

    def _list(self, items: Iterable[Any], path: tuple[str, ...]) -> Iterator[str]:
        batch: list[Any] = []
        weight = first = 0
        separator = "["
        for index, item in enumerate(items):
            own_weight = _weigh(item)
            if own_weight <= PIECE:
                batch.append(item)
                weight += own_weight
            if batch and (weight > PIECE or own_weight > PIECE):
                yield separator + self._small_items(batch, path, first)
                separator, batch, weight = ",", [], 0
            if own_weight > PIECE:
                yield separator
                yield from self.value(item, (*path, str(index)), is_large=True)
                separator = ","
            if not batch:
                first = index + 1
        if batch:
            yield separator + self._small_items(batch, path, first)
            separator = ","
        yield "[]" if separator == "[" else "]"

    def _object(self, value: Mapping[Any, Any], path: tuple[str, ...]) -> Iterator[str]:
        if not all(type(key) is str and is_storable(key) for key in value):
            # Keys that become the same text are one member, the last of them.
            value = {self._walk.name(key, path): item for key, item in value.items()}
        batch: dict[str, Any] = {}
        weight = 0
        separator = "{"
        for name, item in value.items():
            own_weight = _weigh(item)
            if own_weight <= PIECE:
                batch[name] = item
                weight += own_weight + len(name)
            if batch and (weight > PIECE or own_weight > PIECE):
                yield separator + self._small(batch, path)[1:-1]
                separator, batch, weight = ",", {}, 0
            if own_weight > PIECE:
                yield f"{separator}{dump(name)}:"
                yield from self.value(item, (*path, name), is_large=True)
                separator = ","
        if batch:
            yield separator + self._small(batch, path)[1:-1]
            separator = ","
        yield "{}" if separator == "{" else "}"

    def _text(self, value: str, path: tuple[str, ...]) -> Iterator[str]:
        is_fine = is_storable(value)
        if not is_fine:
            self._walk.note(path, BAD_TEXT, None)
        yield '"'
        for start in range(0, len(value), PIECE):
            piece = str.__str__(value)[start : start + PIECE]
            yield dump(piece if is_fine else make_storable(piece))[1:-1]
        yield '"'

    def _other(self, value: Any, path: tuple[str, ...]) -> Iterator[str]:
        if isinstance(value, type):
            yield self._small(value, path)
        elif dataclasses.is_dataclass(value):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            yield from self._object(fields, path)
        elif callable(convert := getattr(value, "model_dump", None)):
            yield from self.value(convert(), path)
        elif callable(convert := getattr(value, "tolist", None)):
            is_array = getattr(value, "ndim", 0) >= 1 and len(value) > 0
            yield from self._list(_rows(value), path) if is_array else self.value(convert(), path)
        else:
            yield dump(self._walk.plain(value, path))


def _base64(data: memoryview) -> Iterator[str]:
    yield '"'
    for start in range(0, len(data), _BASE64_PIECE):
        yield base64.b64encode(data[start : start + _BASE64_PIECE]).decode()
    yield '"'


def _rows(array: Any) -> Iterator[Any]:
    """Yield an array's rows as lists or numbers, converting a few at a time."""
    step = max(1, len(array) * PIECE // max(PIECE, 8 * int(getattr(array, "size", PIECE))))
    for start in range(0, len(array), step):
        yield from array[start : start + step].tolist()


def _is_large(value: object) -> bool:
    return _weigh(value) > PIECE


def _weigh(value: object, budget: int = PIECE) -> int:
    """Return the approximate length of a value's JSON; more than ``budget`` if it is longer or not quickly known."""
    try:
        return _add_weights(value, budget)
    except RecursionError:
        return budget + 1


def _add_weights(value: Any, budget: int) -> int:
    match value:
        case str():
            return len(value) + 2
        case None | bool() | float():
            return 8
        case Enum():
            return _add_weights(value.value, budget)
        case int():
            return 8 + value.bit_length() // 3
        case bytes() | bytearray() | memoryview():
            return 2 + len(value) * 4 // 3
        case Mapping():
            total = 2
            for key, item in value.items():
                total += (len(key) if isinstance(key, str) else 32) + 4 + _add_weights(item, budget - total)
                if total > budget:
                    break
            return total
        case list() | tuple() | set() | frozenset():
            total = 2
            for item in value:
                total += 1 + _add_weights(item, budget - total)
                if total > budget:
                    break
            return total
        case _:
            # A date is short, but an object may have any size: estimate again after the conversion.
            return 64 if type(value).__module__ in ("datetime", "uuid", "decimal") else budget + 1
