"""The turns of a conversation, read from spec (requests) and status (outcomes). Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agentic_cli.model.sessions import UNREADABLE, Session
from agentic_core.errors import PermanentError
from agentic_core.lifecycle import Phase

CONVERSATION: Final = "Conversation"
QUEUED: Final = "Queued"
"""Phase of a turn that the operator has not started yet; no status contains it."""
RUNNING: Final = "Running"
COMPLETED: Final = "Completed"
CANCELED: Final = "Canceled"
REFUSED: Final = "Refused"
"""Phase of a turn that the operator does not start."""

_NUMBERED: Final = re.compile(r"t(\d{1,15})")


@dataclass(frozen=True)
class Turn:
    """One turn: its entry in ``spec.turns`` with that in ``status.turns``."""

    name: str
    number: int = 0
    """Its number in the conversation, from 1; 0 until the operator starts it."""
    phase: str = QUEUED
    by: str = ""
    started_at: str = ""
    finished_at: str = ""
    checkpoint: str = ""
    error: str = ""
    """Type and message of its error; empty without one."""
    is_canceling: bool = False
    """Whether its cancellation was requested."""
    spec: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Its entry in ``spec.turns``; empty once that is removed."""
    status: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_over(self) -> bool:
        return self.phase not in (QUEUED, RUNNING)


def is_conversation(session: Session) -> bool:
    """Return whether the session takes turns."""
    return session.spec.get("mode") == CONVERSATION


def list_turns(session: Session) -> tuple[Turn, ...]:
    """Return the turns of spec and status: started ones by number, then queued ones in their order."""
    specs = {str(each.get("name")): each for each in session.spec.get("turns") or ()}
    if session.phase == UNREADABLE:
        return tuple(_build(name, spec, {}) for name, spec in specs.items())
    recorded = {str(each.get("name")): each for each in session.status.get("turns") or ()}
    current, end = session.status.get("turn") or {}, session.status.get("turnEnd") or {}
    if current and str(current.get("name")) not in recorded:
        recorded[str(current.get("name"))] = {**current, "phase": RUNNING}
    turns = []
    for name, status in recorded.items():
        # A runner reports the end of the current turn before the operator records it.
        is_ended = name == current.get("name") == end.get("name") and end.get("number") == current.get("number")
        turns.append(_build(name, specs.get(name) or {}, {**status, **end} if is_ended else status))
    turns.sort(key=lambda turn: turn.number)
    turns += [_build(name, spec, {}) for name, spec in specs.items() if name not in recorded]
    return tuple(turns)


def find_turn(session: Session, name: str) -> Turn | None:
    """Return the turn of this name; None without one."""
    return next((turn for turn in list_turns(session) if turn.name == name), None)


def require_turn(session: Session, name: str) -> Turn:
    """Return the turn of this name; raise ``PermanentError`` with the names of all."""
    turn = find_turn(session, name)
    if turn is None:
        known = ", ".join(each.name for each in list_turns(session)) or "none"
        raise PermanentError(f"session {session.name!r} has no turn {name!r}; its turns: {known}")
    return turn


def list_pending(session: Session) -> tuple[Turn, ...]:
    """Return the running and queued turns, in order."""
    return tuple(turn for turn in list_turns(session) if not turn.is_over)


def find_current(session: Session) -> Turn | None:
    """Return the running turn; None without one."""
    return next((turn for turn in list_pending(session) if turn.phase == RUNNING), None)


def find_last_ended(session: Session) -> Turn | None:
    """Return the turn that ended last; None without one. Refused turns never started."""
    ended = [turn for turn in list_turns(session) if turn.is_over and turn.number]
    return ended[-1] if ended else None


def owns_result(session: Session, turn: Turn) -> bool:
    """Return whether ``status.result`` is this turn's: each turn replaces that of the one before."""
    end = session.status.get("turnEnd") or {}
    return turn.phase == COMPLETED and (end.get("name"), end.get("number")) == (turn.name, turn.number)


def is_idle(session: Session) -> bool:
    """Return whether a conversation is Idle with no turn queued, and not being closed."""
    return session.phase == Phase.IDLE and not list_pending(session) and not session.spec.get("close")


def is_known(session: Session, name: str) -> bool:
    """Return whether a turn of this name is in the session."""
    return find_turn(session, name) is not None


def choose_name(session: Session) -> str:
    """Return a name that no turn of the session has had: ``t`` and the number that the turn is expected to get."""
    turns = list_turns(session)
    given = int(session.status.get("turnCount") or 0) + sum(turn.number == 0 for turn in turns)
    used = [int(found[1]) for turn in turns if (found := _NUMBERED.fullmatch(turn.name))]
    return f"t{max([given, *used]) + 1:04}"


def require_conversation(session: Session) -> None:
    """Raise ``PermanentError``, with the remedy, if the session is no conversation."""
    if not is_conversation(session):
        raise PermanentError(
            f"session {session.name!r} is no conversation (spec.mode): `agentic fork {session.name} --conversation`"
            " goes on from its state as one"
        )


def require_open(session: Session) -> None:
    """Raise ``PermanentError``, with the remedy, if the session takes no more turns."""
    require_conversation(session)
    if session.is_final:
        raise PermanentError(
            f"the conversation {session.name!r} is {session.phase}: `agentic fork {session.name} --conversation` goes"
            " on from its state as a new one"
        )
    if session.spec.get("close") or session.spec.get("stop"):
        raise PermanentError(f"the conversation {session.name!r} is being closed: it takes no more turns")


def _build(name: str, spec: Mapping[str, Any], status: Mapping[str, Any]) -> Turn:
    return Turn(
        name=name,
        number=int(status.get("number") or 0),
        phase=str(status.get("phase") or QUEUED),
        by=str(spec.get("by") or status.get("by") or ""),
        started_at=str(status.get("startedAt") or ""),
        finished_at=str(status.get("finishedAt") or ""),
        checkpoint=str(status.get("checkpointId") or ""),
        error=_read_error(status.get("error")),
        is_canceling=bool(spec.get("cancel") or status.get("cancel")),
        spec=spec,
        status=status,
    )


def _read_error(error: Any) -> str:
    if isinstance(error, Mapping):
        return ": ".join(str(error[name]) for name in ("type", "message") if error.get(name))
    return str(error or "")
