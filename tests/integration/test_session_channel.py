"""Listening for one session on a real PostgreSQL: hints come, a lost connection comes back, a pooler is noticed."""

import asyncio

from agentic_core.names import notify_channel
from agentic_store.dsn import Dsn
from agentic_store.session_channel import SessionChannel, listen_to_session
from tests.support.pgbouncer import start_pgbouncer
from tests.support.postgres import PostgresDatabase
from tests.support.waiting import PATIENCE_SECONDS

CHANNEL = notify_channel("uid-1")
# The server has other databases, with listeners of their own.
HERE = "FROM pg_stat_activity WHERE datname = current_database()"
LISTENER = f"{HERE} AND application_name = 'listener'"


async def hear(channel: SessionChannel) -> None:
    """Wait for a hint, and clear it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        await channel.changed.wait()
    channel.changed.clear()


async def test_a_hint_is_heard_by_whoever_waits_for_its_session_alone(database: PostgresDatabase) -> None:
    dsn = Dsn.parse(database.dsn)
    async with (
        listen_to_session(dsn, CHANNEL, application_name="one") as one,
        listen_to_session(dsn, notify_channel("uid-2"), application_name="other") as other,
    ):
        await hear(one)  # it listens now: what happened before, nobody told
        await hear(other)
        assert one.is_listening
        database.execute("SELECT pg_notify(%s, '2')", [CHANNEL])
        await hear(one)
        database.execute("SELECT pg_notify(%s, '2')", [notify_channel("uid-2")])
        await hear(other)
        assert not one.changed.is_set()


async def test_a_lost_connection_is_noticed_at_once_and_comes_back(database: PostgresDatabase) -> None:
    async with listen_to_session(Dsn.parse(database.dsn), CHANNEL, application_name="listener") as channel:
        await hear(channel)
        kill = f"SELECT pg_terminate_backend(pid) {LISTENER}"
        assert database.execute(kill) == [(True,)]
        await hear(channel)  # whoever waits for long is to look more often
        while not channel.is_listening:
            await hear(channel)
        database.execute("SELECT pg_notify(%s, '2')", [CHANNEL])
        await hear(channel)


async def test_behind_a_pooler_nobody_listens(database: PostgresDatabase) -> None:
    with start_pgbouncer(database.server, pool_mode="transaction", pool_size=2) as bouncer:
        dsn = Dsn.parse(bouncer.dsn(database.name))
        async with listen_to_session(dsn, CHANNEL, application_name="listener") as channel:
            await hear(channel)
            assert not channel.is_listening
        # Nothing is left behind that another client of the pooler would hear.
        listening = f"SELECT count(*) {HERE} AND query LIKE 'LISTEN%%'"
        assert database.execute(listening) == [(0,)]


async def test_without_a_channel_nobody_listens(database: PostgresDatabase) -> None:
    async with listen_to_session(Dsn.parse(database.dsn), None, application_name="listener") as channel:
        assert not channel.is_listening
        assert database.execute(f"SELECT count(*) {LISTENER}") == [(0,)]
