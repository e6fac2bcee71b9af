"""A running session: what follows from its Job and pods."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from agentic_core.conditions import Reason, find_condition
from agentic_core.contract import PERMANENT_EXIT_CODES, ExitCode
from agentic_core.lifecycle import Phase
from agentic_core.names import FINALIZER, job_name
from agentic_core.resources import AgenticSession, SessionStatus
from agentic_core.times import add
from agentic_operator.kube.events import Event
from agentic_operator.sessions.blockers import Blocker, hold_session
from agentic_operator.sessions.children import ObservedJob, ObservedPod
from agentic_operator.sessions.diagnosis import (
    Diagnosis,
    Trouble,
    classify_failure,
    classify_pod,
    find_drained,
    find_trouble,
    newest,
)
from agentic_operator.sessions.ending import LOOK_AGAIN, POD_PATIENCE, fail, find_living, is_given_up
from agentic_operator.sessions.held import due_at, find_held
from agentic_operator.sessions.observation import Observation, Rules, find_job
from agentic_operator.sessions.plan import Plan
from agentic_operator.sessions.starting import create_run, pin_workflow, run_again, start
from agentic_operator.sessions.status import change_session, is_withdrawn, last_run, refresh_session

# Runs in a row that may end without a verdict (Job deleted by hand, node lost) before the session is failed.
MAX_RESTARTS: Final = 3


def monitor(session: AgenticSession, seen: Observation, now: datetime, rules: Rules) -> Plan:
    """Decide a pass over a session that should run, from its Job and pods."""
    run = session.status.run
    newest_job = max(seen.jobs, key=lambda job: job.run, default=None)
    if newest_job is not None and newest_job.run > last_run(session):
        # Made just before a crash, not written yet.
        snapshot = session.status.workflow or pin_workflow(session, seen, rules)
        if snapshot is not None:
            return create_run(session, seen, now, rules, newest_job.run, snapshot, restarts=_count_restarts(session))
    if is_withdrawn(session):
        return _go_on(session, seen, now, rules)
    if run is None:
        return start(session, seen, now, rules)
    job = find_job(seen, run)
    if job is None:
        return _restart(session, seen, now, rules, f"Job {job_name(session.name, run)} is gone")
    pods = tuple(pod for pod in seen.pods if pod.job == job.name)
    if job.is_deleting and is_given_up(job, now) and not find_living(pods, now):
        return _restart(session, seen, now, rules, f"Job {job.name} is gone but for a finalizer that is not ours")
    if job.is_deleting:
        return Plan(wake_at=now + LOOK_AGAIN)
    if job.failure_reason:
        verdict = classify_failure(job, pods)
        if verdict.is_lost:
            return _restart(session, seen, now, rules, verdict.message)
        return fail(session, seen, verdict.reason, verdict.message, now)
    if job.is_complete:
        return _restart(session, seen, now, rules, "its runner ended without a verdict")
    if (drained := find_drained(pods)) is not None:
        verdict = classify_pod(drained)
        plan = _restart(session, seen, now, rules, verdict.message, verdict.reason)
        return replace(plan, delete_jobs=(*plan.delete_jobs, job.name))
    held = find_held(job, pods)
    if held is not None:
        return _judge_held(session, seen, now, rules, job, held)
    due = _given_up_at(pods)
    if due is not None and now >= due:
        # The Job itself would wait for the node's word for ever. If the runner lives on, the fence holds it back.
        what = f"pod {pods[0].name} was deleted and its node does not answer"
        plan = _restart(session, seen, now, rules, what)
        return replace(plan, delete_jobs=(*plan.delete_jobs, job.name))
    plan = _watch_start(session, seen, job, pods, now)
    return plan if due is None else replace(plan, wake_at=min(due, plan.wake_at or due))


def _count_restarts(session: AgenticSession) -> int | None:
    """Return how many runs were lost if there is a Job of a later run than the status names.

    A later Job is made only after a run was lost or withdrawn. A lost run counts even if the process that found it lost
    ended before it could write that, or somebody else wrote first.
    """
    known = session.status.restarts
    return known if session.status.run is None or is_withdrawn(session) else (known or 0) + 1


def _go_on(session: AgenticSession, seen: Observation, now: datetime, rules: Rules) -> Plan:
    """Start the next run after one that was withdrawn, for example by a suspension that was taken back meanwhile.

    Nothing of the withdrawn run is left. The operator ended it, so it does not count as a lost run.
    """
    restarts = session.status.restarts or 0
    if session.status.workflow is None:
        return start(session, seen, now, rules)
    return run_again(session, seen, now, rules, last_run(session) + 1, restarts=restarts, message="resumed")


def _judge_held(
    session: AgenticSession, seen: Observation, now: datetime, rules: Rules, job: ObservedJob, held: ObservedPod
) -> Plan:
    """Judge a run whose runner has ended while something beside it keeps the pod, as its Job would judge the pod."""
    verdict = classify_pod(held)
    if verdict.is_lost and held.exit_code != ExitCode.DRAINED:
        plan = _restart(session, seen, now, rules, verdict.message)
        return replace(plan, delete_jobs=(*plan.delete_jobs, job.name))
    is_last = job.retries is not None and job.failed >= job.retries and held.exit_code != ExitCode.DRAINED
    if is_last or held.exit_code in PERMANENT_EXIT_CODES:
        return fail(session, seen, verdict.reason, verdict.message, now)
    status: SessionStatus = refresh_session(session)
    notes: tuple[Event, ...] = ()
    if not verdict.is_lost and not _was_told(session, held):
        status, notes = _tell_attempt(session, verdict, job.failed + 1, now)
    due = due_at(held)
    if now < due:
        return Plan(status=status, notes=notes, wake_at=due)
    return Plan(status=status, notes=notes, delete_pods=(held.name,), wake_at=now + LOOK_AGAIN)


def _tell_attempt(
    session: AgenticSession, verdict: Diagnosis, attempt: int, now: datetime
) -> tuple[SessionStatus, tuple[Event, ...]]:
    message = f"attempt {attempt} failed ({verdict.reason}: {verdict.message}); the next one goes on"
    status = change_session(session, session.status.phase or Phase.CREATING, Reason.RETRYING, message, now)
    return status, (Event(Reason.RETRYING, message, "Warning", "Retry"),)


def _given_up_at(pods: tuple[ObservedPod, ...]) -> datetime | None:
    """Return when a run is given up all of whose unfinished pods are being deleted; None if one is not."""
    unfinished = [pod for pod in pods if not pod.is_over]
    since = [pod.deleting_since for pod in unfinished if pod.deleting_since is not None]
    return add(max(since), POD_PATIENCE) if since and len(since) == len(unfinished) else None


def _watch_start(
    session: AgenticSession, seen: Observation, job: ObservedJob, pods: tuple[ObservedPod, ...], now: datetime
) -> Plan:
    """Report why the pod of a Job that is neither done nor failed does not start, if it does not."""
    phase = session.status.phase or Phase.CREATING
    add_finalizer = FINALIZER not in session.metadata.finalizers
    scheduled = find_condition(session.status.conditions, "Scheduled")
    is_held = scheduled is not None and scheduled.status == "False"
    told = {scheduled.reason: scheduled.last_transition_time} if scheduled is not None and is_held else {}
    trouble, unstarted = find_trouble(pods, now, told), _find_start_trouble(seen)
    is_pull = trouble is not None and trouble.reason is Reason.IMAGE_PULL_FAILED and not trouble.is_hopeless
    if trouble is None or (is_pull and unstarted is not None and unstarted.reason is Reason.SECRET_MISSING):
        # Without the Secret that it names, a pull cannot but fail.
        trouble = unstarted
    if trouble is not None:
        if trouble.is_fatal:
            return fail(session, seen, trouble.reason, trouble.message, now)
        blocker = Blocker(trouble.reason, trouble.message)
        status = hold_session(session, blocker, now, phase)
        note = Event(trouble.reason, trouble.message, "Warning", "Start")
        return Plan(add_finalizer=add_finalizer, status=status, wake_at=trouble.fatal_at, notes=(note,))
    last, ended = newest(pods), newest(pod for pod in pods if pod.is_over)
    is_between = ended is not None and (last is ended or (last is not None and not last.has_started))
    if job.failed and ended is not None and is_between and not _was_told(session, ended):
        status, notes = _tell_attempt(session, classify_pod(ended), job.failed, now)
        return Plan(add_finalizer=add_finalizer, status=status, notes=notes)
    if last is not None and is_held:
        return Plan(add_finalizer=add_finalizer, status=_let_start(session, phase, now))
    return Plan(add_finalizer=add_finalizer, status=refresh_session(session))


def _let_start(session: AgenticSession, phase: Phase, now: datetime) -> SessionStatus:
    """Report that a pod can start again; a phase that the runner has written already stays."""
    status = change_session(session, phase, Reason.JOB_CREATED, "its pod starts", now, conditions={"Scheduled": "True"})
    if phase is Phase.CREATING:
        return status
    return session.status.model_copy(update={"conditions": status.conditions})


def _find_start_trouble(seen: Observation) -> Trouble | None:
    return Trouble(seen.stuck_pod.reason, seen.stuck_pod.message) if seen.stuck_pod is not None else None


def _was_told(session: AgenticSession, pod: ObservedPod) -> bool:
    """Return whether the runner said itself how this attempt ended, and better than its exit code does."""
    said = {int(ExitCode.RETRIABLE): Reason.RETRYING, int(ExitCode.DATABASE_UNAVAILABLE): Reason.DATABASE_UNAVAILABLE}
    return pod.exit_code is not None and session.status.reason == said.get(pod.exit_code)


def _restart(
    session: AgenticSession,
    seen: Observation,
    now: datetime,
    rules: Rules,
    what: str,
    reason: Reason = Reason.RUNNER_LOST,
) -> Plan:
    """Start the next run after one without a verdict, from the last checkpoint, at most ``MAX_RESTARTS`` times."""
    restarts = (session.status.restarts or 0) + 1
    run = last_run(session) + 1
    if restarts > MAX_RESTARTS:
        return fail(session, seen, reason, f"{what}; {MAX_RESTARTS} further runs ended the same way", now)
    if session.status.workflow is None:
        snapshot = pin_workflow(session, seen, rules)
        if snapshot is None:
            return fail(session, seen, Reason.RUNNER_LOST, f"{what}, and its workflow is gone", now)
        session = session.model_copy(update={"status": session.status.model_copy(update={"workflow": snapshot})})
    message = f"{what}; run {run} goes on from the last checkpoint"
    plan = run_again(session, seen, now, rules, run, restarts=restarts, message=message)
    return replace(plan, notes=(*plan.notes, Event(Reason.RETRYING, message, "Warning", "Retry")))
