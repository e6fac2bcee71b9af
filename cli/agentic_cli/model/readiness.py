"""Whether a definition can take sessions yet, in words for who waits for it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from agentic_core.conditions import Reason

State = Literal["waiting", "ready", "refused"]

# What waiting does not change: the definition or its image has to.
_FINAL: Final = frozenset(
    {
        Reason.INVALID_SCHEMA,
        Reason.INVALID_SPEC,
        Reason.IMAGE_NOT_ALLOWED,
        Reason.POD_NOT_ALLOWED,
        Reason.GRAPH_LOAD_FAILED,
    }
)
# What a definition is ready in spite of.
_WITHOUT_EFFECT: Final = frozenset({"Ready", "ProjectSupported"})


@dataclass(frozen=True)
class Readiness:
    """A state, and why it is so in one line ("" if nothing is known)."""

    state: State
    why: str = ""


def compute_readiness(raw: Mapping[str, Any]) -> Readiness:
    """Return what the conditions of the definition's newest generation mean; older ones mean nothing."""
    generation = raw["metadata"].get("generation", 0)
    conditions = [
        each
        for each in (raw.get("status") or {}).get("conditions") or ()
        if each.get("observedGeneration", 0) >= generation
    ]
    by_type = {each.get("type"): each for each in conditions}
    ready = by_type.get("Ready", {})
    if ready.get("status") == "True":
        ignored = by_type.get("ProjectSupported", {})
        return Readiness("ready", _explain(ignored) if ignored.get("status") == "False" else "")
    open_ = [each for each in conditions if each.get("status") != "True" and each.get("type") not in _WITHOUT_EFFECT]
    refused = [each for each in open_ if each.get("status") == "False" and each.get("reason") in _FINAL]
    if refused:
        return Readiness("refused", "; ".join(map(_explain, refused)))
    told = [each for each in open_ if each.get("status") == "False"] or open_
    return Readiness("waiting", "; ".join(map(_explain, told)) or (_explain(ready) if ready else ""))


def _explain(condition: Mapping[str, Any]) -> str:
    message = str(condition.get("message") or "")
    return f"{condition.get('reason')}: {message}" if message else str(condition.get("reason"))
