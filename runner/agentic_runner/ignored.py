"""Settings of ``langgraph.json`` that have no effect here: the inspection names them, so none is ignored in silence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

# JSON pointers into langgraph.json, each with what to do instead.
_WITHOUT_EFFECT: Final[Mapping[str, str]] = {
    "/store/index": "the long-term store has no semantic search: search by namespace and filter",
    "/store/ttl": "items of the long-term store do not expire: delete them in the graph",
    "/checkpointer/path": "checkpoints are kept in the operator's database: remove the setting",
    "/checkpointer/ttl": "set how long checkpoints are kept by CHECKPOINT_RETENTION_DAYS or the namespace's annotation",
}


@dataclass(frozen=True)
class Ignored:
    """A setting that has no effect: a JSON pointer into ``langgraph.json``, and the remedy."""

    setting: str
    message: str


def find_ignored(settings: Mapping[str, Any]) -> list[Ignored]:
    """Return the settings of a project that have no effect, in the order of their pointers."""
    return [
        Ignored(pointer, message) for pointer, message in sorted(_WITHOUT_EFFECT.items()) if _is_set(settings, pointer)
    ]


def _is_set(settings: Mapping[str, Any], pointer: str) -> bool:
    value: Any = settings
    for part in pointer.removeprefix("/").split("/"):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value not in (None, {}, [], "", False)
