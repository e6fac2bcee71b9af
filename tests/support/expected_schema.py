"""What ``migrations/verification.sql`` expects, written from a database that was just migrated.

``python -m tests.support.expected_schema`` after every change of the schema; a test compares.
"""

import asyncio
import re
from pathlib import Path
from typing import Any, Final

import psycopg

from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
from agentic_store.schema_migrations.migration_files import VERIFICATION
from tests.support.commands import ROOT
from tests.support.postgres_server import start_server

FILE: Final = ROOT / "migrations" / VERIFICATION
_EXPECTED: Final = re.compile(r"(?<=expected_schema`\.\n).*?(?=\n    -- End of what is written)", re.DOTALL)
_KINDS: Final = ("table", "column", "primary key", "index", "rule", "version")


def build(dsn: str) -> str:
    """Return the file's text with the schema of a migrated database as what it expects."""
    text = FILE.read_text(encoding="utf-8")
    with psycopg.connect(dsn, autocommit=True) as conn:
        tables = conn.execute(
            "SELECT relname FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1"
        ).fetchall()
        seed = ",\n".join(f"    ('table', '{name}', '')" for (name,) in tables)
        ctes = _EXPECTED.sub(lambda _: seed, text).split("-- name: checks\n")[1].split(",\nfaults (kind")[0]
        query = f"{ctes} SELECT kind, relation, definition FROM found ORDER BY relation, kind, definition"
        rows = conn.execute(query.encode()).fetchall()
    return _EXPECTED.sub(lambda _: ",\n".join(_format(row) for row in sorted(rows, key=_order)), text)


def _order(row: tuple[Any, ...]) -> tuple[Any, ...]:
    kind, relation, definition = row
    return relation, _KINDS.index(kind), definition


def _format(row: tuple[Any, ...]) -> str:
    return f"    ({', '.join(_quote(str(value)) for value in row)})"


def _quote(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def write(path: Path = FILE) -> None:
    """Migrate a database of its own and write the file."""
    with start_server() as server:
        asyncio.run(migrate.up(Dsn.parse(server.dsn())))
        path.write_text(build(server.dsn()), encoding="utf-8")


if __name__ == "__main__":
    write()
