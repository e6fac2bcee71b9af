"""What one reconcile pass over a session wants done: the one place where a session's life is decided.

Pure and level-triggered: everything is computed anew from the session, its workflow and its children, so that any
pass may be the first one or the tenth, before or after a crash.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, assert_never

from agentic_core.conditions import Condition, Reason, find_condition, with_condition
from agentic_core.contract import ExitCode
from agentic_core.lifecycle import Phase
from agentic_core.names import FINALIZER, job_name
from agentic_core.resources import AgenticSession, SessionStatus, WorkflowSnapshot
from agentic_core.threads import thread_id
from agentic_operator.admission import (
    Admission,
    Admitted,
    Queue,
    Refused,
    Waits,
    admit_workflow,
    check_deadline,
    check_image,
    check_queue,
)
from agentic_operator.answers import (
    Checked,
    Taken,
    answer_by_default,
    describe_default_faults,
    input_deadline,
    take_answers,
)
from agentic_operator.classify import classify_failure, classify_pod, find_spent, find_trouble, newest
from agentic_operator.config import JobDefaults
from agentic_operator.images import EVERY_IMAGE, AllowedImages
from agentic_operator.jobs import Definition, build_claim, build_job, effective_ttl
from agentic_operator.observed import JobSeen, PodSeen
from agentic_operator.pinning import find_spec, pin_image
from agentic_operator.plan import Note, Plan
from agentic_operator.statuses import build_condition, change_session, fail_session

# Runs in a row that may end without a verdict (Job deleted by hand, node lost) before the session is failed.
MAX_RESTARTS: Final = 3
# How long the database may hold up a deletion. What is left behind then is found and purged later.
DELETION_PATIENCE: Final = timedelta(seconds=30)
# How long the Job of a finished session may go on: a runner that hangs after its last word.
LINGER: Final = timedelta(seconds=90)
# How long a pod that is being deleted is waited for beyond the moment it should be gone; its node may be lost.
POD_PATIENCE: Final = timedelta(seconds=60)
LOOK_AGAIN: Final = timedelta(seconds=10)
LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)

_ACTIVE: Final = (Phase.CREATING, Phase.RUNNING)


@dataclass(frozen=True)
class Rules:
    """What holds for every session."""

    jobs: JobDefaults = field(default_factory=JobDefaults)
    allowed: AllowedImages = EVERY_IMAGE


@dataclass(frozen=True)
class Seen:
    """What was observed beside the session itself.

    ``jobs`` and ``pods`` are those of this very session (by uid); a Job that the status names and that is not among
    them does not exist.
    """

    definition: Definition | None = None
    jobs: tuple[JobSeen, ...] = ()
    pods: tuple[PodSeen, ...] = ()
    queue: Queue = field(default_factory=Queue)
    refused_inputs: Refused | None = None
    """Why the inputs are refused, where they were checked and are."""
    answers: Checked = field(default_factory=Checked)
    """What was found out about the answers."""


def decide(session: AgenticSession, seen: Seen, now: datetime, rules: Rules) -> Plan:
    """Say what one reconcile pass wants done; an empty plan means nothing."""
    if session.metadata.deletion_timestamp is not None:
        return _delete(session, seen, session.metadata.deletion_timestamp)
    taken = take_answers(_pin_image(session, seen), seen.answers, now)
    if taken.is_answered:
        # Recorded before it acts: a pod that finds the question answered finds the answer, too.
        return _record(taken, now)
    plan = _decide(taken.session, seen, now, rules)
    if taken.session is session:
        return plan
    return replace(plan, status=plan.status or _refresh(taken.session), notes=(*taken.notes, *plan.notes))


def _record(taken: Taken, now: datetime) -> Plan:
    return Plan(status=_refresh(taken.session), wake_at=now, notes=taken.notes)


def _decide(session: AgenticSession, seen: Seen, now: datetime, rules: Rules) -> Plan:
    phase = session.status.phase or Phase.PENDING
    if phase.is_final:
        return _after_end(session, seen, now)
    if session.spec.stop:
        return _stop(session, seen, now)
    if session.spec.suspend:
        return _suspend(session, seen, now)
    if phase is Phase.PENDING:
        return _start(session, seen, now, rules)
    if phase is Phase.SUSPENDED:
        return _resume_suspended(session, seen, now, rules)
    if phase is Phase.WAITING_FOR_INPUT:
        return _wait_for_input(session, seen, now, rules)
    if phase is Phase.CREATING or phase is Phase.RUNNING:
        return _monitor(session, seen, now, rules)
    if phase is Phase.COMPLETED or phase is Phase.FAILED or phase is Phase.STOPPED:
        raise AssertionError(f"a final phase {phase!r} was decided on above")
    assert_never(phase)


def needs_input_check(session: AgenticSession, definition: Definition | None, rules: Rules) -> bool:
    """Say whether the inputs have to be held against the schema in this pass: once, before the first run."""
    if session.metadata.deletion_timestamp is not None or session.spec.stop or session.spec.suspend:
        return False
    if (session.status.phase or Phase.PENDING) is not Phase.PENDING or session.status.run:
        return False
    accepted = find_condition(session.status.conditions, "Accepted")
    if accepted is not None and accepted.status == "True":
        return False
    return isinstance(admit_workflow(session, definition, rules.allowed), Admitted)


# -- the ends ----------------------------------------------------------------------------------------------------------


def _delete(session: AgenticSession, seen: Seen, since: datetime) -> Plan:
    if FINALIZER not in session.metadata.finalizers:
        return Plan()
    return Plan(delete_jobs_first=_names(_present(seen.jobs)), purge=True, wake_at=since + DELETION_PATIENCE)


def _after_end(session: AgenticSession, seen: Seen, now: datetime) -> Plan:
    ended = session.status.completion_time or now
    lingering = [job for job in _present(seen.jobs) if not job.is_finished]
    wakes: list[datetime] = []
    if lingering:
        if now >= ended + LINGER:
            return Plan(delete_jobs=_names(lingering))
        wakes.append(ended + LINGER)
    ttl = effective_ttl(session, find_spec(session.status.workflow, seen.definition))
    if ttl is not None:
        due = ended + timedelta(seconds=ttl)
        if now >= due:
            return Plan(delete_session=True)
        wakes.append(due)
    return Plan(wake_at=min(wakes, default=None))


def _stop(session: AgenticSession, seen: Seen, now: datetime) -> Plan:
    if (
        waiting := _wind_down(session, seen, now, Reason.STOPPED_BY_USER, "stopping: its pod saves and ends")
    ) is not None:
        return waiting
    message = "stopped by spec.stop"
    status = change_session(
        session, Phase.STOPPED, Reason.STOPPED_BY_USER, message, now, completion_time=now.replace(microsecond=0)
    )
    return Plan(status=status, notes=(Note(Reason.STOPPED_BY_USER, message, action="Stop"),))


def _suspend(session: AgenticSession, seen: Seen, now: datetime) -> Plan:
    if session.status.phase is Phase.SUSPENDED:
        return Plan(status=_refresh(session))
    winding_down = _wind_down(session, seen, now, Reason.SUSPENDED, "suspending: its pod saves and ends")
    if winding_down is not None:
        return winding_down
    message = "suspended by spec.suspend; set it to false to go on"
    status = change_session(session, Phase.SUSPENDED, Reason.SUSPENDED, message, now)
    return Plan(status=status, notes=(Note(Reason.SUSPENDED, message, action="Suspend"),))


def _wind_down(session: AgenticSession, seen: Seen, now: datetime, reason: Reason, message: str) -> Plan | None:
    """Return how to end what runs; None where nothing runs any more."""
    unfinished = [job for job in seen.jobs if not job.is_finished]
    living = [
        pod
        for pod in seen.pods
        if not pod.is_over and (pod.deleting_since is None or now < pod.deleting_since + POD_PATIENCE)
    ]
    if not unfinished and not living:
        return None
    status = change_session(session, session.status.phase or Phase.PENDING, reason, message, now)
    return Plan(
        delete_jobs_first=_names(_present(tuple(unfinished))),
        status=status,
        wake_at=now + LOOK_AGAIN,
    )


# -- the beginnings ----------------------------------------------------------------------------------------------------


def _start(session: AgenticSession, seen: Seen, now: datetime, rules: Rules) -> Plan:
    """The first run, or the next one of a session that went back to the queue."""
    if session.status.run and session.status.workflow is not None:
        return _run_again(session, seen, now, rules, session.status.run + 1, restarts=0)
    admission: Admission = admit_workflow(session, seen.definition, rules.allowed)
    if isinstance(admission, Admitted):
        admission = check_deadline(session) or seen.refused_inputs or admission
    # A Job made just before a crash holds its place already.
    if isinstance(admission, Admitted) and not seen.jobs:
        admission = check_queue(seen.definition, seen.queue) or admission
    if isinstance(admission, Refused):
        return _refuse(session, admission, now)
    if isinstance(admission, Waits):
        return _hold(session, admission, now)
    return _create_run(session, seen, now, rules, 1, admission.snapshot)


def _refuse(session: AgenticSession, refused: Refused, now: datetime) -> Plan:
    status = fail_session(session, refused.reason, refused.message, now, is_accepted=False, retriable=False)
    return Plan(status=status, notes=(Note(refused.reason, refused.message, "Warning", "Accept"),))


def _hold(session: AgenticSession, waits: Waits, now: datetime) -> Plan:
    """Say why the session waits. Where the phase cannot be Pending again it stays, with the reason."""
    status = change_session(session, Phase.PENDING, waits.reason, waits.message, now)
    note = Note(waits.reason, waits.message, action="Accept")
    if waits.reason is Reason.WORKFLOW_NOT_FOUND:
        note = replace(note, type="Warning")
    return Plan(status=status, notes=(note,))


def _create_run(
    session: AgenticSession,
    seen: Seen,
    now: datetime,
    rules: Rules,
    run: int,
    snapshot: WorkflowSnapshot,
    *,
    restarts: int | None = None,
    message: str = "",
) -> Plan:
    spec = find_spec(snapshot, seen.definition)
    user = session.spec.user_context
    thread = session.status.thread_id or thread_id(
        session.namespace, session.name, user.user_id if user is not None and user.private else None
    )
    status = change_session(
        session,
        Phase.CREATING,
        Reason.JOB_CREATED,
        message or f"run {run} starts",
        now,
        conditions=_accept(session, now),
        run=run,
        restarts=restarts or None,
        job_name=job_name(session.name, run),
        thread_id=thread,
        workflow=snapshot,
    )
    plan = Plan(add_finalizer=FINALIZER not in session.metadata.finalizers, status=status)
    if any(job.run == run for job in seen.jobs):
        return plan
    return replace(
        plan,
        claim=build_claim(session, spec) if spec is not None and run == 1 else None,
        job=build_job(session, snapshot, spec, run, thread, rules.jobs),
        notes=(Note(Reason.JOB_CREATED, f"created Job {job_name(session.name, run)}", action="CreateJob"),),
    )


def _run_again(
    session: AgenticSession, seen: Seen, now: datetime, rules: Rules, run: int, *, restarts: int, message: str = ""
) -> Plan:
    """Make a later run from the pinned workflow, in its turn where it gave its place away."""
    snapshot = session.status.workflow
    if snapshot is None:
        raise ValueError(f"session {session.name!r} has run {session.status.run!r} but no pinned workflow")
    # The list may have become stricter since the session started.
    if (refused := check_image(snapshot.image, rules.allowed)) is not None:
        return _end(session, seen, refused.reason, refused.message, now)
    holds_place = session.status.phase in _ACTIVE or any(job.run == run for job in seen.jobs)
    if not holds_place and (waits := check_queue(seen.definition, seen.queue)) is not None:
        return _hold(session, waits, now)
    return _create_run(session, seen, now, rules, run, snapshot, restarts=restarts, message=message)


def _resume_suspended(session: AgenticSession, seen: Seen, now: datetime, rules: Rules) -> Plan:
    if not session.status.run or session.status.workflow is None:
        return _start(session, seen, now, rules)
    waited = find_condition(session.status.conditions, "WaitingForInput")
    is_waiting = waited is None or waited.status != "False"
    if is_waiting and _is_open(session) and not _is_pending(session):
        status = change_session(
            session, Phase.WAITING_FOR_INPUT, Reason.WAITING_FOR_INPUT, "waits for an answer in spec.responses", now
        )
        return Plan(status=status)
    return _run_again(session, seen, now, rules, session.status.run + 1, restarts=0, message="resumed")


# -- while it waits ----------------------------------------------------------------------------------------------------


def _is_open(session: AgenticSession) -> bool:
    return any(interrupt.is_open for interrupt in session.status.interrupts)


def _is_pending(session: AgenticSession) -> bool:
    return any(interrupt.is_pending for interrupt in session.status.interrupts)


def _wait_for_input(session: AgenticSession, seen: Seen, now: datetime, rules: Rules) -> Plan:
    job = _find_job(seen, session.status.run)
    spent = find_spent(seen.jobs, seen.pods)
    is_warm = job is not None and job not in spent and not job.is_deleting
    if _is_pending(session):
        if is_warm:
            # Its runner sees the answer itself, and a second run would only take the thread from it.
            return Plan()
        run = (session.status.run or 0) + 1
        return _run_again(session, seen, now, rules, run, restarts=0, message=f"run {run} takes the answer")
    deadline = input_deadline(session)
    if deadline is not None and now >= deadline:
        return _after_input_deadline(session, seen, now)
    status = None if is_warm else _refresh(session)
    # What they had to say is in the status: a session that waits keeps nothing on a node.
    return Plan(status=status, delete_jobs=_names(_present(spent)), wake_at=deadline)


def _after_input_deadline(session: AgenticSession, seen: Seen, now: datetime) -> Plan:
    message = "nobody answered within inputDeadline.seconds"
    limit = session.spec.input_deadline
    if limit is None or limit.on_expiry == "Fail":
        return _end(session, seen, Reason.INPUT_DEADLINE_EXCEEDED, message, now)
    if faults := describe_default_faults(seen.answers):
        text = f"{message}, and its value is no answer: {faults}"
        return _end(session, seen, Reason.INPUT_DEADLINE_EXCEEDED, text, now)
    return _record(answer_by_default(session, now), now)


# -- while it runs -----------------------------------------------------------------------------------------------------


def _monitor(session: AgenticSession, seen: Seen, now: datetime, rules: Rules) -> Plan:
    run = session.status.run
    newest_job = max(seen.jobs, key=lambda job: job.run, default=None)
    if newest_job is not None and (run is None or newest_job.run > run) and newest_job.run > 0:
        # Made just before a crash, not written yet.
        snapshot = session.status.workflow or _snapshot(session, seen, rules)
        if snapshot is not None:
            return _create_run(session, seen, now, rules, newest_job.run, snapshot, restarts=session.status.restarts)
    if run is None:
        return _start(session, seen, now, rules)
    job = _find_job(seen, run)
    if job is None:
        return _restart(session, seen, now, rules, f"Job {job_name(session.name, run)} is gone")
    if job.is_deleting:
        return Plan(wake_at=now + LOOK_AGAIN)
    pods = tuple(pod for pod in seen.pods if pod.job == job.name)
    if job.failure_reason:
        verdict = classify_failure(job, pods)
        if verdict.is_lost:
            return _restart(session, seen, now, rules, verdict.message)
        return _end(session, seen, verdict.reason, verdict.message, now)
    if job.is_complete:
        return _restart(session, seen, now, rules, "its runner ended without a verdict")
    due = _given_up_at(pods)
    if due is not None and now >= due:
        # The Job itself would wait for the node's word for ever. If the runner lives on, the fence holds it back.
        what = f"pod {pods[0].name} was deleted and its node does not answer"
        plan = _restart(session, seen, now, rules, what)
        return replace(plan, delete_jobs=(*plan.delete_jobs, job.name))
    plan = _watch_start(session, seen, job, pods, now)
    return plan if due is None else replace(plan, wake_at=min(due, plan.wake_at or due))


def _given_up_at(pods: tuple[PodSeen, ...]) -> datetime | None:
    """Return when a run is given up all of whose unfinished pods are being deleted; None where one is not."""
    unfinished = [pod for pod in pods if not pod.is_over]
    since = [pod.deleting_since for pod in unfinished if pod.deleting_since is not None]
    return max(since) + POD_PATIENCE if since and len(since) == len(unfinished) else None


def _watch_start(session: AgenticSession, seen: Seen, job: JobSeen, pods: tuple[PodSeen, ...], now: datetime) -> Plan:
    """A Job that is neither done nor failed: say why its pod does not start, if it does not."""
    phase = session.status.phase or Phase.CREATING
    add_finalizer = FINALIZER not in session.metadata.finalizers
    trouble = find_trouble(pods, now)
    if trouble is not None:
        if trouble.is_fatal:
            return _end(session, seen, trouble.reason, trouble.message, now)
        status = change_session(session, phase, trouble.reason, trouble.message, now, conditions={"Scheduled": "False"})
        note = Note(trouble.reason, trouble.message, "Warning", "Start")
        return Plan(add_finalizer=add_finalizer, status=status, wake_at=trouble.fatal_at, notes=(note,))
    last, ended = newest(pods), newest(pod for pod in pods if pod.is_over)
    is_between = ended is not None and (last is ended or (last is not None and not last.has_started))
    if job.failed and ended is not None and is_between and not _was_told(session, ended):
        verdict = classify_pod(ended)
        message = f"attempt {job.failed} failed ({verdict.reason}: {verdict.message}); the next one goes on"
        status = change_session(session, phase, Reason.RETRYING, message, now)
        note = Note(Reason.RETRYING, message, "Warning", "Retry")
        return Plan(add_finalizer=add_finalizer, status=status, notes=(note,))
    scheduled = find_condition(session.status.conditions, "Scheduled")
    if phase is Phase.CREATING and scheduled is not None and scheduled.status == "False" and last is not None:
        status = change_session(
            session, phase, Reason.JOB_CREATED, "its pod starts", now, conditions={"Scheduled": "True"}
        )
        return Plan(add_finalizer=add_finalizer, status=status)
    return Plan(add_finalizer=add_finalizer, status=_refresh(session))


def _was_told(session: AgenticSession, pod: PodSeen) -> bool:
    """Say whether the runner said itself how this attempt ended, and better than its exit code does."""
    said = {int(ExitCode.RETRIABLE): Reason.RETRYING, int(ExitCode.DATABASE_UNAVAILABLE): Reason.DATABASE_UNAVAILABLE}
    return pod.exit_code is not None and session.status.reason == said.get(pod.exit_code)


def _restart(session: AgenticSession, seen: Seen, now: datetime, rules: Rules, what: str) -> Plan:
    """Follow a run without a verdict by the next one, which goes on from the last checkpoint; not without end."""
    restarts = (session.status.restarts or 0) + 1
    run = (session.status.run or 0) + 1
    if restarts > MAX_RESTARTS:
        return _end(session, seen, Reason.RUNNER_LOST, f"{what}; {MAX_RESTARTS} further runs ended the same way", now)
    if session.status.workflow is None:
        snapshot = _snapshot(session, seen, rules)
        if snapshot is None:
            return _end(session, seen, Reason.RUNNER_LOST, f"{what}, and its workflow is gone", now)
        session = session.model_copy(update={"status": session.status.model_copy(update={"workflow": snapshot})})
    message = f"{what}; run {run} goes on from the last checkpoint"
    plan = _run_again(session, seen, now, rules, run, restarts=restarts, message=message)
    return replace(plan, notes=(*plan.notes, Note(Reason.RETRYING, message, "Warning", "Retry")))


def _end(session: AgenticSession, seen: Seen, reason: Reason, message: str, now: datetime) -> Plan:
    """Fail the session, then let go of what runs: a crash in between leaves a final phase."""
    running = [job for job in _present(seen.jobs) if not job.is_finished]
    return Plan(
        add_finalizer=False,
        status=fail_session(session, reason, message, now),
        delete_jobs=_names(running),
        notes=(Note(reason, message, "Warning", "Fail"),),
    )


def _pin_image(session: AgenticSession, seen: Seen) -> AgenticSession:
    """Pin the digest that the first pod ran, where the inspection could not tell one."""
    snapshot = session.status.workflow
    phase = session.status.phase
    if snapshot is None or snapshot.image_digest is not None or phase is None or phase.is_final:
        return session
    started = sorted((pod for pod in seen.pods if pod.image_id), key=lambda pod: (pod.created_at or LONG_AGO, pod.name))
    digest = next((found for pod in started if (found := pin_image(snapshot.image, pod.image_id))), None)
    if digest is None:
        return session
    pinned = snapshot.model_copy(update={"image_digest": digest})
    return session.model_copy(update={"status": session.status.model_copy(update={"workflow": pinned})})


# -- parts -------------------------------------------------------------------------------------------------------------


def _accept(session: AgenticSession, now: datetime) -> tuple[Condition, ...]:
    generation = session.metadata.generation
    accepted = build_condition("Accepted", "True", Reason.ACCEPTED, "workflow and inputs are valid", now, generation)
    old = find_condition(session.status.conditions, "Accepted")
    if old is not None and old.status == "True":
        return session.status.conditions
    return tuple(with_condition(session.status.conditions, accepted))


def _snapshot(session: AgenticSession, seen: Seen, rules: Rules) -> WorkflowSnapshot | None:
    admission = admit_workflow(session, seen.definition, rules.allowed)
    return admission.snapshot if isinstance(admission, Admitted) else None


def _refresh(session: AgenticSession) -> SessionStatus:
    """Return the status as it is, as of the generation that was looked at."""
    return session.status.model_copy(update={"observed_generation": session.metadata.generation})


def _find_job(seen: Seen, run: int | None) -> JobSeen | None:
    return next((job for job in seen.jobs if job.run == run), None)


def _present(jobs: tuple[JobSeen, ...]) -> list[JobSeen]:
    return [job for job in jobs if not job.is_deleting]


def _names(jobs: list[JobSeen]) -> tuple[str, ...]:
    return tuple(job.name for job in jobs)
