"""What the index remembers of each session. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from sys import intern
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
    is_conversation: bool = False
    is_admitted: bool = False
    """Whether its workflow was pinned."""
    turn: int = 0
    """Number of the turn that is on; 0 if none is."""
    ended_turn: int = 0
    """Number of the turn whose end the runner told last."""
    has_waiting_turn: bool = False
    rested: str = ""
    """When the last turn ended; empty if none did."""

    @property
    def waits_since(self) -> str:
        """From when its place in the line counts: a turn stands behind what came before the turn ahead of it ended."""
        return max(self.created, self.rested)

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
            and (self.turn, self.ended_turn) == (other.turn, other.ended_turn)
        )


def read_entry(raw: Raw) -> Entry:
    """Return the index entry of a session. What many sessions have in common is in memory once."""
    meta, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    ref = spec.get("workflowRef") or {}
    kind = ref.get("kind") or "WorkflowDefinition"
    is_conversation = spec.get("mode") == "Conversation"
    records = (status.get("turns") or ()) if is_conversation else ()
    known = {each.get("name") for each in records}
    end = status.get("turnEnd") or {}
    namespace = meta.get("namespace", "") if kind == "WorkflowDefinition" else ""
    return Entry(
        uid=meta.get("uid", ""),
        version=int(meta.get("resourceVersion") or 0),
        generation=meta.get("generation", 0),
        phase=intern(status.get("phase") or ""),
        reason=intern(status.get("reason") or ""),
        workflow=DefinitionKey(intern(kind), intern(namespace), intern(ref.get("name", ""))),
        created=meta.get("creationTimestamp", ""),
        is_deleting="deletionTimestamp" in meta,
        is_answered=any("answeredAt" in each and "resumedAt" not in each for each in status.get("interrupts") or ()),
        is_conversation=is_conversation,
        is_admitted="workflow" in status,
        turn=(status.get("turn") or {}).get("number") or 0,
        ended_turn=end.get("number") or 0,
        has_waiting_turn=is_conversation
        and any(not each.get("cancel") and each.get("name") not in known for each in spec.get("turns") or ()),
        rested=max((each.get("finishedAt") or "" for each in (*records, end) if each.get("number")), default=""),
    )
