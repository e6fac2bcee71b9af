"""Sessions are suspended and resumed faster than their pods can follow: what the operator ends itself is no loss."""

import asyncio

import pytest

from agentic_core.lifecycle import Phase
from tests.faults.bed import Bed, seeded, seeds, until
from tests.faults.test_runner_losses import WORKSPACE, assert_done, reach
from tests.support.apiclient import sessions_path


async def suspend(bed: Bed, name: str, *, is_suspended: bool) -> None:
    await bed.client.patch(sessions_path(bed.namespace, name), {"spec": {"suspend": is_suspended}})


async def test_suspended_and_resumed_many_times_in_a_second_a_session_still_completes(bed: Bed) -> None:
    await bed.operator()
    await bed.define("steps", workspace=WORKSPACE)
    await bed.start("steps", "s", inputs={"count": 20, "seconds": 0.1})
    await reach(bed, "s", 2)
    for _ in range(8):
        await suspend(bed, "s", is_suspended=True)
        await asyncio.sleep(0.12)
        await suspend(bed, "s", is_suspended=False)
        await asyncio.sleep(0.12)
    status = await bed.wait_phase("s", Phase.COMPLETED, Phase.FAILED)
    assert status["phase"] == Phase.COMPLETED, status
    assert not status.get("restarts"), status
    await bed.wait_rest()
    await bed.check()


@pytest.mark.parametrize("seed", seeds(short=2, long=20))
async def test_random_suspensions_with_operators_that_die_are_never_counted_as_losses(bed: Bed, seed: int) -> None:
    random = seeded(seed)
    operator = await bed.operator()
    await bed.define("steps", workspace=WORKSPACE)
    names = [f"s-{number}" for number in range(4)]
    for name in names:
        await bed.start("steps", name, inputs={"count": 12, "seconds": 0.1})

    async def disturb(name: str) -> None:
        for _ in range(6):
            await asyncio.sleep(random.uniform(0, 0.5))
            await suspend(bed, name, is_suspended=True)
            await asyncio.sleep(random.choice([0.0, 0.05, random.uniform(0, 1)]))
            await suspend(bed, name, is_suspended=False)

    async def replace_operators() -> None:
        for _ in range(2):
            await asyncio.sleep(random.uniform(0.3, 1.5))
            await operator.kill_and_wait()
            operator.start()

    async with asyncio.TaskGroup() as tasks:
        for name in names:
            tasks.create_task(disturb(name))
        tasks.create_task(replace_operators())
    for name in names:
        status = await bed.wait_phase(name, Phase.COMPLETED, Phase.FAILED)
        assert status["phase"] == Phase.COMPLETED, status
        assert not status.get("restarts"), status
    await bed.wait_rest()
    await bed.check()


async def test_a_suspension_ends_although_somebody_elses_finalizer_holds_the_job(bed: Bed) -> None:
    bed.kubelet.grace_scale = 0.1
    await bed.operator()
    await bed.define("steps", workspace=WORKSPACE)
    await bed.start("steps", "s", inputs={"count": 60, "seconds": 0.2})
    await reach(bed, "s", 2)
    job = f"/apis/batch/v1/namespaces/{bed.namespace}/jobs/s-r1"
    await bed.client.patch(job, {"metadata": {"finalizers": ["example.com/held"]}})
    try:
        await suspend(bed, "s", is_suspended=True)
        await bed.wait_phase("s", Phase.SUSPENDED)
        assert not bed.kubelet.alive("s", bed.namespace)
        await suspend(bed, "s", is_suspended=False)
        await assert_done(bed, "s", 60, losses=1)
    finally:
        await bed.client.patch(job, {"metadata": {"finalizers": None}})
    await until(lambda: _is_gone(bed, job), what="the held Job gone")
    await bed.wait_rest()
    await bed.check()


async def _is_gone(bed: Bed, path: str) -> bool:
    return await bed.client.find(path) is None
