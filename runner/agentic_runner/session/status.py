"""Builds the session's status from the current one and what happened.

Pure. The phase's legality is the lifecycle table's; here is what else goes with each phase.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agentic_core import contract
from agentic_core.conditions import Condition, ConditionStatus, Reason, find_condition, with_condition
from agentic_core.errors import AgenticError, GraphLoadError
from agentic_core.lifecycle import Phase
from agentic_core.questions import describe_open
from agentic_core.resources.graph_config import RunLimits
from agentic_core.resources.results import ResultRef, RunError
from agentic_core.resources.session import AgenticSession, Interrupt, SessionStatus
from agentic_runner.checkpoints.lost_checkpoints import LostCheckpoints
from agentic_runner.execution.history import extend
from agentic_runner.execution.tracking import Progress
from agentic_runner.output.redaction import bounded
from agentic_runner.session.interrupts import fit_interrupts


class AnswersPending(AgenticError):
    """A question that was about to be asked is already answered: the run continues."""


@dataclass(frozen=True)
class Result:
    """A stored result: its JSON value if it is small enough for the status, else a reference."""

    size: int
    sha256: str
    url: str
    value: Any = None
    is_outside: bool = False
    """Whether it is in the object store."""
    is_rounded: bool = False
    """Whether the API server would not keep a number in it as it is: the row has every digit."""

    @property
    def is_inline(self) -> bool:
        return not self.is_outside and not self.is_rounded and self.size <= contract.MAX_INLINE_RESULT_BYTES


@dataclass(frozen=True)
class RunFailure:
    """Why a session failed."""

    reason: Reason
    type: str
    message: str
    node: str | None = None
    retriable: bool = False


def with_changes(
    session: AgenticSession, now: datetime, *changes: tuple[str, ConditionStatus, Reason, str]
) -> tuple[Condition, ...]:
    """Return the session's conditions with these changes: type, status, reason and message of each."""
    conditions = list(session.status.conditions)
    for type_, status, reason, message in changes:
        conditions = with_condition(
            conditions,
            Condition(
                type=type_,
                status=status,
                reason=reason,
                message=bounded(message, contract.MAX_MESSAGE_LENGTH),
                last_transition_time=now,
                observed_generation=session.metadata.generation or None,
            ),
        )
    return tuple(conditions)


def _waited(session: AgenticSession) -> bool:
    return any(condition.type == "WaitingForInput" for condition in session.status.conditions)


def _take(
    session: AgenticSession, interrupts: Iterable[Interrupt], now: datetime, ids: Collection[str]
) -> tuple[Interrupt, ...]:
    """Mark these questions as acted upon, if they are not, or where what they did was lost."""
    return tuple(
        each.model_copy(update={"answered_at": each.answered_at or now, "resumed_at": now})
        if each.id in ids and (each.resumed_at is None or _acted_before_loss(session, each))
        else each
        for each in interrupts
    )


def _acted_before_loss(session: AgenticSession, answered: Interrupt) -> bool:
    """Return whether an answer acted before checkpoints were lost, and so may have to act again.

    Read from the status, so that a process which takes over from one that reported the loss knows it, too.
    """
    lost = find_condition(session.status.conditions, "CheckpointsLost")
    if lost is None or answered.resumed_at is None:
        return False
    return answered.resumed_at <= lost.last_transition_time


def running(
    session: AgenticSession, now: datetime, *, answered: Collection[str] = (), recursion_limit: int | None = None
) -> SessionStatus:
    """The run executes; ``answered`` are the interrupts whose answers it just took.

    ``recursion_limit`` is what holds of this graph, which may have one of its own.
    """
    limits = session.status.limits or RunLimits()
    if recursion_limit is not None:
        limits = limits.model_copy(update={"recursion_limit": recursion_limit})
    interrupts = _take(session, session.status.interrupts, now, answered)
    changes: list[tuple[str, ConditionStatus, Reason, str]] = [("Running", "True", Reason.RUNNING, "")]
    if _waited(session):
        changes.append(("WaitingForInput", "False", Reason.RUNNING, ""))
    return session.status.model_copy(
        update={
            "phase": Phase.RUNNING,
            "reason": Reason.RUNNING.value,
            # After a failed attempt the reason of it stays in sight until there is news.
            "message": session.status.message if session.status.reason == Reason.RETRYING else None,
            "start_time": session.status.start_time or now,
            "limits": limits if limits != RunLimits() else session.status.limits,
            "conditions": with_changes(session, now, *changes),
            "interrupts": interrupts,
            "question": describe_open(interrupts, session.status.approvals),
        }
    )


def rewound(session: AgenticSession, now: datetime, *, loss: LostCheckpoints) -> SessionStatus:
    """The run continues from an earlier checkpoint than the last reported one."""
    message = bounded(loss.describe(), contract.MAX_MESSAGE_LENGTH)
    begun = session.model_copy(update={"status": running(session, now)})
    # Of several losses the last one counts: its time says which answers acted before it.
    others = tuple(each for each in begun.status.conditions if each.type != "CheckpointsLost")
    begun = begun.model_copy(update={"status": begun.status.model_copy(update={"conditions": others})})
    return begun.status.model_copy(
        update={
            "reason": Reason.CHECKPOINTS_LOST.value,
            "message": message,
            "steps": loss.steps_left,
            "checkpoint_id": loss.latest,
            # Ids are ordered by time.
            "history": tuple(entry for entry in begun.status.history if entry.id <= (loss.latest or "")),
            "conditions": with_changes(begun, now, ("CheckpointsLost", "True", Reason.CHECKPOINTS_LOST, message)),
        }
    )


def progressing(session: AgenticSession, progress: Progress) -> SessionStatus:
    """The run moved on; a trouble that was reported before is over."""
    is_over = session.status.reason == Reason.DATABASE_UNAVAILABLE
    return session.status.model_copy(
        update={
            "current_node": progress.current_node or session.status.current_node,
            "progress": progress.progress or session.status.progress,
            "reason": Reason.RUNNING.value if is_over else session.status.reason,
            "message": progress.message or (None if is_over else session.status.message),
            "steps": max(progress.steps, session.status.steps or 0),
            "checkpoint_id": progress.checkpoint_id or session.status.checkpoint_id,
            "history": extend(session.status.history, progress.history),
        }
    )


def retrying(session: AgenticSession, now: datetime, message: str) -> SessionStatus:
    """An attempt failed, another one follows."""
    begun = session.model_copy(update={"status": running(session, now)})
    return troubled(begun, Reason.RETRYING, message)


def troubled(session: AgenticSession, reason: Reason, message: str) -> SessionStatus:
    """The phase stays; the reason is what keeps the run from going on."""
    return session.status.model_copy(
        update={"reason": reason.value, "message": bounded(message, contract.MAX_MESSAGE_LENGTH)}
    )


def waiting(
    session: AgenticSession,
    now: datetime,
    questions: Sequence[Interrupt],
    progress: Progress,
    *,
    taken: Collection[str] = (),
) -> SessionStatus:
    """The graph asks people; questions asked before keep their time.

    Raises :class:`AnswersPending` where one of them was answered meanwhile, or before a loss and not ``taken`` since.
    """
    status = progressing(session, progress)
    ids = {q.id for q in questions}
    known = {each.id: each for each in status.interrupts if each.id in ids or not _is_gone(session, each)}
    answered = [known[q.id] for q in questions if q.id in known and known[q.id].resumed_at is not None]
    if lost := [each.id for each in answered if each.id not in taken and _acted_before_loss(session, each)]:
        raise AnswersPending(f"answered before checkpoints were lost: {', '.join(lost)}")
    if again := [each.id for each in answered]:
        raise GraphLoadError(
            f"the graph asks again under the id {again[0]!r} of an answered question: the image needs a LangGraph that"
            " gives every interrupt of a node its own id"
        )
    if pending := [q.id for q in questions if q.id in known and known[q.id].is_pending]:
        raise AnswersPending(f"answered already: {', '.join(pending)}")
    asked = tuple(q.model_copy(update={"asked_at": now}) for q in questions if q.id not in known)
    # An answer to a question that is not asked any more acted: in a run that was killed before it reported that.
    acted = [each.id for each in known.values() if each.is_pending]
    interrupts = fit_interrupts((*_take(session, known.values(), now, acted), *asked))
    count = len(questions)
    message = f"waits for {count} answer{'' if count == 1 else 's'} in spec.responses"
    listed = len(ids & {each.id for each in interrupts})
    if listed < count:
        message += f"; {listed} questions are listed, the others are asked once some of these are answered"
    return status.model_copy(
        update={
            "phase": Phase.WAITING_FOR_INPUT,
            "reason": Reason.WAITING_FOR_INPUT.value,
            "message": message,
            "current_node": questions[0].node if questions else status.current_node,
            "interrupts": interrupts,
            "question": describe_open(interrupts, session.status.approvals),
            "conditions": with_changes(
                session,
                now,
                ("Running", "False", Reason.WAITING_FOR_INPUT, ""),
                ("WaitingForInput", "True", Reason.WAITING_FOR_INPUT, message),
            ),
        }
    )


def _is_gone(session: AgenticSession, asked: Interrupt) -> bool:
    """Return whether a question that is not asked any more went with checkpoints that were lost.

    Its super-step runs again and asks under another id. An answer to the old one is not taken for one to the new one.
    """
    return asked.resumed_at is None and find_condition(session.status.conditions, "CheckpointsLost") is not None


def completed(session: AgenticSession, now: datetime, result: Result, progress: Progress) -> SessionStatus:
    """The graph ended; its result is stored."""
    status = progressing(session, progress)
    return status.model_copy(
        update={
            "phase": Phase.COMPLETED,
            "reason": Reason.COMPLETED.value,
            "message": None,
            "completion_time": now,
            "current_node": None,
            "question": None,
            "progress": "100%",
            "interrupts": _take(
                session, status.interrupts, now, [each.id for each in status.interrupts if each.is_pending]
            ),
            "result": result.value if result.is_inline else None,
            "result_ref": None
            if result.is_inline
            else ResultRef(size=result.size, sha256=result.sha256, url=result.url),
            "error": None,
            "conditions": with_changes(
                session,
                now,
                ("Running", "False", Reason.COMPLETED, ""),
                ("Complete", "True", Reason.COMPLETED, ""),
            ),
        }
    )


def failed(session: AgenticSession, now: datetime, verdict: RunFailure, progress: Progress) -> SessionStatus:
    """The run failed for good."""
    message = bounded(verdict.message, contract.MAX_MESSAGE_LENGTH)
    return progressing(session, progress).model_copy(
        update={
            "phase": Phase.FAILED,
            "reason": verdict.reason.value,
            "message": message,
            "completion_time": now,
            "question": None,
            "current_node": verdict.node and bounded(verdict.node, 256),
            "error": RunError(
                type=bounded(verdict.type, 256),
                message=message,
                node=verdict.node and bounded(verdict.node, 256),
                retriable=verdict.retriable,
            ),
            "conditions": with_changes(
                session, now, ("Running", "False", verdict.reason, ""), ("Failed", "True", verdict.reason, message)
            ),
        }
    )


def build_patch(session: AgenticSession, status: SessionStatus) -> list[dict[str, Any]]:
    """Return the JSON patch (RFC 6902) from the session's status to ``status``; empty if nothing differs.

    Not a merge patch: that could not write a ``null`` inside a result. The resource version is a precondition.
    """
    old, new = session.status.to_wire(), status.to_wire()
    if old == new:
        return []
    precondition = {"op": "replace", "path": "/metadata/resourceVersion", "value": session.metadata.resource_version}
    if "status" not in session.model_fields_set:
        return [precondition, {"op": "add", "path": "/status", "value": new}]
    return [
        precondition,
        *({"op": "remove", "path": f"/status/{name}"} for name in old.keys() - new.keys()),
        *({"op": "add", "path": f"/status/{name}", "value": new[name]} for name in new if old.get(name) != new[name]),
    ]
