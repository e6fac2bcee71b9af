"""What the queue of saves promises, under random interleavings: see the invariant in the module that it is of."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_runner.checkpoints.save_queue import MOST_UNITS, Commit, RolledBack, SaveQueue, Statement, WriterStopped
from tests.support.waiting import PATIENCE_SECONDS


class Refused(psycopg.DataError):
    """What the database says of a unit that cannot be saved."""


class Fate(StrEnum):
    """What becomes of a transaction."""

    COMMITTED = "committed"
    NO_CONNECTION = "no connection"
    LOST_BEFORE_COMMIT = "lost before the commit"
    LOST_AFTER_COMMIT = "lost after the commit"
    LOST_WHEN_GIVEN_BACK = "lost when it is given back"


@dataclass
class Server:
    """A database of which every transaction has a fate, and takes so many rounds of the event loop."""

    fates: list[tuple[Fate, int]] = field(default_factory=list)
    poison: set[str] = field(default_factory=set)
    sent: list[list[str]] = field(default_factory=list)
    committed: list[str] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)
    """Units that a lost connection took along."""
    under_way: list[str] = field(default_factory=list)
    is_lent: bool = False

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Commit]:
        fate, rounds = self.fates.pop(0) if self.fates else (Fate.COMMITTED, 1)
        assert not self.is_lent, "two transactions at a time"
        self.is_lent = True
        try:
            await pass_rounds(rounds)
            if fate is Fate.NO_CONNECTION:
                raise psycopg.OperationalError(fate)

            async def commit(statements: Sequence[Statement]) -> None:
                await self._commit([query for query, _ in statements], fate, rounds)

            yield commit
            if fate is Fate.LOST_WHEN_GIVEN_BACK:
                raise psycopg.OperationalError(fate)
        finally:
            self.is_lent = False

    async def _commit(self, units: list[str], fate: Fate, rounds: int) -> None:
        assert not set(units) & set(self.committed), "sent again after it was committed"
        self.sent.append(units)
        self.under_way = units
        try:
            await pass_rounds(rounds)
            if refused := self.poison & set(units):
                raise RolledBack from Refused(min(refused))
            if fate is not Fate.LOST_BEFORE_COMMIT:
                self.committed += units
            if fate in (Fate.LOST_BEFORE_COMMIT, Fate.LOST_AFTER_COMMIT):
                self.failed |= set(units)
                raise psycopg.OperationalError(fate)
        finally:
            self.under_way = []


async def pass_rounds(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Caller:
    """Someone who saves: after so many rounds, serializing for so many, and cancelled after so many."""

    begins: int
    collects: int | None
    is_poison: bool
    cancelled: int | None


def callers() -> st.SearchStrategy[list[Caller]]:
    few = st.integers(0, 12)
    return st.lists(
        st.builds(
            Caller,
            begins=few,
            collects=st.none() | few,
            is_poison=st.sampled_from([False, False, False, True]),
            cancelled=st.none() | st.none() | st.integers(0, 30),
        ),
        min_size=1,
        max_size=12,
    )


def fates() -> st.SearchStrategy[list[tuple[Fate, int]]]:
    often = [Fate.COMMITTED] * 4
    return st.lists(st.tuples(st.sampled_from([*often, *Fate]), st.integers(0, 9)), max_size=8)


class Interleaving:
    """Callers who save at their times, and what became of each."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.ended: dict[str, BaseException | None] = {}
        self.handed_over: list[str] = []
        self.cancelled_while_waiting: set[str] = set()

    async def run(self, callers: Sequence[Caller]) -> None:
        queue = SaveQueue(self.server.connect)
        tasks = {
            str(number): asyncio.create_task(self._save(queue, str(number), c)) for number, c in enumerate(callers)
        }
        cancelling = [
            asyncio.create_task(self._cancel(name, task, caller.cancelled))
            for caller, (name, task) in zip(callers, tasks.items(), strict=True)
            if caller.cancelled is not None
        ]
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.wait([*tasks.values(), *cancelling])
            for name, task in tasks.items():
                self.ended[name] = asyncio.CancelledError() if task.cancelled() else task.exception()
            # What was cancelled in flight is carried to its end, and then nothing is left.
            while asyncio.all_tasks() != {asyncio.current_task()}:  # noqa: ASYNC110
                await asyncio.sleep(0)

    async def _save(self, queue: SaveQueue, name: str, caller: Caller) -> None:
        await pass_rounds(caller.begins)
        if caller.collects is not None:
            with queue.collecting():
                await pass_rounds(caller.collects)
        self.handed_over.append(name)
        await queue.save([(name, [()])])

    async def _cancel(self, name: str, task: asyncio.Task[None], rounds: int) -> None:
        await pass_rounds(rounds)
        if task.cancel() and name not in self.server.under_way and name not in self.server.committed:
            self.cancelled_while_waiting.add(name)


@settings(max_examples=400)
@given(callers(), fates())
def test_what_is_acknowledged_is_committed_once_and_each_fails_by_itself(
    given_callers: list[Caller], given_fates: list[tuple[Fate, int]]
) -> None:
    poison = {str(number) for number, caller in enumerate(given_callers) if caller.is_poison}
    server = Server(given_fates, poison)
    interleaving = Interleaving(server)
    complaints: list[Any] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        await interleaving.run(given_callers)
        gc.collect(0)

    asyncio.run(run())

    assert complaints == []
    assert max(Counter(server.committed).values(), default=1) == 1
    assert server.committed == [name for name in interleaving.handed_over if name in server.committed]
    assert not poison & set(server.committed)
    assert not interleaving.cancelled_while_waiting & set(server.committed)
    for name, error in interleaving.ended.items():
        if error is None:
            assert name in server.committed
        elif isinstance(error, Refused):
            assert name in poison
            assert error.args == (name,)
            assert [units for units in server.sent if name in units][-1] == [name]
        elif isinstance(error, psycopg.OperationalError):
            assert name in server.failed or str(error) == Fate.NO_CONNECTION
        else:
            assert isinstance(error, asyncio.CancelledError)
            assert given_callers[int(name)].cancelled is not None


def test_a_width_beyond_measure_goes_in_several_transactions_in_order() -> None:
    server = Server()
    names = [str(number) for number in range(2 * MOST_UNITS + 3)]

    async def run() -> None:
        queue = SaveQueue(server.connect)
        await asyncio.gather(*(queue.save([(name, [()])]) for name in names))

    asyncio.run(run())

    assert [len(units) for units in server.sent] == [MOST_UNITS, MOST_UNITS, 3]
    assert server.committed == names


def test_large_values_do_not_add_up_in_one_transaction() -> None:
    server = Server()
    large = bytes(3 << 20)

    async def run() -> None:
        queue = SaveQueue(server.connect)
        await asyncio.gather(*(queue.save([(name, [(large if name in "bc" else b"",)])]) for name in "abcd"))

    asyncio.run(run())

    assert server.sent == [["a", "b"], ["c", "d"]]


async def test_nobody_waits_for_a_writer_that_was_stopped_and_the_next_one_saves() -> None:
    server = Server([(Fate.COMMITTED, 1_000_000)])
    queue = SaveQueue(server.connect)
    saving = [asyncio.create_task(queue.save([(name, [()])])) for name in "ab"]
    while not server.is_lent:  # noqa: ASYNC110
        await asyncio.sleep(0)
    late = asyncio.create_task(queue.save([("c", [()])]))
    await asyncio.sleep(0)
    (writer,) = [task for task in asyncio.all_tasks() if task.get_name() == "save-queue"]
    writer.cancel()
    ended = await asyncio.gather(*saving, late, return_exceptions=True)
    assert [type(each) for each in ended] == [WriterStopped] * 3
    await queue.save([("d", [()])])
    assert server.committed == ["d"]


async def test_a_writer_that_is_stopped_before_it_begins_leaves_nobody_waiting() -> None:
    queue = SaveQueue(Server().connect)
    saving = asyncio.create_task(queue.save([("a", [()])]))
    await asyncio.sleep(0)
    (writer,) = [task for task in asyncio.all_tasks() if task.get_name() == "save-queue"]
    writer.cancel()
    with pytest.raises(WriterStopped):
        await saving


async def test_another_event_loop_saves_by_way_of_the_queues_own() -> None:
    server = Server()
    queue = SaveQueue(server.connect)

    async def save_elsewhere() -> None:
        with queue.collecting():
            await asyncio.sleep(0)
        await queue.save([("elsewhere", [()])])

    await asyncio.gather(asyncio.to_thread(asyncio.run, save_elsewhere()), queue.save([("here", [()])]))
    assert sorted(server.committed) == ["elsewhere", "here"]
