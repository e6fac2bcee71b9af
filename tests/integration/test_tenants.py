"""Every namespace gets a login role of its own, made, rotated and removed by an operator that is no superuser."""

import os
import threading
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from agentic_core.errors import PermanentError, Superseded
from agentic_core.lifecycle import Phase
from agentic_core.threads import thread_id
from agentic_runner.checkpoints.project_store import ProjectStore
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.records import NewEvent
from agentic_store.results.output import encode_output
from agentic_store.schema_migrations import migrate
from agentic_store.tenants import memory_label
from tests.integration.test_store_fences import CONFIG, THREAD, build_graph
from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import PostgresServer
from tests.support.store_conformance import a_record
from tests.support.tenants import make_tenant
from tests.support.waiting import wait_for

VERIFIER = "SCRAM-SHA-256$4096:YWFhYQ==$YmJiYg==:Y2NjYw=="


class Managed:
    """A database as a managed service gives it: its owner may create roles and is no superuser, nor is the operator."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self.server = server
        self.name = name
        self.owner = Dsn.parse(server.dsn(name, user=f"{name}_owner", password="x"))
        self.operator = Dsn.parse(server.dsn(name, user=f"{name}_operator", password="x"))

    def execute(self, statement: str, *, user: str = "postgres") -> list[tuple[object, ...]]:
        with psycopg.connect(self.server.dsn(self.name, user=user, password="x"), autocommit=True) as conn:
            cursor = conn.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def managed_server(postgres_server: PostgresServer) -> Iterator[Managed]:
    managed = Managed(postgres_server, f"managed_{os.getpid()}")
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {managed.name}_owner LOGIN PASSWORD 'x' CREATEROLE".encode())
        conn.execute(f"CREATE DATABASE {managed.name} OWNER {managed.name}_owner".encode())
    # From PostgreSQL 16 on, whoever made a role administers it; here another database's owner may have been first.
    for role in ("agentic_operator", "agentic_runner", "agentic_tenant"):
        if managed.execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
            managed.execute(f"GRANT {role} TO {managed.name}_owner WITH ADMIN OPTION")
    _run(migrate.up(managed.owner))
    managed.execute(
        f"CREATE ROLE {managed.name}_operator LOGIN PASSWORD 'x' IN ROLE agentic_operator", user=f"{managed.name}_owner"
    )
    yield managed
    for (tenant,) in managed.execute("SELECT role_name FROM tenants"):
        managed.execute(f"SELECT agentic_drop_tenant('{tenant}')")
    managed.execute(f"DROP OWNED BY {managed.name}_operator")
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as conn:
        conn.execute(f"DROP DATABASE {managed.name} WITH (FORCE)".encode())
        conn.execute(f"DROP ROLE {managed.name}_operator".encode())
        conn.execute(f"DROP OWNED BY {managed.name}_owner".encode())
        conn.execute(f"DROP ROLE {managed.name}_owner".encode())


def _run(coroutine: object) -> None:
    """Run a coroutine from a fixture that a running event loop may surround."""
    import asyncio

    thread = threading.Thread(target=lambda: asyncio.run(coroutine))  # type: ignore[arg-type]  # a coroutine
    thread.start()
    thread.join()


@pytest.fixture
async def managed(managed_server: Managed) -> AsyncIterator[Managed]:
    yield managed_server
    for (role,) in managed_server.execute("SELECT role_name FROM tenants"):
        managed_server.execute(f"SELECT agentic_drop_tenant('{role}')")
    managed_server.execute("TRUNCATE workflow_sessions, thread_fences, checkpoints, store CASCADE")


@pytest.fixture
async def operator_(managed: Managed) -> AsyncIterator[Database]:
    async with open_database(managed.operator, application_name="operator") as opened:
        yield opened


async def log_in(managed: Managed, operator_: Database, namespace: str) -> Dsn:
    made = await operator_.tenants.make_role(namespace)
    return managed.operator.with_login(made.role_name, made.password)


async def test_nothing_stands_in_the_way_of_an_owner_that_may_create_roles(operator_: Database) -> None:
    assert await operator_.tenants.find_obstacle() is None


async def test_a_session_of_a_tenant_from_record_to_deletion(managed: Managed, operator_: Database) -> None:
    dsn = await log_in(managed, operator_, "team")
    await operator_.sessions.record_session(a_record(uid="uid"))

    async with open_database(dsn, application_name="runner") as runner:
        await runner.require_schema(checkpoint_version=len(AsyncPostgresSaver.MIGRATIONS) - 1)
        await runner.fences.take(THREAD, "earlier", 1, "pod")
        fence = await runner.fences.take(THREAD, "uid", 1, "pod")
        await runner.carry(fence)
        await runner.sessions.start_run("uid", 1)
        saver = AsyncPostgresSaver(runner.pool)
        await build_graph(saver).ainvoke({"steps": []}, CONFIG, durability="sync")
        await runner.threads.copy_thread(THREAD, f"{THREAD}-fork")
        assert len(await runner.threads.list_checkpoints(f"{THREAD}-fork")) == 4
        assert await runner.fences.record_failure(fence) == 1
        assert await runner.events.append("uid", 1, [NewEvent("x", {})]) == 1
        await runner.sessions.change_status("uid", 1, Phase.WAITING_FOR_INPUT)
        await runner.sessions.finish("uid", 1, Phase.COMPLETED, output=encode_output({"rows": 3}))
        await saver.adelete_thread(f"{THREAD}-fork")

    row = await operator_.sessions.find("team", "report", with_output=True)
    assert row is not None
    assert row.output_data == {"rows": 3}
    assert await operator_.sessions.delete_session("uid")
    assert managed.execute("SELECT count(*) FROM checkpoints") == [(0,)]


async def test_events_of_a_session_that_is_gone_are_refused_to_tenants_too(
    managed: Managed, operator_: Database
) -> None:
    async with open_database(await log_in(managed, operator_, "team"), application_name="runner") as runner:
        with pytest.raises(Superseded, match="is gone"):
            await runner.events.append("uid", 1, [NewEvent("x", {})])


async def test_a_tenant_that_is_superseded_is_refused_as_anybody(managed: Managed, operator_: Database) -> None:
    async with open_database(await log_in(managed, operator_, "team"), application_name="runner") as runner:
        await runner.carry(await runner.fences.take(THREAD, "uid", 1, "pod"))
        await operator_.sessions.delete_session("uid")
        saver = AsyncPostgresSaver(runner.pool)
        with pytest.raises(psycopg.Error) as refused:
            await build_graph(saver).ainvoke({"steps": []}, CONFIG, durability="sync")
    assert refused.value.sqlstate == "AG001"


async def test_the_password_is_random_and_nowhere_in_clear(managed: Managed, operator_: Database) -> None:
    managed.execute("ALTER SYSTEM SET log_statement = 'all'")
    managed.execute("SELECT pg_reload_conf()")
    try:
        wait_for(
            lambda: managed.execute("SHOW log_statement"), lambda said: said == [("all",)], what="logged statements"
        )
        async with open_database(managed.operator, application_name="operator") as store:
            first, second = await store.tenants.make_role("team"), await store.tenants.make_role("team")
    finally:
        managed.execute("ALTER SYSTEM RESET log_statement")
        managed.execute("SELECT pg_reload_conf()")

    assert first.password != second.password
    assert len(first.password) >= 43
    assert first.password not in repr(first)
    assert "agentic_make_tenant" in managed.server.log
    assert first.password not in managed.server.log
    stored = managed.execute(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{first.role_name}'")
    assert str(stored[0][0]).startswith("SCRAM-SHA-256$")


async def test_a_password_in_clear_is_refused(operator_: Database) -> None:
    async with operator_.pool.connection() as conn:
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="only be given as a SCRAM-SHA-256 verifier"):
            await conn.execute("SELECT agentic_make_tenant('team', 'secret')")


@pytest.mark.parametrize("namespace", ["", "Team", "a_b", "a%", "a:b", "a.b", "-a", "a" * 64, "a'; DROP TABLE tenants"])
async def test_what_is_no_name_of_a_namespace_gets_no_role(operator_: Database, namespace: str) -> None:
    with pytest.raises(PermanentError, match="tenants_namespace_check"):
        await operator_.tenants.make_role(namespace)
    assert await operator_.tenants.list_roles() == []


async def test_the_role_before_works_until_it_is_removed(managed: Managed, operator_: Database) -> None:
    before = await log_in(managed, operator_, "team")
    after = await log_in(managed, operator_, "team")

    roles = await operator_.tenants.list_roles()
    assert [(role.role_name, role.retired_at is None) for role in roles] == [(before.user, False), (after.user, True)]
    assert not await operator_.tenants.is_current(before.user, "team")
    assert await operator_.tenants.is_current(after.user, "team")
    assert not await operator_.tenants.is_current(after.user, "other")
    for dsn in (before, after):
        async with open_database(dsn, application_name="runner") as runner:
            assert await runner.sessions.record_session(a_record()) is (dsn is before)


async def test_a_retired_role_is_seen_while_it_is_connected(managed: Managed, operator_: Database) -> None:
    before = await log_in(managed, operator_, "team")
    async with open_database(before, application_name="runner"):
        await log_in(managed, operator_, "team")
        first = await operator_.tenants.list_roles()
        second = await operator_.tenants.list_roles()
    assert first[0].seen_at is not None
    assert second[0].seen_at is not None
    assert second[0].seen_at > first[0].seen_at


async def test_removing_a_role_disconnects_it_and_drops_what_it_made(managed: Managed, operator_: Database) -> None:
    dsn = await log_in(managed, operator_, "team")
    with psycopg.connect(dsn.conninfo, autocommit=True) as conn:
        conn.execute("SELECT lo_create(0)")

        assert await operator_.tenants.drop_role(dsn.user)

        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(dsn.conninfo)
    assert not await operator_.tenants.drop_role(dsn.user)
    assert await operator_.tenants.list_roles() == []


@pytest.mark.parametrize("role", ["postgres", "agentic_operator", "pg_read_all_data"])
async def test_no_role_but_a_tenants_can_be_removed(operator_: Database, role: str) -> None:
    assert not await operator_.tenants.drop_role(role)


async def test_a_copied_database_lets_no_tenant_of_the_original_in(managed: Managed, operator_: Database) -> None:
    dsn = await log_in(managed, operator_, "team")
    await operator_.sessions.record_session(a_record())
    # What a restored dump looks like.
    managed.execute("UPDATE tenants SET database_name = 'original'")

    async with open_database(dsn, application_name="runner") as runner:
        assert await runner.sessions.list_by_project("team") == []
    assert [role.is_valid for role in await operator_.tenants.list_roles()] == [False]
    assert not await operator_.tenants.is_current(dsn.user, "team")
    assert await operator_.tenants.drop_role(dsn.user)
    # The role is the original's, and stays.
    psycopg.connect(dsn.conninfo).close()
    managed.execute(f"DROP ROLE {dsn.user}")


@pytest.mark.parametrize(
    "call",
    [
        f"SELECT agentic_make_tenant('other', '{VERIFIER}')",
        "SELECT agentic_drop_tenant('postgres')",
        "SELECT agentic_tenancy_obstacle()",
        "UPDATE tenants SET namespace = 'other'",
        "INSERT INTO tenants (role_name, namespace) VALUES (current_user, 'other')",
        "DELETE FROM tenants",
    ],
)
async def test_tenants_make_no_tenants(managed: Managed, operator_: Database, call: str) -> None:
    dsn = await log_in(managed, operator_, "team")
    with psycopg.connect(dsn.conninfo) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(call.encode())


async def test_an_owner_that_may_not_create_roles_is_told_what_to_run(managed: Managed, operator_: Database) -> None:
    managed.execute(f"ALTER ROLE {managed.name}_owner NOCREATEROLE")
    try:
        obstacle = await operator_.tenants.find_obstacle()
    finally:
        managed.execute(f"ALTER ROLE {managed.name}_owner CREATEROLE")
    assert obstacle is not None
    assert f"ALTER ROLE {managed.name}_owner CREATEROLE" in obstacle


async def test_projects_keep_their_long_term_memory_apart(managed: Managed, operator_: Database) -> None:
    found = {}
    for namespace in ("a", "a-b"):
        dsn = await log_in(managed, operator_, namespace)
        async with open_database(dsn, application_name="runner") as runner:
            memory = ProjectStore(runner.pool, label=memory_label(namespace))
            await memory.aput(("users", "u1"), "colour", {"is": namespace})
            await memory.aput(("users", "u2"), "colour", {"is": namespace})
            item = await memory.aget(("users", "u1"), "colour")
            assert item is not None
            assert (item.namespace, item.value) == (("users", "u1"), {"is": namespace})
            hits = await memory.asearch(("users",), filter={"is": namespace})
            assert {hit.namespace for hit in hits} == {("users", "u1"), ("users", "u2")}
            assert await memory.alist_namespaces(prefix=("users",), max_depth=1) == [("users",)]
            assert await memory.alist_namespaces(suffix=("u2",)) == [("users", "u2")]
            await memory.adelete(("users", "u2"), "colour")
            found[namespace] = [hit.value for hit in await memory.asearch(())]
    assert found == {"a": [{"is": "a"}], "a-b": [{"is": "a-b"}]}

    assert await operator_.tenants.purge_memory("a") == 1
    assert managed.execute("SELECT prefix FROM store") == [("project-a-b.users.u1",)]


async def test_the_login_of_a_namespace_reads_its_private_sessions_too(managed: Managed, operator_: Database) -> None:
    """What holds today: a private thread is a thread of its own, and no boundary within the namespace."""
    dsn = await log_in(managed, operator_, "team")
    private = a_record("mine", thread_id=thread_id("team", "mine", "ann"))
    assert await operator_.sessions.record_session(private)
    assert await operator_.sessions.record_session(a_record("mine", project="other"))

    async with open_database(dsn, application_name="runner") as runner:
        assert await runner.sessions.get(private.session_uid) is not None
        assert await runner.sessions.get("uid-other-mine") is None


async def test_every_table_has_row_level_security(database: PostgresDatabase) -> None:
    found = database.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        " AND NOT (relrowsecurity AND EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = pg_class.oid))"
    )
    assert found == []


async def test_without_row_level_security_no_tenant_has_a_right_left(database: PostgresDatabase) -> None:
    dsn = await make_tenant(database, "team")

    await migrate.down(Dsn.parse(database.dsn), to=5, confirm=database.name)

    assert database.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", [dsn.user]) == [(0,)]
    granted = "SELECT relname FROM pg_class, aclexplode(relacl) WHERE grantee = 'agentic_tenant'::regrole"
    assert database.execute(granted) == []
