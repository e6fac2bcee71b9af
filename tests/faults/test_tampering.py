"""Somebody edits a running session's Job and pod: they are known by owner and name, and get back what was taken off."""

import asyncio
from typing import Any

import pytest

from agentic_core.lifecycle import Phase
from agentic_core.names import GROUP, MANAGED_BY_LABEL, RUN_LABEL, SESSION_LABEL
from tests.faults.bed import Bed, until
from tests.faults.test_runner_losses import WORKSPACE, assert_done, reach
from tests.support.apiclient import Json, core_path, jobs_path
from tests.support.waiting import PATIENCE_SECONDS

OURS = (SESSION_LABEL, RUN_LABEL, MANAGED_BY_LABEL, f"{GROUP}/session-uid", f"{GROUP}/workflow")
STRIPPED: Json = {"metadata": {"labels": dict.fromkeys(OURS)}}


async def begin(bed: Bed, *, count: int = 20) -> None:
    await bed.operator()
    await bed.define("steps", workspace=WORKSPACE)
    await bed.start("steps", "s", inputs={"count": count, "seconds": 0.2})
    await reach(bed, "s", 2)


async def read(bed: Bed, path: str) -> Json:
    found: Json = await bed.client.get(path)
    return found


async def assert_one_run(bed: Bed, *, count: int = 20) -> None:
    await assert_done(bed, "s", count, losses=0)
    assert (await bed.status("s"))["run"] == 1
    assert [process.run for process in bed.kubelet.processes if process.session == "s"] == [1]
    await bed.wait_rest()
    await bed.check()


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param(STRIPPED, id="our labels"),
        pytest.param({"metadata": {"labels": {SESSION_LABEL: "another"}}}, id="the session's label"),
        pytest.param({"metadata": {"labels": {RUN_LABEL: "7"}}}, id="the run's label"),
        pytest.param({"metadata": {"ownerReferences": None}}, id="the owner"),
        pytest.param({"metadata": {"ownerReferences": None, **STRIPPED["metadata"]}}, id="owner and labels"),
        pytest.param({"metadata": {"annotations": {"example.com/mine": "1"}}}, id="an annotation"),
    ],
)
async def test_a_job_that_somebody_edits_is_still_the_sessions_and_is_mended(bed: Bed, patch: Json) -> None:
    await begin(bed)
    path = jobs_path(bed.namespace, "s-r1")
    before = (await read(bed, path))["metadata"]
    await bed.client.patch(path, patch)

    async def is_mended() -> bool:
        now = (await read(bed, path))["metadata"]
        return all(now.get(part) == before[part] for part in ("labels", "ownerReferences"))

    await until(is_mended, what="the Job mended")
    await assert_one_run(bed)


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_job_without_labels_is_stopped_at_once(bed: Bed, is_restarted: bool) -> None:
    """Also by an operator that starts later, and by one that may not put the labels back."""
    await begin(bed, count=500)
    (operator,) = bed.operators
    if is_restarted:
        await operator.kill_and_wait()
    await bed.client.patch(jobs_path(bed.namespace, "s-r1"), STRIPPED)
    await bed.stop("s")
    if is_restarted:
        operator.start()
    await bed.wait_phase("s", Phase.STOPPED)
    assert not bed.kubelet.alive("s", bed.namespace)
    assert {process.run for process in bed.kubelet.processes if process.session == "s"} == {1}
    await bed.wait_rest()
    await bed.check()


async def test_a_deleted_job_is_forgotten_at_once_although_it_had_no_labels(bed: Bed) -> None:
    await begin(bed, count=100)
    path = jobs_path(bed.namespace, "s-r1")
    await bed.client.patch(path, STRIPPED)
    await bed.client.delete(path)
    await bed.wait_runner("s", run=2)
    await assert_done(bed, "s", 100, losses=1)
    await bed.wait_rest()
    await bed.check()


async def test_a_pod_without_our_labels_gets_them_back_and_one_without_its_jobs_is_let_go(bed: Bed) -> None:
    await begin(bed, count=40)
    first = await bed.wait_runner("s")
    path = core_path(bed.namespace, "pods", first.pod)
    before = (await read(bed, path))["metadata"]["labels"]
    await bed.client.patch(path, STRIPPED)

    async def is_mended() -> bool:
        now = (await read(bed, path))["metadata"]["labels"]
        return all(now.get(name) == value for name, value in before.items())

    await until(is_mended, what="the pod's labels put back")
    assert first.is_alive
    everything: dict[str, Any] = dict.fromkeys(before)
    await bed.client.patch(path, {"metadata": {"labels": everything}})
    await asyncio.wait_for(first.ended.wait(), PATIENCE_SECONDS)
    await assert_done(bed, "s", 40, losses=1)
    await bed.wait_rest()
    await bed.check()


async def test_a_job_that_is_told_to_make_no_pods_makes_them_again(bed: Bed) -> None:
    await begin(bed)
    path = jobs_path(bed.namespace, "s-r1")
    await bed.client.patch(path, {"spec": {"parallelism": 0}})

    async def is_mended() -> bool:
        return bool((await read(bed, path))["spec"]["parallelism"] == 1)

    await until(is_mended, what="the Job's parallelism put back")
    await assert_done(bed, "s", 20, losses=1)
    await bed.wait_rest()
    await bed.check()


async def test_a_job_that_somebody_holds_back_says_so_and_goes_on_when_it_is_let_go(bed: Bed) -> None:
    bed.kubelet.grace_scale = 0.1
    await begin(bed)
    path = jobs_path(bed.namespace, "s-r1")
    await bed.client.patch(path, {"spec": {"suspend": True}})

    async def is_told() -> bool:
        status = await bed.status("s")
        return status.get("reason") == "Queued" and "spec.suspend" in status["message"]

    await until(is_told, what="that the Job is held back")
    await bed.client.patch(path, {"spec": {"suspend": False}})
    await assert_done(bed, "s", 20, losses=1)
    status = await bed.status("s")
    assert (status["run"], status.get("restarts")) == (1, None)
    await bed.wait_rest()
    await bed.check()
