"""Behind a real PgBouncer in transaction mode: every transaction may come to another connection of the server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from agentic_core.errors import PermanentError, Superseded, TransientError
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.errors import translate
from agentic_store.pool import build_name
from agentic_store.records import Fence, NewEvent
from agentic_store.schema_migrations import migrate
from tests.integration.test_store_fences import THREAD, build_graph, count_rows
from tests.support.pgbouncer import PgBouncer, start_pgbouncer
from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import PostgresServer
from tests.support.store_conformance import a_record
from tests.support.waiting import PATIENCE_SECONDS

BACKENDS = 10


@pytest.fixture(scope="module")
def pooler(postgres_server: PostgresServer) -> Iterator[PgBouncer]:
    with start_pgbouncer(postgres_server, pool_mode="transaction", pool_size=BACKENDS) as bouncer:
        yield bouncer


@pytest.fixture
def pooled(database: PostgresDatabase, pooler: PgBouncer) -> Dsn:
    return Dsn.parse(pooler.dsn(database.name))


@contextlib.asynccontextmanager
async def a_run(
    dsn: Dsn, thread_id: str, *, holder: str = "pod", max_size: int = 4
) -> AsyncIterator[tuple[Database, Fence]]:
    async with open_database(dsn, application_name=holder, max_size=max_size, patience_seconds=0.3) as store:
        fence = await store.fences.take(thread_id, f"uid of {thread_id}", 1, holder)
        await store.carry(fence)
        yield store, fence


async def test_a_hundred_sessions_share_ten_backends_and_each_keeps_its_fence(
    database: PostgresDatabase, pooled: Dsn
) -> None:
    async def run(number: int) -> None:
        thread_id = f"project-team:session-{number}"
        config: RunnableConfig = {"configurable": {"thread_id": thread_id}}
        async with a_run(pooled, thread_id, max_size=2) as (store, fence):
            await store.sessions.record_session(
                a_record(uid=f"uid of {thread_id}", name=f"session-{number}", thread_id=thread_id)
            )
            graph = build_graph(AsyncPostgresSaver(store.pool))
            result = await graph.ainvoke({"steps": []}, config, durability="sync")
            assert result == {"steps": ["first", "second"]}
            await store.events.append(f"uid of {thread_id}", 1, [NewEvent("step", {"n": number})])
            await store.fences.verify(fence)

    most = 0
    runs = asyncio.gather(*(run(number) for number in range(100)))
    count = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    async with await psycopg.AsyncConnection.connect(database.server.dsn(), autocommit=True) as watcher:
        while not runs.done():
            row = await (await watcher.execute(count, [database.name])).fetchone()
            most = max(most, row[0] if row else 0)
            await asyncio.wait([runs], timeout=0.02)
    await runs

    assert 1 < most <= BACKENDS
    assert database.execute("SELECT count(DISTINCT thread_id), count(DISTINCT number) FROM thread_fences") == [
        (100, 100)
    ]
    assert database.execute("SELECT count(DISTINCT thread_id), count(*) FROM checkpoints") == [(100, 400)]


async def test_a_superseded_saver_is_refused_also_through_the_pooler(database: PostgresDatabase, pooled: Dsn) -> None:
    config: RunnableConfig = {"configurable": {"thread_id": THREAD}}
    async with a_run(pooled, THREAD, holder="old") as (old, fence), contextlib.AsyncExitStack() as stack:
        await old.sessions.record_session(a_record(uid=f"uid of {THREAD}", thread_id=THREAD))
        successors: list[Database] = []

        async def be_overtaken() -> None:
            successor, _ = await stack.enter_async_context(a_run(pooled, THREAD, holder="new"))
            successors.append(successor)

        graph = build_graph(AsyncPostgresSaver(old.pool), between=be_overtaken)
        with pytest.raises(Exception) as refused:
            await graph.ainvoke({"steps": []}, config, durability="sync")

        assert isinstance(translate(refused.value), Superseded)
        with pytest.raises(Superseded):
            await old.sessions.start_run(f"uid of {THREAD}", 1)
        with pytest.raises(Superseded):
            await old.events.append(f"uid of {THREAD}", 1, [NewEvent("x", {})])
        with pytest.raises(Superseded):
            await old.fences.record_failure(fence)
        result = await build_graph(AsyncPostgresSaver(successors[0].pool)).ainvoke(None, config, durability="sync")
    assert result == {"steps": ["first", "second"]}


async def test_a_writer_stuck_behind_the_pooler_is_disconnected(database: PostgresDatabase, pooled: Dsn) -> None:
    async with a_run(pooled, THREAD, holder="stuck") as (stuck, _), stuck.pool.connection() as conn:
        with contextlib.suppress(psycopg.OperationalError):
            async with conn.transaction():
                await conn.execute("DELETE FROM checkpoint_writes WHERE thread_id = %s", (THREAD,))
                # The process is frozen here, with its transaction open.
                async with asyncio.timeout(PATIENCE_SECONDS), a_run(pooled, THREAD, holder="successor") as (_, fence):
                    assert fence.holder == "successor"
                with pytest.raises(psycopg.OperationalError):
                    await conn.execute("DELETE FROM checkpoint_writes WHERE thread_id = %s", (THREAD,))
    assert count_rows(database) == (0, 0, 0)


async def test_a_client_without_a_fence_never_gets_that_of_another(database: PostgresDatabase, pooled: Dsn) -> None:
    insert = "INSERT INTO checkpoint_blobs VALUES ('free', '', gen_random_uuid(), '1', 't')"
    async with (
        a_run(pooled, THREAD, max_size=1) as (fenced, _),
        open_database(pooled, application_name="operator", max_size=1) as free,
    ):
        # The fenced one is superseded: whoever got its name would be refused.
        database.execute("UPDATE thread_fences SET epoch = nextval('thread_fence_epochs')")
        for _ in range(BACKENDS * 3):
            async with fenced.pool.connection() as conn:
                with pytest.raises(psycopg.DatabaseError, match="superseded"):
                    await conn.execute(insert)
            async with free.pool.connection() as conn:
                await conn.execute(insert)


@pytest.mark.parametrize(
    "carried",
    [
        pytest.param("{number}/{older}", id="an older epoch"),
        pytest.param("{number}/{newer}", id="an epoch that was never given"),
        pytest.param("{number}/", id="no epoch"),
        pytest.param("/{epoch}", id="no number"),
        pytest.param("999999/{epoch}", id="a number of nobody"),
        pytest.param("{number}", id="a number alone"),
        pytest.param("x/y", id="no numbers"),
    ],
)
async def test_a_forged_or_mangled_fence_is_refused(database: PostgresDatabase, carried: str) -> None:
    async with a_run(Dsn.parse(database.dsn), THREAD) as (_, fence):
        forged = carried.format(number=fence.number, epoch=fence.epoch, older=fence.epoch - 1, newer=fence.epoch + 1)
        async with await psycopg.AsyncConnection.connect(
            database.dsn, autocommit=True, application_name=f"x fence={forged}"
        ) as conn:
            with pytest.raises(psycopg.DatabaseError):
                await conn.execute("DELETE FROM checkpoint_writes")


async def test_a_run_that_was_started_by_an_older_version_is_still_fenced(database: PostgresDatabase) -> None:
    async with (
        a_run(Dsn.parse(database.dsn), THREAD) as (_, fence),
        await psycopg.AsyncConnection.connect(database.dsn, autocommit=True) as older,
    ):
        carry = "SELECT set_config('agentic.thread_id', %s, false), set_config('agentic.epoch', %s, false)"
        await older.execute(carry, (THREAD, str(fence.epoch)))
        await older.execute("DELETE FROM checkpoint_writes")
        await older.execute(carry, (THREAD, str(fence.epoch - 1)))
        with pytest.raises(psycopg.DatabaseError, match=f"superseded: thread {THREAD} is at epoch {fence.epoch}"):
            await older.execute("DELETE FROM checkpoint_writes")


def test_the_longest_fence_fits_into_a_name() -> None:
    fence = Fence("t", "u", epoch=2**63 - 1, run=1, failures=0, holder="pod", number=2**63 - 1)

    name = build_name("agentic-runner-of-a-very-long-name", fence)

    assert name.startswith("agentic-runner")
    assert name.endswith(f" fence={2**63 - 1}/{2**63 - 1}")
    assert len(name) == 63


async def test_a_migration_refuses_the_pooler_and_says_why(pooled: Dsn) -> None:
    with pytest.raises(
        PermanentError, match=r"a connection pooler stands before the database .*: .*lock of its session"
    ):
        await migrate.up(pooled)
    # Reading needs no lock.
    assert (await migrate.fetch_status(pooled)).pending == ()


async def test_takers_of_one_thread_queue_up_through_the_pooler(database: PostgresDatabase, pooled: Dsn) -> None:
    async def take(number: int) -> Any:
        async with open_database(pooled, application_name="taker", max_size=1, patience_seconds=5) as store:
            return await store.fences.take(THREAD, "uid", 1, f"pod {number}")

    taken = await asyncio.gather(*(take(number) for number in range(20)), return_exceptions=True)

    epochs = [fence.epoch for fence in taken if isinstance(fence, Fence)]
    assert len(set(epochs)) == len(epochs)
    assert all(isinstance(one, (Fence, TransientError)) for one in taken), taken
    assert database.execute("SELECT epoch FROM thread_fences") == [(max(epochs),)]
