"""Compares a database with the result of the migrations, down to each column, key, index and rule.

The expected schema and the query that compares are in ``migrations/verification.sql``; the shell script beside it runs
the same query.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from psycopg.rows import class_row

from agentic_core.errors import PermanentError
from agentic_store.dsn import Dsn
from agentic_store.schema_migrations.migrate import Status, connected, read_status
from agentic_store.schema_migrations.migration_files import VERIFICATION, discover, find_directory
from agentic_store.statements import split_statements

CONNECTION: Final = "connection"
VERSIONS: Final = "versions"
COUNT: Final = 7


@dataclass(frozen=True)
class Check:
    """One of the seven checks and its findings."""

    number: int
    title: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Size:
    """A table's rows, estimated where the number begins with ``~``, and its bytes with indexes and large values."""

    relation: str
    rows: str
    bytes: int
    size: str


@dataclass(frozen=True)
class Verification:
    """What was found; ``sizes`` is empty if they were not asked for."""

    checks: tuple[Check, ...]
    sizes: tuple[Size, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.passed)


async def verify(
    dsn: Dsn,
    *,
    directory: Path | None = None,
    with_sizes: bool = True,
    wait_seconds: float = 0,
    report: Callable[[str], None] = lambda _: None,
) -> Verification:
    """Run the checks, which only read. Raises an error without a connection."""
    directory = directory or find_directory()
    statements = split_statements(_read(directory / VERIFICATION))
    async with connected(dsn, wait_seconds, report) as conn:
        # A fault is a result here, and no error: the columns of a broken table are not asked for by name.
        async with conn.cursor(row_factory=class_row(_CheckRow)) as rows:
            await rows.execute(statements["checks"])
            checks = [Check(row.number, row.title, row.passed, row.detail) for row in await rows.fetchall()]
        if all(check.passed for check in checks):
            checks = [_compare_checksums(check, await read_status(conn, discover(directory))) for check in checks]
        sizes: list[Size] = []
        if with_sizes:
            async with conn.cursor(row_factory=class_row(_SizeRow)) as size_rows:
                await size_rows.execute(statements["sizes"])
                sizes = [Size(row.relation, row.rows, row.bytes, row.size) for row in await size_rows.fetchall()]
    return Verification(tuple(checks), tuple(sizes))


def _compare_checksums(check: Check, status: Status) -> Check:
    if check.title != VERSIONS or not status.changed:
        return check
    changed = "; ".join(f"{migration.file_name} was changed after it was applied" for migration in status.changed)
    return Check(check.number, check.title, passed=False, detail=changed)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PermanentError(f"{path.name!r} is missing beside the migrations in {str(path.parent)!r}") from None


@dataclass(frozen=True)
class _CheckRow(Check):
    line: str = "check"


@dataclass(frozen=True)
class _SizeRow(Size):
    line: str = "size"
