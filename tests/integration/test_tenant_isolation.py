"""With one tenant's real credentials, everything that might read, change or notice another's rows.

The other tenants have names that begin alike or hold what are wildcards elsewhere. What PostgreSQL tells every role
nevertheless is listed in docs/tenancy.md, and shown at the end.
"""

import contextlib
import os
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg

from agentic_core.errors import AgenticError
from agentic_core.lifecycle import Phase
from agentic_core.threads import thread_id
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.records import NewEvent
from agentic_store.results.output import encode_output
from agentic_store.signals import hint_for
from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import PostgresServer
from tests.support.store_conformance import a_record
from tests.support.tenants import drop_tenants, make_tenant
from tests.support.waiting import PATIENCE_SECONDS

OWN = "a"
OTHERS = ("a-b", "ab", "b")
TABLES = (
    "checkpoints",
    "checkpoint_blobs",
    "checkpoint_writes",
    "thread_fences",
    "workflow_sessions",
    "session_events",
)
SECRET = "only-for-b"
SAVED = (
    "INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint) VALUES (%(thread)s, 'c1', %(json)s)",
    "INSERT INTO checkpoint_blobs (thread_id, channel, version, type, blob) VALUES (%(thread)s, 'c', '1', '', %(raw)s)",
    (
        "INSERT INTO checkpoint_writes (thread_id, checkpoint_id, task_id, idx, channel, blob)"
        " VALUES (%(thread)s, 'c1', 't', 0, 'c', %(raw)s)"
    ),
    "INSERT INTO store (prefix, key, value) VALUES (%(prefix)s, 'k', %(json)s)",
)
THREAD_B = thread_id("b", "report")
# Without a fence nothing of a tenant's is written at all, whosever thread it is.
CARRY = "SELECT set_config('application_name', 'x fence=' || number || '/' || epoch, false) FROM thread_fences"


async def fill(store: Database, namespace: str) -> None:
    """Give a namespace a session with an event, a fence, checkpoints and an item of the long-term store."""
    record = a_record(project=namespace, input_data={"text": f"only-for-{namespace}"})
    await store.sessions.record_session(record)
    await store.fences.take(record.thread_id, record.session_uid, 1, "pod")
    await store.events.append(record.session_uid, 1, [NewEvent("log", {"text": f"only-for-{namespace}"})])
    params = {
        "thread": record.thread_id,
        "json": f'{{"text": "only-for-{namespace}"}}',
        "raw": f"only-for-{namespace}".encode(),
        "prefix": f"project-{namespace}.x",
    }
    async with store.pool.connection() as conn:
        for statement in SAVED:
            await conn.execute(statement.encode(), params)
    await store.sessions.finish(record.session_uid, 1, Phase.COMPLETED, output=encode_output(params["json"]))


@pytest.fixture(scope="module")
def shared(postgres_server: PostgresServer, migrated_template: str) -> Iterator[PostgresDatabase]:
    database = PostgresDatabase(postgres_server, f"isolation_{os.getpid()}")
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {database.name} TEMPLATE {migrated_template}".encode())
    yield database
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as conn:
        conn.execute(f"DROP DATABASE {database.name} WITH (FORCE)".encode())


@pytest.fixture
async def login(shared: PostgresDatabase) -> AsyncIterator[Dsn]:
    """Tenant ``a``'s login, beside others' rows."""
    async with open_database(Dsn.parse(shared.dsn), application_name="operator") as store:
        for namespace in (OWN, *OTHERS):
            await fill(store, namespace)
    yield await make_tenant(shared, OWN)
    await drop_tenants(shared)
    shared.execute(
        "TRUNCATE checkpoints, checkpoint_blobs, checkpoint_writes, store, thread_fences, workflow_sessions CASCADE"
    )


@pytest.fixture
async def tenant(login: Dsn, shared: PostgresDatabase) -> AsyncIterator[Dsn]:
    """The same; at the end, nothing of the others may have changed."""
    await make_tenant(shared, "b")
    before = others_rows(shared)
    yield login
    assert others_rows(shared) == before


def others_rows(database: PostgresDatabase) -> list[str]:
    """Return everything that belongs to others, as text."""
    found = []
    for table in (*TABLES, "store"):
        for (row,) in database.execute(f"SELECT t::text FROM {table} AS t"):
            if any(mark in row for name in OTHERS for mark in (f"project-{name}:", f"project-{name}.", f"uid-{name}-")):
                found.append(f"{table} {row}")
    return sorted(found)


def run(dsn: Dsn, *statements: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run statements in one connection, under the fence of the own thread, and return the rows of the last."""
    with psycopg.connect(dsn.conninfo, autocommit=True) as conn:
        conn.execute(CARRY, prepare=False)
        for statement in statements[:-1]:
            conn.execute(statement.encode())
        cursor = conn.execute(statements[-1].encode(), params or None)
        return cursor.fetchall() if cursor.description else []


async def test_every_table_holds_the_own_rows_and_no_others(tenant: Dsn) -> None:
    for table in TABLES:
        assert run(tenant, f"SELECT count(*) FROM {table}") == [(1,)], table
        rows = str(run(tenant, f"SELECT t::text FROM {table} AS t"))
        assert not any(mark in rows for mark in ("only-for-a-b", "only-for-ab", SECRET, "uid-b", "project-b")), table


READS = [
    "SELECT * FROM checkpoints WHERE thread_id = '{thread}'",
    "SELECT * FROM checkpoints WHERE thread_id LIKE 'project-_:%' AND thread_id NOT LIKE 'project-a:%'",
    "SELECT * FROM checkpoints WHERE thread_id LIKE 'project-a-%'",
    "SELECT * FROM checkpoints WHERE thread_id SIMILAR TO 'project-(b|ab):%'",
    "SELECT * FROM checkpoints WHERE thread_id ~ '^project-b'",
    "SELECT * FROM checkpoints WHERE thread_id > 'project-a:z'",
    "SELECT * FROM checkpoints AS c RIGHT JOIN checkpoint_blobs AS b USING (thread_id) WHERE b.thread_id = '{thread}'",
    "SELECT * FROM (SELECT * FROM checkpoints UNION ALL SELECT * FROM checkpoints) AS c WHERE thread_id = '{thread}'",
    "WITH c AS MATERIALIZED (TABLE checkpoint_writes) SELECT * FROM c WHERE thread_id = '{thread}'",
    "SELECT * FROM checkpoint_blobs WHERE thread_id = ANY(ARRAY['{thread}', 'project-ab:session-report'])",
    "SELECT * FROM checkpoints TABLESAMPLE SYSTEM (100) WHERE thread_id = '{thread}'",
    "SELECT * FROM checkpoints WHERE ctid IN ('(0,1)', '(0,2)', '(0,3)', '(0,4)') AND thread_id = '{thread}'",
    "SELECT * FROM ONLY checkpoints WHERE thread_id = '{thread}' FOR UPDATE",
    "SELECT * FROM thread_fences WHERE thread_id = '{thread}' FOR SHARE NOWAIT",
    "SELECT * FROM workflow_sessions WHERE session_uid = 'uid-b-report'",
    "SELECT * FROM workflow_sessions WHERE project_name = 'b' OR true AND session_uid = 'uid-b-report'",
    'SELECT * FROM workflow_sessions WHERE input_data @> \'{{"text": "only-for-b"}}\'',
    "SELECT * FROM session_events LEFT JOIN workflow_sessions USING (session_uid) WHERE session_uid = 'uid-b-report'",
    "SELECT * FROM session_events WHERE session_uid IN (VALUES ('uid-b-report'))",
    "SELECT * FROM store WHERE prefix LIKE 'project-b%' OR prefix LIKE 'project-a-b%' OR prefix LIKE 'project-ab%'",
    "SELECT role_name, namespace FROM tenants WHERE namespace <> 'a'",
    "UPDATE workflow_sessions SET status = 'failed' WHERE project_name = 'b' RETURNING *",
    "DELETE FROM checkpoints WHERE thread_id = '{thread}' RETURNING *",
    "DELETE FROM checkpoints USING checkpoint_blobs AS b WHERE b.thread_id = '{thread}' RETURNING b.*",
    (
        "SELECT * FROM query_to_xml('SELECT * FROM checkpoints WHERE thread_id = ''{thread}''', true, true, '') AS x"
        " WHERE x::text LIKE '%project-b%'"
    ),
    "SELECT * FROM table_to_xml('workflow_sessions', true, true, '') AS x WHERE x::text LIKE '%only-for-b%'",
    "SELECT * FROM ts_stat('SELECT to_tsvector(input_data) FROM workflow_sessions') WHERE word LIKE '%for-b%'",
    "SELECT * FROM pg_stats WHERE tablename IN ('checkpoints', 'workflow_sessions', 'store', 'thread_fences')",
    "SELECT * FROM pg_prepared_statements WHERE statement LIKE '%project-b%'",
    "SELECT * FROM pg_largeobject_metadata",
]


async def test_no_statement_returns_a_row_of_another(tenant: Dsn) -> None:
    returned = {}
    for statement in READS:
        # Some servers are built without XML.
        with contextlib.suppress(pg.FeatureNotSupported):
            if found := run(tenant, statement.format(thread=THREAD_B)):
                returned[statement] = found
    assert returned == {}


WITHOUT_EFFECT = [
    "UPDATE checkpoints SET checkpoint = '{}' WHERE thread_id <> 'project-a:session-report'",
    "UPDATE checkpoint_blobs SET blob = '' WHERE thread_id LIKE '%'",
    "UPDATE thread_fences SET epoch = 999 WHERE true",
    "UPDATE workflow_sessions SET output_data = '{}' WHERE true",
    "UPDATE store SET value = '{}'",
    "DELETE FROM checkpoints",
    "DELETE FROM checkpoint_writes",
    "DELETE FROM store",
    "WITH gone AS (DELETE FROM checkpoint_blobs RETURNING *) SELECT count(*) FROM gone",
    "NOTIFY agentic_session_events, 'forged'",
]


async def test_a_change_of_all_rows_is_one_of_the_own(tenant: Dsn) -> None:
    # The fixture compares the others' rows at the end.
    for statement in WITHOUT_EFFECT:
        run(tenant, statement)


REFUSED = [
    # Rows for others, and rows that claim things of others.
    f"INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint) VALUES ('{THREAD_B}', 'new', '{{}}')",
    (
        f"INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint) VALUES ('{THREAD_B}', 'c1', '{{}}')"
        " ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id) DO UPDATE SET checkpoint = excluded.checkpoint"
    ),
    "INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint) VALUES ('project-a', 'c', '{}')",
    "INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint) VALUES ('project-a-b:session-x', 'c', '{}')",
    "INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint) VALUES ('', 'c', '{}')",
    f"UPDATE checkpoints SET thread_id = '{THREAD_B}'",
    f"INSERT INTO thread_fences (thread_id, session_uid, epoch, run, holder) VALUES ('{THREAD_B}', 'x', 1, 1, 'x')",
    (
        f"INSERT INTO thread_fences (thread_id, session_uid, epoch, run, holder) VALUES ('{THREAD_B}', 'x', 1, 1, 'x')"
        " ON CONFLICT (thread_id) DO NOTHING"
    ),
    "UPDATE thread_fences SET number = 1",
    (
        "INSERT INTO thread_fences (thread_id, session_uid, epoch, run, holder, number)"
        " VALUES ('project-a:session-y', 'y', 1, 1, 'x', 1)"
    ),
    (
        "INSERT INTO workflow_sessions (session_uid, project_name, session_name, workflow_name, thread_id)"
        " VALUES ('new', 'b', 'new', 'w', 'project-b:session-new')"
    ),
    (
        f"INSERT INTO workflow_sessions (session_uid, project_name, session_name, workflow_name, thread_id)"
        f" VALUES ('new', 'a', 'new', 'w', '{THREAD_B}')"
    ),
    f"UPDATE workflow_sessions SET thread_id = '{THREAD_B}'",
    "UPDATE workflow_sessions SET project_name = 'b'",
    "UPDATE workflow_sessions SET session_uid = 'uid-b-report'",
    "INSERT INTO session_events (session_uid, seq, run, type) VALUES ('uid-b-report', 2, 1, 'forged')",
    "INSERT INTO session_events (session_uid, seq, run, type) VALUES ('uid-nobody', 1, 1, 'forged')",
    "INSERT INTO store (prefix, key, value) VALUES ('project-b.x', 'k2', '1')",
    "INSERT INTO store (prefix, key, value) VALUES ('x', 'k2', '1')",
    # Other ways to rows.
    "SET row_security = off; SELECT * FROM checkpoints",
    "COPY checkpoints FROM STDIN",
    "COPY workflow_sessions TO '/tmp/rows'",
    "COPY (SELECT 1) TO PROGRAM 'id'",
    "SELECT pg_read_file('pg_hba.conf')",
    "SELECT pg_ls_dir('base')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '/tmp/x')",
    "SELECT * FROM pg_statistic",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_largeobject",
    "TRUNCATE checkpoints",
    # Becoming somebody else.
    "SET ROLE agentic_operator",
    "SET ROLE agentic_runner",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "SELECT set_config('role', 'agentic_operator', false)",
    "SELECT set_config('session_authorization', 'postgres', false)",
    "GRANT agentic_operator TO CURRENT_USER",
    "CREATE ROLE mine IN ROLE agentic_operator",
    "ALTER ROLE CURRENT_USER BYPASSRLS",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "SET ROLE agentic_tenant; ALTER TABLE checkpoints DISABLE ROW LEVEL SECURITY",
    # The rules themselves.
    "ALTER TABLE checkpoints DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE checkpoints DISABLE TRIGGER agentic_fence",
    "CREATE POLICY mine ON checkpoints USING (true)",
    "DROP POLICY agentic_own ON checkpoints",
    "ALTER POLICY agentic_own ON checkpoints USING (true)",
    "UPDATE tenants SET namespace = 'b'",
    "INSERT INTO tenants (role_name, namespace) VALUES (current_user, 'b')",
    "SELECT made_at FROM tenants",
    "SELECT agentic_make_tenant('b', 'x')",
    # Traps for others.
    "CREATE TABLE trap (v int)",
    "CREATE FUNCTION public.starts_with(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
    "CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq)",
    "CREATE VIEW public.seen AS SELECT * FROM checkpoints",
    "CREATE TRIGGER seen AFTER INSERT ON checkpoints EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE RULE seen AS ON INSERT TO checkpoints DO ALSO NOTIFY seen",
    "CREATE INDEX ON checkpoints (thread_id)",
    "CREATE STATISTICS seen ON thread_id, type FROM checkpoints",
    "CREATE PUBLICATION seen FOR TABLE checkpoints",
    "CREATE SCHEMA mine",
    "CREATE EXTENSION file_fdw",
    "CREATE EVENT TRIGGER seen ON ddl_command_end EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "COMMENT ON TABLE checkpoints IS 'x'",
    "ALTER DATABASE postgres SET search_path = pg_temp",
    "SELECT setval('thread_fence_epochs', 1)",
    "SELECT pg_reload_conf()",
    "LOAD 'plpgsql'",
]


async def test_what_would_reach_others_is_refused_for_want_of_rights(tenant: Dsn) -> None:
    allowed = {}
    for statement in REFUSED:
        try:
            allowed[statement] = str(run(tenant, *statement.split("; ")))
        except (pg.InsufficientPrivilege, pg.FeatureNotSupported) as refused:
            if any(text in str(refused) for text in (SECRET, "already exists", "(c1)", "is at epoch")):
                allowed[statement] = str(refused)
    assert allowed == {}


async def test_an_error_tells_the_same_of_rows_that_are_there_and_that_are_not(tenant: Dsn) -> None:
    said: dict[str, set[str]] = {}
    for kind, statement in (
        ("checkpoint", "INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint) VALUES ('{}', 'c1', '{{}}')"),
        (
            "fence",
            "INSERT INTO thread_fences (thread_id, session_uid, epoch, run, holder) VALUES ('{}', 'u', 1, 1, '')",
        ),
        ("event", "INSERT INTO session_events (session_uid, seq, run, type) VALUES ('{}', 1, 1, 'x')"),
    ):
        there, absent = ("uid-b-report", "uid-b-nobody") if kind == "event" else (THREAD_B, f"{THREAD_B}-nobody")
        for name in (there, absent):
            with pytest.raises(pg.InsufficientPrivilege) as refused:
                run(tenant, statement.format(name))
            said.setdefault(kind, set()).add(str(refused.value))
    assert {kind: len(texts) for kind, texts in said.items()} == {"checkpoint": 1, "fence": 1, "event": 1}


async def test_functions_and_operators_of_ones_own_see_no_value_of_another(tenant: Dsn) -> None:
    with psycopg.connect(tenant.conninfo, autocommit=True) as conn:
        noticed: list[str] = []
        conn.add_notice_handler(lambda notice: noticed.append(notice.message_primary or ""))
        conn.execute(
            "CREATE FUNCTION pg_temp.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS"
            " $$ BEGIN RAISE NOTICE 'seen %', $1; RETURN true; END $$"
        )
        conn.execute(
            "CREATE FUNCTION pg_temp.both(text, text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS"
            " $$ BEGIN RAISE NOTICE 'seen %', $1; RETURN true; END $$"
        )
        conn.execute("CREATE OPERATOR pg_temp.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.both)")
        conn.execute("SELECT * FROM checkpoints WHERE pg_temp.tell(thread_id)")
        conn.execute("SELECT * FROM checkpoints WHERE thread_id OPERATOR(pg_temp.===) 'x'")
        conn.execute("SELECT * FROM workflow_sessions WHERE pg_temp.tell(input_data::text) OR false")
        conn.execute(
            "SELECT * FROM checkpoint_blobs AS x JOIN checkpoints AS y ON pg_temp.both(x.thread_id, y.thread_id)"
        )
        conn.execute("UPDATE store SET value = value WHERE pg_temp.tell(value::text)")
        with pytest.raises(pg.InsufficientPrivilege):
            conn.execute("CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE sql LEAKPROOF AS 'SELECT true'")
        # An error that quotes a value, in a condition that the planner would like to try first.
        conn.execute("SELECT * FROM workflow_sessions WHERE 1 / (CASE WHEN project_name = 'b' THEN 0 ELSE 1 END) = 1")
    assert noticed
    assert not any(mark in text for text in noticed for mark in ("project-b", "project-ab", "project-a-b", SECRET))


async def test_temporary_objects_that_hide_ours_hide_them_from_their_maker_alone(tenant: Dsn) -> None:
    hidden = (
        "CREATE TEMP TABLE tenants (role_name name, namespace text, database_name name)",
        "INSERT INTO tenants VALUES (current_user, 'b', current_database())",
        "CREATE TEMP TABLE thread_fences AS SELECT 'project-b:session-report' AS thread_id, 1 AS epoch",
        "SET search_path = pg_temp, public",
    )
    assert run(tenant, *hidden, "SELECT thread_id FROM public.checkpoints") == [("project-a:session-report",)]


async def test_settings_say_nothing_about_who_one_is(tenant: Dsn, shared: PostgresDatabase) -> None:
    fence = shared.execute("SELECT number, epoch FROM thread_fences WHERE thread_id = %s", [THREAD_B])[0]
    claims = (
        f"SET agentic.thread_id = '{THREAD_B}'",
        f"SET agentic.epoch = '{fence[1]}'",
        "SET agentic.tenant = 'b'",
        f"SET application_name = 'agentic-runner fence={fence[0]}/{fence[1]}'",
    )
    assert run(tenant, *claims, "SELECT project_name FROM workflow_sessions") == [("a",)]
    # A foreign fence is one that does not exist: its epoch is not told.
    with pytest.raises(psycopg.Error, match=r"is at epoch none") as refused:
        run(tenant, *claims, "DELETE FROM checkpoints")
    assert refused.value.sqlstate == "AG001"


async def test_the_stores_own_calls_find_nothing_of_another(tenant: Dsn) -> None:
    async with open_database(tenant, application_name="runner") as store:
        assert await store.sessions.find("b", "report", with_output=True) is None
        assert await store.sessions.get("uid-b-report") is None
        assert await store.sessions.list_by_project("b") == []
        assert await store.sessions.search("b", {"text": SECRET}) == []
        assert await store.sessions.fetch_session_uids() == {"uid-a-report"}
        assert await store.events.read("uid-b-report") == []
        assert await store.threads.list_checkpoints(THREAD_B) == []
        for attempt in (
            store.fences.take(THREAD_B, "uid", 9, "thief"),
            store.threads.copy_thread(THREAD_B, "project-a:session-copy"),
            store.threads.copy_thread("project-a:session-report", "project-b:session-copy"),
            store.events.append("uid-b-report", 1, [NewEvent("forged", {})]),
            store.sessions.update_output("uid-b-report", 1, ["a"], 1),
            store.sessions.record_session(a_record(project="b", session_uid="new")),
        ):
            with pytest.raises(AgenticError):
                await attempt


async def test_locks_of_one_tenant_hold_up_no_other(login: Dsn, shared: PostgresDatabase) -> None:
    other = await make_tenant(shared, "b")
    with psycopg.connect(login.conninfo) as holder:
        # All that one sees, and the locks that an earlier version took.
        holder.execute("SELECT * FROM thread_fences, checkpoints, workflow_sessions FOR UPDATE")
        for number in (20_250_101, 20_250_102):
            for name in (THREAD_B, "uid-b-report"):
                holder.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", (number, name))
        async with open_database(other, application_name="runner", operation_seconds=5) as runner:
            fence = await runner.fences.take(THREAD_B, "uid-b-report", 2, "pod")
            await runner.carry(fence)
            assert await runner.events.append("uid-b-report", 2, [NewEvent("x", {})]) == 2


async def test_a_notification_names_nobody(login: Dsn, shared: PostgresDatabase) -> None:
    with psycopg.connect(login.conninfo, autocommit=True) as listener:
        listener.execute("LISTEN agentic_session_events")
        async with open_database(Dsn.parse(shared.dsn), application_name="operator") as store:
            await store.interest.state(["uid-b-report"])
            await store.events.append("uid-b-report", 1, [NewEvent("x", {})])
        (notification,) = list(listener.notifies(timeout=PATIENCE_SECONDS, stop_after=1))
    assert notification.payload == hint_for("uid-b-report")
    assert re.fullmatch("[0-9a-f]{32}", notification.payload)


async def test_what_a_tenant_can_do_to_all_others_at_once(tenant: Dsn, shared: PostgresDatabase) -> None:
    """Whoever may delete rows of a table may lock all of it: that, too, is on the list."""
    with psycopg.connect(tenant.conninfo) as holder, psycopg.connect(shared.dsn) as other:
        holder.execute("LOCK TABLE checkpoints IN ACCESS EXCLUSIVE MODE")
        other.execute("SET lock_timeout = '50ms'")
        with pytest.raises(pg.LockNotAvailable):
            other.execute("SELECT * FROM checkpoints")


async def test_what_every_role_of_the_database_is_told(tenant: Dsn, shared: PostgresDatabase) -> None:
    """The other side of the list in docs/tenancy.md: where this fails, the list wants a change."""
    with psycopg.connect(shared.dsn, application_name="agentic-runner fence=1/2"):
        connected = run(
            tenant,
            "SELECT application_name, query, client_addr, backend_start FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename <> current_user"
            " AND application_name LIKE 'agentic-runner%'",
        )
    assert connected == [("agentic-runner fence=1/2", "<insufficient privilege>", None, None)]
    shared.execute("ANALYZE checkpoints")
    plan = "\n".join(line for (line,) in run(tenant, "EXPLAIN (ANALYZE, COSTS OFF) SELECT * FROM checkpoints"))
    assert "Rows Removed by Filter: 3" in plan
    assert run(tenant, "SELECT reltuples FROM pg_class WHERE relname = 'checkpoints'") == [(4.0,)]
    names = [name for (name,) in run(tenant, "SELECT rolname FROM pg_roles WHERE rolname LIKE 'agentic_tenant_%'")]
    assert all(len(name) == len("agentic_tenant_") + 16 for name in names)
    taken = "INSERT INTO workflow_sessions (session_uid, project_name, session_name, workflow_name, thread_id) VALUES ('{}', 'a', 'x', 'w', 'project-a:session-x')"  # fmt: skip  # noqa: E501
    with pytest.raises(pg.UniqueViolation) as refused:
        run(tenant, taken.format("uid-b-report"))
    assert refused.value.diag.message_detail is None
