"""Poolers that change the names of connections, where the fence is: refused with the remedy, never unfenced."""

import psycopg
import pytest

from agentic_core.errors import SchemaMismatch
from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from agentic_store.errors import Unfenced, translate
from agentic_store.schema_migrations import migrate
from tests.support.pgbouncer import start_pgbouncer
from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import PostgresServer
from tests.support.renaming_pooler import start_renaming_pooler

THREAD = "project-team:session-s"
INSERT = "INSERT INTO checkpoint_blobs VALUES (%s, '', gen_random_uuid(), '1', 't')"


@pytest.fixture
def runner(database: PostgresDatabase) -> str:
    """A login that is a runner's and nothing else, as operators make them."""
    login = "named_runner"
    database.execute(
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{login}')"
        f" THEN CREATE ROLE {login} LOGIN IN ROLE agentic_runner; END IF; END $$"
    )
    return login


async def test_a_connection_without_the_environment_logs_in_by_password(
    database: PostgresDatabase, runner: str
) -> None:
    database.execute(f"ALTER ROLE {runner} PASSWORD 'its own'")
    dsn = Dsn.parse(database.dsn).with_login(runner, "its own").conninfo
    async with open_database(Dsn.parse(dsn, is_isolated=True), application_name="agentic-runner") as store:
        fence = await store.fences.take(THREAD, "uid", 1, "pod")
        await store.carry(fence)


async def test_a_pooler_that_keeps_no_names_is_refused_at_the_start_with_the_remedy(
    database: PostgresDatabase, postgres_server: PostgresServer
) -> None:
    # Also for logins that the database itself holds to nothing.
    async with (
        start_renaming_pooler(postgres_server.port, database.name) as pooler,
        open_database(Dsn.parse(pooler.dsn()), application_name="agentic-runner") as store,
    ):
        fence = await store.fences.take(THREAD, "uid", 1, "pod")
        with pytest.raises(Unfenced, match=r"has arrived as '.*let it keep the name \(docs/clusters.md, Poolers\)"):
            await store.carry(fence)


async def test_a_pooler_that_begins_to_rename_in_the_middle_has_every_later_write_refused(
    database: PostgresDatabase, postgres_server: PostgresServer, runner: str
) -> None:
    async with (
        start_renaming_pooler(postgres_server.port, database.name, role=runner, is_sticky=True) as pooler,
        open_database(Dsn.parse(pooler.dsn()), application_name="agentic-runner", max_size=1) as store,
    ):
        await store.carry(await store.fences.take(THREAD, "uid", 1, "pod"))
        async with store.pool.connection() as conn:
            await conn.execute(INSERT, [THREAD])
            pooler.is_sticky = False
            # It ends with the connection that has the name; the next ones have the pooler's.
            await conn.execute("SELECT 1")
            for _ in range(2):
                with pytest.raises(
                    psycopg.DatabaseError, match="carries no fence: it arrived as 'Supavisor'"
                ) as refused:
                    await conn.execute(INSERT, [THREAD])
                assert isinstance(translate(refused.value), Unfenced)
    assert database.execute("SELECT count(*) FROM checkpoint_blobs") == [(1,)]


async def test_a_pooler_that_appends_to_the_name_does_no_harm(
    database: PostgresDatabase, postgres_server: PostgresServer
) -> None:
    with start_pgbouncer(
        postgres_server, pool_mode="transaction", pool_size=3, more="application_name_add_host = 1"
    ) as pooler:
        async with open_database(Dsn.parse(pooler.dsn(database.name)), application_name="agentic-runner") as store:
            await store.carry(await store.fences.take(THREAD, "uid", 1, "pod"))
            for _ in range(6):
                async with store.pool.connection() as conn:
                    await conn.execute(INSERT, [THREAD])
    with (
        psycopg.connect(database.dsn, application_name="x fence=1/1 - 10.0.0.1:5") as conn,
        pytest.raises(psycopg.DatabaseError, match="superseded"),
    ):
        conn.execute(INSERT, [THREAD])


def test_a_runner_without_a_fence_writes_nothing_and_an_operator_is_not_asked_for_one(
    database: PostgresDatabase, runner: str
) -> None:
    with psycopg.connect(database.dsn, options=f"-c role={runner}", autocommit=True) as conn:
        with pytest.raises(psycopg.DatabaseError, match="carries no fence"):
            conn.execute(INSERT, [THREAD])
        # What empties a thread that is taken anew.
        conn.execute("DELETE FROM checkpoint_blobs WHERE thread_id = %s", [THREAD])
    database.execute(f"GRANT agentic_operator TO {runner}")
    try:
        with psycopg.connect(database.dsn, options=f"-c role={runner}", autocommit=True) as conn:
            conn.execute(INSERT, [THREAD])
    finally:
        database.execute(f"REVOKE agentic_operator FROM {runner}")


async def test_a_database_that_cannot_hold_every_text_is_refused_where_it_is_set_up(
    postgres_server: PostgresServer,
) -> None:
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as conn:
        conn.execute("DROP DATABASE IF EXISTS plain_ascii")
        conn.execute("CREATE DATABASE plain_ascii ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    with pytest.raises(SchemaMismatch, match=r"encoding SQL_ASCII.*ENCODING 'UTF8' TEMPLATE template0"):
        await migrate.up(Dsn.parse(postgres_server.dsn("plain_ascii")))


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("standard_conforming_strings", "off", "SET standard_conforming_strings = on"),
        ("default_transaction_read_only", "on", "RESET default_transaction_read_only"),
        ("search_path", "nowhere", "search_path of .* is 'nowhere', and it may make tables in none"),
    ],
)
async def test_a_database_that_is_set_otherwise_is_refused_with_the_remedy(
    database: PostgresDatabase, setting: str, value: str, said: str
) -> None:
    database.execute(f"ALTER DATABASE {database.name} SET {setting} = {value}")
    with pytest.raises(Exception, match=said):
        await migrate.up(Dsn.parse(database.dsn))


async def test_tables_that_the_search_path_does_not_find_are_told_from_tables_that_are_not_there(
    database: PostgresDatabase, runner: str
) -> None:
    dsn = Dsn.parse(f"{database.dsn} options='-c role={runner} -c search_path=pg_catalog'")
    async with open_database(dsn, application_name="agentic-runner", max_size=1) as store:
        with pytest.raises(SchemaMismatch, match="tables are in schema 'public', which this role's search_path"):
            await store.require_schema()
