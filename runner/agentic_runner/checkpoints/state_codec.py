"""How values of a state become bytes and values again.

The bytes are those of LangGraph's serializer, written by its own function for each kind of object, so that either reads
what the other saved. What is different:

- An object is refused when it is saved, by ``NotRestorable``, where no process could make it again.
- Texts with half a surrogate pair and integers beyond 64 bits, which MessagePack does not have, are kept by extensions
  of our own, as are dictionaries with such keys. LangGraph's own reader does not know these; nothing else uses them.
- Objects are made again by the rules of ``state_types``, with as much as their class allows: fields that a constructor
  does not take are set afterwards.
"""

import dataclasses
import logging
import re
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, Final

import ormsgpack
from langgraph.checkpoint.serde import _msgpack as library
from langgraph.checkpoint.serde import jsonplus
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from agentic_runner.checkpoints.not_restorable import NotRestorable
from agentic_runner.checkpoints.state_types import Make, Restorable, StateTypes

log = logging.getLogger(__name__)

# Ours. LangGraph counts its own from 0.
TEXT: Final = 100
INTEGER: Final = 101
PAIRS: Final = 102

_READ: Final = ormsgpack.OPT_NON_STR_KEYS
_WRITE: Final = (
    ormsgpack.OPT_NON_STR_KEYS
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_UUID
)
_LARGEST: Final = 2**64 - 1
_SMALLEST: Final = -(2**63)
# Which of the library's ways to save an object belongs to which way to make it again.
_CODES: Final[Mapping[Make, frozenset[int]]] = {
    Make.MODEL: frozenset({jsonplus.EXT_PYDANTIC_V2}),
    Make.OLD_MODEL: frozenset({jsonplus.EXT_PYDANTIC_V1}),
    Make.DATACLASS: frozenset({jsonplus.EXT_CONSTRUCTOR_KW_ARGS}),
    Make.NAMED_TUPLE: frozenset({jsonplus.EXT_CONSTRUCTOR_KW_ARGS}),
    Make.ENUM: frozenset({jsonplus.EXT_CONSTRUCTOR_SINGLE_ARG}),
    Make.SECRET: frozenset({jsonplus.EXT_CONSTRUCTOR_SINGLE_ARG}),
}
_CONSTRUCTORS: Final = frozenset(
    {jsonplus.EXT_CONSTRUCTOR_SINGLE_ARG, jsonplus.EXT_CONSTRUCTOR_POS_ARGS, jsonplus.EXT_CONSTRUCTOR_KW_ARGS}
)
_OBJECTS: Final = _CONSTRUCTORS | {
    jsonplus.EXT_METHOD_SINGLE_ARG,
    jsonplus.EXT_PYDANTIC_V1,
    jsonplus.EXT_PYDANTIC_V2,
}


class StateCodec:
    """Packs and unpacks values; see the module."""

    def __init__(self, state_types: StateTypes) -> None:
        self._types = state_types
        # The library's own function has no hook for the content of objects, so we pack that ourselves.
        function = jsonplus._msgpack_default  # noqa: SLF001  (docs/private-seams.md)
        self._library: Callable[[Any], Any] = types.FunctionType(
            function.__code__, {**function.__globals__, "_msgpack_enc": self.pack}, "pack_object"
        )

    def pack(self, value: Any) -> bytes:
        """Return a value's bytes; raise :class:`NotRestorable` where they would not give it back."""
        refused: list[NotRestorable] = []

        def pack_object(each: Any) -> Any:
            try:
                return self._pack_object(each)
            except NotRestorable as error:
                # The packer raises an error of its own, which does not know of this one.
                refused.append(error)
                raise

        try:
            return ormsgpack.packb(value, default=pack_object, option=_WRITE)
        except (ormsgpack.MsgpackEncodeError, RecursionError):
            if refused:
                raise refused[0] from None
        try:
            return ormsgpack.packb(_extend(value), default=pack_object, option=_WRITE)
        except RecursionError:
            raise NotRestorable(describe_type(type(value)), "it is nested too deeply, or contains itself") from None
        except ormsgpack.MsgpackEncodeError as error:
            if refused:
                raise refused[0] from None
            raise NotRestorable(describe_type(type(value)), str(error)) from error

    def unpack(self, data: bytes) -> Any:
        """Return the value of such bytes."""
        return ormsgpack.unpackb(data, ext_hook=self.unpack_object, option=_READ)

    def _pack_object(self, value: Any) -> Any:
        if isinstance(value, _Packed):
            return ormsgpack.Ext(value.code, value.data if value.data is not None else self.pack(value.pairs))
        cls = type(value)
        is_known = cls in (_DeltaSnapshot, re.Pattern) or _is_array(value)
        if _is_array(value) and (value.dtype.hasobject or value.dtype.names):
            raise NotRestorable(describe_type(cls), f"arrays of {value.dtype} are not restored: keep value.tolist()")
        if not is_known and (reason := self._types.find_reason_against(cls)) is not None:
            raise NotRestorable(describe_type(cls), reason)
        try:
            return self._library(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise NotRestorable(describe_type(cls), str(error)) from error

    def unpack_object(self, code: int, data: bytes) -> Any:
        """Return the object of an extension; its bare contents where its type is not to be restored."""
        if code == TEXT:
            return data.decode("utf-8", "surrogatepass")
        if code == INTEGER:
            return int.from_bytes(data, "big", signed=True)
        inner = self.unpack(data)
        if code == PAIRS:
            return {_as_key(key): value for key, value in inner}
        if code == jsonplus.EXT_DELTA_SNAPSHOT:
            return _DeltaSnapshot(inner)
        if code == jsonplus.EXT_NUMPY_ARRAY:
            return _make_array(inner)
        if code not in _OBJECTS or not isinstance(inner, list) or len(inner) < 3:
            return None
        return self._make(code, *inner[:4])

    def _make(self, code: int, module: str, name: str, content: Any, method: str = "") -> Any:
        found = self._types.find(module, name)
        if found is None or not is_fitting(code, found, method):
            log.warning("type not restored from a checkpoint", extra={"type": f"{module}.{name}"[:256]})
            return content
        try:
            return _make_object(code, found, content, method)
        except Exception as error:  # noqa: BLE001  (an author's constructor; what was saved is not to get lost)
            log.warning(
                "object not restored from a checkpoint: using its plain contents",
                extra={"type": f"{module}.{name}"[:256], "error": type(error).__name__},
            )
            return content


def is_fitting(code: int, found: Restorable, method: str) -> bool:
    """Return whether a type may be restored in this way: a checkpoint can only choose the library's own ways."""
    if code == jsonplus.EXT_METHOD_SINGLE_ARG:
        if found.make is Make.SAFE:
            return (found.type.__module__, found.type.__name__, method) in library.SAFE_MSGPACK_METHODS
        return found.make in (Make.VALUE, Make.ALLOWED) and method == "fromisoformat"
    return code in _CODES.get(found.make, _OBJECTS - {jsonplus.EXT_METHOD_SINGLE_ARG})


def _make_object(code: int, found: Restorable, content: Any, method: str) -> Any:
    cls = found.type
    if code == jsonplus.EXT_METHOD_SINGLE_ARG:
        return getattr(cls, method)(content)
    if code == jsonplus.EXT_CONSTRUCTOR_SINGLE_ARG:
        # MessagePack has no tuples. The value of an enum's member may be one, and what is in a set is never a list.
        is_hashable = found.make is Make.ENUM or (isinstance(cls, type) and issubclass(cls, set | frozenset))
        return cls(_as_key(content) if is_hashable else content)
    if code == jsonplus.EXT_CONSTRUCTOR_POS_ARGS:
        if found.make is Make.SAFE and cls.__name__ == "Send" and len(content) > 2:
            return cls(content[0], content[1], timeout=content[2])
        return cls(*content)
    if code == jsonplus.EXT_PYDANTIC_V2:
        return _make_model(cls, content)
    if code == jsonplus.EXT_PYDANTIC_V1:
        try:
            return cls(**content)
        except Exception:  # noqa: BLE001  (an author's validators: what was saved had passed them once)
            return cls.construct(**content)
    if found.make is Make.DATACLASS:
        return _make_dataclass(cls, content)
    return cls(**content)


def _make_model(cls: Any, content: Any) -> Any:
    if not isinstance(content, Mapping):
        return cls.model_validate(content)
    computed = getattr(cls, "model_computed_fields", {})
    fields = {name: value for name, value in content.items() if name not in computed}
    has_aliases = any(field.alias or field.validation_alias for field in cls.model_fields.values())
    try:
        # What was saved goes by the names of the fields, whatever aliases the inputs had.
        return cls.model_validate(fields, by_alias=False, by_name=True) if has_aliases else cls(**fields)
    except Exception:  # noqa: BLE001  (an author's validators: what was saved had passed them once)
        return cls.model_construct(**fields)


def _make_dataclass(cls: Any, content: Mapping[str, Any]) -> Any:
    fields = {field.name: field for field in dataclasses.fields(cls)}
    given = {name: value for name, value in content.items() if name not in fields or fields[name].init}
    try:
        made = cls(**given)
    except Exception:  # noqa: BLE001  (an author's constructor)
        # It may take what is not kept (InitVar), or refuse what it took once: the fields are what was saved.
        made = cls.__new__(cls)
        given = {}
    for name, value in content.items():
        if name in fields and name not in given:
            object.__setattr__(made, name, value)
    return made


@dataclasses.dataclass(frozen=True)
class _Packed:
    """What MessagePack does not have, as an extension of ours."""

    code: int
    data: bytes | None = None
    pairs: Any = None


def _extend(value: Any) -> Any:
    """Return plain data with what MessagePack does not have as extensions."""
    if isinstance(value, str):
        return value if is_encodable(value) else _Packed(TEXT, value.encode("utf-8", "surrogatepass"))
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if _SMALLEST <= value <= _LARGEST else _Packed(INTEGER, _to_bytes(value))
    if isinstance(value, dict):
        if all(_is_plain_key(key) for key in value):
            return {key: _extend(each) for key, each in value.items()}
        return _Packed(PAIRS, pairs=[[_extend(key), _extend(each)] for key, each in value.items()])
    if isinstance(value, list) or type(value) is tuple:
        return [_extend(each) for each in value]
    return value


def _as_key(key: Any) -> Any:
    return tuple(_as_key(each) for each in key) if isinstance(key, list | tuple) else key


def _is_plain_key(key: Any) -> bool:
    if isinstance(key, str):
        return is_encodable(key)
    if isinstance(key, int):
        return _SMALLEST <= key <= _LARGEST
    return not isinstance(key, tuple)


def is_encodable(text: str) -> bool:
    """Return whether a text has no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _to_bytes(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _is_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is getattr(numpy, "ndarray", None)


def _make_array(content: Any) -> Any:
    import numpy as np

    try:
        dtype, shape, order, data = content
        return np.frombuffer(data, dtype=np.dtype(dtype)).reshape(shape, order=order)
    except (TypeError, ValueError):
        return content


def describe_type(cls: type) -> str:
    """Return the name of a class with its module."""
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
