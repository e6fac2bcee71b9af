"""Repairs labels and owners of a session's Jobs and pods.

Jobs and pods are told by their owner and their derived name, which nobody can edit. Labels only make them cheap to
watch and to list: without them a child is not lost, it is looked up by name and gets them again.
"""

from dataclasses import replace
from typing import Any, Final

from agentic_core.names import SESSION_UID_LABEL, read_run
from agentic_core.resources import AgenticSession
from agentic_operator.manifests.jobs import owner_reference, run_labels
from agentic_operator.sessions.children import ObservedJob, ObservedPod
from agentic_operator.sessions.observation import Observation
from agentic_operator.sessions.plan import Plan, Repair

PARALLELISM: Final = 1


def mend(plan: Plan, session: AgenticSession, seen: Observation) -> Plan:
    """Add to a pass what is to be put back, and let go of pods that their Job has let go of."""
    jobs = [_repair_job(session, job) for job in seen.jobs if not job.is_finished and not job.is_deleting]
    living = [pod for pod in seen.pods if not pod.is_over and pod.deleting_since is None]
    pods = [_repair_pod(session, pod) for pod in living]
    # Its Job does not count it any more and makes another one: two runners of one thread would only fence each other.
    released = [pod.name for pod in living if not pod.is_controlled and pod.name not in plan.delete_pods]
    repairs = tuple(each for each in (*jobs, *pods) if each is not None)
    return replace(plan, repairs=repairs, delete_pods=(*plan.delete_pods, *released))


def _repair_job(session: AgenticSession, job: ObservedJob) -> Repair | None:
    metadata: dict[str, Any] = {}
    if not job.is_labelled:
        metadata["labels"] = {**run_labels(session, job.run), SESSION_UID_LABEL: session.metadata.uid}
    if not job.is_controlled:
        metadata["ownerReferences"] = [owner_reference(session)]
    patch: dict[str, Any] = {"metadata": metadata} if metadata else {}
    if job.parallelism not in (None, PARALLELISM):
        patch["spec"] = {"parallelism": PARALLELISM}
    return Repair("Job", job.name, job.uid, patch) if patch else None


def _repair_pod(session: AgenticSession, pod: ObservedPod) -> Repair | None:
    run = read_run(session.name, pod.job)
    if pod.is_labelled or not run:
        return None
    return Repair("Pod", pod.name, pod.uid, {"metadata": {"labels": run_labels(session, run)}})
