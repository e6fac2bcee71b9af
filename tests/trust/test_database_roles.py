"""What a namespace's database role may set and write, and that it stops nobody: neither others nor its own sessions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from agentic_core.errors import AgenticError
from agentic_core.lifecycle import Phase
from agentic_store.connect import connect
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
from agentic_store.session_settings import RELIED_ON
from tests.support.pgbouncer import start_pgbouncer
from tests.support.postgres import PostgresDatabase
from tests.support.store_conformance import a_record
from tests.support.tenants import dropping_tenants, make_tenant

# Each would stop or change every statement of the role's next connections.
SETTINGS = {
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "statement_timeout": "1",
    "lock_timeout": "1",
    "idle_session_timeout": "1",
    "idle_in_transaction_session_timeout": "1",
    "row_security": "off",
    "search_path": "pg_catalog",
    "standard_conforming_strings": "off",
    "synchronous_commit": "off",
    "client_encoding": "LATIN1",
    "DateStyle": "German",
    "TimeZone": "Asia/Kathmandu",
    "bytea_output": "escape",
    "array_nulls": "off",
    "default_tablespace": "nowhere",
    "local_preload_libraries": "nowhere",
    "role": "agentic_tenant",
    "work_mem": "64kB",
    "enable_indexscan": "off",
}


@pytest.fixture
async def tenant(database: PostgresDatabase) -> AsyncIterator[Dsn]:
    async with dropping_tenants(database):
        yield await make_tenant(database, "team")


def say(tenant: Dsn, name: str, value: str) -> None:
    """Let the role set something for its own connections, as the code in its pods may."""
    with closing(psycopg.connect(tenant.conninfo, autocommit=True)) as conn:
        conn.execute(f"ALTER ROLE CURRENT_USER SET {name} = '{value}'".encode())


@asynccontextmanager
async def a_runner(dsn: Dsn) -> AsyncIterator[Database]:
    async with open_database(dsn, application_name="agentic-runner", max_size=2, timeout_seconds=20) as store:
        yield store


@pytest.mark.parametrize("name", SETTINGS)
async def test_what_a_role_says_of_itself_stops_and_changes_nothing(
    database: PostgresDatabase, tenant: Dsn, name: str
) -> None:
    async with open_database(Dsn.parse(database.dsn), application_name="operator") as store:
        await store.sessions.record_session(a_record("s", project="team", uid="uid-s", run=1))
    fresh = database.execute(f"SHOW {name}")
    say(tenant, name, SETTINGS[name])
    async with a_runner(tenant) as store:
        await store.sessions.start_run("uid-s", 1)
        await store.sessions.change_status("uid-s", 1, Phase.WAITING_FOR_INPUT)
        async with store.pool.connection() as conn:
            row = await (await conn.execute(f"SHOW {name}".encode())).fetchone()
    assert row is not None
    if name not in ("search_path", "client_encoding", "TimeZone"):
        assert next(iter(row.values())) == fresh[0][0]
    other = await connect(tenant, application_name="other")
    async with other:
        counted = await other.execute("SELECT count(*) FROM workflow_sessions")
        assert await counted.fetchone() == (1,)


async def test_what_the_administrator_says_stays(database: PostgresDatabase, tenant: Dsn) -> None:
    database.execute(f"ALTER DATABASE {database.name} SET synchronous_commit = remote_write")
    say(tenant, "synchronous_commit", "off")
    async with a_runner(tenant) as store, store.pool.connection() as conn:
        cursor = await conn.execute("SHOW synchronous_commit")
        assert await cursor.fetchone() == {"synchronous_commit": "remote_write"}
    login = f"{database.name}_login"
    database.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'x' IN ROLE agentic_runner")
    try:
        # Of a role that we did not make, what has nothing to do with us is the administrator's, too.
        database.execute(f"ALTER ROLE {login} SET work_mem = '123MB'")
        database.execute(f"ALTER ROLE {login} SET default_transaction_read_only = on")
        dsn = Dsn.parse(database.server.dsn(database.name, user=login, password="x"))
        async with a_runner(dsn) as store, store.pool.connection() as conn:
            cursor = await conn.execute(
                "SELECT current_setting('work_mem') AS m, current_setting('transaction_read_only') AS r"
            )
            assert await cursor.fetchone() == {"m": "123MB", "r": "off"}
    finally:
        database.execute(f"DROP ROLE {login}")


async def test_the_operator_takes_away_what_a_role_said(database: PostgresDatabase, tenant: Dsn) -> None:
    """For connections that a pooler keeps: a new one of them is as the server says."""
    with closing(psycopg.connect(tenant.conninfo, autocommit=True)) as conn:
        conn.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {database.name} SET search_path = nowhere".encode())
    say(tenant, "default_transaction_read_only", "on")
    async with open_database(Dsn.parse(database.dsn), application_name="operator") as store:
        assert set(await store.tenants.settle_roles()) == {tenant.user}
        assert await store.tenants.settle_roles() == []
    with closing(psycopg.connect(tenant.conninfo)) as conn:
        assert conn.execute("SELECT count(*) FROM workflow_sessions").fetchone() == (0,)
        assert conn.execute("SHOW default_transaction_read_only").fetchone() == ("off",)


async def test_a_role_said_so_behind_a_pooler_and_its_sessions_go_on(database: PostgresDatabase, tenant: Dsn) -> None:
    async with open_database(Dsn.parse(database.dsn), application_name="operator") as store:
        await store.sessions.record_session(a_record("s", project="team", uid="uid-s", run=1))
    say(tenant, "default_transaction_read_only", "on")
    known = conninfo_to_dict(tenant.conninfo)
    login = f"dbname={known['dbname']} user={known['user']} password={known['password']}"
    database_line = f"[databases]\nteam = host=127.0.0.1 port={database.server.port} {login}"
    with start_pgbouncer(database.server, pool_mode="transaction", pool_size=2, more=database_line) as bouncer:
        async with a_runner(Dsn.parse(bouncer.dsn("team"))) as runner:
            await runner.sessions.start_run("uid-s", 1)
            await runner.sessions.change_status("uid-s", 1, Phase.WAITING_FOR_INPUT)


async def test_no_role_makes_temporary_tables_before_ours(empty_database: PostgresDatabase) -> None:
    """A pooler lends the same connection to others of the role, whose saves would go there."""
    await migrate.up(Dsn.parse(empty_database.dsn))
    async with dropping_tenants(empty_database):
        tenant = await make_tenant(empty_database, "team")
        with (
            closing(psycopg.connect(tenant.conninfo, autocommit=True)) as conn,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            conn.execute("CREATE TEMPORARY TABLE checkpoints (thread_id text)")


INTO = (
    "INSERT INTO workflow_sessions (session_uid, project_name, session_name, workflow_name, thread_id, {})"
    " VALUES ('u', "
)
OWN = "'team', 's', 'w', 'project-team:session-s', {})"
ROWS = {
    "another project's thread": INTO.format("run") + "'team', 's', 'w', 'project-other:session-s', 1)",
    "an end after all time": INTO.format("status, completed_at") + OWN.format("'failed', 'infinity'"),
    "a start before all time": INTO.format("started_at") + OWN.format("'4713-01-01 BC'"),
}


@pytest.mark.parametrize("statement", ROWS.values(), ids=ROWS)
async def test_rows_that_others_would_stumble_over_are_refused(
    database: PostgresDatabase, tenant: Dsn, statement: str
) -> None:
    with (
        closing(psycopg.connect(tenant.conninfo, autocommit=True)) as conn,
        pytest.raises((psycopg.errors.CheckViolation, psycopg.errors.InsufficientPrivilege)),
    ):
        conn.execute(statement.encode())
    with pytest.raises(psycopg.errors.CheckViolation):
        database.execute(statement)


async def test_a_row_under_another_sessions_uid_does_not_keep_that_one_from_its_row(
    database: PostgresDatabase, tenant: Dsn
) -> None:
    with closing(psycopg.connect(tenant.conninfo, autocommit=True)) as conn:
        conn.execute(
            "INSERT INTO workflow_sessions (session_uid, project_name, session_name, workflow_name, thread_id)"
            " VALUES ('uid-s', 'team', 'impostor', 'w', 'project-team:session-impostor')"
        )
    async with open_database(Dsn.parse(database.dsn), application_name="operator") as store:
        records = [a_record("s", project="other", uid="uid-s"), a_record("t", project="third")]
        assert await store.sessions.record_sessions(records) == 2
        row = await store.sessions.get("uid-s")
    assert row is not None
    assert (row.project_name, row.session_name) == ("other", "s")


def test_every_setting_that_is_put_back_is_one_that_servers_know_or_come_to_know(database: PostgresDatabase) -> None:
    known = {name for (name,) in database.execute("SELECT name FROM pg_settings")}
    assert set(RELIED_ON) - known <= {"transaction_timeout", "idle_session_timeout", "client_connection_check_interval"}


async def test_a_role_that_is_revoked_logs_in_no_more_whatever_it_owns_elsewhere(
    database: PostgresDatabase, tenant: Dsn
) -> None:
    """PostgreSQL drops no role that owns something in another database, and lets everybody in there make something."""
    elsewhere = conninfo_to_dict(tenant.conninfo) | {"dbname": "postgres"}
    with closing(psycopg.connect(make_conninfo("", **elsewhere), autocommit=True)) as conn:
        (number,) = conn.execute("SELECT lo_create(0)").fetchone() or (0,)
    try:
        async with open_database(Dsn.parse(database.dsn), application_name="operator") as store:
            with closing(psycopg.connect(tenant.conninfo, autocommit=True)) as leaked:
                with suppress(AgenticError):
                    await store.tenants.drop_role(tenant.user)
                with pytest.raises(psycopg.Error):
                    leaked.execute("SELECT 1")
            for conninfo in (tenant.conninfo, make_conninfo("", **elsewhere)):
                with pytest.raises(psycopg.OperationalError, match="authentication failed"):
                    psycopg.connect(conninfo)
            # It stays on the list, so that it goes once an administrator has removed what it owns.
            assert [role.role_name for role in await store.tenants.list_roles()] == [tenant.user]
            with closing(psycopg.connect(database.server.dsn(), autocommit=True)) as admin:
                admin.execute(f"SELECT lo_unlink({number})".encode())
            assert await store.tenants.drop_role(tenant.user)
            assert await store.tenants.list_roles() == []
    finally:
        with closing(psycopg.connect(database.server.dsn(), autocommit=True)) as admin:
            admin.execute(f"SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid = {number}".encode())
