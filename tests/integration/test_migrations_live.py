"""A database in use is brought from an early version to the newest: whoever writes meanwhile is hardly held up.

And a run of the version before goes on beside the newest migration, applied and undone.
"""

import asyncio
import threading
import time

import psycopg

from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
from agentic_store.schema_migrations.schema import SCHEMA_VERSION
from tests.support.catalog import describe_tables
from tests.support.postgres import PostgresDatabase
from tests.support.session_rows import fill_sessions
from tests.support.store_conformance import a_record
from tests.support.tenants import dropping_tenants, make_tenant
from tests.support.waiting import PATIENCE_SECONDS

# The first with all tables that sessions are written to.
EARLY = 4
SESSIONS = 50_000
FILL = (
    # Not of all: migration 011 numbers them in one transaction, which docs/migrations.md tells of.
    (
        "INSERT INTO thread_fences (thread_id, session_uid, epoch, run, holder)"
        " SELECT thread_id, session_uid, nextval('thread_fence_epochs'), 1, 'pod' FROM workflow_sessions LIMIT 5000"
    ),
    (
        "INSERT INTO checkpoints SELECT thread_id, '', step::text, NULL, NULL, '{}', '{}'"
        " FROM workflow_sessions, generate_series(1, 4) AS step"
    ),
)
# What a run writes in a step, and an operator that takes over.
WRITES = (
    "UPDATE workflow_sessions SET status = 'running', updated_at = now() WHERE session_uid = 'uid-1'",
    (
        "INSERT INTO session_events (session_uid, seq, run, type) SELECT 'uid-1', coalesce(max(seq), 0) + 1, 1, 'x'"
        " FROM session_events WHERE session_uid = 'uid-1'"
    ),
    "INSERT INTO checkpoints SELECT 'live', '', gen_random_uuid(), NULL, NULL, '{}', '{}'",
    "INSERT INTO checkpoint_blobs SELECT 'live', '', 'c', gen_random_uuid(), 't', 'x'",
    "INSERT INTO checkpoint_writes SELECT 'live', '', gen_random_uuid(), 't', 0, 'c', 't', 'x'",
    "UPDATE thread_fences SET epoch = nextval('thread_fence_epochs') WHERE session_uid = 'uid-0'",
    "SELECT count(*) FROM (SELECT FROM workflow_sessions WHERE project_name = 'project-1' LIMIT 100) AS page",
)


def test_writers_wait_less_than_a_second_for_all_later_migrations(
    database: PostgresDatabase, empty_database: PostgresDatabase
) -> None:
    dsn = Dsn.parse(empty_database.dsn)
    asyncio.run(migrate.up(dsn, to=EARLY))
    with psycopg.connect(empty_database.dsn, autocommit=True) as conn:
        fill_sessions(conn, SESSIONS, output_kb=1)
        for statement in FILL:
            conn.execute(statement.encode())
    waits: dict[str, list[float]] = {statement: [] for statement in WRITES}
    begun, done = threading.Event(), threading.Event()

    def write() -> None:
        with psycopg.connect(empty_database.dsn, autocommit=True) as conn:
            while not done.is_set():
                for statement in WRITES:
                    began = time.monotonic()
                    conn.execute(statement.encode())
                    waits[statement].append(time.monotonic() - began)
                begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert begun.wait(PATIENCE_SECONDS)
        asyncio.run(migrate.up(dsn))
    finally:
        done.set()
        writer.join()

    assert describe_tables(empty_database) == describe_tables(database)
    assert empty_database.execute("SELECT max(version) FROM agentic_migrations") == [(SCHEMA_VERSION,)]
    longest = {statement: round(max(each), 3) for statement, each in waits.items()}
    assert max(longest.values()) < 1.0, longest
    assert min(len(each) for each in waits.values()) > 20


# How a runner of version 18 adds an event.
APPEND_OF_18 = """
WITH added AS (
    INSERT INTO session_events (session_uid, seq, run, at, type, data)
    SELECT
        %(session_uid)s,
        coalesce((SELECT max(seq) FROM session_events WHERE session_uid = %(session_uid)s), 0) + new.place,
        %(run)s,
        coalesce(new.at, now()),
        new.type,
        new.data::jsonb
    FROM unnest(%(types)s::text[], %(data)s::text[], %(times)s::timestamptz[])
        WITH ORDINALITY AS new (type, data, at, place)
    WHERE EXISTS (SELECT 1 FROM workflow_sessions WHERE session_uid = %(session_uid)s)
    RETURNING seq
)
SELECT max(seq) AS seq, pg_notify('agentic_session_events', %(hint)s) FROM added HAVING count(*) > 0
"""


async def test_a_run_of_the_version_before_goes_on_beside_the_gateways_migration(
    empty_database: PostgresDatabase,
) -> None:
    dsn = Dsn.parse(empty_database.dsn)
    await migrate.up(dsn, to=18)
    async with dropping_tenants(empty_database):
        tenant = await make_tenant(empty_database, "team")
        async with open_database(dsn, application_name="operator") as store:
            await store.sessions.record_session(a_record("s", project="team", uid="uid", run=1))
        params = {"session_uid": "uid", "run": 1, "types": ["x"], "data": ["{}"], "times": [None], "hint": "h"}
        numbers: list[int] = []
        waits: list[float] = []
        begun, done = threading.Event(), threading.Event()

        def write() -> None:
            with psycopg.connect(tenant.conninfo, autocommit=True) as conn:
                while not done.is_set():
                    began = time.monotonic()
                    row = conn.execute(APPEND_OF_18, params).fetchone()
                    waits.append(time.monotonic() - began)
                    assert row is not None
                    numbers.append(row[0])
                    begun.set()

        writer = asyncio.create_task(asyncio.to_thread(write))
        try:
            assert await asyncio.to_thread(begun.wait, PATIENCE_SECONDS)
            for _ in range(3):
                await migrate.up(dsn)
                await migrate.down(dsn, to=18, confirm=empty_database.name)
            await migrate.up(dsn)
        finally:
            done.set()
            await writer

    assert numbers == list(range(1, len(numbers) + 1))
    assert empty_database.execute("SELECT count(*), max(seq) FROM session_events") == [(len(numbers),) * 2]
    assert max(waits) < 1.0
