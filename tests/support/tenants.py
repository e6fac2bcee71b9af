"""Tenants of a test's database, with credentials as the operator makes them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from tests.support.postgres import PostgresDatabase


async def make_tenant(database: PostgresDatabase, namespace: str) -> Dsn:
    """Make a login role for a namespace and return its connection string."""
    async with open_database(Dsn.parse(database.dsn), application_name="test") as store:
        credentials = await store.tenants.make_role(namespace)
    return Dsn.parse(database.dsn).with_login(credentials.role_name, credentials.password)


async def drop_tenants(database: PostgresDatabase) -> None:
    """Remove all login roles of the database; they belong to the server and would outlive it."""
    async with open_database(Dsn.parse(database.dsn), application_name="test") as store:
        for role in await store.tenants.list_roles():
            await store.tenants.drop_role(role.role_name)


@asynccontextmanager
async def dropping_tenants(database: PostgresDatabase) -> AsyncIterator[None]:
    """Remove all login roles at the end."""
    try:
        yield
    finally:
        await drop_tenants(database)
