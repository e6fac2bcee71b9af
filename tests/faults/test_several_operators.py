"""Several operators at once: without leader election nothing happens twice, with it one acts and another takes over."""

import asyncio
import signal

import pytest

from agentic_core.lifecycle import Phase
from tests.faults.bed import LONG, Bed, seeded, seeds, until

LEASE = "/apis/coordination.k8s.io/v1/namespaces/agentic-system/leases/agentic-operator"


@pytest.mark.parametrize("count", [2, 3])
async def test_operators_that_do_not_know_of_each_other_act_once(bed: Bed, count: int) -> None:
    operators = [await bed.operator(f"operator-{number}") for number in range(count)]
    await bed.define("quick")
    await bed.define("steps", maxActiveSessions=4)
    names = [f"s-{number}" for number in range(24 if LONG else 12)]
    for number, name in enumerate(names):
        await bed.start("steps" if number % 3 == 0 else "quick", name, inputs={"count": 3, "seconds": 0.1})
    await bed.delete(names.pop())
    await bed.wait_rest()
    await bed.check(is_contended=True)
    assert [bed.phase(name) for name in names] == [Phase.COMPLETED] * len(names)
    assert {bed.life(name).last.run for name in names} == {1}  # type: ignore[union-attr]  # all exist
    tried = [sum(p.method == "POST" and p.resource.endswith("/jobs") for p in each.proxy.passed) for each in operators]
    print(f"Jobs that each tried to create: {tried}")
    for operator in operators:
        operator.check_alive()


@pytest.mark.parametrize("seed", seeds(short=1, long=5))
async def test_the_leader_is_killed_and_a_standby_takes_over(bed: Bed, seed: int) -> None:
    random = seeded(seed)
    await bed.client.delete(LEASE)
    operators = [
        await bed.operator(f"operator-{number}", LEADER_ELECTION="true", LEASE_SECONDS="6") for number in range(3)
    ]

    async def holder() -> str:
        found = await bed.client.find(LEASE)
        return str(((found or {}).get("spec") or {}).get("holderIdentity") or "")

    await until(holder, what="a leader")
    await bed.define("steps")
    names = [f"s-{number}" for number in range(10)]
    for name in names:
        await bed.start("steps", name, inputs={"count": 6, "seconds": 0.2})
    for _ in range(2):
        name = await holder()
        leader = next(each for each in operators if each.name == name)
        await asyncio.sleep(random.uniform(0, 1))
        # Where the sessions run by themselves, the leader has nothing to do either.
        assert {each.name for each in operators if each.proxy.mutations and each.is_alive} <= {leader.name}
        await leader.kill_and_wait()

        async def is_followed(former: str = leader.name) -> bool:
            return await holder() not in ("", former)

        await until(is_followed, what="another leader")
    await bed.wait_rest()
    await bed.check()
    assert [bed.phase(name) for name in names] == [Phase.COMPLETED] * len(names)


async def test_a_leader_that_was_frozen_does_no_harm_when_it_wakes(bed: Bed) -> None:
    """A process that was stopped for longer than its lease still believes to lead, until it looks."""
    await bed.client.delete(LEASE)
    first = await bed.operator("first", LEADER_ELECTION="true", LEASE_SECONDS="3")
    await bed.define("steps")
    await bed.start("steps", "s", inputs={"count": 30, "seconds": 0.2})
    await bed.wait_phase("s", Phase.RUNNING)
    first.signal(signal.SIGSTOP)
    second = await bed.operator("second", LEADER_ELECTION="true", LEASE_SECONDS="3")
    await until(lambda: "became leader" in second.log, what="the second leads")
    await bed.start("steps", "t", inputs={"count": 2, "seconds": 0.1})
    await bed.wait_phase("t", Phase.COMPLETED)
    first.proxy.passed.clear()
    first.signal(signal.SIGCONT)
    assert await first.wait() == 1
    await bed.wait_rest()
    await bed.check()
    print(f"what it still wrote: {first.proxy.mutations}")
    assert bed.life("s").last.run == 1  # type: ignore[union-attr]  # it exists
