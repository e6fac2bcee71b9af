"""Values of a checkpoint as JSON: decoded as data, with no import and no constructor of anything that they name.

MessagePack of LangGraph holds objects as extensions: module, name, what it was made of, and perhaps the method that
makes it. Shown is what it was made of: a message is an object of its fields, a time is its text. Pure.
"""

import base64
import json
import math
from collections.abc import Sequence
from typing import Any, Final

import ormsgpack

from agentic_store.thread_values import ChannelValue

MAX_DEPTH: Final = 64
# What stands in a checkpoint's own JSON in place of what is encrypted.
_SEALED: Final = "agentic_sealed"
# LangGraph's extensions: objects by a constructor or a method, models, arrays, deltas; and the runner's own.
_CONSTRUCTED: Final = frozenset(range(6))
_ARRAY: Final = 6
_DELTA: Final = 7
_TEXT: Final = 100
_INTEGER: Final = 101
_PAIRS: Final = 102


class NotShown(Exception):
    """What a checkpoint holds cannot be shown; the text says why."""


def decode_values(found: Sequence[ChannelValue]) -> dict[str, Any]:
    """Return channels with their values as plain JSON; raises :class:`NotShown` for all if one may not be."""
    return {each.channel: _decode(each) for each in found}


def _decode(value: ChannelValue) -> Any:
    match value.kind:
        case None:
            raise NotShown("the values of this checkpoint are larger than 1 MiB")
        case "null":
            return None
        case "json":
            try:
                return _plain(json.loads(value.content or b"null", parse_int=_read_integer), 0)
            except (ValueError, RecursionError) as error:
                raise NotShown(f"channel {value.channel!r} holds no JSON") from error
        case "bytes" | "bytearray":
            return base64.b64encode(value.content or b"").decode()
        case "msgpack":
            try:
                return _unpack(value.content or b"", 0)
            except (ValueError, RecursionError) as error:
                raise NotShown(f"channel {value.channel!r} cannot be read: {error}") from error
        case other if "+" in other:
            raise NotShown("the state of this session is encrypted, and is shown nowhere")
        case other:
            raise NotShown(f"channel {value.channel!r} is stored as {other[:32]!r}, which is not shown")


def _unpack(data: bytes, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError(f"it is nested over {MAX_DEPTH} levels")

    def show(code: int, content: bytes) -> Any:
        return _show(code, bytes(content), depth + 1)

    found = ormsgpack.unpackb(data, ext_hook=show, option=ormsgpack.OPT_NON_STR_KEYS)
    return _plain(found, depth)


def _show(code: int, content: bytes, depth: int) -> Any:
    if code == _TEXT:
        return content.decode("utf-8", "replace")
    if code == _INTEGER:
        return _show_integer(int.from_bytes(content[:2048], "big", signed=True))
    inner = _unpack(content, depth)
    if code in _CONSTRUCTED:
        # module, name, content, method
        return inner[2] if isinstance(inner, list) and len(inner) > 2 else None
    if code == _ARRAY:
        dtype, shape = (inner[0], inner[1]) if isinstance(inner, list) and len(inner) > 1 else (None, None)
        return {"dtype": dtype, "shape": shape}
    if code == _PAIRS:
        pairs = [each for each in inner if isinstance(each, list) and len(each) == 2] if isinstance(inner, list) else []
        return {_name(key): each for key, each in pairs}
    return inner if code == _DELTA else None


def _plain(value: Any, depth: int) -> Any:
    """Return a value as JSON can hold it; raises :class:`NotShown` for one that is encrypted."""
    if depth > MAX_DEPTH:
        raise ValueError(f"it is nested over {MAX_DEPTH} levels")
    match value:
        case None | bool() | str():
            return value
        case int():
            return _show_integer(value)
        case float():
            return value if math.isfinite(value) else None
        case bytes():
            return base64.b64encode(value).decode()
        case dict() if _SEALED in value:
            raise NotShown("the state of this session is encrypted, and is shown nowhere")
        case dict():
            return {_name(key): _plain(each, depth + 1) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(each, depth + 1) for each in value]
        case _:
            return str(value)


def _name(key: Any) -> str:
    return key if isinstance(key, str) else json.dumps(_plain(key, MAX_DEPTH - 8), ensure_ascii=False)


def _show_integer(value: int) -> int | str:
    """Return a number; one of over 4,300 digits, which nobody can read, as its size."""
    return value if value.bit_length() < 14_000 else f"an integer of {value.bit_length()} bits"


def _read_integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= 4300 else f"an integer of {len(digits)} digits"
