"""Operations that are broken off on a real PostgreSQL.

The connections that others get afterwards acknowledge nothing that is not so, and serve every kind of operation.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from langgraph.store.postgres.aio import AsyncPostgresStore

from agentic_core.trail import Trail, append
from agentic_runner.checkpoints.factory import build_saver
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.records import NewEvent, TrailRow
from tests.support.postgres import PostgresDatabase
from tests.support.store_conformance import a_record

# Rounds of the event loop: the longest of the operations has gone through fewer on any machine, or waits for a server.
ROUNDS = range(40)
TIMES = 5
UID = "uid-a"

Operation = Callable[[], Awaitable[Any]]


@pytest.fixture
async def store(database: PostgresDatabase) -> Any:
    """A store with one connection, which all operations share, and a session with an event and a trail."""
    database.execute("CREATE TABLE positive (v int CHECK (v > 0))")
    (row,) = append(Trail(), "root", {"at": "2026-01-01T00:00:00Z", "kind": "Accepted"}).pending
    async with open_database(Dsn.parse(database.dsn), application_name="cancelled", max_size=1) as made:
        await made.sessions.record_session(a_record("s", project="a", uid=UID, run=1))
        await made.events.append(UID, 1, [NewEvent("custom", {})])
        await made.trails.store(
            [TrailRow(project_name="a", session_name="s", session_uid=UID, seq=row.seq, entry=row.entry, hash=row.hash)]
        )
        yield made


def find_operations(store: Database) -> dict[str, Operation]:
    """Return what reads and writes in the ways that there are."""
    view, items, saver = store.view("a"), AsyncPostgresStore(store.pool), build_saver(store)
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    return {
        "a pipeline that is a transaction": lambda: store.sessions.record_session(
            a_record("s", project="a", uid=UID, run=1)
        ),
        "a pipeline that reads": lambda: view.events.read(UID),
        "a transaction": lambda: view.append_events(UID, 1, [NewEvent("custom", {})]),
        "a statement": lambda: store.sessions.get(UID),
        "LangGraph's store": lambda: items.aput(("a",), "key", {"v": 1}),
        "LangGraph's saver": lambda: saver.aget_tuple(config),
    }


async def break_off(operation: Operation, rounds: int) -> None:
    """Cancel an operation when the event loop has gone so many rounds."""
    task = asyncio.ensure_future(operation())
    for _ in range(rounds):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


NAMES = (
    "a pipeline that is a transaction",
    "a pipeline that reads",
    "a transaction",
    "a statement",
    "LangGraph's store",
    "LangGraph's saver",
)


@pytest.mark.parametrize("name", NAMES)
async def test_after_an_operation_that_was_cancelled_refusals_are_raised_where_they_belong(
    store: Database, name: str
) -> None:
    operation = find_operations(store)[name]
    for rounds in (rounds for _ in range(TIMES) for rounds in ROUNDS):
        await break_off(operation, rounds)
        async with store.pool.connection() as conn:
            with pytest.raises(psycopg.errors.CheckViolation):
                await conn.execute("INSERT INTO positive VALUES (0)")
        async with store.pool.connection() as conn:
            await conn.execute("INSERT INTO positive VALUES (1)")


@pytest.mark.parametrize("name", NAMES)
async def test_after_an_operation_that_was_cancelled_all_others_work(store: Database, name: str) -> None:
    operations = find_operations(store)
    trails = store.view("a").trails
    for rounds in ROUNDS:
        await break_off(operations[name], rounds)
        # A cursor of the server, which no connection has that is still in a pipeline.
        assert [row.seq async for row in trails.export(projects=["a"], sessions=["s"])] == [1]
        for operation in operations.values():
            await operation()


async def test_a_connection_that_is_given_back_in_a_pipeline_makes_its_user_fail_and_is_not_lent_again(
    store: Database,
) -> None:
    with pytest.raises(psycopg.InterfaceError, match="left in pipeline mode"):
        async with store.pool.connection() as conn:
            await conn.pipeline().__aenter__()
    async with store.pool.connection() as other:
        assert other is not conn
        with pytest.raises(psycopg.errors.CheckViolation):
            await other.execute("INSERT INTO positive VALUES (0)")
