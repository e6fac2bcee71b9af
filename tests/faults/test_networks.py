"""The API server goes away, refuses, and lies: watches that end, fall silent or expire, lists that are old."""

import asyncio
import itertools
import signal
import time

import pytest

from agentic_core.lifecycle import Phase
from tests.faults.bed import Bed, seeded, seeds, until
from tests.faults.operators import Operator
from tests.support.faultproxy import Cut, Delay, Fault, Refusal, is_ours

# What an operator may at most need to find out that a watch is dead: its inactivity timeout and a relist.
SILENCE_SECONDS = 75


async def _has_watches(operator: Operator) -> None:
    kinds = ("agenticsessions", "workflowdefinitions", "jobs", "pods")
    await until(
        lambda: all(any("watch=" in p.path and f"/{kind}?" in p.path for p in operator.proxy.passed) for kind in kinds),
        what="the watches",
        last=lambda: operator.proxy.passed[-20:],
    )


async def test_the_api_server_is_killed_for_eight_seconds_while_sessions_run(bed: Bed) -> None:
    operator = await bed.operator()
    await bed.define("steps")
    for number in range(6):
        await bed.start("steps", f"s-{number}", inputs={"count": 10, "seconds": 0.3})
    await bed.wait_phase("s-0", Phase.RUNNING)
    await asyncio.to_thread(bed.plane.kill_apiserver)
    await asyncio.sleep(8)
    await asyncio.to_thread(bed.plane.start_apiserver)
    back = time.monotonic()
    await bed.start("steps", "late", inputs={"count": 1, "seconds": 0})
    await bed.wait_phase("late", Phase.COMPLETED)
    print(f"a session made after the return was done {time.monotonic() - back:.1f} s after it")
    await bed.wait_rest()
    await bed.check()
    for number in range(6):
        status = await bed.status(f"s-{number}")
        assert (status["phase"], status["run"]) == (Phase.COMPLETED, 1)
        assert status["result"]["done"] == [str(n) for n in range(1, 11)]
    operator.check_alive()


@pytest.mark.parametrize("seed", seeds(short=1, long=10))
async def test_requests_are_refused_delayed_and_cut_at_random(bed: Bed, seed: int) -> None:
    random = seeded(seed)

    def choose(method: str, path: str) -> Fault | None:
        if "watch=" in path or random.random() > 0.25:
            return None
        faults: list[Fault] = [
            Refusal(500),
            Refusal(503),
            Refusal(504),
            Refusal(429, retry_after=1),
            Delay(random.uniform(0, 1)),
            Cut(),
            Cut(is_applied=True),
        ]
        return random.choice(faults)

    operator = await bed.operator()
    await bed.define("quick")
    await bed.define("steps")
    operator.proxy.choose = bed.runners.choose = choose
    names = [f"s-{number}" for number in range(12)]
    for name in names:
        await bed.start(random.choice(["quick", "steps"]), name, inputs={"count": 3, "seconds": 0.1})
    await until(lambda: len(operator.proxy.mutations) > 20, what="some writes")
    await bed.delete(names.pop())
    await asyncio.sleep(10)
    operator.proxy.choose = bed.runners.choose = None
    await bed.wait_rest()
    await bed.wait_gone("s-11")
    await bed.check()
    assert [bed.phase(name) for name in names] == [Phase.COMPLETED] * len(names)
    injected = [p for p in (*operator.proxy.passed, *bed.runners.passed) if p.status in (0, 429, 500, 503, 504)]
    assert len(injected) > 10


async def test_429_is_heeded_for_as_long_as_it_asks(bed: Bed) -> None:
    operator = await bed.operator()
    await bed.define("quick")
    refused_at: list[float] = []

    def choose(method: str, path: str) -> Fault | None:
        if method == "POST" and path.endswith("/jobs"):
            refused_at.append(time.monotonic())
            return Refusal(429, retry_after=2) if len(refused_at) < 3 else None
        return None

    operator.proxy.choose = choose
    await bed.start("quick", "s", inputs={})
    await bed.wait_phase("s", Phase.COMPLETED)
    pauses = [later - earlier for earlier, later in itertools.pairwise(refused_at)]
    assert len(pauses) == 2
    assert all(pause >= 1.6 for pause in pauses), pauses


@pytest.mark.parametrize("how", ["cut", "expired with 410 in the stream", "expired with 410 as the answer"])
async def test_a_watch_ends_and_what_was_made_meanwhile_is_handled(bed: Bed, how: str) -> None:
    operator = await bed.operator()
    await bed.define("quick")
    await _has_watches(operator)
    if how.endswith("stream"):
        await operator.proxy.expire_watches()
    else:
        operator.proxy.gone_watches = 5 if how.endswith("answer") else 0
        operator.proxy.cut_watches()
    began = time.monotonic()
    await bed.start("quick", "s", inputs={})
    await bed.wait_phase("s", Phase.COMPLETED)
    print(f"{how}: done after {time.monotonic() - began:.1f} s")
    await bed.wait_rest()
    await bed.check()
    operator.check_alive()


async def test_watches_that_fall_silent_are_given_up(bed: Bed) -> None:
    operator = await bed.operator()
    await bed.define("quick")
    await _has_watches(operator)
    operator.proxy.freeze_watches()
    began = time.monotonic()
    await bed.start("quick", "s", inputs={})
    await bed.wait_phase("s", Phase.COMPLETED, seconds=SILENCE_SECONDS + 20)
    took = time.monotonic() - began
    print(f"noticed and done after {took:.1f} s")
    assert took < SILENCE_SECONDS
    await bed.wait_rest(seconds=SILENCE_SECONDS)
    await bed.check()


async def test_versions_that_were_compacted_away_are_listed_anew(bed: Bed) -> None:
    """The API server is restarted over a compacted etcd, so that no version that anybody knows can be watched."""
    operator = await bed.operator()
    await bed.define("quick")
    await _has_watches(operator)
    operator.signal(signal.SIGSTOP)
    try:
        for number in range(3):
            await bed.start("quick", f"s-{number}", inputs={})
        await bed.delete("s-0")
        await bed.wait_compacted()
        await asyncio.to_thread(bed.plane.restart_apiserver)
    finally:
        operator.signal(signal.SIGCONT)
    await bed.wait_rest()
    await bed.wait_gone("s-0")
    await bed.check()
    assert [bed.phase(f"s-{number}") for number in (1, 2)] == [Phase.COMPLETED] * 2


async def test_an_old_list_and_events_again_start_no_second_runner(bed: Bed) -> None:
    operator = await bed.operator()
    await bed.define("quick")
    await bed.define("steps")
    operator.proxy.remember_lists()
    await operator.kill_and_wait()
    operator.start()
    await _has_watches(operator)
    for name in ("a", "b"):
        await bed.start("quick", name, inputs={})
    await bed.start("steps", "c", inputs={"count": 40, "seconds": 0.2})
    await bed.wait_phase("a", Phase.COMPLETED)
    await bed.wait_phase("b", Phase.COMPLETED)
    await bed.wait_phase("c", Phase.RUNNING)
    for _ in range(3):
        await operator.proxy.replay_events()
    operator.proxy.doubles_events = True
    operator.proxy.stale_lists = 10
    operator.proxy.cut_watches()
    await operator.kill_and_wait()
    # What it reads first now is the world before these sessions.
    operator.start()
    await until(lambda: operator.proxy.stale_lists < 10, what="an old list")
    await bed.start("quick", "d", inputs={})
    await bed.wait_phase("d", Phase.COMPLETED)
    for _ in range(3):
        await operator.proxy.replay_events()
    await bed.wait_rest()
    await bed.check()
    for name in ("a", "b", "c", "d"):
        assert bed.life(name).last.run == 1  # type: ignore[union-attr]  # all exist
    created = [
        p for p in operator.proxy.mutations if p.method == "POST" and p.resource.endswith("/jobs") and p.status == 201
    ]
    assert len([p for p in created if is_ours(p.method, p.path)]) == len(bed.history.jobs)
