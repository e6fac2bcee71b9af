"""How the database is: its migration, the sizes of its tables and indexes, the statements that take most time."""

from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg.rows import class_row

from agentic_store.pool import Connections
from agentic_store.schema_migrations.schema import SCHEMA_VERSION, check_schema
from agentic_store.statements import load_statements

_SQL: Final = load_statements("statistics")


@dataclass(frozen=True)
class TableSize:
    """A table with its indexes and out-of-line values; rows are the server's estimates."""

    name: str
    bytes: int
    rows: int
    dead_rows: int


@dataclass(frozen=True)
class IndexSize:
    """An index."""

    name: str
    bytes: int


@dataclass(frozen=True)
class StatementTime:
    """A kind of statement, by the number that pg_stat_statements gives it."""

    queryid: str
    calls: int
    seconds: float


@dataclass(frozen=True)
class DatabaseStatistics:
    """The database at a moment; ``statements`` is None if pg_stat_statements is not installed or not readable."""

    version: int
    bytes: int
    tables: tuple[TableSize, ...]
    indexes: tuple[IndexSize, ...]
    statements: tuple[StatementTime, ...] | None = None
    wanted_version: int = SCHEMA_VERSION


async def fetch_statistics(connections: Connections) -> DatabaseStatistics:
    """Ask the server; it answers from its counters and the sizes of its files, and reads no row of ours."""
    async with connections() as conn, conn.transaction():
        await conn.execute(_SQL["prepare"])
        version = (await check_schema(conn)).database
        database = await (await conn.execute(_SQL["database"])).fetchone()
        assert database is not None  # noqa: S101  (one row, always)
        async with conn.cursor(row_factory=class_row(TableSize)) as cursor:
            tables = await (await cursor.execute(_SQL["tables"])).fetchall()
        async with conn.cursor(row_factory=class_row(IndexSize)) as sizes:
            indexes = await (await sizes.execute(_SQL["indexes"])).fetchall()
        statements = None
        if database["has_statements"]:
            try:
                async with conn.transaction(), conn.cursor(row_factory=class_row(StatementTime)) as times:
                    statements = tuple(await (await times.execute(_SQL["statements"])).fetchall())
            except (psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.InsufficientPrivilege):
                # Installed, but not loaded by the server, or not for this role.
                statements = None
        return DatabaseStatistics(version, database["bytes"], tuple(tables), tuple(indexes), statements)
