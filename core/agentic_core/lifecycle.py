"""The phases of a session: which changes are legal and who makes them.

This is the only table. The CRD's rule, the database's CHECK and the wire's spelling are derived from it or
tested against it.
"""

from enum import StrEnum
from typing import Final


class Phase(StrEnum):
    """The phase of a session, as written in ``status.phase``."""

    PENDING = "Pending"
    CREATING = "Creating"
    RUNNING = "Running"
    WAITING_FOR_INPUT = "WaitingForInput"
    IDLE = "Idle"
    """A conversation between two turns: nothing runs, and the next turn goes on."""
    SUSPENDED = "Suspended"
    COMPLETED = "Completed"
    FAILED = "Failed"
    STOPPED = "Stopped"

    @property
    def wire(self) -> str:
        """The snake_case form used by the database and on the wire (``waiting_for_input``)."""
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in self.value).lstrip("_")

    @property
    def is_final(self) -> bool:
        return self in FINAL_PHASES

    @classmethod
    def from_wire(cls, wire: str) -> "Phase":
        """Return the phase whose wire form is ``wire``; raise ``ValueError`` for any other text."""
        for phase in cls:
            if phase.wire == wire:
                return phase
        raise ValueError(f"unknown phase {wire!r}: expected one of {', '.join(p.wire for p in cls)}")


class Actor(StrEnum):
    """Who may write a phase."""

    OPERATOR = "operator"
    RUNNER = "runner"


FINAL_PHASES: Final = frozenset({Phase.COMPLETED, Phase.FAILED, Phase.STOPPED})

_OPERATOR: Final = frozenset({Actor.OPERATOR})
_RUNNER: Final = frozenset({Actor.RUNNER})
_EITHER: Final = _OPERATOR | _RUNNER

# A session whose phase is not written yet counts as Pending: its first write may be any change legal from there.
TRANSITIONS: Final[dict[Phase, dict[Phase, frozenset[Actor]]]] = {
    Phase.PENDING: {
        Phase.CREATING: _OPERATOR,
        Phase.IDLE: _OPERATOR,
        Phase.SUSPENDED: _OPERATOR,
        Phase.FAILED: _OPERATOR,
        Phase.STOPPED: _OPERATOR,
    },
    Phase.CREATING: {
        # The job of a run that never started is gone: the session queues again.
        Phase.PENDING: _OPERATOR,
        Phase.RUNNING: _RUNNER,
        # A turn that ends before its graph is entered.
        Phase.IDLE: _EITHER,
        Phase.SUSPENDED: _OPERATOR,
        Phase.FAILED: _EITHER,
        Phase.STOPPED: _OPERATOR,
    },
    Phase.RUNNING: {
        # A run that ended without a verdict (drained, lost) is followed by the next one.
        Phase.CREATING: _OPERATOR,
        Phase.WAITING_FOR_INPUT: _RUNNER,
        Phase.IDLE: _EITHER,
        Phase.SUSPENDED: _OPERATOR,
        Phase.COMPLETED: _RUNNER,
        Phase.FAILED: _EITHER,
        Phase.STOPPED: _OPERATOR,
    },
    Phase.WAITING_FOR_INPUT: {
        Phase.CREATING: _OPERATOR,
        Phase.RUNNING: _RUNNER,
        # The turn that asked is cancelled.
        Phase.IDLE: _OPERATOR,
        Phase.SUSPENDED: _OPERATOR,
        Phase.FAILED: _OPERATOR,
        Phase.STOPPED: _OPERATOR,
    },
    Phase.IDLE: {
        # The next turn has no Job yet, has one, or is taken by the pod that is still there.
        Phase.PENDING: _OPERATOR,
        Phase.CREATING: _OPERATOR,
        Phase.RUNNING: _RUNNER,
        Phase.SUSPENDED: _OPERATOR,
        # It is closed, or was idle for long enough.
        Phase.COMPLETED: _OPERATOR,
        Phase.FAILED: _OPERATOR,
        Phase.STOPPED: _OPERATOR,
    },
    Phase.SUSPENDED: {
        Phase.PENDING: _OPERATOR,
        Phase.CREATING: _OPERATOR,
        Phase.WAITING_FOR_INPUT: _OPERATOR,
        Phase.IDLE: _OPERATOR,
        Phase.FAILED: _OPERATOR,
        Phase.STOPPED: _OPERATOR,
    },
    Phase.COMPLETED: {},
    Phase.FAILED: {},
    Phase.STOPPED: {},
}


def is_legal(old: Phase | None, new: Phase, actor: Actor | None = None) -> bool:
    """Return whether ``actor`` (or anybody, where None) may change a session from ``old`` to ``new``.

    Staying in a phase is legal for every phase that is not final. A missing ``old`` counts as ``Pending``.
    """
    old = old or Phase.PENDING
    if old is new:
        return not old.is_final
    actors = TRANSITIONS[old].get(new)
    return actors is not None and (actor is None or actor in actors)


def phase_rule() -> str:
    """Return the CEL rule on ``status`` that lets the API server itself enforce the table."""
    legal = " || ".join(
        f"(oldSelf.phase == '{old}' && self.phase in [{', '.join(repr(str(new)) for new in news)}])"
        for old, news in TRANSITIONS.items()
        if news
    )
    return f"!has(oldSelf.phase) || (has(self.phase) && (self.phase == oldSelf.phase || {legal}))"
