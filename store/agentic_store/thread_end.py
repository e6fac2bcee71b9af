"""The end of a thread: its last checkpoints, compared with what was acknowledged."""

from dataclasses import dataclass
from typing import Final

from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

from agentic_store.errors import translated
from agentic_store.pool import Connection
from agentic_store.statements import load_statements

_SQL: Final = load_statements("tips")


@dataclass(frozen=True)
class ThreadEnd:
    """The end of a thread."""

    newest: str | None
    """The greatest id of its checkpoints, those of subgraphs included; None for an empty thread."""
    latest: str | None
    """The last checkpoint of the thread's own graph."""
    step: int | None
    """LangGraph's number of that one."""
    has_known: bool
    """Whether the requested checkpoint exists; True without a request."""


async def find_tip(pool: AsyncConnectionPool[Connection], thread_id: str, *, known: str | None = None) -> ThreadEnd:
    """Return the end of a thread; ``known`` is a checkpoint that was acknowledged."""
    params = {"thread_id": thread_id, "known": known}
    with translated():
        async with pool.connection() as conn, conn.cursor(row_factory=class_row(ThreadEnd)) as cursor:
            tip = await (await cursor.execute(_SQL["tip"], params)).fetchone()
    assert tip is not None  # noqa: S101  (one row always)
    return tip
