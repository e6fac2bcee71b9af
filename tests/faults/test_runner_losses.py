"""Runners die, are cut off and come back: no saved super-step runs again, and only one of them ever writes."""

import asyncio
import signal
from functools import partial

import pytest

from agentic_core.contract import ExitCode
from agentic_core.lifecycle import Phase
from tests.faults.bed import LONG, Bed, seeded, seeds, until
from tests.support.faultproxy import Moment
from tests.support.process_kubelet import PodProcess
from tests.support.waiting import PATIENCE_SECONDS

WORKSPACE = {"size": "1Mi"}


async def reach(bed: Bed, name: str, step: int) -> None:
    await until(lambda: f"end {step}" in bed.journal(name), what=f"{name} at step {step}")


async def find_successor(bed: Bed, former: PodProcess, seconds: float = PATIENCE_SECONDS) -> PodProcess:
    def find() -> PodProcess | None:
        alive = bed.kubelet.alive(former.session, bed.namespace)
        return next((process for process in alive if process is not former), None)

    found: PodProcess = await until(find, what=f"a successor of {former.pod}", seconds=seconds)
    return found


async def assert_done(bed: Bed, name: str, count: int, *, losses: int) -> None:
    status = await bed.wait_phase(name, Phase.COMPLETED)
    assert status["result"]["done"] == [str(number) for number in range(1, count + 1)]
    starts = [line for line in bed.journal(name) if line.startswith("start")]
    assert len(starts) <= count + losses, starts


@pytest.mark.parametrize("seed", seeds(short=1, long=10))
async def test_runners_are_killed_drained_and_evicted_at_random(bed: Bed, seed: int) -> None:
    random = seeded(seed)
    await bed.operator()
    await bed.define("steps", workspace=WORKSPACE)
    ways = ["SIGKILL", "SIGTERM", "the pod is deleted", "the node dies", "the pod is lost and its process lives on"]
    names = dict(enumerate(ways if not LONG else ways * 3))

    async def live(number: int, way: str) -> None:
        name = f"s-{number}"
        await bed.start("steps", name, inputs={"count": 20, "seconds": 0.1}, retries=3)
        await reach(bed, name, random.randint(1, 12))
        process = await bed.wait_runner(name)
        await asyncio.sleep(random.uniform(0, 0.2))
        if way == "SIGKILL":
            process.send(signal.SIGKILL)
        elif way == "SIGTERM":
            process.send(signal.SIGTERM)
        elif way == "the pod is deleted":
            await bed.delete_pod(process)
        elif way == "the node dies":
            await bed.kubelet.disrupt(process)
        else:
            await bed.kubelet.lose(process)
        await find_successor(bed, process)
        await assert_done(bed, name, 20, losses=2)
        await asyncio.wait_for(process.ended.wait(), PATIENCE_SECONDS)
        print(f"{name}: {way}: exit code {process.exit_code}, run {(await bed.status(name))['run']}")
        if way in ("SIGTERM", "the pod is deleted"):
            assert process.exit_code == ExitCode.DRAINED
        if way.endswith("lives on"):
            # Whoever still holds the thread when it is done may well say so.
            assert process.exit_code in (ExitCode.DONE, ExitCode.SUPERSEDED)

    async with asyncio.TaskGroup() as tasks:
        for number, way in names.items():
            tasks.create_task(live(number, way))
    await bed.wait_rest()
    await bed.check()


@pytest.mark.parametrize("seed", seeds(short=2, long=20))
async def test_a_frozen_runner_wakes_beside_its_successor_and_writes_nothing(bed: Bed, seed: int) -> None:
    random = seeded(seed)
    await bed.operator()
    await bed.define("steps", workspace=WORKSPACE)
    count = 25
    await bed.start("steps", "s", inputs={"count": count, "seconds": 0.05})
    await reach(bed, "s", random.randint(1, 5))
    process = await bed.wait_runner("s")
    # Anywhere: in a node, between two super-steps, in the middle of a transaction.
    await asyncio.sleep(random.uniform(0, 0.15))
    process.send(signal.SIGSTOP)
    await bed.kubelet.lose(process)
    successor = await find_successor(bed, process)
    if random.random() < 0.5:
        before = len(bed.journal("s"))
        await until(lambda: len(bed.journal("s")) > before, what="the successor at work")
    else:
        await bed.wait_phase("s", Phase.COMPLETED)
    process.send(signal.SIGCONT)
    await asyncio.wait_for(process.ended.wait(), PATIENCE_SECONDS)
    assert process.exit_code == ExitCode.SUPERSEDED
    await assert_done(bed, "s", count, losses=2)
    await asyncio.wait_for(successor.ended.wait(), PATIENCE_SECONDS)
    assert successor.exit_code == 0
    await bed.wait_rest()
    await bed.check()


async def test_eight_runners_start_at_once_on_a_fresh_database(bed: Bed) -> None:
    operator = await bed.operator()
    await bed.define("steps")
    await bed.define("quick")
    await operator.kill_and_wait()
    for number in range(8):
        await bed.start("steps", f"s-{number}", inputs={"count": 5, "seconds": 0.1})
    operator.start()
    await bed.wait_rest()
    await bed.check()
    runners = [process for process in bed.kubelet.processes if process.session]
    assert [process.exit_code for process in runners] == [0] * 8
    firsts = sorted(process.started_at for process in runners)
    print(f"eight started within {firsts[-1] - firsts[0]:.2f} s")


async def test_a_runner_over_its_memory_is_told_as_such_and_repeated(bed: Bed) -> None:
    await bed.operator()
    await bed.define("steps", workspace=WORKSPACE)
    await bed.start("steps", "once", inputs={"count": 20, "seconds": 0.1}, retries=0)
    await reach(bed, "once", 2)
    bed.kubelet.exhaust_memory(await bed.wait_runner("once"))
    status = await bed.wait_phase("once", Phase.FAILED)
    assert status["reason"] == "OOMKilled"
    await bed.wait_rest()
    await bed.check()


async def test_a_graph_that_ignores_sigterm_is_stopped_when_its_grace_is_over(bed: Bed) -> None:
    bed.kubelet.grace_scale = 0.1
    await bed.operator()
    await bed.define("stubborn")
    await bed.start("stubborn", "s", inputs={"seconds": 600})
    await bed.wait_phase("s", Phase.RUNNING)
    process = await bed.wait_runner("s")
    await bed.stop("s")
    await bed.wait_phase("s", Phase.STOPPED)
    await asyncio.wait_for(process.ended.wait(), PATIENCE_SECONDS)
    # It may find out itself that its graph does not listen.
    assert process.exit_code in (128 + signal.SIGKILL, ExitCode.DRAINED)
    await bed.wait_rest()
    await bed.check()


async def test_the_database_is_killed_while_sessions_run(bed: Bed) -> None:
    await bed.operator()
    await bed.define("steps", workspace=WORKSPACE)
    names = [f"s-{number}" for number in range(4)]
    for name in names:
        await bed.start("steps", name, inputs={"count": 20, "seconds": 0.2})
    for name in names:
        await reach(bed, name, 3)
    await asyncio.to_thread(bed.database.server.kill)
    await asyncio.sleep(3)
    await bed.start("steps", "late", inputs={"count": 2, "seconds": 0})
    await asyncio.to_thread(bed.database.server.start)
    for name in names:
        await assert_done(bed, name, 20, losses=4)
    await bed.wait_phase("late", Phase.COMPLETED)
    await bed.wait_rest()
    await bed.check()


async def test_a_runner_is_killed_around_every_one_of_its_writes(bed: Bed) -> None:
    """Its last word above all: told to the database and not to the API server, or told and not heard."""
    await bed.operator()
    await bed.define("quick", workspace=WORKSPACE)
    names = [(f"{moment.name.lower()}-{number}", moment, number) for moment in Moment for number in (1, 2)]
    for name, moment, number in names:
        bed.runners.crash_at(number, moment, partial(bed.kill_runners, name), within=f"/agenticsessions/{name}/")
        await bed.start("quick", name, inputs={}, retries=3)
    for name, *_ in names:
        await bed.wait_phase(name, Phase.COMPLETED)
    await bed.wait_rest()
    await bed.check()
    assert all(life.last.result == {"done": ["hello after 0 s"]} for life in bed.history.lives.values())
