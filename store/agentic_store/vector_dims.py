"""Which vectors of the long-term store a database has, and what keeps a project from searching by them."""

from typing import Any, Final

import psycopg
from psycopg.rows import scalar_row

from agentic_store.statements import load_statements

_SQL: Final = load_statements("migrations")


async def fetch_dims(conn: psycopg.AsyncConnection[Any]) -> int | None:
    """Return the dimension of the database's vectors; None without tables for them."""
    async with conn.cursor(row_factory=scalar_row) as cursor:
        found = await (await cursor.execute(_SQL["vector_dims"])).fetchone()
        return found if isinstance(found, int) else None
