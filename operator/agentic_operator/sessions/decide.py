"""Decides one pass over a session: from what is observed to a plan.

Pure and level-triggered: everything is computed anew from the session, its workflow and its children, so that any
pass may be the first one or the tenth, before or after a crash. What each phase asks for stands in modules of its own:
``starting``, ``running``, ``waiting`` and ``ending``; what is different in a conversation, in ``conversing``.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final, assert_never

from agentic_core.conditions import Reason, find_condition
from agentic_core.lifecycle import Phase
from agentic_core.names import job_name
from agentic_core.resources import AgenticSession
from agentic_core.times import EARLIEST
from agentic_operator.manifests.jobs import Definition
from agentic_operator.sessions import trail
from agentic_operator.sessions.admission import Admitted, admit_workflow
from agentic_operator.sessions.answers import believe_questions, take_answers
from agentic_operator.sessions.conversing import converse, end_with_session, settle_turns
from agentic_operator.sessions.ending import after_finish, finalize, stop, suspend, wind_down
from agentic_operator.sessions.held import clear_held
from agentic_operator.sessions.observation import Observation, Rules
from agentic_operator.sessions.plan import Plan
from agentic_operator.sessions.repairs import mend
from agentic_operator.sessions.running import monitor
from agentic_operator.sessions.snapshot import pin_image
from agentic_operator.sessions.starting import start
from agentic_operator.sessions.status import is_withdrawn, observe_generation, record_pods
from agentic_operator.sessions.turns import find_old_responses, find_prunable
from agentic_operator.sessions.waiting import record_answers, resume_suspended, wait_for_input

_TAKEN_BACK: Final = "was being suspended: its pod saves and ends, and the next run goes on"


def decide(session: AgenticSession, seen: Observation, now: datetime, rules: Rules) -> Plan:
    """Return what one reconcile pass wants done; an empty plan means nothing."""
    if session.metadata.deletion_timestamp is not None:
        ended = trail.close(session, now) if rules.has_trail else None
        if ended is not None:
            # Written before it is stored, and stored before the session goes.
            return Plan(status=ended, wake_at=now)
        return finalize(session, seen, session.metadata.deletion_timestamp)
    settled = trail.settle(session, seen.stored, now)
    plan = withdraw(_take_and_decide(settled, seen, now, rules), settled, seen)
    if plan.delete_session:
        return plan
    if rules.has_trail:
        plan = trail.record(plan, settled, now)
    # It has gone into the status, and is nothing to carry out.
    plan = replace(plan, refused=None)
    if settled is not session and plan.status is None:
        plan = replace(plan, status=settled.status)
    if not (session.status.phase or Phase.PENDING).is_final:
        plan = mend(plan, session, seen)
    if session.is_conversation:
        status = plan.status or session.status
        old = find_old_responses(session, status)
        plan = replace(plan, prune_turns=find_prunable(session, status), prune_responses=old)
    # Whatever was decided, this generation was looked at: also by a pass that has nothing else to say, also at the end.
    status = observe_generation(plan.status or session.status, session.metadata.generation)
    if not (status.phase or Phase.PENDING).is_final:
        status = record_pods(status, session, seen.jobs, seen.pods)
    is_news = plan.status is not None or (session.status.phase is not None and status != session.status)
    return replace(plan, status=status) if is_news else plan


def withdraw(plan: Plan, session: AgenticSession, seen: Observation) -> Plan:
    """Record which runs a plan takes their Jobs from, so that no later pass counts it as a loss.

    The invariant: the Job of a run is deleted only after the status names a later run, or a final phase, or says that
    the run is withdrawn. The status is written under the version that was read, and before anything is deleted; who
    finds the Job gone, in whatever process, finds that in the status, too.
    """
    status = plan.status or session.status
    if status.phase is not None and status.phase.is_final:
        return plan
    gone = max((job.run for job in seen.jobs if job.name in plan.delete_jobs), default=0)
    if gone < (status.run or 1) or gone <= (status.withdrawn_run or 0):
        return plan
    return replace(plan, status=status.model_copy(update={"withdrawn_run": gone}))


def wants_end(session: AgenticSession) -> bool:
    """Return whether somebody wants the session stopped or deleted: whatever its runner wrote, that comes first."""
    phase = session.status.phase
    is_final = phase is not None and phase.is_final
    return session.metadata.deletion_timestamp is not None or (bool(session.spec.stop) and not is_final)


def _take_and_decide(session: AgenticSession, seen: Observation, now: datetime, rules: Rules) -> Plan:
    if not session.is_conversation or (session.status.phase or Phase.PENDING).is_final:
        return _answer_and_decide(session, seen, now, rules)
    turned = settle_turns(session, now)
    plan = end_with_session(_answer_and_decide(turned.session, seen, now, rules), turned.session, seen, now)
    if turned.session is session:
        return plan
    return replace(plan, status=plan.status or turned.session.status, notes=(*turned.notes, *plan.notes))


def _answer_and_decide(session: AgenticSession, seen: Observation, now: datetime, rules: Rules) -> Plan:
    if wants_end(session):
        return clear_held(stop(session, seen, now), session, seen, now)
    room = trail.find_room(session) if rules.has_trail else None
    taken = take_answers(_pin_first_image(_believe(session, seen, now), seen), seen.answers, now, room)
    if taken.is_answered:
        # Recorded before it acts: a pod that finds the question answered finds the answer, too.
        return record_answers(taken, now)
    plan = clear_held(_decide(taken.session, seen, now, rules), taken.session, seen, now)
    plan = replace(plan, refused=taken.refused)
    if taken.session is session:
        return plan
    return replace(plan, status=plan.status or taken.session.status, notes=(*taken.notes, *plan.notes))


def _believe(session: AgenticSession, seen: Observation, now: datetime) -> AgenticSession:
    phase = session.status.phase
    return session if phase is None or phase.is_final else believe_questions(session, now, seen.fresh)


def _decide(session: AgenticSession, seen: Observation, now: datetime, rules: Rules) -> Plan:
    phase = session.status.phase or Phase.PENDING
    if phase.is_final:
        return after_finish(session, seen, now)
    if session.is_conversation:
        return converse(session, seen, now, rules, _go_on)
    if session.spec.suspend:
        return suspend(session, seen, now)
    return _go_on(session, seen, now, rules)


def _go_on(session: AgenticSession, seen: Observation, now: datetime, rules: Rules) -> Plan:
    """Decide over a session that nobody holds back, by its phase."""
    phase = session.status.phase or Phase.PENDING
    is_ending = is_withdrawn(session) and phase in (Phase.PENDING, Phase.CREATING, Phase.RUNNING)
    if is_ending and (plan := wind_down(session, seen, now, Reason.SUSPENDED, _TAKEN_BACK)) is not None:
        return plan
    if phase is Phase.PENDING:
        return start(session, seen, now, rules)
    if phase is Phase.SUSPENDED:
        return resume_suspended(session, seen, now, rules)
    if phase is Phase.WAITING_FOR_INPUT:
        return wait_for_input(session, seen, now, rules)
    # No session that takes inputs once is Idle, unless somebody wrote so who may write any status.
    if phase is Phase.CREATING or phase is Phase.RUNNING or phase is Phase.IDLE:
        return monitor(session, seen, now, rules)
    if phase is Phase.COMPLETED or phase is Phase.FAILED or phase is Phase.STOPPED:
        raise AssertionError(f"phase {phase!r} was decided on before")
    assert_never(phase)


def needs_input_check(session: AgenticSession, definition: Definition | None, rules: Rules) -> bool:
    """Return whether the inputs have to be held against the schema in this pass: once, before the first run."""
    if session.metadata.deletion_timestamp is not None or session.spec.stop or session.spec.suspend:
        return False
    if session.is_conversation:
        # Its turns have inputs, each looked at when it could begin.
        return False
    if (session.status.phase or Phase.PENDING) is not Phase.PENDING or session.status.run:
        return False
    accepted = find_condition(session.status.conditions, "Accepted")
    if accepted is not None and accepted.status == "True":
        return False
    return isinstance(admit_workflow(session, definition, rules.allowed), Admitted)


def _pin_first_image(session: AgenticSession, seen: Observation) -> AgenticSession:
    """Pin the digest that the first pod ran, where the inspection could not tell one."""
    snapshot = session.status.workflow
    phase = session.status.phase
    if snapshot is None or snapshot.image_digest is not None or phase is None or phase.is_final:
        return session
    # A conversation pins a workflow for each turn: pods of the run before are of another image, maybe.
    run = job_name(session.name, session.status.run) if session.is_conversation and session.status.run else None
    pods = (pod for pod in seen.pods if pod.image_id and run in (None, pod.job))
    started = sorted(pods, key=lambda pod: (pod.created_at or EARLIEST, pod.name))
    digest = next((found for pod in started if (found := pin_image(snapshot.image, pod.image_id))), None)
    if digest is None:
        return session
    pinned = snapshot.model_copy(update={"image_digest": digest})
    return session.model_copy(update={"status": session.status.model_copy(update={"workflow": pinned})})
