"""Which vectors of the long-term store a database has, and what keeps a project from searching by them."""

from typing import Any, Final

import psycopg
from psycopg.rows import scalar_row

from agentic_store.statements import load_statements

_SQL: Final = load_statements("migrations")


async def fetch_dims(conn: psycopg.AsyncConnection[Any]) -> int | None:
    """Return the dimension of the database's vectors, None where it has no tables for them."""
    async with conn.cursor(row_factory=scalar_row) as cursor:
        found = await (await cursor.execute(_SQL["vector_dims"])).fetchone()
        return found if isinstance(found, int) else None


def explain_obstacle(wanted: int, present: int | None, *, is_encrypting: bool) -> str | None:
    """Say why vectors of ``wanted`` dimensions cannot be used, and the remedy; None where they can."""
    if is_encrypting:
        return (
            "items are encrypted, and their vectors would tell what they say: search by namespace and filter, or keep"
            " items in plain text (ENCRYPTION=off)"
        )
    if present is None:
        return (
            "the database has no tables for vectors: an administrator makes them by"
            f" `agentic migrate vectors --dims {wanted}`, on a server with pgvector"
        )
    if present != wanted:
        return (
            f"the database has vectors of {present} dimensions and can have those of one dimension alone, and this"
            f" project wants {wanted}: use embeddings of {present} dimensions, or another database"
        )
    return None
