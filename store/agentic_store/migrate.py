"""Apply and undo the SQL files of ``migrations/``.

A migration and its record are one transaction, and one session-level advisory lock lets a single process work at a
time: killed at any point, the next attempt finds either all of a migration or nothing of it. Files are known by their
checksum, so that an applied file that was edited afterwards is refused instead of silently differing.
"""

import hashlib
import os
import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import errors as pg
from psycopg.rows import class_row, scalar_row

from agentic_core.errors import PermanentError, SchemaMismatch, TransientError
from agentic_store.connect import connect_when_ready
from agentic_store.dsn import Dsn
from agentic_store.errors import translated
from agentic_store.statements import load_statements

DIRECTORY_VARIABLE: Final = "AGENTIC_MIGRATIONS_DIR"
MINIMUM_SERVER: Final = 14

# Of this project alone; advisory locks are counted per database.
_LOCK_KEY: Final = 4_702_111_234_474_983_745
_TRIES: Final = 3
# Somebody else's setup() or a busy table came between: every file is safe to repeat.
_RETRIED: Final = (
    pg.DeadlockDetected,
    pg.DuplicateObject,
    pg.DuplicateTable,
    pg.LockNotAvailable,
    pg.SerializationFailure,
    pg.UniqueViolation,
)
_FILE_NAME: Final = re.compile(r"(?P<version>\d{3})_(?P<name>[a-z0-9_]+)\.(?P<direction>up|down)\.sql")
_SQL: Final = load_statements("migrations")

Connection: TypeAlias = psycopg.AsyncConnection[Any]
Report: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class Migration:
    """One numbered pair of SQL files."""

    version: int
    name: str
    up: str
    down: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.up.encode()).hexdigest()

    @property
    def file_name(self) -> str:
        return f"{self.version:03}_{self.name}.up.sql"


@dataclass(frozen=True)
class Applied:
    """What the database records of a migration."""

    version: int
    name: str
    checksum: str
    applied_at: datetime


@dataclass(frozen=True)
class Status:
    """The files beside the database's records, by version."""

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


def find_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where the SQL files are: the variable's folder, the installed package's, the checkout's."""
    if environ.get(DIRECTORY_VARIABLE):
        return Path(environ[DIRECTORY_VARIABLE])
    here = Path(__file__).resolve().parent
    installed = here / "migrations"
    return installed if installed.is_dir() else here.parents[1] / "migrations"


def discover(directory: Path | None = None) -> tuple[Migration, ...]:
    """Read all migrations, oldest first; refuse a gap, a missing half or two files of one number."""
    directory = directory or find_directory()
    files: dict[tuple[int, str], tuple[str, str]] = {}
    for path in sorted(directory.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise PermanentError(f"migration file {path.name!r} is not named like 001_name.up.sql: rename it")
        key = int(match["version"]), match["direction"]
        if key in files:
            raise PermanentError(f"two migration files are numbered {match['version']}: renumber {path.name!r}")
        # The checksum must not depend on how a checkout writes its line ends.
        files[key] = match["name"], path.read_text(encoding="utf-8").replace("\r\n", "\n")
    if not files:
        raise PermanentError(f"no migrations in {str(directory)!r}: set {DIRECTORY_VARIABLE} to their folder")
    return tuple(_pair(files, version) for version in range(1, max(version for version, _ in files) + 1))


async def up(
    dsn: Dsn,
    *,
    to: int | None = None,
    directory: Path | None = None,
    wait_seconds: float = 0,
    report: Report = lambda _: None,
) -> list[Migration]:
    """Apply what is missing up to version ``to`` (default: all) and return it.

    Raises ``PermanentError`` where an applied file was changed, ``SchemaMismatch`` where the database has migrations
    that this program does not know, ``DatabaseUnavailable`` after ``wait_seconds`` without a server.
    """
    migrations = discover(directory)
    if to is not None and to not in {migration.version for migration in migrations}:
        raise PermanentError(f"there is no migration {to!r}: the newest is {migrations[-1].version}")
    async with _locked(dsn, wait_seconds, report) as conn:
        await conn.execute(_SQL["create_table"])
        status = await _fetch_status(conn, migrations)
        _refuse_differences(status)
        wanted = [migration for migration in status.pending if to is None or migration.version <= to]
        for migration in wanted:
            report(f"applying {migration.version:03} {migration.name}")
            await _apply(conn, migration)
        if not wanted:
            report(f"already applied: database is at version {status.version}")
        return wanted


async def down(
    dsn: Dsn,
    *,
    to: int,
    confirm: str,
    directory: Path | None = None,
    wait_seconds: float = 0,
    report: Report = lambda _: None,
) -> list[Migration]:
    """Undo all migrations above version ``to``, newest first, and return them. This deletes data.

    ``confirm`` must be the name of the connected database; ``PermanentError`` otherwise.
    """
    migrations = discover(directory)
    if to < 0:
        raise PermanentError(f"cannot go down to version {to!r}: 0 undoes everything")
    async with _locked(dsn, wait_seconds, report) as conn:
        dbname = conn.info.dbname
        if confirm != dbname:
            raise PermanentError(f"{confirm!r} is not the name of this database: repeat with --confirm {dbname}")
        status = await _fetch_status(conn, migrations)
        _refuse_differences(status)
        wanted = [m for m in reversed(migrations) if m.version > to and m.version in status.applied]
        for migration in wanted:
            report(f"undoing {migration.version:03} {migration.name}")
            await _undo(conn, migration)
        if not wanted:
            report(f"nothing to undo: database is at version {status.version}")
        return wanted


async def fetch_status(
    dsn: Dsn, *, directory: Path | None = None, wait_seconds: float = 0, report: Report = lambda _: None
) -> Status:
    """Compare the files with the database; needs no lock and changes nothing."""
    migrations = discover(directory)
    async with _connected(dsn, wait_seconds, report) as conn:
        return await _fetch_status(conn, migrations)


@asynccontextmanager
async def _connected(dsn: Dsn, wait_seconds: float, report: Report) -> AsyncIterator[Connection]:
    name = f"agentic-migrate {socket.gethostname()}:{os.getpid()}"[:63]
    conn = await connect_when_ready(dsn, application_name=name, wait_seconds=wait_seconds, report=report)
    async with conn:
        if conn.info.server_version < MINIMUM_SERVER * 10_000:
            raise PermanentError(
                f"the server is PostgreSQL {conn.info.server_version // 10_000}: {MINIMUM_SERVER} or newer is needed"
            )
        conn.add_notice_handler(lambda said: report(f"{said.severity}: {said.message_primary}"))
        with translated():
            yield conn


@asynccontextmanager
async def _locked(dsn: Dsn, wait_seconds: float, report: Report) -> AsyncIterator[Connection]:
    async with _connected(dsn, wait_seconds, report) as conn:
        await conn.execute(_SQL["prepare_session"])
        await _lock(conn, report)
        # The lock goes with the connection: there is nothing to release that a kill could leave behind.
        yield conn


async def _lock(conn: Connection, report: Report) -> None:
    """Take the advisory lock, however long it takes, naming whoever has it."""
    taken = await (await conn.execute(_SQL["try_lock"], {"key": _LOCK_KEY})).fetchone()
    last = ""
    while not taken or not taken[0]:
        holder = await _describe_holder(conn)
        if holder != last:
            report(f"waiting for another migration to finish: {holder}")
        last = holder
        try:
            # Waits for the session's lock_timeout, not for ever: a waiting statement holds a snapshot, and building an
            # index concurrently under the lock would wait for that in turn.
            await conn.execute(_SQL["lock"], {"key": _LOCK_KEY})
        except pg.LockNotAvailable:
            continue
        return


async def _describe_holder(conn: Connection) -> str:
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(_SQL["lock_holder"], {"key": _LOCK_KEY})
        return str(await cursor.fetchone() or "it has just gone")


async def _fetch_status(conn: Connection, migrations: tuple[Migration, ...]) -> Status:
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


async def _apply(conn: Connection, migration: Migration) -> None:
    record = {"version": migration.version, "name": migration.name, "checksum": migration.checksum}
    await _run(conn, migration.file_name, migration.up, "record", record)


async def _undo(conn: Connection, migration: Migration) -> None:
    file_name = migration.file_name.replace(".up.", ".down.")
    await _run(conn, file_name, migration.down, "forget", {"version": migration.version})


async def _run(conn: Connection, file_name: str, script: str, record: str, params: dict[str, Any]) -> None:
    """Run a file and its record as one transaction."""
    last: psycopg.Error | None = None
    for _ in range(_TRIES):
        try:
            async with conn.transaction():
                await conn.execute(script.encode())
                await conn.execute(_SQL[record], params)
        except _RETRIED as error:
            last = error
        except pg.DatabaseError as error:
            if isinstance(error, psycopg.OperationalError):
                raise
            where = f" near character {error.diag.statement_position}" if error.diag.statement_position else ""
            raise PermanentError(
                f"migration {file_name!r} failed{where} and was rolled back: {error.diag.message_primary or error}"
            ) from error
        else:
            return
    raise TransientError(
        f"migration {file_name!r} found the database busy {_TRIES} times "
        f"({last.diag.message_primary if last else ''}): nothing was changed, try again"
    ) from last


def _pair(files: Mapping[tuple[int, str], tuple[str, str]], version: int) -> Migration:
    try:
        (name, up_sql), (down_name, down_sql) = files[version, "up"], files[version, "down"]
    except KeyError as missing:
        _, direction = missing.args[0]
        raise PermanentError(f"migration {version:03} has no .{direction}.sql file: add it") from None
    if name != down_name:
        raise PermanentError(f"migration {version:03} is named {name!r} up and {down_name!r} down: make them equal")
    return Migration(version, name, up_sql, down_sql)
