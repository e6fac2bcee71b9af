"""The store when PostgreSQL restarts, dies, freezes or is full."""

import asyncio
import time

import psycopg
import pytest

from agentic_core.errors import DatabaseUnavailable, OutputTooLarge, SchemaMismatch
from agentic_core.lifecycle import Phase
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.records import NewEvent
from agentic_store.results.output import EncodedOutput, encode_output
from agentic_store.signals import follow, listen
from hack.cluster.endpoints import find_free_ports
from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import start_server
from tests.support.store_conformance import a_record
from tests.support.waiting import PATIENCE_SECONDS


async def test_a_restarted_and_a_killed_server_cost_a_reconnection_and_no_error(database: PostgresDatabase) -> None:
    async with open_database(Dsn.parse(database.dsn), application_name="test", min_size=2) as store:
        await store.sessions.record_session(a_record())
        database.server.restart()
        assert await store.sessions.find("team", "report") is not None

        database.server.kill()
        database.server.start()
        assert await store.sessions.find("team", "report") is not None


async def test_the_fence_is_carried_by_connections_made_after_a_restart(database: PostgresDatabase) -> None:
    async with open_database(Dsn.parse(database.dsn), application_name="test") as store:
        fence = await store.fences.take("thread", "uid", 1, "pod")
        await store.carry(fence)
        database.server.restart()

        async with store.pool.connection() as conn:
            row = await (await conn.execute("SELECT current_setting('application_name') AS name")).fetchone()

    assert row == {"name": f"test fence={fence.number}/{fence.epoch}"}


async def test_a_frozen_server_is_unavailable_in_bounded_time(database: PostgresDatabase) -> None:
    async with open_database(Dsn.parse(database.dsn), application_name="test", operation_seconds=0.5) as store:
        await store.sessions.record_session(a_record())
        database.server.pause()
        try:
            began = time.monotonic()
            with pytest.raises(DatabaseUnavailable, match=r"did not answer within 0\.5 s"):
                await store.sessions.find("team", "report")
            assert time.monotonic() - began < 20
        finally:
            database.server.resume()
        assert await store.sessions.find("team", "report") is not None


async def test_no_server_at_start_says_why() -> None:
    dsn = Dsn.parse(f"postgresql://u:secret@127.0.0.1:{find_free_ports(1)[0]}/db")

    with pytest.raises(
        DatabaseUnavailable, match=r"cannot connect to PostgreSQL at u@127\.0\.0\.1.*refused"
    ) as refused:
        async with open_database(dsn, application_name="test", timeout_seconds=0.2):
            pass

    assert "secret" not in str(refused.value)


async def test_without_waiting_the_store_opens_before_the_server_is_there() -> None:
    with start_server() as server:
        server.stop()
        async with open_database(Dsn.parse(server.dsn()), application_name="test", wait=False) as store:
            server.start()
            with pytest.raises(SchemaMismatch, match="database is at version 0"):
                await store.require_schema()


async def test_too_many_connections_is_a_passing_fault_and_the_pool_stays_within_its_bound() -> None:
    with start_server(max_connections=5, superuser_reserved_connections=0) as server:
        dsn = Dsn.parse(server.dsn())
        async with open_database(dsn, application_name="bounded", max_size=2) as store:
            await asyncio.gather(*(_ask(store) for _ in range(50)))
            with psycopg.connect(server.dsn()) as conn:
                count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bounded'"
                assert conn.execute(count).fetchone() == (2,)
            others = [await psycopg.AsyncConnection.connect(server.dsn()) for _ in range(3)]
            with pytest.raises(DatabaseUnavailable, match="too many clients"):
                async with open_database(dsn, application_name="late", timeout_seconds=0.2):
                    pass
            for other in others:
                await other.close()


async def _ask(store: Database) -> None:
    async with store.pool.connection() as conn:
        await conn.execute("SELECT 1")


async def test_a_table_that_is_missing_means_the_database_is_not_migrated(empty_database: PostgresDatabase) -> None:
    async with open_database(Dsn.parse(empty_database.dsn), application_name="test") as store:
        with pytest.raises(SchemaMismatch, match="run `agentic migrate up`"):
            await store.sessions.find("team", "report")


async def test_an_output_under_the_limit_as_text_and_over_it_as_jsonb_is_refused_by_the_database(
    database: PostgresDatabase,
) -> None:
    # Small numbers take two bytes each as text and twelve as jsonb.
    text = f"[{'1,' * 9_000_000}1]"
    output = EncodedOutput(text, len(text), "")
    async with open_database(Dsn.parse(database.dsn), application_name="test") as store:
        await store.sessions.record_session(a_record())
        with pytest.raises(OutputTooLarge, match="output data exceeds 100MB limit"):
            await store.sessions.finish("uid-team-report", 1, Phase.COMPLETED, output=output)

        await store.sessions.finish("uid-team-report", 1, Phase.FAILED, error={"type": "OutputTooLarge"})


async def test_an_output_that_grows_too_large_part_by_part_is_refused_and_stays_as_it_was(
    database: PostgresDatabase,
) -> None:
    part = "a" * 60 * 1024 * 1024
    async with open_database(Dsn.parse(database.dsn), application_name="test") as store:
        await store.sessions.record_session(a_record())
        await store.sessions.update_output("uid-team-report", 1, ["first"], part)
        with pytest.raises(OutputTooLarge, match="output data exceeds 100MB limit"):
            await store.sessions.update_output("uid-team-report", 1, ["second"], part)
        row = await store.sessions.get("uid-team-report", with_output=True)

    assert row is not None
    assert row.output_data == {"first": part}


async def test_a_large_output_comes_back_as_it_was(database: PostgresDatabase) -> None:
    value = {"text": "ä" * 5_000_000}
    async with open_database(Dsn.parse(database.dsn), application_name="test") as store:
        await store.sessions.record_session(a_record())
        await store.sessions.finish("uid-team-report", 1, Phase.COMPLETED, output=encode_output(value))
        row = await store.sessions.get("uid-team-report", with_output=True)

    assert row is not None
    assert row.output_data == value


async def test_a_follower_sees_every_event_once_also_across_a_restart(database: PostgresDatabase) -> None:
    dsn = Dsn.parse(database.dsn)
    async with (
        open_database(dsn, application_name="test") as store,
        listen(dsn, application_name="listener") as signals,
    ):
        await store.sessions.record_session(a_record())
        uid = "uid-team-report"
        await store.interest.state([uid])
        await store.events.append(uid, 1, [NewEvent("x", {"n": 1})])
        # A poll interval that the test would not live to see: only notifications can make it pass.
        followed = follow(store.events, signals, uid, poll_seconds=3600)
        assert (await anext(followed)).seq == 1

        async with asyncio.timeout(PATIENCE_SECONDS):
            following = asyncio.ensure_future(anext(followed))
            await store.events.append(uid, 1, [NewEvent("x", {"n": 2})])
            assert (await following).seq == 2

            following = asyncio.ensure_future(anext(followed))
            database.server.restart()
            await store.events.append(uid, 1, [NewEvent("x", {"n": 3}), NewEvent("x", {"n": 4})])
            assert (await following).seq == 3
            assert (await anext(followed)).seq == 4
        await followed.aclose()
