"""Creates, removes and checks the optional tables for vectors of the long-term store.

They need an extension that a server may lack, and somebody has to choose their dimension, so they are not part of the
numbered migrations (decision 18).
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agentic_core.errors import PermanentError
from agentic_store.dsn import Dsn
from agentic_store.schema_migrations.migrate import PATIENCE_SECONDS, Patience, locked, run_script
from agentic_store.schema_migrations.migration_files import VECTORS_DOWN, VECTORS_UP, Script, find_directory
from agentic_store.statements import load_statements
from agentic_store.vector_dims import fetch_dims

# What pgvector's type can have.
MAX_DIMS: Final = 16_000

_SQL: Final = load_statements("migrations")


async def make_vectors(
    dsn: Dsn,
    dims: int,
    *,
    directory: Path | None = None,
    wait_seconds: float = 0,
    patience_seconds: float = PATIENCE_SECONDS,
    report: Callable[[str], None] = lambda _: None,
) -> bool:
    """Make the tables for vectors of ``dims`` dimensions; return whether they were missing.

    Raises ``PermanentError`` where the server lacks pgvector, or the database has vectors of another dimension.
    """
    script = _read(directory, VECTORS_UP)
    checksum = hashlib.sha256(script.text.encode()).hexdigest()
    async with locked(dsn, wait_seconds, report) as conn:
        before = await fetch_dims(conn)
        report(f"making the tables for vectors of {dims} dimensions")
        await conn.execute(_SQL["set_vectors"], {"dims": str(dims), "checksum": checksum})
        await run_script(conn, script, None, Patience(patience_seconds, report))
        return before is None


async def remove_vectors(
    dsn: Dsn,
    *,
    confirm: str | None,
    directory: Path | None = None,
    wait_seconds: float = 0,
    patience_seconds: float = PATIENCE_SECONDS,
    report: Callable[[str], None] = lambda _: None,
) -> bool:
    """Delete all vectors and their tables; return whether there were any. The items stay.

    ``confirm`` must be the name of the connected database, ``PermanentError`` otherwise; None says that somebody was
    asked already.
    """
    script = _read(directory, VECTORS_DOWN)
    async with locked(dsn, wait_seconds, report) as conn:
        dbname = conn.info.dbname
        if confirm not in (None, dbname):
            raise PermanentError(f"{confirm!r} is not the name of this database: repeat with --confirm {dbname}")
        if await fetch_dims(conn) is None:
            return False
        await run_script(conn, script, None, Patience(patience_seconds, report))
        return True


def read_loss(directory: Path | None = None) -> str:
    """Return what removing the tables deletes, in a sentence."""
    return _read(directory, VECTORS_DOWN).loss


def _read(directory: Path | None, name: str) -> Script:
    path = (directory or find_directory()) / name
    try:
        return Script(name, path.read_text(encoding="utf-8").replace("\r\n", "\n"))
    except FileNotFoundError:
        raise PermanentError(f"{name!r} is missing beside the migrations in {str(path.parent)!r}") from None
