"""The save queue: many callers wait, one writer commits all waiting units in one transaction.

One queue belongs to one database pool and one event loop. A saver and all its copies hold the same queue by reference;
nothing of it is copied with them.

A *unit* is the statements of one call. The invariant:

- A unit is in exactly one place: being *collected* by its caller, *waiting*, *in flight* or *settled*. ``save`` puts it
  among the waiting; only the writer moves it on. There is at most one writer, with at most one transaction under way.
- A unit is settled once: as saved by the commit of the transaction that carried it, or as failed by an error of that
  transaction. So ``save`` returns only after the transaction with exactly its statements was committed.
- Units are taken in the order in which they were handed over, a prefix of those that wait, once there is a connection.
- A transaction that was certainly rolled back while its connection is well (``RolledBack``) says that one of its units
  is at fault. If it carried several, all of them go back to the head of the queue, in their order, each to be sent
  alone: what is at fault fails alone, its neighbours are saved. This is the only way in which anything is sent again,
  and of it nothing was committed.
- Any other error (no connection, connection lost, server told to stop) settles all units of the transaction as failed.
  Where the connection was lost during the commit, they may be in the database; nobody is told that they are, and the
  queue does not send them again. A caller who does is safe, because all statements of the saver are idempotent.
- A caller who is cancelled leaves the queue at once. If its unit waits, it is never sent. If it is in flight, its
  transaction goes on undisturbed for the others and decides whether it is in the database; reads and saves by way of
  the same queue's connection come after that.
- If the writer is stopped from outside, as at the end of an event loop, everything unsettled fails with
  ``WriterStopped``; nobody waits for ever.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import psycopg

# How many rounds of the event loop the writer lets pass before it takes what waits: LangGraph hands over the writes of
# a super-step and the checkpoint that follows within so many. It costs microseconds.
_ROUNDS: Final = 6
# How long it then waits at most for values that threads are serializing. Both only affect speed.
_COLLECT_SECONDS: Final = 0.02
# What one transaction carries at most, unless a single unit is larger: no transaction grows with the width of a graph.
MOST_UNITS: Final = 64
MOST_BYTES: Final = 4 << 20

Statement: TypeAlias = tuple[str, Sequence[Sequence[Any]]]
"""A query and its rows of parameters."""
Commit: TypeAlias = Callable[[Sequence[Statement]], Awaitable[None]]
"""Executes statements in one transaction; returns if, and only if, it was committed."""
Connect: TypeAlias = Callable[[], AbstractAsyncContextManager[Commit]]
"""Lends a connection for one transaction."""


class RolledBack(Exception):
    """Nothing of a transaction was committed, and the connection works: the cause is in the statements."""


class WriterStopped(psycopg.OperationalError):
    """The writer was stopped before the result of the save was known."""


@dataclass(eq=False)
class _Unit:
    """The statements of one call, and the future that its caller waits for."""

    statements: Sequence[Statement]
    settled: asyncio.Future[None]
    is_alone: bool = False
    """Sent together with others it was rolled back; which one was at fault, each finds out for itself."""

    @property
    def is_wanted(self) -> bool:
        """Whether its caller still waits."""
        return not self.settled.done()

    @property
    def size(self) -> int:
        """Bytes of the large values in it."""
        return sum(len(each) for _, rows in self.statements for row in rows for each in row if isinstance(each, bytes))

    def settle(self, error: BaseException | None) -> None:
        """Tell the caller, unless it has gone."""
        if self.settled.done():
            return
        if error is None:
            self.settled.set_result(None)
        else:
            self.settled.set_exception(error)
            # A caller that is cancelled at this moment does not read it any more.
            self.settled.exception()


class SaveQueue:
    """Saves units in order, several at a time. The module's docstring states the invariant."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Unit] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._collecting = 0
        self._is_quiet = asyncio.Event()

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Let the writer know that a unit is being collected, and will be there in a moment."""
        if asyncio.get_running_loop() is not self._loop:
            yield
            return
        self._collecting += 1
        try:
            yield
        finally:
            self._collecting -= 1
            if not self._collecting:
                self._is_quiet.set()

    async def save(self, statements: Sequence[Statement]) -> None:
        """Return when a transaction with these statements was committed; raise what kept it from that."""
        if asyncio.get_running_loop() is not self._loop:
            # A node that runs an event loop of its own in a thread, and a graph in that.
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self.save(statements), self._loop))
            return
        unit = _Unit(statements, self._loop.create_future())
        self._waiting.append(unit)
        if self._writer is None:
            self._writer = self._loop.create_task(self._write(), name="save-queue")
            self._writer.add_done_callback(self._end)
        await unit.settled

    async def _write(self) -> None:
        """Send what waits until nothing does."""
        while self._waiting:
            if not self._waiting[0].is_alone:
                await self._linger()
            await self._send_next()
        # At once, and not when the task has ended: whoever saves in between starts the next one.
        self._writer = None

    async def _linger(self) -> None:
        """Give what belongs to the same moment the time to arrive."""
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        if self._collecting:
            self._is_quiet.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_COLLECT_SECONDS):
                    await self._is_quiet.wait()

    def _take(self) -> list[_Unit]:
        """Take the units of the next transaction from the head of the queue; leave out those that nobody waits for."""
        group: list[_Unit] = []
        size = 0
        while self._waiting and len(group) < MOST_UNITS:
            unit = self._waiting[0]
            if unit.is_wanted:
                size += unit.size
                if group and (unit.is_alone or size > MOST_BYTES):
                    break
                group.append(unit)
            self._waiting.popleft()
            if unit.is_wanted and unit.is_alone:
                break
        return group

    async def _send_next(self) -> None:
        """Send a group in one transaction, and settle it or put it back to be sent one by one."""
        group: Sequence[_Unit] | None = None
        try:
            async with self._connect() as commit:
                # Not before there is a connection: until then more may come, and some may be cancelled.
                group = self._take()
                if group:
                    await commit([statement for unit in group for statement in unit.statements])
                # At once: whatever happens to the connection afterwards takes nothing back.
                _settle(group, None)
        except RolledBack as rolled_back:
            if group and len(group) > 1:
                self._put_back(group)
            else:
                _settle(group or (), rolled_back.__cause__ or rolled_back)
        except Exception as error:  # noqa: BLE001  (every caller is told)
            _settle(self._take() if group is None else group, error)
        except BaseException:
            _settle(group or (), WriterStopped("saving was stopped: it is not known whether this was saved"))
            raise

    def _put_back(self, group: Sequence[_Unit]) -> None:
        """Let the units of a group be the next that are sent, one by one."""
        for unit in reversed(group):
            unit.is_alone = True
            self._waiting.appendleft(unit)

    def _end(self, writer: asyncio.Task[None]) -> None:
        """Fail the remaining units of a writer; there are some only if it was stopped."""
        if self._writer is not writer:
            return
        self._writer = None
        left = [*self._waiting]
        self._waiting.clear()
        _settle(left, WriterStopped("saving was stopped before this was saved"))


def _settle(group: Sequence[_Unit], error: BaseException | None) -> None:
    for unit in group:
        unit.settle(error)
