"""The PostgreSQL fixtures: one server a test session, migrated once, a fresh copy of its database for every test."""

import asyncio
import contextlib
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql

from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
from tests.support.postgres_server import PostgresServer, find_vector_binaries, start_server

TEMPLATE = "agentic_template"

_numbers = itertools.count(1)


@dataclass(frozen=True)
class PostgresDatabase:
    """One database of the test server."""

    server: PostgresServer
    name: str

    @property
    def dsn(self) -> str:
        """The connection string of the superuser; no password in it."""
        return self.server.dsn(self.name)

    def execute(self, statement: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement on a connection of its own and return its rows, if it has any."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            # Statements are written in the tests: nothing here comes from outside.
            cursor = conn.execute(statement.encode(), params or None)
            return cursor.fetchall() if cursor.description else []

    def has_lz4(self) -> bool:
        """Say whether the server was built with lz4; a migration warns where not."""
        found = self.execute("SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'")
        return found == [(True,)]


def _admin(server: PostgresServer, statement: str, **names: str) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as conn:
        conn.execute(sql.SQL(statement).format(**{key: sql.Identifier(name) for key, name in names.items()}))


@contextlib.contextmanager
def migrated_server(**settings: str | int) -> Iterator[PostgresServer]:
    """Run a server of one's own whose database ``postgres`` has all migrations applied."""
    with start_server(**settings) as server:
        asyncio.run(migrate.up(Dsn.parse(server.dsn())))
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The session's server. A test that kills or pauses it starts or resumes it again."""
    with start_server() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresServer) -> str:
    """A database with all migrations applied, to be copied."""
    _admin(postgres_server, "CREATE DATABASE {name}", name=TEMPLATE)
    asyncio.run(migrate.up(Dsn.parse(postgres_server.dsn(TEMPLATE))))
    return TEMPLATE


def make_database(server: PostgresServer, template: str) -> Iterator[PostgresDatabase]:
    """Make a copy of a template, and drop it once the generator is done."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    _admin(server, "CREATE DATABASE {name} TEMPLATE {template}", name=name, template=template)
    yield PostgresDatabase(server, name)
    _admin(server, "DROP DATABASE {name} WITH (FORCE)", name=name)


@pytest.fixture
def database(postgres_server: PostgresServer, migrated_template: str) -> Iterator[PostgresDatabase]:
    """A fresh database with all migrations applied."""
    yield from make_database(postgres_server, migrated_template)


@pytest.fixture(scope="session")
def vector_server() -> Iterator[PostgresServer]:
    """A server with the extension pgvector, whose template is migrated without vectors."""
    with start_server(find_vector_binaries()) as server:
        _admin(server, "CREATE DATABASE {name}", name=TEMPLATE)
        asyncio.run(migrate.up(Dsn.parse(server.dsn(TEMPLATE))))
        yield server


@pytest.fixture
def vector_database(vector_server: PostgresServer) -> Iterator[PostgresDatabase]:
    """A fresh database with all migrations applied, on a server that has pgvector."""
    yield from make_database(vector_server, TEMPLATE)


@pytest.fixture
def empty_vector_database(vector_server: PostgresServer) -> Iterator[PostgresDatabase]:
    """A fresh database without any table, on a server that has pgvector."""
    yield from make_database(vector_server, "template0")


@pytest.fixture
def empty_database(postgres_server: PostgresServer) -> Iterator[PostgresDatabase]:
    """A fresh database without any table."""
    yield from make_database(postgres_server, "template0")
