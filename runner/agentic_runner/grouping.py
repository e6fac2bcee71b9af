"""LangGraph's saver, with what is to be saved at the same moment saved in one transaction.

A super-step saves its branches' writes and then the next checkpoint: for the library as many transactions, one after
another, and each waits for the disk. Here they are collected while the one before is under way, or while the checkpoint
that ends the step is being made, and go together. Nobody is told that something is saved before it is: a call returns
when the transaction that took its statements along has ended. What is saved, by which statements, stays the library's.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from itertools import chain
from typing import Any, Final, cast

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import WRITES_IDX_MAP, ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import AsyncCursor
from psycopg.rows import DictRow

# A step's checkpoint follows its last writes within this many rounds of the event loop.
_ROUNDS: Final = 6
# How long to wait for what is still being serialized: many branches may keep the threads for that busy.
_COMPANY_SECONDS: Final = 0.05
# What is at most that large is serialized at once: asking a thread to do it would take longer.
_SMALL: Final = 200
_LETTERS: Final = 100
# How many rows go into one statement, each at most that large.
_LOTS: Final = (8, 4, 2)
_LIGHT: Final = 65_536
_ROW: Final = re.compile(r"VALUES\s*(\((?:%s, )*%s\))")


class _Batch:
    """The statements of one call, in the place of the cursor that would execute them."""

    def __init__(self, filled: asyncio.Future[None]) -> None:
        self.statements: list[tuple[str, Sequence[Sequence[Any]]]] = []
        self.filled = filled
        self.is_saved = False
        self.is_alone = False
        """Together with others it failed: whose fault that was, each finds out for itself."""

    async def execute(self, query: str, params: Any = None) -> None:
        self.statements.append((query, [params or ()]))

    async def executemany(self, query: str, params_seq: Iterable[Any]) -> None:
        self.statements.append((query, list(params_seq)))


class GroupingSaver(AsyncPostgresSaver):
    """The library's saver on a pool; what it writes it hands to this instead of to a connection."""

    def __init__(self, connections: Any, *, serde: Any) -> None:
        super().__init__(connections, serde=serde)
        self._connections = connections
        self._filling: set[_Batch] = set()
        self._waiting: list[_Batch] = []
        self.on_saved: Callable[[str], None] = _ignore
        """Told the id of each checkpoint of the thread's own graph, once it is saved."""

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save a checkpoint as the library does, and tell of it."""
        saved = await super().aput(config, checkpoint, metadata, new_versions)
        if not config["configurable"].get("checkpoint_ns"):
            self.on_saved(checkpoint["id"])
        return saved

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Save a task's writes as the library does, with the checkpoint that follows if that comes at once."""
        place = config["configurable"]
        is_special = all(channel in WRITES_IDX_MAP for channel, _ in writes)
        query = self.UPSERT_CHECKPOINT_WRITES_SQL if is_special else self.INSERT_CHECKPOINT_WRITES_SQL
        where = (place["thread_id"], place["checkpoint_ns"], place["checkpoint_id"], task_id, task_path)
        async with self._cursor(pipeline=True) as cursor:
            if is_small([value for _, value in writes]):
                rows = self._dump_writes(*where, writes)
            else:
                rows = await asyncio.to_thread(self._dump_writes, *where, writes)
            await cursor.executemany(query, rows)
            for _ in range(_ROUNDS):
                await asyncio.sleep(0)
                if self._waiting:
                    break

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        """Yield a cursor for reading, or what collects statements of which no rows are wanted."""
        if not pipeline or not self.supports_pipeline:
            async with super()._cursor(pipeline=pipeline) as cursor:
                yield cursor
            return
        batch = _Batch(self.loop.create_future())
        self._filling.add(batch)
        try:
            yield cast("AsyncCursor[DictRow]", batch)
            self._waiting.append(batch)
        finally:
            self._filling.discard(batch)
            batch.filled.set_result(None)
        try:
            if self._filling:
                await asyncio.wait([other.filled for other in self._filling], timeout=_COMPANY_SECONDS)
            await self._save(batch)
        finally:
            if batch in self._waiting:
                self._waiting.remove(batch)

    async def _save(self, batch: _Batch) -> None:
        """Return when the statements of a batch are committed, by this call or by another that took them along."""
        async with self.lock:
            while not batch.is_saved:
                if batch.is_alone:
                    group = [batch]
                else:
                    group, self._waiting = self._waiting, []
                for each in group:
                    each.is_alone = True
                try:
                    await self._send(group)
                except psycopg.OperationalError:
                    # The database is away, or cannot: not the fault of what was to be saved.
                    raise
                except psycopg.Error:
                    if len(group) == 1:
                        raise
                    continue
                for each in group:
                    each.is_saved = True

    async def _send(self, group: Sequence[_Batch]) -> None:
        """Execute the statements of a group in one round trip, which is one transaction."""
        async with self._connections.connection() as conn, conn.pipeline(), conn.cursor(binary=True) as cursor:
            for batch in group:
                for query, rows in batch.statements:
                    for some in cut(rows) if is_mergeable(query) else ((row,) for row in rows):
                        await cursor.execute(merge(query, len(some)), [*chain(*some)], prepare=True)


def _ignore(_checkpoint_id: str) -> None:
    return None


@lru_cache(maxsize=128)
def is_mergeable(query: str) -> bool:
    """Say whether a statement may insert several rows: one that does nothing where a row is there."""
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
    """Say whether there are so many rows and none is large."""
    return len(rows) == count and all(len(value) <= _LIGHT for row in rows for value in row if isinstance(value, bytes))


def is_small(value: Any) -> bool:
    """Say whether a value is serialized in no time, looking at no more of it than that takes."""
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
