"""Apply and undo the SQL files of ``migrations/``.

A migration and its record are one transaction, and one session-level advisory lock lets a single process work at a
time: after a kill at any point, the next attempt finds either all of a migration or nothing of it. A file marked for it
runs statement by statement outside a transaction, which building an index beside writers requires; it is repeated until
it has completed. Files are identified by their checksum, so an applied file that was edited afterwards is refused.
"""

import asyncio
import os
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import errors as pg
from psycopg import sql
from psycopg.rows import class_row, scalar_row

from agentic_core.errors import AgenticError, DatabaseUnavailable, PermanentError, SchemaMismatch, TransientError
from agentic_store.connect import connect_when_ready, is_pooled
from agentic_store.dsn import Dsn
from agentic_store.errors import translated
from agentic_store.schema_migrations.migration_files import Migration, Script, discover
from agentic_store.schema_migrations.schema import refuse_unfit
from agentic_store.statements import load_statements

MINIMUM_SERVER: Final = 14

# Of this project alone; advisory locks are counted per database.
_LOCK_KEY: Final = 4_702_111_234_474_983_745
# A statement that waits for a lock holds up everybody behind it, so it waits briefly and often.
PATIENCE_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.5
# Somebody else's setup() or a busy table came between: every file is safe to repeat.
_RETRIED: Final = (
    pg.DeadlockDetected,
    pg.DuplicateObject,
    pg.DuplicateTable,
    pg.LockNotAvailable,
    pg.SerializationFailure,
    pg.UniqueViolation,
)
_CONCURRENT_INDEX: Final = re.compile(r"INDEX CONCURRENTLY IF NOT EXISTS (?P<name>\w+)")
# Tenants' rules as the vectors' tables have them.
_VECTORS_NEED: Final = 11
_SQL: Final = load_statements("migrations")

Connection: TypeAlias = psycopg.AsyncConnection[Any]
Report: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class Applied:
    """What the database records of a migration."""

    version: int
    name: str
    checksum: str
    applied_at: datetime


@dataclass(frozen=True)
class Status:
    """The migration files and the database's records, by version."""

    migrations: tuple[Migration, ...]
    applied: Mapping[int, Applied]

    @property
    def version(self) -> int:
        return max(self.applied, default=0)

    @property
    def latest(self) -> int:
        return max((migration.version for migration in self.migrations), default=0)

    @property
    def pending(self) -> tuple[Migration, ...]:
        return tuple(migration for migration in self.migrations if migration.version not in self.applied)

    @property
    def changed(self) -> tuple[Migration, ...]:
        return tuple(
            migration
            for migration in self.migrations
            if migration.version in self.applied and self.applied[migration.version].checksum != migration.checksum
        )


async def up(
    dsn: Dsn,
    *,
    to: int | None = None,
    directory: Path | None = None,
    wait_seconds: float = 0,
    patience_seconds: float = PATIENCE_SECONDS,
    report: Report = lambda _: None,
) -> list[Migration]:
    """Apply what is missing up to version ``to`` (default: all) and return it.

    Raises ``PermanentError`` where an applied file was changed, ``SchemaMismatch`` where the database has migrations
    that this program does not know, ``DatabaseUnavailable`` after ``wait_seconds`` without a server, ``TransientError``
    where others hold the tables for ``patience_seconds``.
    """
    migrations = discover(directory)
    if to is not None and to not in {migration.version for migration in migrations}:
        raise PermanentError(f"there is no migration {to!r}: the newest is {migrations[-1].version}")
    async with locked(dsn, wait_seconds, report) as conn:
        await conn.execute(_SQL["create_table"])
        status = await read_status(conn, migrations)
        report(f"checking what is applied: version {status.version} of {status.latest}")
        _refuse_differences(status)
        wanted = [migration for migration in status.pending if to is None or migration.version <= to]
        patience = Patience(patience_seconds, report)
        for migration in wanted:
            report(f"applying {migration.version:03} {migration.name}")
            await _apply(conn, migration, patience)
        if not wanted:
            report(f"already applied: database is at version {status.version}")
        return wanted


async def down(
    dsn: Dsn,
    *,
    to: int,
    confirm: str | None,
    directory: Path | None = None,
    wait_seconds: float = 0,
    patience_seconds: float = PATIENCE_SECONDS,
    report: Report = lambda _: None,
) -> list[Migration]:
    """Undo all migrations above version ``to``, newest first, and return them. This deletes data.

    ``confirm`` must be the name of the connected database, ``PermanentError`` otherwise; None says that somebody was
    asked already.
    """
    migrations = discover(directory)
    if to < 0:
        raise PermanentError(f"cannot go down to version {to!r}: 0 undoes everything")
    async with locked(dsn, wait_seconds, report) as conn:
        dbname = conn.info.dbname
        if confirm not in (None, dbname):
            raise PermanentError(f"{confirm!r} is not the name of this database: repeat with --confirm {dbname}")
        status = await read_status(conn, migrations)
        _refuse_differences(status)
        wanted = [m for m in reversed(migrations) if m.version > to and m.version in status.applied]
        if any(migration.version <= _VECTORS_NEED for migration in wanted) and await _fetch_value(conn, "has_vectors"):
            raise PermanentError(
                f"the vectors of the long-term store need migration {_VECTORS_NEED}: delete them first by"
                " `agentic migrate vectors --remove`"
            )
        patience = Patience(patience_seconds, report)
        for migration in wanted:
            report(f"undoing {migration.version:03} {migration.name}")
            await _undo(conn, migration, patience)
        if not wanted:
            report(f"nothing to undo: database is at version {status.version}")
        return wanted


async def fetch_status(
    dsn: Dsn, *, directory: Path | None = None, wait_seconds: float = 0, report: Report = lambda _: None
) -> Status:
    """Compare the files with the database; needs no lock and changes nothing."""
    migrations = discover(directory)
    async with connected(dsn, wait_seconds, report) as conn:
        return await read_status(conn, migrations)


@asynccontextmanager
async def connected(dsn: Dsn, wait_seconds: float, report: Report) -> AsyncIterator[Connection]:
    """Connect with the patience and the name of a migration; refuse a server that is too old."""
    name = f"agentic-migrate {socket.gethostname()}:{os.getpid()}"[:63]
    conn = await connect_when_ready(dsn, application_name=name, wait_seconds=wait_seconds, report=report)
    async with conn:
        if conn.info.server_version < MINIMUM_SERVER * 10_000:
            raise PermanentError(
                f"the server is PostgreSQL {conn.info.server_version // 10_000}: {MINIMUM_SERVER} or newer is needed"
            )
        refuse_unfit(conn)
        conn.add_notice_handler(lambda said: report(f"{said.severity}: {said.message_primary}"))
        with translated():
            yield conn


@asynccontextmanager
async def locked(dsn: Dsn, wait_seconds: float, report: Report) -> AsyncIterator[Connection]:
    async with connected(dsn, wait_seconds, report) as conn:
        if await is_pooled(conn):
            raise PermanentError(
                f"a connection pooler stands before the database {dsn.describe()}: "
                "a migration holds a lock of its session, connect to the server itself"
            )
        if await _fetch_value(conn, "only_reads"):
            is_standby = conn.info.parameter_status("in_hot_standby") == "on"
            remedy = (
                "connect to the primary, not to a standby"
                if is_standby
                else f'run `ALTER DATABASE "{conn.info.dbname}" RESET default_transaction_read_only`, or the same for'
                " the role, unless it is meant to"
            )
            raise DatabaseUnavailable(f"the database {dsn.describe()} only reads: {remedy}")
        if (path := await _fetch_value(conn, "lost_path")) is not None:
            raise PermanentError(
                f"search_path of {dsn.user!r} is {path!r}, and it may make tables in none of these schemas: run "
                "`GRANT USAGE, CREATE ON SCHEMA … TO …`, or `ALTER ROLE … SET search_path = …` with one that is there"
            )
        report(f"connected to PostgreSQL {conn.info.server_version // 10_000}")
        await conn.execute(_SQL["prepare_session"])
        await _lock(conn, report)
        # The lock goes with the connection: there is nothing to release that a kill could leave behind.
        yield conn


async def _lock(conn: Connection, report: Report) -> None:
    """Wait for the advisory lock, and report its holder."""
    last = ""
    # Asked again and again: a waiting statement holds a snapshot, and building an index concurrently under the lock
    # would wait for that in turn.
    while not await _fetch_value(conn, "try_lock"):
        holder = str(await _fetch_value(conn, "lock_holder") or "it has just gone")
        if holder != last:
            report(f"waiting for another migration to finish: {holder}")
        last = holder
        await asyncio.sleep(_PAUSE_SECONDS)


async def _fetch_value(conn: Connection, statement: str) -> object:
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(_SQL[statement], {"key": _LOCK_KEY})
        return await cursor.fetchone()


async def read_status(conn: Connection, migrations: tuple[Migration, ...]) -> Status:
    """Compare the files with the database's records."""
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(_SQL["table_exists"])
        if not await cursor.fetchone():
            return Status(migrations, {})
    async with conn.cursor(row_factory=class_row(Applied)) as rows:
        await rows.execute(_SQL["applied"])
        return Status(migrations, {row.version: row for row in await rows.fetchall()})


def _refuse_differences(status: Status) -> None:
    for migration in status.changed:
        raise PermanentError(
            f"migration {migration.file_name!r} was changed after it was applied (recorded sha256 "
            f"{status.applied[migration.version].checksum[:12]}…, file {migration.checksum[:12]}…): "
            "restore the file and put the change into a new migration"
        )
    unknown = sorted(status.applied.keys() - {migration.version for migration in status.migrations})
    if unknown:
        raise SchemaMismatch(
            f"database is at version {status.version}, this program knows {status.latest}: "
            "run the newer program that migrated it"
        )


async def _apply(conn: Connection, migration: Migration, patience: "Patience") -> None:
    record = {"version": migration.version, "name": migration.name, "checksum": migration.checksum}
    await run_script(conn, migration.up_script, ("record", record), patience)


async def _undo(conn: Connection, migration: Migration, patience: "Patience") -> None:
    await run_script(conn, migration.down_script, ("forget", {"version": migration.version}), patience)


async def run_script(
    conn: Connection, script: Script, record: tuple[str, dict[str, Any]] | None, patience: "Patience"
) -> None:
    """Run a file and its record, a named statement, as one transaction; or one by one where the file asks for it."""
    while True:
        try:
            if script.is_transaction:
                async with conn.transaction():
                    await conn.execute(script.text.encode())
                    await _note(conn, record)
            else:
                for statement in script.statements:
                    await _drop_unfinished_index(conn, statement)
                    await conn.execute(statement.encode())
                await _note(conn, record)
        except _RETRIED as error:
            await patience.wait_for_others(conn, script, error)
        except pg.DatabaseError as error:
            if isinstance(error, psycopg.OperationalError) and not isinstance(error, pg.DiskFull):
                raise
            raise _explain(script, error) from error
        else:
            return


async def _note(conn: Connection, record: tuple[str, dict[str, Any]] | None) -> None:
    if record is not None:
        name, params = record
        await conn.execute(_SQL[name], params)


async def _drop_unfinished_index(conn: Connection, statement: str) -> None:
    """Drop the remains of a killed build: they have the index's name, slow every write and serve no reader."""
    match = _CONCURRENT_INDEX.search(statement)
    if match is None:
        return
    found = await conn.execute(_SQL["unfinished_index"], {"name": match["name"]})
    if await found.fetchone():
        await conn.execute(sql.SQL("DROP INDEX CONCURRENTLY {}").format(sql.Identifier(match["name"])))


def _explain(script: Script, error: psycopg.DatabaseError) -> AgenticError:
    where = f" near character {error.diag.statement_position}" if error.diag.statement_position else ""
    left = "and was rolled back" if script.is_transaction else "part of the way: what it did can be repeated"
    said = f"migration {script.file_name!r} failed{where} {left}: {error.diag.message_primary or error}"
    match error:
        case pg.DiskFull():
            return TransientError(f"{said}: make room on the server's disk and run this again")
        case pg.InsufficientPrivilege():
            return PermanentError(f"{said}: run this as the role that owns the schema")
        case _:
            return PermanentError(said)


class Patience:
    """Waits for other users of the tables, for a bounded total time, and reports who they are."""

    def __init__(self, seconds: float, report: Report) -> None:
        self._deadline = time.monotonic() + seconds
        self._seconds = seconds
        self._report = report
        self._last = ""

    async def wait_for_others(self, conn: Connection, script: Script, error: psycopg.Error) -> None:
        """Return when it is time to try again; raise ``TransientError`` when there was enough of that."""
        reason = error.diag.message_primary or str(error)
        if isinstance(error, pg.LockNotAvailable):
            reason = str(await _fetch_value(conn, "table_holders") or "a table was in use")
        if time.monotonic() > self._deadline:
            raise TransientError(
                f"migration {script.file_name!r} found the database busy for {self._seconds:g} s ({reason}): "
                "end that client's transaction, or run this again when there is less going on"
            ) from error
        if reason != self._last:
            self._report(f"waiting to run {script.file_name}: {reason}")
        self._last = reason
        await asyncio.sleep(_PAUSE_SECONDS)
