"""What the index remembers of each session. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentic_core.lifecycle import FINAL_PHASES
from agentic_operator.sessions.keys import DefinitionKey

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """What is remembered of a session."""

    uid: str
    version: int
    generation: int
    phase: str
    reason: str
    workflow: DefinitionKey
    created: str
    is_deleting: bool
    is_answered: bool = False
    """Whether an answer waits for a run to take it, by the record that no runner can write."""

    @property
    def is_final(self) -> bool:
        return self.phase in FINAL_PHASES

    def is_like(self, other: "Entry") -> bool:
        """Return whether nothing changed that a pass would look at."""
        return (
            self.uid == other.uid
            and self.generation == other.generation
            and self.phase == other.phase
            and self.reason == other.reason
            and self.is_deleting == other.is_deleting
            and self.is_answered == other.is_answered
        )


def read_entry(raw: Raw) -> Entry:
    """Return what is worth remembering of a session."""
    meta, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    ref = spec.get("workflowRef") or {}
    kind = ref.get("kind") or "WorkflowDefinition"
    namespace = meta.get("namespace", "") if kind == "WorkflowDefinition" else ""
    return Entry(
        uid=meta.get("uid", ""),
        version=int(meta.get("resourceVersion") or 0),
        generation=meta.get("generation", 0),
        phase=status.get("phase") or "",
        reason=status.get("reason") or "",
        workflow=DefinitionKey(kind, namespace, ref.get("name", "")),
        created=meta.get("creationTimestamp", ""),
        is_deleting="deletionTimestamp" in meta,
        is_answered=any("answeredAt" in each and "resumedAt" not in each for each in status.get("interrupts") or ()),
    )
