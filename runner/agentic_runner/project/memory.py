"""Reads the settings of ``langgraph.json`` for the long-term store and the retention of threads.

``store.index`` makes items searchable by meaning, ``store.ttl`` lets them expire, ``checkpointer.ttl`` is the
operator's to carry out. Whatever else stands in ``store`` and ``checkpointer`` is named as without effect.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from agentic_runner.project.ignored import Ignored

Strategy = Literal["delete", "keep_latest"]

MAX_DIMS: Final = 16_000
# A hundred years.
MAX_MINUTES: Final = 52_560_000

_UNKNOWN: Final = "there is no such setting: take it out"
_OWN_PLACE: Final = "it is replaced by the operator's database: take it out"
_REMEDIES: Final[Mapping[str, str]] = {
    "/store/path": _OWN_PLACE,
    "/store/index/ann_index_config": "every search compares all vectors of its namespace: take it out",
    "/checkpointer/path": _OWN_PLACE,
    "/checkpointer/ttl/sweep_limit": "the operator removes in small steps of its own: take it out",
}
_DISTANCES: Final = ("cosine", "l2", "inner_product")
_KNOWN: Final[Mapping[str, frozenset[str]]] = {
    "/store": frozenset({"index", "ttl"}),
    "/store/index": frozenset({"dims", "embed", "fields", "distance_type"}),
    "/store/ttl": frozenset({"refresh_on_read", "default_ttl", "sweep_interval_minutes", "omit_expired"}),
    # What may be restored of a checkpoint is read where that is decided.
    "/checkpointer": frozenset({"ttl", "serde"}),
    "/checkpointer/ttl": frozenset({"strategy", "default_ttl", "sweep_interval_minutes"}),
}


@dataclass(frozen=True)
class Index:
    """How items become vectors: a function or model as the project names it, and what of an item it is given."""

    dims: int
    embed: str
    fields: tuple[str, ...] | None = None
    distance_type: str | None = None


@dataclass(frozen=True)
class Ttl:
    """When items expire, in minutes after they were written or, by default, read."""

    default_minutes: float | None = None
    refresh_on_read: bool = True
    omit_expired: bool = True
    """Not LangGraph's default, which shows an item until it is swept: here that may take longer."""


@dataclass(frozen=True)
class ThreadTtl:
    """How long a session that ended must be idle until its checkpoints are removed, or pruned to the last."""

    strategy: Strategy
    seconds: int


@dataclass(frozen=True)
class Memory:
    """The settings of one project."""

    index: Index | None = None
    flaw: str | None = None
    """Why the index that the project asks for cannot be used."""
    ttl: Ttl | None = None
    checkpoint_ttl: ThreadTtl | None = None
    ignored: tuple[Ignored, ...] = ()


class _Wrong(ValueError):
    """An invalid value of a setting; the message gives the valid form."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.ignored = Ignored(pointer, message)


def read_memory(settings: Mapping[str, Any]) -> Memory:
    """Return the settings of a project's ``langgraph.json``; invalid ones are listed as ignored, with the remedy."""
    ignored: list[Ignored] = []

    def read(section: str, name: str) -> Mapping[str, Any]:
        pointer = f"/{section}/{name}" if name else f"/{section}"
        value = settings.get(section)
        if name:
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            ignored.append(Ignored(pointer, "it is no object: write its settings between braces"))
            return {}
        ignored.extend(_find_unknown(pointer, value))
        return value

    read("store", "")
    index = flaw = ttl = checkpoint_ttl = None
    try:
        index = _read_index(read("store", "index"))
    except _Wrong as wrong:
        ignored.append(wrong.ignored)
        flaw = f"{wrong.ignored.setting}: {wrong}"
    try:
        ttl = _read_ttl(read("store", "ttl"))
    except _Wrong as wrong:
        ignored.append(wrong.ignored)
    read("checkpointer", "")
    try:
        checkpoint_ttl = _read_checkpoint_ttl(read("checkpointer", "ttl"))
    except _Wrong as wrong:
        ignored.append(wrong.ignored)
    return Memory(index, flaw, ttl, checkpoint_ttl, tuple(sorted(ignored, key=lambda each: each.setting)))


def _find_unknown(pointer: str, value: Mapping[str, Any]) -> Iterator[Ignored]:
    for key, item in value.items():
        if key not in _KNOWN[pointer] and item is not None:
            place = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
            yield Ignored(place, _REMEDIES.get(place, _UNKNOWN))


def _read_index(value: Mapping[str, Any]) -> Index | None:
    if not value:
        return None
    at = "/store/index"
    dims, embed = value.get("dims"), value.get("embed")
    if not isinstance(dims, int) or isinstance(dims, bool) or not 1 <= dims <= MAX_DIMS:
        raise _Wrong(f"{at}/dims", f"it is {dims!r}: write how many numbers an embedding has, up to {MAX_DIMS:,}")
    if not isinstance(embed, str) or not embed:
        raise _Wrong(f"{at}/embed", f"it is {embed!r}: write 'provider:model' or './file.py:function'")
    fields = value.get("fields")
    if isinstance(fields, str):
        fields = [fields]
    if fields is not None and not (isinstance(fields, list) and all(isinstance(each, str) for each in fields)):
        raise _Wrong(f"{at}/fields", "it is no list of paths into an item")
    distance = value.get("distance_type")
    if distance is not None and distance not in _DISTANCES:
        raise _Wrong(f"{at}/distance_type", f"it is {distance!r}: write one of {', '.join(_DISTANCES)}")
    return Index(dims, embed, tuple(fields) if fields else None, distance)


def _read_ttl(value: Mapping[str, Any]) -> Ttl | None:
    if not value:
        return None
    flags = {}
    for name in ("refresh_on_read", "omit_expired"):
        flag = value.get(name)
        if flag is not None and not isinstance(flag, bool):
            raise _Wrong(f"/store/ttl/{name}", f"it is {flag!r}: write true or false")
        flags[name] = True if flag is None else flag
    return Ttl(_read_minutes("/store/ttl/default_ttl", value.get("default_ttl")), **flags)


def _read_checkpoint_ttl(value: Mapping[str, Any]) -> ThreadTtl | None:
    minutes = _read_minutes("/checkpointer/ttl/default_ttl", value.get("default_ttl"))
    if minutes is None:
        return None
    strategy = value.get("strategy") or "delete"
    if strategy not in ("delete", "keep_latest"):
        raise _Wrong("/checkpointer/ttl/strategy", f"it is {strategy!r}: write delete or keep_latest")
    return ThreadTtl(cast("Strategy", strategy), max(1, round(minutes * 60)))


def _read_minutes(pointer: str, value: Any) -> float | None:
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or not 0 < value <= MAX_MINUTES:
        raise _Wrong(pointer, f"it is {value!r}: write a number of minutes above 0")
    return float(value)
