"""How the phase of a session or turn becomes the exit status of ``agentic``."""

from enum import IntEnum
from typing import Final

from agentic_cli.model.sessions import Session
from agentic_cli.model.turns import CANCELED, COMPLETED, Turn, find_last_ended, find_turn, is_idle
from agentic_core.errors import AgenticError
from agentic_core.lifecycle import Phase


class ExitStatus(IntEnum):
    """What ``agentic`` exits with."""

    COMPLETED = 0
    """Done; for a session that was waited for: Completed."""
    FAILED = 1
    """An error; for a session that was waited for: Failed."""
    USAGE = 2
    """Wrong usage: unknown command or option, missing argument."""
    STOPPED = 3
    """The session was Stopped, or the turn Canceled."""
    WAITING = 4
    """The session waits for an answer, and nobody answers here."""
    UNREACHABLE = 21
    """The API server does not answer."""
    TIMED_OUT = 124
    """Not within ``--timeout``; the session continues."""
    INTERRUPTED = 130
    """Ctrl-C; the session continues."""


class TimedOut(AgenticError):
    """What was waited for did not happen in time."""


_STATUS: Final = {
    Phase.COMPLETED.value: ExitStatus.COMPLETED,
    Phase.FAILED.value: ExitStatus.FAILED,
    Phase.STOPPED.value: ExitStatus.STOPPED,
}
_TURN_STATUS: Final = {COMPLETED: ExitStatus.COMPLETED, CANCELED: ExitStatus.STOPPED}


def find_outcome(session: Session, *, may_answer: bool = True) -> ExitStatus | None:
    """Return the exit status of a session that need not be watched any longer; None if it continues.

    A conversation that is Idle counts as its last turn ended. ``may_answer`` False ends at a question that is open,
    because nobody here will answer it.
    """
    if session.phase in _STATUS:
        return _STATUS[session.phase]
    if session.is_waiting and session.open_interrupts and not may_answer:
        return ExitStatus.WAITING
    if is_idle(session):
        last = find_last_ended(session)
        return ExitStatus.COMPLETED if last is None else _read_turn(last)
    return None


def find_turn_outcome(session: Session, name: str, *, may_answer: bool = True) -> ExitStatus | None:
    """Return the exit status of a turn that is over or will never run; None for any other."""
    turn = find_turn(session, name)
    if turn is not None and turn.is_over:
        return _read_turn(turn)
    if turn is None or session.is_final:
        return ExitStatus.STOPPED if session.phase == Phase.STOPPED else ExitStatus.FAILED
    if session.is_waiting and session.open_interrupts and not may_answer:
        return ExitStatus.WAITING
    return None


def _read_turn(turn: Turn) -> ExitStatus:
    return _TURN_STATUS.get(turn.phase, ExitStatus.FAILED)
