"""Every index serves a statement of ours or of the library, as the server counts: one that serves none slows writes."""

from datetime import UTC, datetime

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.store.postgres.aio import AsyncPostgresStore
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from agentic_store.records import NewEvent
from agentic_store.retention import KeptCheckpoints
from tests.integration.test_store_fences import build_graph
from tests.support.postgres import PostgresDatabase
from tests.support.session_rows import fill_sessions
from tests.support.tenants import drop_tenants, make_tenant
from tests.support.waiting import wait_for

SESSIONS = 20_000
# Fences, checkpoints with a blob and a write, and items of the long-term store, for as many threads; and tenants.
FILL = (
    (
        "INSERT INTO thread_fences (thread_id, session_uid, epoch, run, holder)"
        " SELECT thread_id, session_uid, nextval('thread_fence_epochs'), 1, 'pod' FROM workflow_sessions"
    ),
    "INSERT INTO checkpoints SELECT thread_id, '', 'c', NULL, NULL, '{}', '{}' FROM thread_fences",
    "INSERT INTO checkpoint_blobs SELECT thread_id, '', 'c', '1', 't', 'x' FROM thread_fences",
    "INSERT INTO checkpoint_writes SELECT thread_id, '', 'c', 't', 0, 'c', 't', 'x', '' FROM thread_fences",
    (
        "INSERT INTO store (prefix, key, value, expires_at)"
        " SELECT replace(thread_id, ':', '.'), 'k', '{}', CASE WHEN random() < 0.01 THEN now() END FROM thread_fences"
    ),
    (
        "INSERT INTO tenants (role_name, namespace)"
        f" SELECT 'nobody_' || n, 'project-' || n FROM generate_series(1, {SESSIONS}) AS n"
    ),
    (
        "INSERT INTO session_answers (session_uid, seq, project_name, session_name, entry, hash, stored_at)"
        " SELECT session_uid, 1, project_name, session_name, entry, encode(sha256(convert_to(entry, 'UTF8')), 'hex'),"
        " now() - random() * interval '400 days'"
        """ FROM workflow_sessions, (VALUES ('{"kind":"Accepted","seq":1}')) AS accepted (entry)"""
    ),
    (
        "INSERT INTO session_turns (session_uid, number, name, project_name, session_name)"
        " SELECT session_uid, number, 't' || number, project_name, session_name"
        " FROM workflow_sessions, generate_series(1, 50) AS number WHERE project_name = 'project-7'"
    ),
    (
        "INSERT INTO gateway_tickets"
        " (hash, username, namespace, session_name, session_uid, channel, sealed, expires_at)"
        " SELECT sha256(session_uid::bytea), 'ann', project_name, session_name, session_uid, 'websocket', '',"
        " now() - n * interval '1 minute'"
        " FROM (SELECT *, row_number() OVER () - 20000 AS n FROM workflow_sessions) AS numbered"
    ),
    (
        "INSERT INTO gateway_logins (hash, username, sealed, expires_at)"
        " SELECT hash, username, sealed, expires_at FROM gateway_tickets"
    ),
    (
        "INSERT INTO gateway_idempotency (username, route, key, request_digest, expires_at)"
        " SELECT username, '/x', session_name || namespace, hash, expires_at FROM gateway_tickets"
    ),
    (
        "INSERT INTO session_events (session_uid, seq, run, type)"
        " SELECT session_uid, number, 1, CASE WHEN number = 1 AND random() < 0.01 THEN 'message-start' ELSE 'x' END"
        " FROM workflow_sessions, generate_series(1, 5) AS number"
    ),
    # So that this measures anything at all.
    "CREATE INDEX nobodys_idx ON workflow_sessions (status)",
    "ANALYZE",
)
# An index with the columns that another one begins with is one too many.
DOUBLED = """
SELECT one.indexrelid::regclass::text, other.indexrelid::regclass::text
FROM pg_index AS one
JOIN pg_index AS other ON other.indrelid = one.indrelid AND other.indexrelid <> one.indexrelid
JOIN pg_class AS relation ON relation.oid = one.indrelid AND relation.relnamespace = 'public'::regnamespace
WHERE other.indkey::text || ' ' LIKE one.indkey::text || ' %'
    AND other.indclass::text || ' ' LIKE one.indclass::text || ' %'
    AND one.indpred IS NULL
    AND other.indpred IS NULL
"""
UNUSED = """
SELECT indexrelname FROM pg_stat_user_indexes JOIN pg_index USING (indexrelid)
WHERE schemaname = 'public' AND NOT indisprimary AND idx_scan = 0
"""
# What langgraph-checkpoint-postgres makes and its primary keys serve as well. Its tables are to be as it makes them.
LIBRARYS = {("checkpoints_thread_id_idx", "checkpoints_pkey")} | {
    (f"checkpoint_{table}_thread_id_idx", f"checkpoint_{table}_pkey") for table in ("blobs", "writes")
}


def test_no_index_begins_as_another_one_but_for_the_librarys(database: PostgresDatabase) -> None:
    assert set(database.execute(DOUBLED)) == LIBRARYS


async def test_every_index_serves_a_statement(database: PostgresDatabase) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as conn:
        fill_sessions(conn, SESSIONS)
        for statement in FILL:
            conn.execute(statement.encode())
        conn.execute("SELECT pg_stat_reset()")
    try:
        await use(database)
        wait_for(
            lambda: [name for (name,) in database.execute(UNUSED)],
            lambda names: names == ["nobodys_idx"],
            what="the use of every other index",
            every=0.1,
        )
    finally:
        database.execute("DELETE FROM tenants WHERE role_name LIKE 'nobody%'")
        await drop_tenants(database)


async def use(database: PostgresDatabase) -> None:
    """Do what operator, runner and the library do with the tables."""
    async with open_database(Dsn.parse(database.dsn), application_name="test") as store:
        sessions = store.sessions
        (first, *_) = await sessions.list_by_project("project-7", limit=10)
        assert await sessions.list_by_project("project-7", workflow_version="1.3", limit=10)
        assert await sessions.search("project-7", {"file_path": "data-500.csv"})
        assert await sessions.find("project-7", first.session_name)
        await store.events.append(first.session_uid, 1, [NewEvent("x", {})])
        assert [row.seq async for row in store.trails.export(projects=["project-7"], sessions=[first.session_name])]
        await store.trails.remove_old(399)
        await store.remove_expired()
        assert await store.event_upkeep.list_open(seconds=3600)
        assert await store.turns.find_used_names(first.session_uid, ["t7", "new"]) == {"t7"}
        fence = await store.fences.take(first.thread_id, first.session_uid, 2, "pod")
        await store.carry(fence)
        # The trigger finds the fence by its number.
        config: RunnableConfig = {"configurable": {"thread_id": first.thread_id, "checkpoint_ns": ""}}
        saver = AsyncPostgresSaver(store.pool)
        await saver.adelete_thread(first.thread_id)
        await build_graph(saver).ainvoke({"steps": []}, config)
    async with open_database(Dsn.parse(database.dsn), application_name="test") as store:
        ended = await store.retention.list_ended(
            "project-7", before=datetime.now(UTC), kept=KeptCheckpoints.ALL, limit=10
        )
        await store.retention.remove([one.session_uid for one in ended])
        await store.sessions.delete_session("uid-1")
    tenant = await make_tenant(database, "project-8")
    async with await AsyncConnection.connect(
        tenant.conninfo, autocommit=True, prepare_threshold=0, row_factory=dict_row
    ) as conn:
        memory = AsyncPostgresStore(conn)
        assert await memory.asearch(("project-project-8",), limit=5)
    async with AsyncPostgresStore.from_conn_string(database.dsn) as memory:
        await memory.sweep_ttl()
