"""Ends sessions: deletion, time to live, stop, suspension and failure."""

from datetime import datetime, timedelta
from typing import Final

from agentic_core.conditions import Reason, with_condition
from agentic_core.lifecycle import Phase
from agentic_core.names import FINALIZER
from agentic_core.resources import AgenticSession
from agentic_core.times import add, add_seconds, is_believable
from agentic_operator.kube.events import Event
from agentic_operator.manifests.jobs import effective_ttl
from agentic_operator.sessions.children import ObservedJob, ObservedPod
from agentic_operator.sessions.declared import find_declaration
from agentic_operator.sessions.held import find_held
from agentic_operator.sessions.observation import Observation, find_job, find_present, list_names
from agentic_operator.sessions.plan import Plan
from agentic_operator.sessions.snapshot import find_spec
from agentic_operator.sessions.status import build_condition, change_session, fail_session, refresh_session

# How long the database may hold up a deletion. What is left behind then is found and purged later.
DELETION_PATIENCE: Final = timedelta(seconds=30)
# How long the Job of a finished session may go on: a runner that hangs after its last word.
LINGER: Final = timedelta(seconds=90)
# How long a pod that is being deleted is waited for beyond the moment it should be gone; its node may be lost.
POD_PATIENCE: Final = timedelta(seconds=60)
LOOK_AGAIN: Final = timedelta(seconds=10)
# How often a session that is kept because it is declared elsewhere is looked at again.
KEPT_LOOK: Final = timedelta(hours=1)


def finalize(session: AgenticSession, seen: Observation, since: datetime) -> Plan:
    """A session that is being deleted: its Jobs go, then its rows, then it."""
    if FINALIZER not in session.metadata.finalizers:
        return Plan()
    return Plan(delete_jobs=list_names(find_present(seen.jobs)), purge=True, wake_at=add(since, DELETION_PATIENCE))


def after_finish(session: AgenticSession, seen: Observation, now: datetime) -> Plan:
    """A session in a final phase: its Job does not outlive it for long, and its time to live may be up."""
    # Those that a sidecar holds are cleared away by themselves.
    lingering = [job for job in find_present(seen.jobs) if not job.is_finished and find_held(job, seen.pods) is None]
    ttl = effective_ttl(session, find_spec(session.status.workflow, seen.definition))
    ended = session.status.completion_time
    is_counted = bool(lingering) or ttl is not None
    if ended is None and not is_counted:
        return Plan()
    if ended is None or not is_believable(ended, since=_earliest_end(session, seen), now=now):
        # Whoever wrote it may not choose that the session and its Job stay for ever, nor that they go at once.
        at = now.replace(microsecond=0)
        return Plan(status=session.status.model_copy(update={"completion_time": at}), wake_at=now)
    wakes: list[datetime] = []
    if lingering:
        if now >= (over := add(ended, LINGER)):
            return Plan(delete_jobs=list_names(lingering))
        wakes.append(over)
    if ttl is not None:
        due = add_seconds(ended, ttl)
        if now >= due and (mark := find_declaration(session.metadata, seen.managers)) is not None:
            return _keep_declared(session, mark, now)
        if now >= due:
            return Plan(delete_session=True)
        wakes.append(due)
    return Plan(wake_at=min(wakes, default=None))


def _earliest_end(session: AgenticSession, seen: Observation) -> datetime | None:
    """Return the moment before which a session cannot have ended, by the clock of the API server."""
    job = find_job(seen, session.status.run)
    made = (session.metadata.creation_timestamp, job.created_at if job is not None else None)
    return max((at for at in made if at is not None), default=None)


def _keep_declared(session: AgenticSession, mark: str, now: datetime) -> Plan:
    """Keep what would be made again and run anew; say so once."""
    message = (
        f"its time to live is over; it stays because {mark} says that it is declared elsewhere, and would be made again"
        " and run anew: delete it there"
    )
    condition = build_condition("Expired", "True", Reason.DECLARED_ELSEWHERE, message, now, session.metadata.generation)
    conditions = tuple(with_condition(session.status.conditions, condition))
    notes = (Event(Reason.DECLARED_ELSEWHERE, message, action="Expire"),)
    is_told = conditions == session.status.conditions
    return Plan(
        status=session.status.model_copy(update={"conditions": conditions}),
        notes=() if is_told else notes,
        wake_at=now + KEPT_LOOK,
    )


def stop(session: AgenticSession, seen: Observation, now: datetime) -> Plan:
    """``spec.stop``: stopped once nothing runs any more."""
    if (
        waiting := wind_down(session, seen, now, Reason.STOPPED_BY_USER, "stopping: its pod saves and ends")
    ) is not None:
        return waiting
    message = "stopped by spec.stop"
    status = change_session(
        session, Phase.STOPPED, Reason.STOPPED_BY_USER, message, now, completion_time=now.replace(microsecond=0)
    )
    return Plan(status=status, notes=(Event(Reason.STOPPED_BY_USER, message, action="Stop"),))


def suspend(session: AgenticSession, seen: Observation, now: datetime) -> Plan:
    """``spec.suspend``: suspended once nothing runs any more."""
    winding_down = wind_down(session, seen, now, Reason.SUSPENDED, "suspending: its pod saves and ends")
    if winding_down is not None:
        return winding_down
    if session.status.phase is Phase.SUSPENDED:
        return Plan(status=refresh_session(session))
    message = "suspended by spec.suspend; set it to false to go on"
    status = change_session(session, Phase.SUSPENDED, Reason.SUSPENDED, message, now)
    return Plan(status=status, notes=(Event(Reason.SUSPENDED, message, action="Suspend"),))


def wind_down(session: AgenticSession, seen: Observation, now: datetime, reason: Reason, message: str) -> Plan | None:
    """Return how to end what runs; None if nothing runs any more."""
    unfinished = [job for job in seen.jobs if not job.is_finished and not is_given_up(job, now)]
    living = find_living(seen.pods, now)
    if not unfinished and not living:
        return None
    status = change_session(session, session.status.phase or Phase.PENDING, reason, message, now)
    return Plan(
        status=status,
        delete_jobs=list_names(find_present(tuple(unfinished))),
        delete_pods=_find_left(seen.jobs, living),
        wake_at=now + LOOK_AGAIN,
    )


def find_living(pods: tuple[ObservedPod, ...], now: datetime) -> list[ObservedPod]:
    """Return the pods that may still run: one whose node is silent for long after its deletion is given up."""
    return [
        pod
        for pod in pods
        if not pod.is_over and (pod.deleting_since is None or now < add(pod.deleting_since, POD_PATIENCE))
    ]


def is_given_up(job: ObservedJob, now: datetime) -> bool:
    """Return whether somebody's finalizer holds a Job for long after its deletion: it makes no pods any more."""
    return job.deleting_since is not None and now >= add(job.deleting_since, POD_PATIENCE)


def _find_left(jobs: tuple[ObservedJob, ...], living: list[ObservedPod]) -> tuple[str, ...]:
    """Return the pods that nobody deletes: the garbage collector waits for a Job that somebody's finalizer holds."""
    held = {job.name for job in jobs if job.is_deleting}
    return tuple(pod.name for pod in living if pod.deleting_since is None and pod.job in held)


def fail(session: AgenticSession, seen: Observation, reason: Reason, message: str, now: datetime) -> Plan:
    """Fail the session, then let go of what runs: a crash in between leaves a final phase."""
    running = [job for job in find_present(seen.jobs) if not job.is_finished]
    return Plan(
        add_finalizer=False,
        status=fail_session(session, reason, message, now),
        delete_jobs=list_names(running),
        notes=(Event(reason, message, "Warning", "Fail"),),
    )
