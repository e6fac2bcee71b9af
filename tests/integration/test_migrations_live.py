"""A database in use is brought from an early version to the newest: whoever writes meanwhile is hardly held up."""

import asyncio
import threading
import time

import psycopg

from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
from agentic_store.schema_migrations.schema import SCHEMA_VERSION
from tests.support.catalog import describe_tables
from tests.support.postgres import PostgresDatabase
from tests.support.session_rows import fill_sessions

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
        assert begun.wait(20)
        asyncio.run(migrate.up(dsn))
    finally:
        done.set()
        writer.join()

    assert describe_tables(empty_database) == describe_tables(database)
    assert empty_database.execute("SELECT max(version) FROM agentic_migrations") == [(SCHEMA_VERSION,)]
    longest = {statement: round(max(each), 3) for statement, each in waits.items()}
    assert max(longest.values()) < 1.0, longest
    assert min(len(each) for each in waits.values()) > 20
