"""The fence at work: an unmodified saver of a superseded run is refused at its next write."""

import asyncio
import contextlib
import operator
from collections.abc import AsyncIterator
from typing import Annotated, Any, TypedDict

import psycopg
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from agentic_core.errors import Superseded, TransientError
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.errors import SUPERSEDED_SQLSTATE, translate
from agentic_store.records import Fence, NewEvent
from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import wait_until
from tests.support.store_conformance import a_record
from tests.support.waiting import PATIENCE_SECONDS

THREAD = "project-team:session-report"
INSERT_BLOB = "INSERT INTO checkpoint_blobs VALUES (%s, '', gen_random_uuid(), '1', 't')"
CONFIG: RunnableConfig = {"configurable": {"thread_id": THREAD}}


class State(TypedDict):
    steps: Annotated[list[str], operator.add]


def build_graph(saver: AsyncPostgresSaver, *, between: Any = None) -> "CompiledStateGraph[Any, Any, Any, Any]":
    """Two nodes after another; ``between`` is awaited in the second."""

    async def first(state: State) -> State:
        return {"steps": ["first"]}

    async def second(state: State) -> State:
        if between is not None:
            await between()
        return {"steps": ["second"]}

    graph = StateGraph(State)
    graph.add_node("first", first)
    graph.add_node("second", second)
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    graph.add_edge("second", END)
    return graph.compile(checkpointer=saver)


@contextlib.asynccontextmanager
async def a_run(
    database: PostgresDatabase, *, uid: str = "uid", run: int = 1, holder: str = "pod"
) -> AsyncIterator[tuple[Database, Fence]]:
    """Open a store as a runner does, with its fence taken and carried."""
    async with open_database(
        Dsn.parse(database.dsn), application_name=holder, max_size=4, patience_seconds=0.3
    ) as store:
        fence = await store.fences.take(THREAD, uid, run, holder)
        await store.carry(fence)
        yield store, fence


def count_rows(database: PostgresDatabase) -> tuple[Any, ...]:
    counts = ", ".join(
        f"(SELECT count(*) FROM {table})" for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
    )
    (found,) = database.execute(f"SELECT {counts}")
    return found


async def test_a_superseded_saver_is_refused_and_its_successor_goes_on(database: PostgresDatabase) -> None:
    async with a_run(database, holder="old") as (old, _), contextlib.AsyncExitStack() as stack:
        successors = []

        async def be_overtaken() -> None:
            successor, _ = await stack.enter_async_context(a_run(database, holder="new"))
            successors.append(successor)

        with pytest.raises(Exception) as refused:
            await build_graph(AsyncPostgresSaver(old.pool), between=be_overtaken).ainvoke(
                {"steps": []}, CONFIG, durability="sync"
            )

        meaning = translate(refused.value)
        assert isinstance(meaning, Superseded)
        assert "superseded: thread project-team:session-report is at epoch" in str(meaning)
        before = count_rows(database)
        with pytest.raises(psycopg.DatabaseError) as again:
            await AsyncPostgresSaver(old.pool).adelete_thread(THREAD)
        assert again.value.sqlstate == SUPERSEDED_SQLSTATE
        assert count_rows(database) == before

        result = await build_graph(AsyncPostgresSaver(successors[0].pool)).ainvoke(None, CONFIG, durability="sync")
        assert result == {"steps": ["first", "second"]}


async def test_a_superseded_run_can_neither_end_its_session_nor_add_events(database: PostgresDatabase) -> None:
    async with a_run(database, holder="old") as (old, fence):
        await old.sessions.record_session(a_record(uid="uid"))
        async with a_run(database, holder="new"):
            with pytest.raises(Superseded):
                await old.sessions.start_run("uid", 1)
            with pytest.raises(Superseded):
                await old.events.append("uid", 1, [NewEvent("x", {})])
            with pytest.raises(Superseded):
                await old.fences.record_failure(fence)


async def test_a_run_of_a_deleted_session_can_write_nothing(database: PostgresDatabase) -> None:
    async with (
        a_run(database) as (store, _),
        open_database(Dsn.parse(database.dsn), application_name="op") as operator_,
    ):
        graph = build_graph(AsyncPostgresSaver(store.pool))
        await graph.ainvoke({"steps": []}, CONFIG, durability="sync")
        assert count_rows(database) != (0, 0, 0)

        assert await operator_.sessions.delete_session("uid")

        assert count_rows(database) == (0, 0, 0)
        with pytest.raises(Exception) as refused:
            await graph.ainvoke({"steps": []}, CONFIG, durability="sync")
        assert isinstance(translate(refused.value), Superseded)
        assert count_rows(database) == (0, 0, 0)


async def test_deleting_a_session_while_its_run_writes_leaves_nothing_and_locks_nobody_out(
    database: PostgresDatabase,
) -> None:
    async with open_database(Dsn.parse(database.dsn), application_name="operator") as operator_:
        for _ in range(10):
            await operator_.sessions.record_session(a_record(uid="uid"))
            async with a_run(database) as (store, _):
                written = asyncio.Event()

                async def write(store: Database = store, written: asyncio.Event = written) -> None:
                    while True:
                        await store.sessions.start_run("uid", 1)
                        await store.events.append("uid", 1, [NewEvent("x", {})] * 3)
                        async with store.pool.connection() as conn:
                            await conn.execute(
                                "INSERT INTO checkpoint_blobs VALUES (%s, '', gen_random_uuid(), '1', 't')", (THREAD,)
                            )
                        written.set()

                writers = [asyncio.create_task(write()) for _ in range(3)]
                await asyncio.wait_for(written.wait(), PATIENCE_SECONDS)
                assert await operator_.sessions.delete_session("uid")
                ended = await asyncio.wait_for(asyncio.gather(*writers, return_exceptions=True), PATIENCE_SECONDS)

            for error in ended:
                assert isinstance(error, BaseException)
                # Whoever had not begun finds no row to start on; everybody else finds the fence gone.
                assert type(translate(error)) in (Superseded, TransientError), error
                assert "deadlock" not in str(error)
            assert count_rows(database) == (0, 0, 0)
            assert database.execute("SELECT count(*) FROM session_events") == [(0,)]


async def test_connections_without_a_fence_are_let_through(database: PostgresDatabase) -> None:
    async with a_run(database), AsyncPostgresSaver.from_conn_string(database.dsn) as saver:
        await build_graph(saver).ainvoke({"steps": []}, CONFIG, durability="sync")

    assert count_rows(database) != (0, 0, 0)


async def test_a_new_uid_empties_the_thread_and_the_same_uid_keeps_it(database: PostgresDatabase) -> None:
    async with a_run(database, uid="one") as (store, _):
        await build_graph(AsyncPostgresSaver(store.pool)).ainvoke({"steps": []}, CONFIG, durability="sync")
    rows = count_rows(database)

    async with a_run(database, uid="one", run=2):
        assert count_rows(database) == rows
    async with a_run(database, uid="two"):
        assert count_rows(database) == (0, 0, 0)


async def test_a_new_epoch_waits_for_a_write_in_flight(database: PostgresDatabase) -> None:
    async with (
        a_run(database, holder="old") as (old, fence),
        open_database(Dsn.parse(database.dsn), application_name="new") as new,
        old.pool.connection() as conn,
    ):
        async with conn.transaction():
            await conn.execute("DELETE FROM checkpoint_writes WHERE thread_id = %s", (THREAD,))
            taking = asyncio.create_task(new.fences.take(THREAD, "uid", 1, "new"))
            await until_somebody_waits(database)
            assert not taking.done()
        taken = await asyncio.wait_for(taking, PATIENCE_SECONDS)

    assert taken.epoch > fence.epoch


async def test_a_writer_stuck_in_the_middle_of_a_write_is_disconnected(database: PostgresDatabase) -> None:
    async with a_run(database, holder="stuck") as (stuck, _), stuck.pool.connection() as conn:
        with contextlib.suppress(psycopg.OperationalError):
            async with conn.transaction():
                await conn.execute("DELETE FROM checkpoint_writes WHERE thread_id = %s", (THREAD,))
                # The process is frozen here, with its transaction open.
                async with asyncio.timeout(PATIENCE_SECONDS), a_run(database, holder="successor") as (_, fence):
                    assert fence.holder == "successor"
                with pytest.raises(psycopg.OperationalError):
                    await conn.execute("DELETE FROM checkpoint_writes WHERE thread_id = %s", (THREAD,))
        assert conn.closed


async def test_a_take_that_waits_in_vain_says_so(database: PostgresDatabase) -> None:
    async with (
        a_run(database) as (store, _),
        await psycopg.AsyncConnection.connect(database.dsn) as busy,
    ):
        await busy.execute("SELECT 1 FROM thread_fences FOR SHARE")
        working = asyncio.create_task(busy.execute("SELECT pg_sleep(20)"))
        await until_somebody_works(database)
        with pytest.raises(TransientError, match="lock timeout"):
            await store.fences.take(THREAD, "uid", 1, "next")
        busy.cancel()
        with pytest.raises(psycopg.errors.QueryCanceled):
            await working


async def until_somebody_waits(database: PostgresDatabase) -> None:
    await until(database, "wait_event_type = 'Lock'")


async def until_somebody_works(database: PostgresDatabase) -> None:
    await until(database, "wait_event = 'PgSleep'")


async def until(database: PostgresDatabase, condition: str) -> None:
    query = f"SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND {condition}"
    await asyncio.to_thread(wait_until, lambda: bool(database.execute(query)), what=condition)
