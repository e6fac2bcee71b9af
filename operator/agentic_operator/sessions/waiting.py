"""Sessions that wait without a pod, for people or while suspended."""

from datetime import datetime

from agentic_core.conditions import Reason, find_condition
from agentic_core.lifecycle import Phase
from agentic_core.resources import AgenticSession
from agentic_operator.sessions.answers import (
    AnswersDecision,
    answer_by_default,
    describe_default_faults,
    input_deadline,
)
from agentic_operator.sessions.approvals import find_unlisted
from agentic_operator.sessions.diagnosis import find_spent
from agentic_operator.sessions.ending import LOOK_AGAIN, fail
from agentic_operator.sessions.held import find_held
from agentic_operator.sessions.observation import Observation, Rules, find_job, find_present, list_names
from agentic_operator.sessions.plan import Plan
from agentic_operator.sessions.starting import run_again, start
from agentic_operator.sessions.status import change_session, is_withdrawn, last_run, refresh_session
from agentic_operator.sessions.trail import find_room


def wait_for_input(session: AgenticSession, seen: Observation, now: datetime, rules: Rules) -> Plan:
    """Decide a pass over a session with an open question: an answer starts the next run, unless a warm pod takes it."""
    job = find_job(seen, session.status.run)
    spent = find_spent(seen.jobs, seen.pods)
    is_warm = job is not None and job not in spent and not job.is_deleting and not is_withdrawn(session)
    if _has_pending_answer(session):
        if is_warm:
            # Its runner sees the answer itself, and a second run would only take the thread from it.
            return Plan()
        run = last_run(session) + 1
        return run_again(session, seen, now, rules, run, restarts=0, message=f"run {run} takes the answer")
    deadline = input_deadline(session)
    if deadline is not None and now >= deadline:
        return _after_input_deadline(session, seen, now, rules)
    status = None if is_warm else refresh_session(session)
    # What they had to say is in the status: a session that waits keeps nothing on a node.
    # Those that a sidecar holds go after its grace.
    gone = [each for each in find_present(spent) if find_held(each, seen.pods) is None]
    return Plan(status=status, delete_jobs=list_names(gone), wake_at=deadline)


def resume_suspended(session: AgenticSession, seen: Observation, now: datetime, rules: Rules) -> Plan:
    """Resume a session that is no longer suspended: with its question, or with the next run."""
    if not session.status.run or session.status.workflow is None:
        return start(session, seen, now, rules)
    waited = find_condition(session.status.conditions, "WaitingForInput")
    is_waiting = waited is None or waited.status != "False"
    if is_waiting and _has_open_question(session) and not _has_pending_answer(session):
        status = change_session(
            session, Phase.WAITING_FOR_INPUT, Reason.WAITING_FOR_INPUT, "waits for an answer in spec.responses", now
        )
        return Plan(status=status, wake_at=input_deadline(session))
    return run_again(session, seen, now, rules, last_run(session) + 1, restarts=0, message="resumed")


def _after_input_deadline(session: AgenticSession, seen: Observation, now: datetime, rules: Rules) -> Plan:
    message = "nobody answered within inputDeadline.seconds"
    limit = session.spec.input_deadline
    if limit is None or limit.on_expiry == "Fail":
        return fail(session, seen, Reason.INPUT_DEADLINE_EXCEEDED, message, now)
    if faults := describe_default_faults(seen.answers):
        text = f"{message}, and its value is no answer: {faults}"
        return fail(session, seen, Reason.INPUT_DEADLINE_EXCEEDED, text, now)
    if unlisted := find_unlisted(session, limit.value):
        text = (
            f"{message}, and the question {unlisted[0]!r} has an approval rule: a deadline gives such a question an"
            " answer that deadlineAnswers.values of the definition lists, and no other"
        )
        return fail(session, seen, Reason.INPUT_DEADLINE_EXCEEDED, text, now)
    taken = answer_by_default(session, now, find_room(session) if rules.has_trail else None)
    if taken.is_delayed:
        return Plan(wake_at=now + LOOK_AGAIN)
    if not taken.is_answered:
        text = f"{message}, and other questions are asked than those that were answered under their ids"
        return fail(session, seen, Reason.INPUT_DEADLINE_EXCEEDED, text, now)
    return record_answers(taken, now)


def record_answers(taken: AnswersDecision, now: datetime) -> Plan:
    """Write accepted answers down before anything acts on them."""
    return Plan(status=refresh_session(taken.session), wake_at=now, notes=taken.notes, refused=taken.refused)


def _has_open_question(session: AgenticSession) -> bool:
    return any(interrupt.is_open for interrupt in session.status.interrupts)


def _has_pending_answer(session: AgenticSession) -> bool:
    return any(interrupt.is_pending for interrupt in session.status.interrupts)
