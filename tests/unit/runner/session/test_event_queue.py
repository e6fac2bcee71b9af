"""The queue of events: bounded, in order, and never in the run's way for long."""

import asyncio
from collections.abc import Sequence

from agentic_core.errors import DatabaseUnavailable, Superseded
from agentic_runner.execution.stream_events import StreamEvent
from agentic_runner.output.redaction import Redactor
from agentic_runner.session.event_queue import MAX_TEXT, EventQueue
from agentic_store.records import NewEvent
from tests.support.waiting import PATIENCE_SECONDS


class Log:
    """Takes events while it is open."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.stored: list[NewEvent] = []
        self.grown = asyncio.Event()
        self.open = asyncio.Event()
        self.faults: list[Exception] = []
        self.is_done_all_the_same = False
        self.floors: list[int] = []

    async def append(self, events: Sequence[NewEvent], *, floor: int) -> int:
        await self.open.wait()
        self.floors.append(floor)
        if self.faults:
            fault = self.faults.pop(0)
            if self.is_done_all_the_same:
                self._store(events)
            raise fault
        self._store(events)
        return len(self.events)

    async def find_stored(self, events: Sequence[NewEvent], *, floor: int) -> int | None:
        found = self.stored[floor : floor + len(events)]
        return floor + len(found) if found == list(events) else None

    def _store(self, events: Sequence[NewEvent]) -> None:
        self.events += [event.type for event in events]
        self.stored += events
        self.grown.set()


def _event(type_: str) -> StreamEvent:
    return StreamEvent(type_, {}, is_droppable=type_.startswith("p"))


async def _put(queue: EventQueue, *types: str) -> None:
    for type_ in types:
        await queue.put(_event(type_))


async def test_events_arrive_in_order_and_all_of_them_at_the_end() -> None:
    log = Log()
    log.open.set()
    queue = EventQueue(log, pause_seconds=0)
    queue.start()
    types = [f"e{number}" for number in range(1000)]
    await _put(queue, *types)
    await queue.close(5)
    assert log.events == types
    assert queue.dropped == 0


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def a_part(text: str, block: tuple[str, int] = ("m", 0)) -> StreamEvent:
    return StreamEvent("content-block-delta", {"message_id": block[0], "index": block[1]}, text=text, block=block)


async def test_a_log_that_does_not_answer_costs_the_oldest_events_which_an_event_tells_and_not_the_run() -> None:
    log = Log()
    queue = EventQueue(log, capacity=2, patience_seconds=0.01, pause_seconds=0)
    queue.start()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await _put(queue, "a", "b", "c", "d", "e")
    assert queue.dropped == 1  # two are on their way, two fit
    log.open.set()
    await queue.close(5)
    assert log.events == ["a", "b", "gap", "d", "e"]


async def test_parts_of_a_text_that_wait_are_joined_and_none_is_lost() -> None:
    log = Log()
    queue = EventQueue(log, capacity=3, patience_seconds=0.01, pause_seconds=0)
    for number in range(1000):
        await queue.put(a_part(f"{number} "))
    await queue.put(_event("a"))
    # Not before what came in between.
    await queue.put(a_part("end"))
    await queue.put(_event("b"))
    log.open.set()
    queue.start()
    await queue.close(5)
    texts = [event.data["text"] for event in log.stored if event.type == "content-block-delta"]
    assert "".join(map(str, texts)) == "".join(f"{number} " for number in range(1000)) + "end"
    assert log.events == ["gap", "content-block-delta", "content-block-delta", "b"]


async def test_a_long_text_is_several_events_of_a_bounded_size() -> None:
    log = Log()
    log.open.set()
    queue = EventQueue(log, pause_seconds=0)
    for _ in range(50):
        await queue.put(a_part("x" * 1000))
    await queue.put(a_part("y" * 100_000))
    queue.start()
    await queue.close(5)
    texts = [str(event.data["text"]) for event in log.stored]
    assert "".join(texts) == "x" * 50_000 + "y" * 100_000
    assert max(map(len, texts)) <= MAX_TEXT


async def test_a_secret_in_several_parts_is_masked_and_the_rest_comes_with_the_blocks_end() -> None:
    log = Log()
    log.open.set()
    redactor = Redactor()
    redactor.add("open-sesame")
    queue = EventQueue(log, redactor=redactor, pause_seconds=0)
    queue.start()
    for part in ("say op", "en-ses", "ame: ", "open-"):
        await queue.put(a_part(part))
        await queue.settle(5)
    await queue.put(StreamEvent("content-block-finish", {"index": 0}, block=("m", 0), ends_block=True))
    await queue.close(5)
    assert "".join(str(event.data.get("text", "")) for event in log.stored) == "say ***: open-"
    assert log.events[-1] == "content-block-finish"


async def test_progress_is_told_once_a_second_and_the_last_one_before_the_end() -> None:
    log, clock = Log(), Clock()
    log.open.set()
    queue = EventQueue(log, pause_seconds=0, now=clock)
    for number in range(1000):
        await queue.put(StreamEvent("progress", {"progress": number / 1000}, is_droppable=True))
        if number == 0:
            queue.start()
            await _until(log, 1)
        if number % 200 == 199:
            clock.seconds += 1
            await queue.put(_event("custom"))
            await _until(log, len(log.events) + 2 - (number == 999))
    await queue.put(StreamEvent("progress", {"progress": 1.0}, is_droppable=True))
    await queue.put(StreamEvent("completed", {}, ends_progress=True))
    await queue.close(5)
    told = [float(str(event.data["progress"])) for event in log.stored if event.type == "progress"]
    assert len(told) <= 7
    assert told == sorted(told)
    assert log.events[-2:] == ["progress", "completed"]
    assert told[-1] == 1.0


async def test_progress_alone_is_told_when_its_second_is_over() -> None:
    log = Log()
    log.open.set()
    queue = EventQueue(log, pause_seconds=0, progress_seconds=0.05)
    queue.start()
    async with asyncio.timeout(PATIENCE_SECONDS):
        for share in (0.1, 0.2):
            await queue.put(StreamEvent("progress", {"progress": share}, is_droppable=True))
            await _until(log, len(log.events) + 1)
    assert [event.data["progress"] for event in log.stored] == [0.1, 0.2]
    await queue.close(5)


async def _until(log: Log, count: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(log.events) < count:
            await log.grown.wait()
            log.grown.clear()


async def test_a_full_queue_waits_for_room() -> None:
    log = Log()
    log.open.set()
    queue = EventQueue(log, capacity=2, patience_seconds=5, pause_seconds=0)
    queue.start()
    await _put(queue, *"abcdefgh")
    await queue.close(5)
    assert log.events == list("abcdefgh")


async def test_a_database_that_comes_back_gets_what_it_missed() -> None:
    log = Log()
    log.open.set()
    log.faults = [DatabaseUnavailable("away")]
    queue = EventQueue(log, pause_seconds=0)
    queue.start()
    await _put(queue, "a", "b")
    await queue.close(5)
    assert log.events == ["a", "b"]


async def test_a_batch_that_was_stored_and_not_answered_is_not_stored_again() -> None:
    log = Log()
    log.open.set()
    log.faults = [DatabaseUnavailable("away")]
    log.is_done_all_the_same = True
    queue = EventQueue(log, pause_seconds=0)
    queue.start()
    await _put(queue, "a", "b")
    await queue.close(5)
    assert log.events == ["a", "b"]
    assert queue.last_seq == queue.floor == 2


async def test_the_writer_says_which_numbers_it_knows_of() -> None:
    log = Log()
    log.open.set()
    queue = EventQueue(log, pause_seconds=0, floor=7)
    queue.start()
    await _put(queue, "a")
    await queue.settle(5)
    await _put(queue, "b")
    await queue.close(5)
    assert log.floors == [7, 1]


async def test_a_session_that_is_gone_ends_the_writing() -> None:
    log = Log()
    log.open.set()
    log.faults = [Superseded("gone")]
    queue = EventQueue(log, pause_seconds=0)
    queue.start()
    await _put(queue, "a")
    await queue.close(5)
    await _put(queue, "b")
    assert log.events == []
