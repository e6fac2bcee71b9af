"""Runs that are late: whose pod is missing or does not start, and what is said of it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from agentic_core.conditions import Reason
from agentic_core.lifecycle import Phase
from agentic_operator.cache.index import Index
from agentic_operator.cache.workqueue import WorkQueue
from agentic_operator.config import Settings
from agentic_operator.controllers.stuck_pods import StuckPods, describe, find_late
from agentic_operator.namespaces.prepare import Namespaces
from agentic_operator.sessions.children import ObservedJob, ObservedPod, StuckPod
from agentic_operator.sessions.decide import decide
from agentic_operator.sessions.keys import Key, SessionKey
from agentic_operator.sessions.observation import Observation, Rules
from agentic_operator.sessions.status import diff_status
from tests.support.builders import NOW, a_pod, a_session

JOB = ObservedJob("s-r1", "u", "owner", run=1, created_at=NOW - timedelta(seconds=10))
POD = ObservedPod("s-r1-x", "s-r1", created_at=NOW - timedelta(seconds=9))
BEFORE = NOW - timedelta(seconds=4)


@pytest.mark.parametrize(
    ("job", "pods", "late"),
    [
        (JOB, (), (JOB, None)),
        (JOB, (POD,), (JOB, POD)),
        (JOB, (replace(POD, phase="Failed"),), (JOB, None)),
        (JOB, (replace(POD, has_started=True),), None),
        (JOB, (replace(POD, unschedulable="no node fits"),), None),
        (JOB, (replace(POD, created_at=NOW),), None),
        (replace(JOB, created_at=NOW), (), None),
        (replace(JOB, is_complete=True), (), None),
        (replace(JOB, is_deleting=True), (), None),
    ],
)
def test_late_is_a_job_without_a_pod_and_a_pod_that_does_not_start(
    job: ObservedJob, pods: tuple[ObservedPod, ...], late: tuple[ObservedJob, ObservedPod | None] | None
) -> None:
    assert find_late((job,), pods, BEFORE) == late


@pytest.mark.parametrize(
    ("pod", "text", "reason"),
    [
        (None, 'Error creating: pods "x" is forbidden: exceeded quota: q', Reason.QUOTA_EXCEEDED),
        (None, 'Error creating: pods "x" is forbidden: violates PodSecurity "baseline"', Reason.ADMISSION_REFUSED),
        (None, "Error creating: Internal error occurred: something", Reason.POD_NOT_STARTED),
        (POD, 'MountVolume.SetUp failed for volume "postgres" : secret "a" not found', Reason.SECRET_MISSING),
        (POD, "Failed to create pod sandbox: no address left", Reason.POD_NOT_STARTED),
    ],
)
def test_an_event_is_told_with_its_place(pod: ObservedPod | None, text: str, reason: Reason) -> None:
    stuck_pod = describe("team", JOB, pod, text)
    assert stuck_pod.reason is reason
    assert text.removeprefix("Error creating: ") in stuck_pod.message
    assert "'team'" in stuck_pod.message


def test_a_stall_is_said_in_the_phase_and_its_end_too() -> None:
    session = a_session().accepted().build()
    stuck_pod = StuckPod("s-r1", "", Reason.QUOTA_EXCEEDED, "full")
    told = decide(session, Observation(jobs=(JOB,), stuck_pod=stuck_pod), NOW, Rules()).status
    assert told is not None
    assert (told.phase, told.reason) == (Phase.CREATING, "QuotaExceeded")
    held = session.model_copy(update={"status": told})
    again = decide(held, Observation(jobs=(JOB,), stuck_pod=stuck_pod), NOW, Rules()).status
    assert again is None or not diff_status(told, again)
    over = decide(held, Observation(jobs=(JOB,), pods=(POD,)), NOW, Rules()).status
    assert over is not None
    assert over.reason == "JobCreated"
    running = held.model_copy(update={"status": told.model_copy(update={"phase": Phase.RUNNING, "reason": "Running"})})
    going = decide(running, Observation(jobs=(JOB,), pods=(replace(POD, has_started=True),)), NOW, Rules()).status
    assert going is not None
    assert going.reason == "Running"
    assert [c.status for c in going.conditions if c.type == "Scheduled"] == ["True"]


class Asked:
    """A cluster without Events that counts how often it is asked for them."""

    def __init__(self) -> None:
        self.count = 0

    async def list_pages(self, *_: object, **__: object) -> AsyncIterator[list[dict[str, object]]]:
        self.count += 1
        yield []


async def test_where_nothing_changes_events_are_asked_for_ever_less_often() -> None:
    queue: WorkQueue[Key] = WorkQueue(lambda: 0.0)
    index = Index(wake=queue.add, wake_later=queue.add)
    asked: Any = Asked()
    stuck_pods = StuckPods(asked, index, queue, Namespaces(asked, Settings(), cast("Any", None)), lambda: NOW)
    for name in ("s", "t"):
        session = a_session().named(name, uid=f"uid-{name}").accepted()
        index.see_session(session.raw())
        job = replace(JOB, name=f"{name}-r1", owner_uid=f"uid-{name}")
        index.see_job(SessionKey("team", name), job)
        await stuck_pods.run_once()
        await stuck_pods.run_once()
    assert asked.count == 2


def test_a_pull_secret_that_is_not_there_is_told_as_a_secret() -> None:
    text = "Unable to retrieve some image pull secrets (regcred); attempting to pull the image may not succeed."
    stuck_pod = describe("team", JOB, a_pod(), text)
    assert stuck_pod.reason is Reason.SECRET_MISSING
    assert "regcred" in stuck_pod.message
