"""Copies of a saver on a real PostgreSQL: random interleavings of saves, cancellations, refusals and lost backends.

As ``tests/unit/runner/checkpoints/test_save_queue.py`` tests the queue alone, this tests all that a runner saves with.
"""

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint

from agentic_runner.checkpoints.factory import build_saver
from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from tests.support.postgres import PostgresDatabase
from tests.support.waiting import PATIENCE_SECONDS

_examples = itertools.count(1)


class Kind(StrEnum):
    """What a caller saves, or does instead."""

    WRITES = "writes"
    LARGE_WRITES = "large writes"
    CHECKPOINT = "checkpoint"
    FOLLOWS_NOTHING = "a checkpoint whose parent is not there"
    CANNOT_BE_SENT = "a text that no database takes"
    ENDS_BACKENDS = "ends the backends of the saver"


REFUSED = (Kind.FOLLOWS_NOTHING, Kind.CANNOT_BE_SENT)


@dataclass(frozen=True)
class Caller:
    kind: Kind
    clone: int
    begins_after_ms: int
    cancelled_after_ms: int | None


def callers() -> st.SearchStrategy[list[Caller]]:
    often = [Kind.WRITES, Kind.WRITES, Kind.LARGE_WRITES, Kind.CHECKPOINT]
    return st.lists(
        st.builds(
            Caller,
            kind=st.sampled_from([*often, *often, *Kind]),
            clone=st.integers(0, 3),
            begins_after_ms=st.integers(0, 6),
            cancelled_after_ms=st.none() | st.none() | st.integers(0, 12),
        ),
        min_size=2,
        max_size=14,
    )


@pytest.fixture
def noting(database: PostgresDatabase) -> PostgresDatabase:
    """A database that notes in the same transaction what was sent, also where a row is there already."""
    database.execute("CREATE TABLE sent (thread_id text, what text)")
    for table, what in (("checkpoint_writes", "task_id || NEW.idx"), ("checkpoints", "checkpoint_id")):
        database.execute(
            f"CREATE FUNCTION note_{table}() RETURNS trigger LANGUAGE plpgsql AS"
            f" 'BEGIN INSERT INTO sent VALUES (NEW.thread_id, NEW.{what}); RETURN NEW; END'"
        )
        database.execute(f"CREATE TRIGGER note BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION note_{table}()")
    return database


class Example:
    """Callers of one example, on a thread of their own."""

    def __init__(self, database: PostgresDatabase) -> None:
        self.database = database
        self.thread = f"t{next(_examples)}"
        self.complaints: list[Any] = []

    async def run(self, given_callers: list[Caller]) -> list[BaseException | None]:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.complaints.append(context))
        name = f"saver-{self.thread}"
        async with open_database(Dsn.parse(self.database.dsn), application_name=name) as store:
            saver = build_saver(store)
            clones = [saver, *(saver.with_allowlist({("types", f"Type{number}")}) for number in range(3))]
            tasks = []
            for number, caller in enumerate(given_callers):
                task = asyncio.create_task(self._call(clones[caller.clone], number, caller))
                if caller.cancelled_after_ms is not None:
                    asyncio.get_running_loop().call_later(caller.cancelled_after_ms / 1000, task.cancel)
                tasks.append(task)
            async with asyncio.timeout(PATIENCE_SECONDS):
                ended = await asyncio.gather(*tasks, return_exceptions=True)
            # What was cancelled in flight is carried to its end before anybody reads.
            async with saver.lock:
                pass
        return ended

    def _place(self, **more: str) -> RunnableConfig:
        return {"configurable": {"thread_id": self.thread, "checkpoint_ns": "", **more}}

    async def _call(self, saver: Any, number: int, caller: Caller) -> None:
        await asyncio.sleep(caller.begins_after_ms / 1000)
        match caller.kind:
            case Kind.WRITES | Kind.LARGE_WRITES:
                value = "x" * (100 if caller.kind is Kind.WRITES else 500_000)
                writes = [("count", number), ("text", value)]
                await saver.aput_writes(self._place(checkpoint_id="c"), writes, f"task{number}-")
            case Kind.CHECKPOINT | Kind.FOLLOWS_NOTHING:
                parent = {"checkpoint_id": "lost"} if caller.kind is Kind.FOLLOWS_NOTHING else {}
                checkpoint = empty_checkpoint()
                checkpoint["id"] = f"checkpoint{number}"
                checkpoint["channel_values"] = {"items": [number]}
                checkpoint["channel_versions"] = {"items": str(number)}
                await saver.aput(self._place(**parent), checkpoint, {"step": 1}, {"items": str(number)})
            case Kind.CANNOT_BE_SENT:
                writes = [("count", 1), ("nul \x00", 1)]
                await saver.aput_writes(self._place(checkpoint_id="c"), writes, f"task{number}-")
            case Kind.ENDS_BACKENDS:
                await asyncio.to_thread(
                    self.database.execute,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s",
                    [f"saver-{self.thread}%"],
                )

    def find_saved(self) -> Counter[int]:
        """Return how often each caller's last row was sent by a transaction that was committed."""
        rows = self.database.execute("SELECT what FROM sent WHERE thread_id = %s", [self.thread])
        last = [what.removesuffix("-1") for (what,) in rows if not what.endswith("-0")]
        return Counter(int(what.removeprefix("task").removeprefix("checkpoint")) for what in last)


@settings(max_examples=25)
@given(callers())
def test_what_copies_acknowledge_is_there_once_and_each_fails_by_itself(
    noting: PostgresDatabase, given_callers: list[Caller]
) -> None:
    example = Example(noting)
    ended = asyncio.run(example.run(given_callers))
    saved = example.find_saved()
    are_ended = any(caller.kind is Kind.ENDS_BACKENDS for caller in given_callers)

    assert example.complaints == []
    assert max(saved.values(), default=1) == 1
    for number, (caller, error) in enumerate(zip(given_callers, ended, strict=True)):
        if caller.kind is Kind.ENDS_BACKENDS:
            continue
        if error is None:
            assert caller.kind not in REFUSED
            assert number in saved
        elif isinstance(error, psycopg.OperationalError):
            assert are_ended
        elif isinstance(error, psycopg.Error):
            assert caller.kind in REFUSED, error
            assert number not in saved
        else:
            assert isinstance(error, asyncio.CancelledError), error
            assert caller.cancelled_after_ms is not None
