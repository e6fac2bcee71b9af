"""Which migration this program needs, and whether a database is there. No DDL: runtime roles have no right to it.

A program works on its own version and on later ones that have not declared it too old: a resumed session runs in the
image that it was pinned to, whatever was upgraded since.
"""

from dataclasses import dataclass
from typing import Any, Final

import psycopg

from agentic_core.errors import SchemaMismatch
from agentic_store.errors import translated

# The number of the newest file in migrations/.
SCHEMA_VERSION: Final = 21

MIGRATIONS_TABLE: Final = "agentic_migrations"


@dataclass(frozen=True)
class SchemaState:
    """The versions of a database and those that this program needs."""

    database: int
    program: int = SCHEMA_VERSION
    oldest_program: int = 0
    """The oldest program that a database of a later version still serves."""
    elsewhere: str = ""
    """Schema that holds the tables where this role's search path does not find them."""
    checkpoint_database: int | None = None
    checkpoint_program: int | None = None

    @property
    def is_current(self) -> bool:
        """Whether the program can work on the database; newer checkpoint tables than the library's are no hindrance."""
        return self.database >= self.program >= self.oldest_program and not self._wants_newer_checkpoints

    @property
    def _wants_newer_checkpoints(self) -> bool:
        return self.checkpoint_program is not None and (self.checkpoint_database or 0) < self.checkpoint_program

    def describe(self) -> str:
        """Return found versions, needed versions and the remedy in one line."""
        if self.elsewhere:
            return (
                f"the tables are in schema {self.elsewhere!r}, which this role's search_path does not name: "
                f"run `ALTER ROLE … SET search_path = {self.elsewhere}`, or grant it USAGE there"
            )
        versions = f"database is at version {self.database}, this program wants {self.program}"
        if self.database < self.program:
            return f"{versions}: run `agentic migrate up`"
        if self.oldest_program > self.program:
            return (
                f"{versions}, and {self.oldest_program} is the oldest that works there: "
                f"upgrade this program, or go down to {self.program} with the newer one's `agentic migrate`"
            )
        if self._wants_newer_checkpoints:
            return (
                f"checkpoint tables are at version {self.checkpoint_database}, the installed "
                f"langgraph-checkpoint-postgres wants {self.checkpoint_program}: upgrade agentic-operator and run "
                "`agentic migrate up`, or install an older langgraph-checkpoint-postgres"
            )
        return f"database is at version {self.database}"


async def check_schema(conn: psycopg.AsyncConnection[Any], *, checkpoint_version: int | None = None) -> SchemaState:
    """Compare the database with this program, and its checkpoint tables with the library's version, where given."""
    with translated():
        database = await _fetch_version(conn, MIGRATIONS_TABLE, "version")
        if database == 0 and (elsewhere := await _find_elsewhere(conn)):
            return SchemaState(database, elsewhere=elsewhere)
        oldest = await _fetch_version(conn, MIGRATIONS_TABLE, "oldest_program") if database > SCHEMA_VERSION else 0
        if checkpoint_version is None:
            return SchemaState(database, oldest_program=oldest)
        checkpoints = await _fetch_version(conn, "checkpoint_migrations", "v")
        return SchemaState(
            database, oldest_program=oldest, checkpoint_database=checkpoints, checkpoint_program=checkpoint_version
        )


async def require_schema(conn: psycopg.AsyncConnection[Any], *, checkpoint_version: int | None = None) -> SchemaState:
    """Do as ``check_schema`` and raise ``SchemaMismatch`` unless the program can work on the database."""
    refuse_unfit(conn)
    state = await check_schema(conn, checkpoint_version=checkpoint_version)
    if not state.is_current:
        raise SchemaMismatch(state.describe())
    return state


def refuse_unfit(conn: psycopg.AsyncConnection[Any]) -> None:
    """Raise ``SchemaMismatch`` for a database that cannot hold what is written; it said so when it was connected to."""
    encoding = conn.info.parameter_status("server_encoding")
    if encoding not in (None, "UTF8"):
        raise SchemaMismatch(
            f"database {conn.info.dbname!r} has encoding {encoding}, which cannot hold every text: make one with "
            "`CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`"
        )
    if conn.info.parameter_status("standard_conforming_strings") == "off":
        raise SchemaMismatch(
            f"standard_conforming_strings is off in database {conn.info.dbname!r}, which changes what the migrations' "
            f'functions mean: run `ALTER DATABASE "{conn.info.dbname}" SET standard_conforming_strings = on`'
        )


async def _find_elsewhere(conn: psycopg.AsyncConnection[Any]) -> str:
    async with conn.cursor(row_factory=psycopg.rows.scalar_row) as cursor:
        await cursor.execute(
            "SELECT min(relnamespace::regnamespace::text) FROM pg_class WHERE relname = %s AND relkind = 'r'",
            (MIGRATIONS_TABLE,),
        )
        return str(await cursor.fetchone() or "")


async def _fetch_version(conn: psycopg.AsyncConnection[Any], table: str, column: str) -> int:
    async with conn.cursor(row_factory=psycopg.rows.scalar_row) as cursor:
        # Asked before it is read: an error would end a transaction that the caller may be in.
        await cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (table,))
        if not await cursor.fetchone():
            return 0
        name, version = psycopg.sql.Identifier(table), psycopg.sql.Identifier(column)
        await cursor.execute(psycopg.sql.SQL("SELECT coalesce(max({}), 0) FROM {}").format(version, name))
        found: int = await cursor.fetchone() or 0
        return found
