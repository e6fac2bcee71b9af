"""Conversations: what is different while a turn is on.

A conversation is decided on then as any session is; what would end that one ends the turn. Pure.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from pydantic import ValidationError

from agentic_core.conditions import Reason
from agentic_core.contract import MAX_INLINE_RESULT_BYTES
from agentic_core.lifecycle import Phase
from agentic_core.resources import AgenticSession, RunError, Turn
from agentic_core.resources.turns import EndPhase
from agentic_core.strict_json import encode_json
from agentic_core.times import add, add_seconds
from agentic_operator.kube.events import Event
from agentic_operator.manifests.jobs import effective_keep_warm
from agentic_operator.sessions.between_turns import (
    HANDOVER_PATIENCE,
    between_turns,
    find_refusal,
    find_warm,
    refuse,
)
from agentic_operator.sessions.ending import LOOK_AGAIN, fail, suspend, wind_down
from agentic_operator.sessions.observation import Observation, Rules, find_job, find_pending, find_present, list_names
from agentic_operator.sessions.plan import Plan
from agentic_operator.sessions.snapshot import find_spec
from agentic_operator.sessions.starting import run_again
from agentic_operator.sessions.status import change_session, last_run, refresh_session
from agentic_operator.sessions.turns import (
    Change,
    drop_pruned,
    end_turn,
    find_next,
    fold,
    is_cancelled,
    keep_result,
    mark_cancelled,
    mend_records,
    record_cancelled,
)
from agentic_store.records import TurnPhase, TurnRow

Decide = Callable[[AgenticSession, Observation, datetime, Rules], Plan]


def settle_turns(session: AgenticSession, now: datetime) -> Change:
    """Return the session with what runners and people said of turns taken in: an end, cancellations."""
    if not session.is_conversation:
        return Change(session)
    folded = fold(mend_records(session, now), now)
    cancelled = record_cancelled(folded.session, now)
    return Change(drop_pruned(cancelled.session), (*folded.notes, *cancelled.notes))


def converse(session: AgenticSession, seen: Observation, now: datetime, rules: Rules, go_on: Decide) -> Plan:
    """Decide a pass over a conversation that has not ended; ``go_on`` decides over a session that is in its phase."""
    if session.status.turn is None:
        return between_turns(session, seen, now, rules)
    preempting = _find_preempting(session, seen)
    if preempting is not None and (refused := find_refusal(session, preempting, seen, rules)) is not None:
        # At once, and nothing is cancelled for it: one that will not run must not stand before one that could.
        return refuse(session, preempting, refused, now)
    if is_cancelled(session) or preempting is not None:
        return _cancel(session, seen, now, rules, preempting)
    if session.spec.suspend:
        return suspend(session, seen, now)
    if (overdue := _end_overdue(session, seen, now, rules)) is not None:
        return _fail_turn(overdue, session, seen, now)
    plan = (
        _hand_over(session, seen, now, rules)
        if session.status.phase is Phase.IDLE
        else go_on(session, seen, now, rules)
    )
    return _fail_turn(plan, session, seen, now)


def end_with_session(plan: Plan, session: AgenticSession, seen: Observation, now: datetime) -> Plan:
    """Return the plan with the turn that is on ended where the session ends: one is never left on for ever.

    An end that its run had stored stands; a session that is deleted does not wait to learn it.
    """
    status = plan.status
    if status is None or status.turn is None or status.phase is None or not status.phase.is_final:
        return plan
    if seen.is_end_unknown and session.metadata.deletion_timestamp is None:
        return _wait_for_end(session, now)
    phase: EndPhase = "Failed" if status.phase is Phase.FAILED else "Canceled"
    turn = status.turn
    ended = _end_by_operator(session.model_copy(update={"status": status}), seen, now, phase, status.error, "")
    changes = {"turn": None, "turns": ended.session.status.turns, "interrupts": ended.session.status.interrupts}
    note = Event(Reason.TURN_CANCELED, f"turn {turn.name} ended with its session", action="Converse")
    return replace(plan, status=status.model_copy(update=changes), notes=(*plan.notes, note))


def _find_preempting(session: AgenticSession, seen: Observation) -> Turn | None:
    """Return the turn that preempts the one that is on: only one that was looked at."""
    found = find_next(session)
    if found is None or found.preempt is None or seen.turn is None or seen.turn.name != found.name:
        return None
    return found if seen.turn.waits is None else None


def _cancel(session: AgenticSession, seen: Observation, now: datetime, rules: Rules, preempting: Turn | None) -> Plan:
    """End the turn that is on: at once where it waits for people, else once nothing of it lives."""
    turn = session.status.turn
    if turn is None:
        raise ValueError("no turn is on")
    marked = mark_cancelled(session, preempted_by=preempting.name if preempting is not None else None)
    is_waiting = session.status.phase is Phase.WAITING_FOR_INPUT
    # A Job that was made just before a crash is the next turn's: it was made when nothing lived any more.
    if not is_waiting and not find_pending(session, seen.jobs):
        message = f"turn {turn.name} is being cancelled: its pod saves and ends"
        if (waiting := wind_down(marked, seen, now, Reason.TURN_CANCELED, message)) is not None:
            return waiting
        if seen.is_end_unknown:
            return _wait_for_end(marked, now)
    said = f"for turn {preempting.name}" if preempting is not None else ""
    ended = _end_by_operator(marked, seen, now, "Canceled", None, said)
    living = [job for job in find_present(seen.jobs) if not job.is_finished]
    if is_waiting and living:
        # Its pod waits for an answer that nobody may give any more.
        return Plan(
            status=ended.session.status, delete_jobs=list_names(living), wake_at=now + LOOK_AGAIN, notes=ended.notes
        )
    return _with_change(between_turns(ended.session, seen, now, rules), ended)


def _end_by_operator(
    session: AgenticSession, seen: Observation, now: datetime, phase: EndPhase, error: RunError | None, message: str
) -> Change:
    """End the turn that is on as the operator decided, or as a run had stored it before it died: that end stands."""
    stored = seen.stored_end
    if stored is not None and session.status.turn is not None and stored.number == session.status.turn.number:
        return _adopt(session, stored, now)
    return end_turn(session, phase, now, error=error, message=message, checkpoint_id=session.status.checkpoint_id)


def _wait_for_end(session: AgenticSession, now: datetime) -> Plan:
    """Wait for the database: an end that a run stored there stands, and a second one would contradict it for ever."""
    turn = session.status.turn
    message = (
        f"turn {turn.name if turn is not None else ''} is over; whether its run stored how it ended is in the database,"
        " which does not answer"
    )
    phase = session.status.phase or Phase.PENDING
    status = change_session(session, phase, Reason.DATABASE_UNAVAILABLE, message, now)
    return Plan(status=status, wake_at=now + LOOK_AGAIN)


def _adopt(session: AgenticSession, stored: TurnRow, now: datetime) -> Change:
    phases: dict[TurnPhase, EndPhase] = {
        TurnPhase.COMPLETED: "Completed",
        TurnPhase.FAILED: "Failed",
        TurnPhase.CANCELED: "Canceled",
    }
    error = _read_error(stored.error) if stored.error is not None else None
    ended = end_turn(
        session,
        phases[stored.phase],
        now,
        error=error,
        message=error.message if error is not None else "",
        checkpoint_id=stored.checkpoint_id,
        finished_at=stored.finished_at,
        result=keep_result(stored.output),
    )
    # The database knows how large it is as it keeps it, which may be much smaller.
    fits = len(encode_json(stored.output)) <= MAX_INLINE_RESULT_BYTES
    status = ended.session.status.model_copy(update={"result": stored.output if fits else None})
    return Change(ended.session.model_copy(update={"status": status}), ended.notes)


def _read_error(stored: object) -> RunError:
    """Return an error as a run stored it: what a pod writes into its row must not keep a turn from ending."""
    try:
        return RunError.model_validate(stored)
    except ValidationError:
        message = "its run stored an error that is none: see the row in session_turns"
        return RunError(type=Reason.TURN_FAILED.value, message=message)


def _fail_turn(plan: Plan, session: AgenticSession, seen: Observation, now: datetime) -> Plan:
    """Return the plan with the turn failed where it would have the session fail: the conversation goes on."""
    failed = plan.status
    if failed is None or failed.phase is not Phase.FAILED:
        return plan
    if seen.is_end_unknown:
        return _wait_for_end(session, now)
    error = failed.error or RunError(type=failed.reason or Reason.TURN_FAILED.value, message=failed.message or "")
    ended = _end_by_operator(session, seen, now, "Failed", error, f"{error.type}: {error.message}")
    return replace(plan, status=ended.session.status, notes=ended.notes, wake_at=now)


def _end_overdue(session: AgenticSession, seen: Observation, now: datetime, rules: Rules) -> Plan | None:
    """Return how a turn ends that takes too long; None if it does not.

    A run's Job has a deadline of its own, but for one that may serve several turns.
    """
    spec = find_spec(session.status.workflow, seen.definition)
    if not effective_keep_warm(session, spec) or session.status.phase not in (Phase.CREATING, Phase.RUNNING):
        return None
    limits, turn = session.status.limits, session.status.turn
    seconds = (limits.timeout_seconds if limits is not None else None) or rules.jobs.timeout_seconds
    job = find_job(seen, session.status.run)
    begins = [
        turn.started_at if turn is not None else None,
        job.created_at if job is not None else None,
        # Not when a run says that it went on: it could say so again and again.
        *(each.at for each in session.status.answers),
    ]
    known = [at for at in begins if at is not None and at <= now]
    if not known or now < add_seconds(max(known), seconds):
        return None
    message = (
        "the turn took longer than status.limits.timeoutSeconds: raise timeoutSeconds of the session or definition"
    )
    winding = wind_down(session, seen, now, Reason.DEADLINE_EXCEEDED, message)
    return winding or fail(session, seen, Reason.DEADLINE_EXCEEDED, message, now)


def _hand_over(session: AgenticSession, seen: Observation, now: datetime, rules: Rules) -> Plan:
    """A turn is on that the pod of the run before was to take: wait for it, or have the next run take it."""
    turn = session.status.turn
    name, started = (turn.name, turn.started_at) if turn is not None else ("", None)
    due = add(started or now, HANDOVER_PATIENCE)
    if now < due and find_warm(session, seen):
        return Plan(status=refresh_session(session), wake_at=due)
    message = f"the pod that was there did not take turn {name}: the next run does"
    if (waiting := wind_down(session, seen, now, Reason.TURN_STARTED, message)) is not None:
        return waiting
    run = last_run(session) + 1
    return run_again(
        session, seen, now, rules, run, restarts=session.status.restarts or 0, message=f"run {run} takes turn {name}"
    )


def _with_change(plan: Plan, change: Change) -> Plan:
    return replace(plan, status=plan.status or change.session.status, notes=(*change.notes, *plan.notes))
