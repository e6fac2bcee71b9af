"""Pods whose runner has ended while a sidecar keeps them running.

A Job looks at pods alone: it waits for ever for one whose sidecar never ends, and neither follows a failed attempt by
the next one nor lets go of the node. A run is judged by the runner's container instead, and what is left of its pod is
cleared away after a short grace, in which a sidecar that ends by itself does so.

A failed attempt with retries left loses its pod only: the Job then counts it, and follows it, as it always does.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from agentic_core.lifecycle import Phase
from agentic_core.resources import AgenticSession
from agentic_core.times import EARLIEST, add
from agentic_operator.sessions.children import ObservedJob, ObservedPod
from agentic_operator.sessions.diagnosis import newest
from agentic_operator.sessions.observation import Observation
from agentic_operator.sessions.plan import Plan

# How long what stands beside a runner may take to end by itself.
SIDECAR_GRACE: Final = timedelta(seconds=10)
_ACTIVE: Final = (Phase.CREATING, Phase.RUNNING)


def find_held(job: ObservedJob, pods: tuple[ObservedPod, ...]) -> ObservedPod | None:
    """Return the pod of a Job that goes on though its runner has ended; None if there is none."""
    if job.is_finished or job.is_deleting:
        return None
    last = newest(pod for pod in pods if pod.job == job.name)
    return last if last is not None and last.is_held else None


def due_at(pod: ObservedPod) -> datetime:
    """Return when a held pod is cleared away."""
    return EARLIEST if pod.ended_at is None else add(pod.ended_at, SIDECAR_GRACE)


def clear_held(plan: Plan, session: AgenticSession, seen: Observation, now: datetime) -> Plan:
    """Add to a pass what is left of runs that are through; the run that is on is judged where it is watched."""
    status = plan.status or session.status
    current = status.run if status.phase in _ACTIVE else None
    taken = set(plan.delete_jobs)
    for job in seen.jobs:
        if job.run == current or job.name in taken:
            continue
        if current is None and _is_followed_in_vain(job, seen.pods):
            plan = replace(plan, delete_jobs=(*plan.delete_jobs, job.name))
            continue
        held = find_held(job, seen.pods)
        if held is None:
            continue
        # The next run may need what this pod holds: its volume, its share of a quota.
        due = now if current is not None else due_at(held)
        if now >= due:
            plan = replace(plan, delete_jobs=(*plan.delete_jobs, job.name))
        else:
            plan = replace(plan, wake_at=min(due, plan.wake_at or due))
    return plan


def _is_followed_in_vain(job: ObservedJob, pods: tuple[ObservedPod, ...]) -> bool:
    """Return whether a Job makes another pod because of what ran beside a runner that had done its work."""
    own = [pod for pod in pods if pod.job == job.name]
    has_done = any(pod.has_ended and pod.exit_code == 0 and pod.phase == "Failed" for pod in own)
    return has_done and not job.is_finished and not job.is_deleting
