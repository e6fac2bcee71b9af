"""Builds the status of a conversation whose turn begins or ends. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from agentic_core import contract
from agentic_core.conditions import Reason
from agentic_core.errors import Superseded
from agentic_core.lifecycle import Phase
from agentic_core.questions import describe_open
from agentic_core.resources.results import RunError
from agentic_core.resources.session import AgenticSession, SessionStatus
from agentic_core.resources.turns import CurrentTurn, EndPhase, TurnEnd
from agentic_runner.execution.tracking import Progress
from agentic_runner.output.redaction import bounded
from agentic_runner.session import status as statuses
from agentic_runner.session.status import Result, RunFailure


@dataclass(frozen=True)
class TurnMarks:
    """Where a turn ended: the thread's last checkpoint, and the numbers of its events."""

    checkpoint_id: str | None = None
    first_seq: int | None = None
    last_seq: int | None = None


def find_current(session: AgenticSession) -> CurrentTurn | None:
    """Return the turn that is on and has not ended; None between two turns, and where it is being cancelled."""
    turn, end = session.status.turn, session.status.turn_end
    if turn is None or turn.cancel or (end is not None and end.number >= turn.number):
        return None
    return turn


def require_on(session: AgenticSession, turn: CurrentTurn) -> None:
    """Raise ``Superseded`` unless the turn is still on: what comes of one that was cancelled is not reported."""
    known = session.status.turn
    if known is None or (known.name, known.number) != (turn.name, turn.number):
        raise Superseded(f"turn {turn.name!r} of session {session.namespace}/{session.name} is not on any more")


def turn_running(
    session: AgenticSession,
    now: datetime,
    *,
    begins: bool = False,
    answered: Collection[str] = (),
    recursion_limit: int | None = None,
) -> SessionStatus:
    """The turn executes. Where it ``begins`` with an input or a command, questions of turns before are not open any
    more, and are taken off the list.
    """
    status = statuses.running(session, now, answered=answered, recursion_limit=recursion_limit)
    if not begins:
        return status
    return status.model_copy(
        update={
            "interrupts": (),
            "question": describe_open((), status.approvals),
            "progress": None,
            "current_node": None,
        }
    )


def turn_completed(
    session: AgenticSession, now: datetime, result: Result, progress: Progress, *, turn: CurrentTurn, marks: TurnMarks
) -> SessionStatus:
    """The turn ended with a result, which is stored."""
    status = statuses.completed(session, now, result, progress)
    return _end(session, now, status, turn, "Completed", Reason.TURN_COMPLETED, None, marks)


def turn_failed(
    session: AgenticSession,
    now: datetime,
    verdict: RunFailure,
    progress: Progress,
    *,
    turn: CurrentTurn,
    marks: TurnMarks,
) -> SessionStatus:
    """The turn failed for good; the conversation goes on with the next one."""
    status = statuses.failed(session, now, verdict, progress)
    message = bounded(f"turn {turn.name!r} failed: {verdict.message}", contract.MAX_MESSAGE_LENGTH)
    status = status.model_copy(update={"result": None, "result_ref": None, "message": message})
    return _end(session, now, status, turn, "Failed", Reason.TURN_FAILED, status.error, marks)


def _end(
    session: AgenticSession,
    now: datetime,
    status: SessionStatus,
    turn: CurrentTurn,
    phase: EndPhase,
    reason: Reason,
    error: RunError | None,
    marks: TurnMarks,
) -> SessionStatus:
    """Return the status of a finished session as that of one that goes on."""
    end = TurnEnd(
        name=turn.name,
        number=turn.number,
        phase=phase,
        checkpoint_id=marks.checkpoint_id,
        finished_at=now,
        error=error,
        first_seq=marks.first_seq,
        last_seq=marks.last_seq,
    )
    return status.model_copy(
        update={
            "phase": Phase.IDLE,
            "reason": reason.value,
            "completion_time": None,
            "current_node": None,
            "turn_end": end,
            "conditions": statuses.with_changes(session, now, ("Running", "False", reason, "")),
        }
    )
