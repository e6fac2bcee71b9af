"""What the gateway's role may do: read one namespace a transaction, keep its own tables, and nothing else."""

import asyncio
from pathlib import Path

import psycopg
import pytest

from agentic_core.errors import Superseded
from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from agentic_store.records import NewEvent, TurnPhase, TurnRecord
from agentic_store.schema_migrations import migrate
from agentic_store.signals import hint_for
from tests.support.gateway import make_login
from tests.support.postgres import PostgresDatabase
from tests.support.store_conformance import a_record
from tests.support.tenants import dropping_tenants, make_tenant

ENTRY = '{"kind":"Accepted","seq":1}'


@pytest.fixture
async def as_gateway(database: PostgresDatabase) -> Dsn:
    """A gateway's login, and sessions of two namespaces with all that hangs on them."""
    async with open_database(Dsn.parse(database.dsn), application_name="operator") as store:
        for project in ("a", "b"):
            uid = f"uid-{project}"
            await store.sessions.record_session(a_record("s", project=project, uid=uid, run=1))
            await store.events.append(uid, 1, [NewEvent("custom", {"of": project})])
            await store.turns.record(
                [TurnRecord(session_uid=uid, number=1, name="t1", project_name=project, session_name="s")]
            )
            database.execute(
                "INSERT INTO session_answers (session_uid, seq, project_name, session_name, entry, hash)"
                " VALUES (%s, 1, %s, 's', %s, encode(sha256(convert_to(%s, 'UTF8')), 'hex'))",
                [uid, project, ENTRY, ENTRY],
            )
    return make_login(database, "agentic_gateway")


def count(conn: psycopg.Connection[tuple[object, ...]]) -> list[object]:
    """Return how many rows of each table a transaction sees."""
    tables = ("workflow_sessions", "session_events", "session_turns", "session_answers")
    return [row[0] for table in tables for row in conn.execute(f"SELECT count(*) FROM {table}".encode())]


def test_a_transaction_sees_the_namespace_that_it_names_and_without_one_nothing(as_gateway: Dsn) -> None:
    with psycopg.connect(as_gateway.conninfo, autocommit=True) as conn:
        assert count(conn) == [0, 0, 0, 0]
        with conn.transaction():
            conn.execute("SELECT set_config('agentic.namespace', 'a', true)")
            assert count(conn) == [1, 1, 1, 1]
            assert conn.execute("SELECT data ->> 'of' FROM session_events").fetchone() == ("a",)
        # What a transaction named is forgotten with it: the connection may go to somebody else's next.
        assert count(conn) == [0, 0, 0, 0]
        with conn.transaction():
            conn.execute("SELECT set_config('agentic.namespace', '', true)")
            assert count(conn) == [0, 0, 0, 0]


async def test_a_view_reads_its_namespace_alone(as_gateway: Dsn) -> None:
    async with open_database(as_gateway, application_name="gateway") as store:
        view = store.view("a")
        assert [event.data for event in await view.events.read("uid-a")] == [{"of": "a"}]
        assert await view.events.read("uid-b") == []
        assert await view.events.fetch_last("uid-b") == 0
        assert (await view.sessions.get("uid-a")) is not None
        assert await view.sessions.get("uid-b") is None
        row = await view.turns.get("uid-a", 1)
        assert row is not None
        assert row.phase is TurnPhase.RUNNING
        assert await view.turns.get("uid-b", 1) is None
        assert await store.events.read("uid-a") == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 FROM checkpoints",
        "SELECT 1 FROM checkpoint_blobs",
        "SELECT 1 FROM checkpoint_writes",
        "SELECT 1 FROM store",
        "SELECT 1 FROM thread_fences",
        "SELECT 1 FROM tenants",
        "INSERT INTO session_events (session_uid, seq, run, type) VALUES ('uid-a', 9, 1, 'forged')",
        "DELETE FROM session_events",
        "UPDATE workflow_sessions SET status = 'failed'",
        "DELETE FROM workflow_sessions",
        "UPDATE session_turns SET phase = 'failed'",
        "DELETE FROM session_answers",
        "UPDATE agentic_migrations SET version = 0",
        "SELECT agentic_remove_answers(NULL, 1, 1)",
        "SELECT agentic_make_tenant('x', 'x')",
        "CREATE TABLE mine (v int)",
        "SET ROLE agentic_operator",
    ],
)
def test_it_has_no_right_to_anything_else(as_gateway: Dsn, statement: str) -> None:
    with psycopg.connect(as_gateway.conninfo) as conn:
        conn.execute("SELECT set_config('agentic.namespace', 'a', true)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(statement.encode())


async def test_events_that_runners_reported_are_appended_to_sessions_of_their_namespace_alone(
    as_gateway: Dsn, database: PostgresDatabase
) -> None:
    events = [NewEvent("progress", {"progress": 0.5}), NewEvent("custom", {"a": [1]})]
    async with open_database(as_gateway, application_name="gateway", max_size=8) as store:
        assert await store.view("a").append_events("uid-a", 3, events) == 3
        found = await store.view("a").events.read("uid-a", after=1)
        assert [(each.seq, each.run, each.type, each.data) for each in found] == [
            (2, 3, "progress", {"progress": 0.5}),
            (3, 3, "custom", {"a": [1]}),
        ]
        for namespace, uid in (("a", "uid-b"), ("b", "uid-a"), ("a", "gone")):
            with pytest.raises(Superseded):
                await store.view(namespace).append_events(uid, 1, events)
        # Replicas at once: gapless, and each once.
        lasts = await asyncio.gather(*(store.view("b").append_events("uid-b", 1, events) for _ in range(10)))
    assert sorted(lasts) == list(range(3, 22, 2))
    assert database.execute("SELECT array_agg(seq ORDER BY seq) FROM session_events WHERE session_uid = 'uid-b'") == [
        (list(range(1, 22)),)
    ]


async def test_numbers_that_runners_were_told_are_not_given_again_after_rows_were_lost(
    as_gateway: Dsn, database: PostgresDatabase
) -> None:
    async with open_database(as_gateway, application_name="gateway") as store:
        view = store.view("a")
        assert await view.append_events("uid-a", 1, [NewEvent("custom", {})] * 4, floor=1) == 5
        database.execute("DELETE FROM session_events WHERE session_uid = 'uid-a' AND seq > 2")
        assert await view.append_events("uid-a", 1, [NewEvent("custom", {"n": 1})] * 2, floor=5) == 8
        found = await view.events.read("uid-a", after=2)
    assert [(each.seq, each.type) for each in found] == [(6, "gap"), (7, "custom"), (8, "custom")]
    assert found[0].data == {"from": 3, "to": 5, "reason": "lost"}


async def test_a_read_of_a_namespace_takes_two_round_trips(as_gateway: Dsn, tmp_path: Path) -> None:
    async with open_database(as_gateway, application_name="gateway", max_size=1) as store:
        await store.view("a").events.read("uid-a")
        with (tmp_path / "trace").open("w+") as trace:
            async with store.pool.connection() as conn:
                conn.pgconn.trace(trace.fileno())
                conn.pgconn.set_trace_flags(psycopg.pq.Trace.SUPPRESS_TIMESTAMPS)
            await store.view("a").events.read("uid-a")
            async with store.pool.connection() as conn:
                conn.pgconn.untrace()
            trace.seek(0)
            lines = trace.read().splitlines()
        assert sum("ReadyForQuery" in line for line in lines) <= 2, lines


async def test_only_who_is_watched_is_announced(as_gateway: Dsn, database: PostgresDatabase) -> None:
    async with open_database(as_gateway, application_name="gateway") as store:
        with psycopg.connect(database.dsn, autocommit=True) as listener:
            listener.execute("LISTEN agentic_session_events")
            await store.view("a").append_events("uid-a", 1, [NewEvent("custom", {"n": 1})])
            database.execute(
                "INSERT INTO event_interest (hint, until) VALUES (%s, now() + interval '1 minute')", [hint_for("uid-a")]
            )
            await store.view("a").append_events("uid-a", 1, [NewEvent("custom", {"n": 2})])
            heard = [each.payload for each in listener.notifies(timeout=10, stop_after=1)]
            heard += [each.payload for each in listener.notifies(timeout=0)]
    assert heard == [hint_for("uid-a")]


def test_nobody_else_appends_in_that_way(database: PostgresDatabase) -> None:
    for group in ("agentic_runner", "agentic_operator"):
        login = make_login(database, group).conninfo
        with psycopg.connect(login) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT agentic_append_events('a', 'uid-a', 1, ARRAY['x'], ARRAY['{}'])")


OWN = {
    "event_interest": "(hint, until) VALUES (repeat('a', 32), now())",
    "gateway_tickets": (
        "(hash, username, namespace, session_name, session_uid, channel, sealed, expires_at)"
        " VALUES (sha256('t'), 'ann', 'a', 's', 'u', 'websocket', '', now())"
    ),
    "gateway_logins": "(hash, username, sealed, expires_at) VALUES (sha256('t'), 'ann', '', now())",
    "gateway_idempotency": (
        "(username, route, key, request_digest, expires_at) VALUES ('ann', '/x', 'k', sha256('r'), now())"
    ),
}


@pytest.mark.parametrize("table", OWN)
async def test_its_own_tables_are_its_own(database: PostgresDatabase, as_gateway: Dsn, table: str) -> None:
    with psycopg.connect(as_gateway.conninfo, autocommit=True) as conn:
        conn.execute(f"INSERT INTO {table} {OWN[table]}".encode())
        assert conn.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (1,)
    async with dropping_tenants(database):
        tenant = await make_tenant(database, "a")
        others = [tenant, make_login(database, "agentic_runner"), make_login(database, "agentic_operator")]
        for dsn in others:
            with psycopg.connect(dsn.conninfo, autocommit=True) as conn:
                if table == "event_interest":
                    # A writer asks whether somebody watches.
                    assert conn.execute("SELECT count(*) FROM event_interest").fetchone() == (1,)
                else:
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        conn.execute(f"SELECT 1 FROM {table}".encode())
                for statement in (f"INSERT INTO {table} {OWN[table]}", f"DELETE FROM {table}"):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        conn.execute(statement.encode())
    with psycopg.connect(as_gateway.conninfo, autocommit=True) as conn:
        assert conn.execute(f"DELETE FROM {table}".encode()).rowcount == 1


@pytest.mark.parametrize("table", OWN)
async def test_what_is_over_is_removed_and_what_holds_stays(as_gateway: Dsn, table: str) -> None:
    with psycopg.connect(as_gateway.conninfo, autocommit=True) as conn:
        for until in ("now() - interval '1 hour'", "now() + interval '1 hour'"):
            row = OWN[table].replace("now()", until)
            if "+" in until:
                row = row.replace("repeat('a'", "repeat('b'").replace("'t')", "'u')").replace("'k'", "'l'")
            conn.execute(f"INSERT INTO {table} {row}".encode())
        async with open_database(as_gateway, application_name="gateway") as store:
            assert await store.remove_expired() == 1
            assert await store.remove_expired() == 0
        assert conn.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (1,)


async def test_where_the_migration_is_undone_it_has_no_right_left(database: PostgresDatabase) -> None:
    await migrate.down(Dsn.parse(database.dsn), to=18, confirm=database.name)
    granted = "SELECT relname FROM pg_class, aclexplode(relacl) WHERE grantee = 'agentic_gateway'::regrole"
    assert database.execute(granted) == []
    assert database.execute("SELECT count(*) FROM pg_policy WHERE polname = 'agentic_gateway'") == [(0,)]
