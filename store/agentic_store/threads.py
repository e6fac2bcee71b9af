"""What LangGraph's saver keeps of a thread, seen from outside: only how to remove it."""

from collections.abc import Sequence
from typing import Final

from agentic_store.pool import Connection
from agentic_store.statements import load_statements

_SQL: Final = load_statements("threads")


async def purge_threads(conn: Connection, thread_ids: Sequence[str]) -> None:
    """Delete all checkpoints, blobs and writes of the threads, in the caller's transaction."""
    for statement in ("purge_checkpoints", "purge_blobs", "purge_writes"):
        await conn.execute(_SQL[statement], {"threads": list(thread_ids)})
