"""How a session's phase becomes the exit status of ``agentic``."""

from enum import IntEnum
from typing import Final

from agentic_cli.model.sessions import Session
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
    """The session was Stopped."""
    WAITING = 4
    """The session waits for an answer, and none is to be given here."""
    UNREACHABLE = 21
    """The API server does not answer."""
    TIMED_OUT = 124
    """Not within ``--timeout``; the session goes on."""
    INTERRUPTED = 130
    """Ctrl-C; the session goes on."""


class TimedOut(AgenticError):
    """What was waited for did not happen in time."""


_STATUS: Final = {
    Phase.COMPLETED.value: ExitStatus.COMPLETED,
    Phase.FAILED.value: ExitStatus.FAILED,
    Phase.STOPPED.value: ExitStatus.STOPPED,
}


def find_outcome(session: Session, *, may_answer: bool = True) -> ExitStatus | None:
    """Return the exit status of a session that needs no more watching, None of one that goes on.

    ``may_answer`` False ends at a question that is open, because nobody here will answer it.
    """
    if session.phase in _STATUS:
        return _STATUS[session.phase]
    if session.is_waiting and session.open_interrupts and not may_answer:
        return ExitStatus.WAITING
    return None
