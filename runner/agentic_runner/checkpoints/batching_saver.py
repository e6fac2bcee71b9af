"""LangGraph's saver, with saves of the same moment in one transaction.

A super-step saves its branches' writes and then the next checkpoint: for the library as many transactions, one after
another, and each waits for the disk. Here all of them go by way of one queue (``save_queue``), which commits what is
there together. Nothing is reported as saved before it is. What is saved, by which statements, stays the
library's (decision 15).
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from itertools import chain
from typing import Any, Final, TypeAlias, cast

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import WRITES_IDX_MAP, ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import AsyncCursor
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow

from agentic_runner.checkpoints.new_start import NewStart
from agentic_runner.checkpoints.save_queue import Commit, RolledBack, SaveQueue, Statement

_OPEN: Final = (TransactionStatus.INTRANS, TransactionStatus.INERROR)
# Classes of SQLSTATE: a lock that was not available, an operator's intervention.
_STOPPED: Final = ("55", "57")
# What is at most that large is serialized at once: asking a thread to do it would take longer.
_SMALL: Final = 200
_LETTERS: Final = 100
# How many rows go into one statement, each at most that large.
_LOTS: Final = (8, 4, 2)
_LIGHT: Final = 65_536
_ROW: Final = re.compile(r"VALUES\s*(\((?:%s, )*%s\))")


OnSaved: TypeAlias = Callable[[str, str], None]
"""Told the ids of thread and checkpoint, once a checkpoint of a thread's own graph is saved."""


class _Statements:
    """The statements of one call, in the place of the cursor that would execute them."""

    def __init__(self) -> None:
        self.collected: list[Statement] = []

    async def execute(self, query: str, params: Any = None) -> None:
        self.collected.append((query, [params or ()]))

    async def executemany(self, query: str, params_seq: Iterable[Any]) -> None:
        self.collected.append((query, list(params_seq)))


def ignore(_thread_id: str, _checkpoint_id: str) -> None:
    """Tell nobody that a checkpoint is saved."""


class BatchingSaver(NewStart, AsyncPostgresSaver):
    """The library's saver on a pool; its writes go into a queue instead of to a connection.

    LangGraph copies a saver for every subgraph with types of its own, with another serializer and all else shared. So
    nothing that changes may be a field here, unless it is an object that all copies are to have in common.
    """

    def __init__(self, connections: Any, *, serde: Any, on_saved: OnSaved = ignore) -> None:
        super().__init__(connections, serde=serde)
        self._queue = SaveQueue(partial(lend, connections, self.lock))
        self._on_saved = on_saved
        self.unsaved: list[Exception] = []
        """Why saves failed. LangGraph raises none of them where a node raised first; whoever runs a graph clears it."""

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save a checkpoint as the library does, and report it."""
        saved = await super().aput(config, checkpoint, metadata, new_versions)
        place = config["configurable"]
        if not place.get("checkpoint_ns"):
            self._on_saved(place["thread_id"], checkpoint["id"])
        return saved

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Save a task's writes as the library does, small ones without asking a thread to serialize them."""
        if not is_small([value for _, value in writes]):
            await super().aput_writes(config, writes, task_id, task_path)
            return
        place = config["configurable"]
        is_special = all(channel in WRITES_IDX_MAP for channel, _ in writes)
        query = self.UPSERT_CHECKPOINT_WRITES_SQL if is_special else self.INSERT_CHECKPOINT_WRITES_SQL
        where = (place["thread_id"], place["checkpoint_ns"], place["checkpoint_id"], task_id, task_path)
        async with self._cursor(pipeline=True) as cursor:
            await cursor.executemany(query, self._dump_writes(*where, writes))

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        """Yield a cursor for reading, or what collects statements of which no rows are wanted."""
        if not pipeline or not self.supports_pipeline:
            async with super()._cursor(pipeline=pipeline) as cursor:
                yield cursor
            return
        statements = _Statements()
        with self._queue.collecting():
            yield cast("AsyncCursor[DictRow]", statements)
        try:
            await self._queue.save(statements.collected)
        except Exception as error:
            self.unsaved.append(error)
            raise


@asynccontextmanager
async def lend(connections: Any, lock: asyncio.Lock) -> AsyncIterator[Commit]:
    """Lend a connection to the queue, when nobody else of this saver and its copies has one."""
    async with lock, connections.connection() as conn:
        yield partial(commit, conn)


async def commit(conn: psycopg.AsyncConnection[Any], statements: Sequence[Statement]) -> None:
    """Execute statements in one transaction and one round trip, and return if it was committed.

    Raises ``RolledBack`` from the cause where that lies in the statements. The proof that nothing was committed is that
    the transaction is still open: any other error may have come after the commit. Where the connection was lost, that
    is the error, whatever else was found wrong before: it blames no statement, as nobody knows any more whose it was.
    """
    try:
        await _execute(conn, statements)
    except Exception as error:
        if conn.info.transaction_status in _OPEN and not _is_stopped(error):
            raise RolledBack from error
        if conn.broken and not isinstance(error, psycopg.OperationalError):
            raise psycopg.OperationalError("the connection was lost while this was saved") from error
        raise


async def _execute(conn: psycopg.AsyncConnection[Any], statements: Sequence[Statement]) -> None:
    # The transaction is explicit: on an error before the server sees the rest, the pipeline would commit what it has.
    async with conn.cursor(binary=True) as cursor:
        async with conn.pipeline():
            await cursor.execute("BEGIN")
            for query, rows in statements:
                for some in cut(rows) if is_mergeable(query) else ((row,) for row in rows):
                    await cursor.execute(merge(query, len(some)), [*chain(*some)], prepare=True)
            await cursor.execute("COMMIT")
        if cursor.statusmessage != "COMMIT":
            raise psycopg.OperationalError(f"the server ended the transaction with {cursor.statusmessage!r}")


def _is_stopped(error: Exception) -> bool:
    """Whether the server stopped the statement, or waited too long for a lock: each would fail alone, too."""
    return isinstance(error, psycopg.Error) and (error.sqlstate or "")[:2] in _STOPPED


@lru_cache(maxsize=128)
def is_mergeable(query: str) -> bool:
    """Return whether a statement may insert several rows: one that does nothing if a row is there."""
    return len(_ROW.findall(query)) == 1 and "DO NOTHING" in query


@lru_cache(maxsize=128)
def merge(query: str, count: int) -> str:
    """Return a statement that inserts one row as one that inserts so many."""
    return query if count == 1 else _ROW.sub(lambda row: row[0] + f", {row[1]}" * (count - 1), query)


def cut(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    """Yield rows in lots of a few lengths, each of which is a statement to prepare; with large values one by one."""
    first = 0
    while first < len(rows):
        count = next((lot for lot in _LOTS if is_light(rows[first : first + lot], lot)), 1)
        yield rows[first : first + count]
        first += count


def is_light(rows: Sequence[Sequence[Any]], count: int) -> bool:
    """Return whether there are that many rows, all of them small."""
    return len(rows) == count and all(len(value) <= _LIGHT for row in rows for value in row if isinstance(value, bytes))


def is_small(value: Any) -> bool:
    """Return whether a value is serialized in no time, looking at no more of it than that takes."""
    left, seen = [value], 0
    while left:
        each = left.pop()
        seen += 1
        if isinstance(each, (str, bytes)):
            seen += len(each) // _LETTERS
        elif isinstance(each, Mapping):
            seen += len(each)
            left += list(each.values()) if seen <= _SMALL else ()
        elif isinstance(each, (list, tuple, set, frozenset)):
            seen += len(each)
            left += each if seen <= _SMALL else ()
        elif not (each is None or isinstance(each, (bool, int, float))):
            if not hasattr(each, "__dict__"):
                return False
            left.append(vars(each))
        if seen > _SMALL:
            return False
    return True
