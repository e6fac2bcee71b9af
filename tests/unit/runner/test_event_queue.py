"""The queue of events: bounded, in order, and never in the run's way for long."""

import asyncio
from collections.abc import Sequence

from agentic_core.errors import DatabaseUnavailable, Superseded
from agentic_runner.execution.tracking import StreamEvent
from agentic_runner.session.event_queue import EventQueue
from agentic_store.records import NewEvent


class Log:
    """Takes events while it is open."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.open = asyncio.Event()
        self.faults: list[Exception] = []

    async def append(self, events: Sequence[NewEvent]) -> int:
        await self.open.wait()
        if self.faults:
            raise self.faults.pop(0)
        self.events += [event.type for event in events]
        return len(self.events)


def _event(type_: str) -> StreamEvent:
    return StreamEvent(type_, {}, is_droppable=type_.startswith("p"))


async def _put(queue: EventQueue, *types: str) -> None:
    for type_ in types:
        await queue.put(_event(type_))


async def test_events_arrive_in_order_and_all_of_them_at_the_end() -> None:
    log = Log()
    log.open.set()
    queue = EventQueue(log.append, pause_seconds=0)
    queue.start()
    types = [f"e{number}" for number in range(1000)]
    await _put(queue, *types)
    await queue.close(5)
    assert log.events == types
    assert queue.dropped == 0


async def test_a_full_queue_drops_the_oldest_progress_first() -> None:
    log = Log()
    queue = EventQueue(log.append, capacity=3, pause_seconds=0)
    await _put(queue, "a", "p1", "p2", "b", "c")
    log.open.set()
    queue.start()
    await queue.close(5)
    assert log.events == ["a", "b", "c"]
    assert queue.dropped == 2


async def test_a_log_that_does_not_answer_costs_the_oldest_events_and_not_the_run() -> None:
    log = Log()
    queue = EventQueue(log.append, capacity=2, patience_seconds=0.01, pause_seconds=0)
    queue.start()
    async with asyncio.timeout(5):
        await _put(queue, "a", "b", "c", "d", "e")
    assert queue.dropped == 1  # two are on their way, two fit
    await queue.close(0.01)
    assert log.events == []


async def test_a_full_queue_waits_for_room() -> None:
    log = Log()
    log.open.set()
    queue = EventQueue(log.append, capacity=2, patience_seconds=5, pause_seconds=0)
    queue.start()
    await _put(queue, *"abcdefgh")
    await queue.close(5)
    assert log.events == list("abcdefgh")


async def test_a_database_that_comes_back_gets_what_it_missed() -> None:
    log = Log()
    log.open.set()
    log.faults = [DatabaseUnavailable("away")]
    queue = EventQueue(log.append, pause_seconds=0)
    queue.start()
    await _put(queue, "a", "b")
    await queue.close(5)
    assert log.events == ["a", "b"]


async def test_a_session_that_is_gone_ends_the_writing() -> None:
    log = Log()
    log.open.set()
    log.faults = [Superseded("gone")]
    queue = EventQueue(log.append, pause_seconds=0)
    queue.start()
    await _put(queue, "a")
    await queue.close(5)
    await _put(queue, "b")
    assert log.events == []
