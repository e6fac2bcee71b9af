"""Writers notify whoever watches, and nobody where no one does; behind a pooler nobody listens."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.records import NewEvent
from agentic_store.signals import hint_for, listen
from tests.support.gateway import make_login
from tests.support.pgbouncer import start_pgbouncer
from tests.support.postgres import PostgresDatabase
from tests.support.store_conformance import a_record
from tests.support.tenants import dropping_tenants, make_tenant
from tests.support.waiting import PATIENCE_SECONDS, wait_for

UID = "uid-team-report"


@pytest.fixture
async def gateway(database: PostgresDatabase) -> AsyncIterator[Database]:
    async with open_database(make_login(database, "agentic_gateway"), application_name="gateway") as store:
        yield store


@pytest.fixture
async def runner(database: PostgresDatabase) -> AsyncIterator[Database]:
    """A runner of the namespace, with a session."""
    async with open_database(Dsn.parse(database.dsn), application_name="operator") as store:
        await store.sessions.record_session(a_record(run=1))
    async with (
        dropping_tenants(database),
        open_database(await make_tenant(database, "team"), application_name="runner") as store,
    ):
        yield store


def hear(listener: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    """Return what was notified until a mark of our own, which comes last."""
    with psycopg.connect(listener.info.dsn, autocommit=True) as other:
        other.execute("NOTIFY agentic_session_events, 'mark'")
    heard: list[str] = []
    for each in listener.notifies(timeout=PATIENCE_SECONDS):
        if each.payload == "mark":
            break
        heard.append(each.payload)
    return heard


async def test_a_session_that_nobody_watches_notifies_nobody(
    database: PostgresDatabase, gateway: Database, runner: Database
) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as listener:
        listener.execute("LISTEN agentic_session_events")
        await runner.events.append(UID, 1, [NewEvent("x", {})])
        await runner.announcer.close()
        assert hear(listener) == []
        await gateway.interest.state(["another", UID])
        await runner.events.append(UID, 1, [NewEvent("x", {})])
        await runner.announcer.close()
        assert hear(listener) == [hint_for(UID)]
        # Not said again in time.
        database.execute("UPDATE event_interest SET until = now() - interval '1 s'")
        await runner.events.append(UID, 1, [NewEvent("x", {})])
        await runner.announcer.close()
        assert hear(listener) == []


async def test_a_session_counts_as_watched_for_a_minute_and_replicas_say_so_at_once(
    database: PostgresDatabase, gateway: Database
) -> None:
    uids = [f"uid-{number}" for number in range(300)]
    await asyncio.gather(*(gateway.interest.state(uids[:: (-1) ** turn]) for turn in range(8)))
    assert database.execute(
        "SELECT count(*), min(until) > now() + interval '50 s', max(until) <= now() + interval '60 s'"
        " FROM event_interest"
    ) == [(300, True, True)]


async def test_events_are_there_before_watchers_are_asked_for(
    database: PostgresDatabase, gateway: Database, runner: Database
) -> None:
    """Who begins to watch while events are being written either reads them or is told."""
    with (
        psycopg.connect(database.dsn, autocommit=True) as listener,
        psycopg.connect(database.dsn) as holder,
    ):
        listener.execute("LISTEN agentic_session_events")
        # The append waits for this row's key, in the middle of its transaction.
        holder.execute("INSERT INTO session_events (session_uid, seq, run, type) VALUES (%s, 1, 1, 'x')", [UID])
        appending = asyncio.create_task(runner.events.append(UID, 1, [NewEvent("x", {})]))
        blocked = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        await asyncio.to_thread(wait_for, lambda: database.execute(blocked), bool, what="a writer that waits")
        await gateway.interest.state([UID])
        assert await gateway.view("team").events.read(UID) == []
        holder.rollback()
        assert await appending == 1
        await runner.announcer.close()
        assert hear(listener) == [hint_for(UID)]


async def test_behind_a_pooler_nobody_listens_and_it_is_known(database: PostgresDatabase) -> None:
    with start_pgbouncer(database.server, pool_mode="transaction", pool_size=2) as bouncer:
        async with listen(Dsn.parse(bouncer.dsn(database.name)), application_name="listener") as signals:
            with signals.subscribe(UID) as changed:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await changed.wait()
                assert not signals.is_listening
    async with listen(Dsn.parse(database.dsn), application_name="listener") as signals:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await signals.began.wait()
        assert signals.is_listening
