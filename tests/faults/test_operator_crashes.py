"""The operator dies between any two of its writes, and at random moments: every session ends exactly once."""

import asyncio
from functools import partial

import pytest

from agentic_core.lifecycle import Phase
from tests.faults.bed import LONG, Bed, seeded, seeds, until
from tests.support.faultproxy import Moment

MOST_WRITES = 40


async def test_it_is_killed_around_every_one_of_its_writes(bed: Bed) -> None:
    operator = await bed.operator()
    await bed.define("quick")
    crashes: list[str] = []
    for moment in Moment:
        for number in range(1, MOST_WRITES):
            name = f"{moment.name.lower()}-{number}"
            await bed.start_crashing(operator, "quick", name, number, moment)
            if not operator.proxy.crashed.is_set():
                break
            crashes.append(f"{name}: {operator.proxy.passed[-1]}")
            operator.start()
            await bed.wait_phase(name, Phase.COMPLETED)
        else:
            raise AssertionError(f"a session takes {MOST_WRITES} writes: {operator.proxy.mutations[-MOST_WRITES:]}")
        await bed.wait_phase(name, Phase.COMPLETED)
    print("\n".join(crashes))
    assert len(crashes) >= 2 * len(Moment)
    await bed.wait_rest()
    await bed.check()
    assert all(life.last.run == 1 for life in bed.history.lives.values())


@pytest.mark.parametrize("seed", seeds(short=1, long=10))
async def test_it_is_killed_ten_times_while_many_sessions_run(bed: Bed, seed: int) -> None:
    random = seeded(seed)
    count = 100 if LONG else 50
    operator = await bed.operator()
    await bed.define("quick")
    await bed.define("steps", maxActiveSessions=6)
    names = [f"s-{number}" for number in range(count)]

    async def arrive() -> None:
        for name in names:
            workflow = random.choice(["quick", "quick", "steps"])
            await bed.start(workflow, name, inputs={"count": 3, "seconds": 0.05})
            await asyncio.sleep(random.uniform(0, 0.2))

    arriving = asyncio.create_task(arrive())
    for _ in range(10):
        await asyncio.sleep(random.uniform(0.3, 1.5))
        await operator.kill_and_wait()
        operator.start()
    await arriving
    await bed.wait_rest()
    await bed.check()
    assert [bed.phase(name) for name in names] == [Phase.COMPLETED] * count
    assert {bed.life(name).last.run for name in names} == {1}  # type: ignore[union-attr]  # all exist


async def test_a_restart_over_settled_sessions_writes_nothing(bed: Bed) -> None:
    operator = await bed.operator()
    await bed.define("quick")
    await bed.define("asks")
    for name in ("a", "b", "c"):
        await bed.start("quick", name, inputs={})
    await bed.start("asks", "w", inputs={})
    await bed.wait_phase("w", Phase.WAITING_FOR_INPUT)
    await bed.wait_rest()
    for graph in ("quick", "asks"):
        await bed.wait_idle(graph)
    await bed.settle(operator)
    await operator.kill_and_wait()
    operator.proxy.passed.clear()
    operator.start()
    await until(lambda: any("watch=" in passed.path for passed in operator.proxy.passed), what="a watch")
    await bed.settle(operator)
    assert operator.proxy.mutations == []
    await bed.check()


async def test_it_is_killed_around_every_write_of_a_deletion(bed: Bed) -> None:
    operator = await bed.operator()
    await bed.define("steps")
    for moment in Moment:
        for number in range(1, MOST_WRITES):
            name = f"{moment.name.lower()}-{number}"
            await bed.start("steps", name, inputs={"count": 200, "seconds": 0.05})
            await bed.wait_phase(name, Phase.RUNNING)
            operator.proxy.crash_at(number, moment, operator.kill)
            await bed.delete(name)
            await bed.wait_crash_or(operator, partial(_is_gone, bed, name))
            if not operator.proxy.crashed.is_set():
                operator.proxy.forget_crashes()
                break
            await operator.wait()
            operator.start()
            await bed.wait_gone(name)
        else:
            raise AssertionError(f"a deletion takes {MOST_WRITES} writes")
    await bed.wait_rest()
    await bed.check()


def _is_gone(bed: Bed, name: str) -> bool:
    return bed.life(name) is None
