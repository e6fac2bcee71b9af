"""The operator gives every namespace a database role of its own: its Secret, its rotation, its end."""

import base64
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import psycopg
import pytest

from agentic_core.errors import TransientError
from agentic_operator.config import Settings
from agentic_operator.kube.client import Kube, open_kube
from agentic_operator.kube.connection import read_kubeconfig
from agentic_operator.namespaces.database_logins import DatabaseLogins
from agentic_operator.namespaces.role_cleanup import RoleCleanup
from agentic_operator.variables import Tenancy
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from tests.support.kube import SYSTEM, Json, Space
from tests.support.postgres import PostgresDatabase
from tests.support.tenants import dropping_tenants
from tests.support.waiting import wait_for


@pytest.fixture
async def store(database: PostgresDatabase) -> AsyncIterator[Database]:
    async with (
        dropping_tenants(database),
        open_database(Dsn.parse(database.dsn), application_name="operator") as opened,
    ):
        yield opened


@pytest.fixture
async def kube(space: Space) -> AsyncIterator[Kube]:
    kubeconfig = space.plane.kubeconfig_for_service_account(SYSTEM, "agentic-operator")
    async with open_kube(read_kubeconfig(kubeconfig)) as opened:
        yield opened


@pytest.fixture
def settings(database: PostgresDatabase, space: Space) -> Iterator[Settings]:
    """The shared connection string is that of the test's database."""
    file = space.folder / "dsn"
    file.write_text(database.dsn)
    path = f"/api/v1/namespaces/{SYSTEM}/secrets/agentic-postgres-runner"
    before = space.plane.request("GET", path)["data"]
    shared = f"postgresql://runner:x@127.0.0.1:{database.server.port}/{database.name}?connect_timeout=10"
    space.plane.request("PATCH", path, {"data": {"dsn": base64.b64encode(shared.encode()).decode()}})
    yield Settings(namespace=SYSTEM, postgres_file=file, watch_namespaces=(space.name,))
    space.plane.request("PATCH", path, {"data": before})


def secret_of(space: Space) -> Json:
    return space.plane.request("GET", f"/api/v1/namespaces/{space.name}/secrets/agentic-postgres")


def dsn_of(space: Space) -> Dsn:
    return Dsn.parse(base64.b64decode(secret_of(space)["data"]["dsn"]).decode())


def annotate(space: Space, value: str) -> None:
    body = {"metadata": {"annotations": {"agentic-operator.dev/rotate-credentials": value}}}
    space.plane.request("PATCH", f"/api/v1/namespaces/{space.name}", body)


def namespace_seen_by(dsn: Dsn) -> list[tuple[str, ...]]:
    with psycopg.connect(dsn.conninfo) as conn:
        return conn.execute("SELECT namespace FROM tenants").fetchall()


async def test_the_secret_of_a_namespace_lets_its_runners_in_as_nobody_else(
    space: Space, store: Database, kube: Kube, settings: Settings
) -> None:
    logins = DatabaseLogins(kube, settings, store.tenants)

    await logins.place(space.name)

    dsn = dsn_of(space)
    assert namespace_seen_by(dsn) == [(space.name,)]
    secret = secret_of(space)
    assert secret["metadata"]["annotations"] == {"agentic-operator.dev/database-role": dsn.user}
    await logins.place(space.name)
    assert secret_of(space)["metadata"]["resourceVersion"] == secret["metadata"]["resourceVersion"]


async def test_without_a_shared_secret_runners_reach_the_database_as_the_operator_does(
    space: Space, store: Database, settings: Settings
) -> None:
    async with open_kube(read_kubeconfig(space.plane.kubeconfig)) as kube:
        await DatabaseLogins(kube, replace(settings, namespace=space.name), store.tenants).place(space.name)

    assert settings.postgres_file is not None
    assert (
        dsn_of(space).describe()
        == Dsn.parse(settings.postgres_file.read_text()).with_login(dsn_of(space).user, "").describe()
    )
    assert namespace_seen_by(dsn_of(space)) == [(space.name,)]


async def test_where_the_database_moves_the_namespaces_login_follows(
    space: Space, store: Database, kube: Kube, settings: Settings
) -> None:
    logins = DatabaseLogins(kube, settings, store.tenants)
    await logins.place(space.name)
    before = dsn_of(space)
    path = f"/api/v1/namespaces/{SYSTEM}/secrets/agentic-postgres-runner"
    moved = base64.b64encode(b"postgresql://runner:x@pooler:6432/agentic?sslmode=verify-full").decode()
    space.plane.request("PATCH", path, {"data": {"dsn": moved}})

    await logins.place(space.name)

    after = dsn_of(space)
    assert (after.host, after.port, after.dbname) == ("pooler", "6432", "agentic")
    assert "sslmode=verify-full" in after.conninfo
    assert after.with_login_of(before) == after


async def test_a_role_that_is_not_there_any_more_is_made_anew(
    space: Space, store: Database, kube: Kube, settings: Settings
) -> None:
    logins = DatabaseLogins(kube, settings, store.tenants)
    await logins.place(space.name)
    lost = dsn_of(space)
    await store.tenants.drop_role(lost.user)

    await logins.place(space.name)

    assert dsn_of(space).user != lost.user
    assert namespace_seen_by(dsn_of(space)) == [(space.name,)]


async def test_a_secret_that_somebody_else_made_is_left_alone(
    space: Space, store: Database, kube: Kube, settings: Settings
) -> None:
    body = {"metadata": {"name": "agentic-postgres"}, "stringData": {"dsn": "postgresql://own@db/own"}}
    space.plane.request("POST", f"/api/v1/namespaces/{space.name}/secrets", body)
    annotate(space, "now")

    logins = DatabaseLogins(kube, settings, store.tenants)
    await logins.place(space.name)
    await RoleCleanup(kube, logins, (space.name,), purges_memory=False, now=kube.clock.now).run_once()

    assert dsn_of(space).user == "own"
    assert await store.tenants.list_roles() == []


async def test_a_rotation_happens_once_and_leaves_the_role_before_to_running_pods(
    space: Space, store: Database, kube: Kube, settings: Settings
) -> None:
    logins = DatabaseLogins(kube, settings, store.tenants)
    keeper = RoleCleanup(kube, logins, (space.name,), purges_memory=False, now=kube.clock.now)
    await logins.place(space.name)
    before = dsn_of(space)
    with psycopg.connect(before.conninfo) as running:
        annotate(space, "2026-03-01")
        await keeper.run_once()
        after = dsn_of(space)
        await keeper.run_once()

        assert after.user != before.user
        assert dsn_of(space) == after
        assert namespace_seen_by(after) == namespace_seen_by(before) == [(space.name,)]
        running.execute("SELECT 1")
    async with store.pool.connection() as conn:
        await conn.execute("UPDATE tenants SET seen_at = now() - interval '2 hours' WHERE retired_at IS NOT NULL")

    def left() -> list[str]:
        with psycopg.connect(after.conninfo) as conn:
            return [str(name) for (name,) in conn.execute("SELECT usename FROM pg_stat_activity").fetchall()]

    wait_for(left, lambda users: before.user not in users, what="the connection of the role before to end")
    await keeper.run_once()
    assert [role.role_name for role in await store.tenants.list_roles()] == [after.user]


async def test_a_revocation_ends_the_connections_of_the_role_before(
    space: Space, store: Database, kube: Kube, settings: Settings
) -> None:
    logins = DatabaseLogins(kube, settings, store.tenants)
    await logins.place(space.name)
    before = dsn_of(space)
    with psycopg.connect(before.conninfo) as running:
        annotate(space, "revoke-1")
        await RoleCleanup(kube, logins, (space.name,), purges_memory=False, now=kube.clock.now).run_once()

        with pytest.raises(psycopg.OperationalError):
            running.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(before.conninfo)
    assert namespace_seen_by(dsn_of(space)) == [(space.name,)]


@pytest.mark.parametrize("purges", [False, True], ids=["kept", "purged"])
async def test_the_roles_of_a_namespace_that_is_gone_go_and_its_memory_as_told(
    space: Space, store: Database, kube: Kube, settings: Settings, *, purges: bool
) -> None:
    gone, here = await store.tenants.make_role("gone"), await store.tenants.make_role(space.name)
    async with store.pool.connection() as conn:
        await conn.execute("INSERT INTO store (prefix, key, value) VALUES ('project-gone.x', 'k', '1')")

    logins = DatabaseLogins(kube, settings, store.tenants)
    await RoleCleanup(kube, logins, (), purges_memory=purges, now=kube.clock.now).run_once()

    assert [role.role_name for role in await store.tenants.list_roles()] == [here.role_name]
    assert await store.tenants.purge_memory("gone") == (0 if purges else 1)
    assert gone.role_name != here.role_name


async def test_where_no_role_can_be_made_namespaces_share_one_and_the_log_says_why(
    space: Space, store: Database, kube: Kube, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with store.pool.connection() as conn:
        await conn.execute("DROP FUNCTION agentic_tenancy_obstacle()")
    logins = DatabaseLogins(kube, settings, store.tenants)

    with caplog.at_level(logging.WARNING):
        await logins.place(space.name)
        await logins.place(space.name)

    assert dsn_of(space).user == "runner"
    (said,) = [record.message for record in caplog.records if "share one database role" in record.message]
    assert "run `agentic migrate up`" in said
    with pytest.raises(TransientError, match="TENANCY is 'on': the database is not migrated"):
        await DatabaseLogins(kube, replace(settings, tenancy=Tenancy.ON), store.tenants).place(space.name)


async def test_switched_off_and_on_the_secret_follows(
    space: Space, store: Database, kube: Kube, settings: Settings
) -> None:
    await DatabaseLogins(kube, replace(settings, tenancy=Tenancy.OFF), store.tenants).place(space.name)
    assert dsn_of(space).user == "runner"

    await DatabaseLogins(kube, settings, store.tenants).place(space.name)
    assert dsn_of(space).user.startswith("agentic_tenant_")

    await DatabaseLogins(kube, replace(settings, tenancy=Tenancy.OFF), store.tenants).place(space.name)
    assert dsn_of(space).user == "runner"
    assert "annotations" not in secret_of(space)["metadata"]


async def test_sessions_start_while_the_database_is_away_where_the_secret_is_there(
    space: Space, database: PostgresDatabase, store: Database, kube: Kube, settings: Settings
) -> None:
    await DatabaseLogins(kube, settings, store.tenants).place(space.name)
    nowhere = Dsn.parse(database.dsn.replace(f"port={database.server.port}", "port=1"))
    async with open_database(nowhere, application_name="operator", wait=False, operation_seconds=1) as away:
        await DatabaseLogins(kube, settings, away.tenants).place(space.name)

    assert namespace_seen_by(dsn_of(space)) == [(space.name,)]
