"""The work queue, on a clock that only the test moves."""

import asyncio

import pytest

from agentic_operator.cache.workqueue import WorkQueue
from tests.support.waiting import PATIENCE_SECONDS


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue[str]:
    return WorkQueue(clock)


async def take_all(queue: WorkQueue[str]) -> list[str]:
    """Take and finish what is in line now."""
    taken: list[str] = []
    while True:
        getting = asyncio.ensure_future(queue.get())
        for _ in range(3):
            await asyncio.sleep(0)
        if not getting.done():
            getting.cancel()
            return taken
        taken.append(getting.result())
        queue.done(getting.result())


async def test_a_key_is_in_line_once(queue: WorkQueue[str]) -> None:
    for key in ("a", "b", "a", "a"):
        queue.add(key)
    assert len(queue) == 2
    assert await take_all(queue) == ["a", "b"]


async def test_a_key_added_during_its_pass_comes_once_more_afterwards(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0
    assert not queue.is_idle
    queue.done("a")
    assert await take_all(queue) == ["a"]
    assert queue.is_idle


async def test_urgent_keys_go_first_and_a_key_can_become_urgent(queue: WorkQueue[str]) -> None:
    queue.add("slow", urgent=False)
    queue.add("later", urgent=False)
    assert not queue.has_urgent
    queue.add("new")
    queue.add("later")
    queue.add("new", urgent=False)
    assert queue.has_urgent
    assert await take_all(queue) == ["new", "later", "slow"]


async def test_a_delayed_key_comes_when_it_is_due_and_the_earlier_time_wins(
    queue: WorkQueue[str], clock: Clock
) -> None:
    queue.add_at("a", 110.0)
    queue.add_at("a", 105.0)
    queue.add_at("a", 120.0)
    assert await take_all(queue) == []
    clock.now = 105.0
    assert await take_all(queue) == ["a"]
    clock.now = 130.0
    assert await take_all(queue) == []


async def test_a_waiting_worker_wakes_by_itself_when_a_key_is_due() -> None:
    queue: WorkQueue[str] = WorkQueue(asyncio.get_running_loop().time)
    queue.add_at("far", asyncio.get_running_loop().time() + 60)
    getting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.add_at("near", asyncio.get_running_loop().time() + 0.01)
    assert await asyncio.wait_for(getting, PATIENCE_SECONDS) == "near"


async def test_what_is_forgotten_does_not_come_back(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add_at("a", 101.0)
    queue.fail("a")
    queue.forget("a")
    clock.now = 200.0
    assert await take_all(queue) == []
    assert queue.fail("a") == 1


async def test_failures_are_counted_until_a_success(queue: WorkQueue[str]) -> None:
    assert [queue.fail("a"), queue.fail("a")] == [1, 2]
    queue.succeed("a")
    assert queue.fail("a") == 1


async def test_no_two_workers_hold_one_key(queue: WorkQueue[str]) -> None:
    running: set[str] = set()
    passes = 0
    enough = asyncio.Event()

    async def work() -> None:
        nonlocal passes
        while True:
            key = await queue.get()
            assert key not in running
            running.add(key)
            await asyncio.sleep(0)
            queue.add(key)
            await asyncio.sleep(0)
            running.discard(key)
            queue.done(key)
            passes += 1
            if passes >= 100:
                enough.set()

    workers = [asyncio.ensure_future(work()) for _ in range(8)]
    for number in range(5):
        queue.add(f"k{number}")
    await asyncio.wait(
        [asyncio.ensure_future(enough.wait()), *workers], timeout=PATIENCE_SECONDS, return_when="FIRST_COMPLETED"
    )
    assert enough.is_set()
    for worker in workers:
        worker.cancel()
    results = await asyncio.gather(*workers, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
