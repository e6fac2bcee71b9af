"""What LangGraph's saver keeps of a thread, seen from outside: listing it, copying it for a fork, removing it.

The library's ``acopy_thread`` is not implemented for PostgreSQL. A copy here never leaves the server and deserializes
nothing: rows of the library's three tables are written under another thread id (decision 9).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg.rows import class_row, scalar_row

from agentic_core.errors import PermanentError
from agentic_store.pool import Connection, Connections
from agentic_store.statements import load_statements

_SQL: Final = load_statements("threads")


@dataclass(frozen=True)
class CheckpointRow:
    """One checkpoint of a thread's own graph.

    ``nodes`` wrote it and ``next`` runs after it, as far as can be told without reading the state: a node that
    LangGraph's ``Send`` starts again and again, or that waits for several branches, may be missing.
    """

    checkpoint_id: str
    parent_checkpoint_id: str | None
    step: int | None
    """LangGraph's number: -1 for the inputs, 0 for what they became, 1 for the first super-step of nodes."""
    source: str
    """``input``, ``loop``, ``update`` or ``fork``."""
    at: datetime
    nodes: Sequence[str]
    next: Sequence[str]
    is_interrupted: bool
    """Whether a node asked a person after it, answered by now or not."""
    forked_from: str | None
    """The thread that this one was copied from, at the checkpoint where the copy ends."""


@dataclass(frozen=True)
class ForkPoint:
    """Where a thread was forked: the last checkpoint that it shares with ``source``."""

    checkpoint_id: str
    source: str
    is_past: bool
    """Whether the source had gone on from there, so that what comes next is done again and not continued."""


class CheckpointNotFound(PermanentError):
    """The thread to copy lacks this checkpoint, or has none."""


class PostgresThreads:
    """Threads as wholes; single checkpoints are the saver's."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def list_checkpoints(
        self, thread_id: str, *, limit: int = 50, before: str | None = None
    ) -> list[CheckpointRow]:
        """Return a page of the thread's checkpoints, newest first; ``before`` is the last id of the page before."""
        params = {"thread_id": thread_id, "limit": limit, "before": before}
        async with self._connections() as conn, conn.cursor(row_factory=class_row(CheckpointRow)) as cursor:
            return await (await cursor.execute(_SQL["list"], params)).fetchall()

    async def find_fork(self, thread_id: str) -> ForkPoint | None:
        """Return where the thread was forked, None for one that is not the copy of another."""
        async with self._connections() as conn, conn.cursor(row_factory=class_row(ForkPoint)) as cursor:
            return await (await cursor.execute(_SQL["forked"], {"target": thread_id})).fetchone()

    async def copy_thread(
        self, source: str, target: str, *, checkpoint_id: str | None = None, changes_values: bool = False
    ) -> ForkPoint:
        """Copy a checkpoint (the last one where None) and its ancestors into the empty thread ``target``.

        With them go exactly the blobs that they refer to, what subgraphs saved below them, and the ancestors' writes,
        from which LangGraph rebuilds delta channels. Where the checkpoint is the source's last one, so do the writes
        of the super-step after it: finished branches, questions and answers. They stay behind where the source has
        gone on, and with ``changes_values``, because that super-step is then done again.

        Repeatable: a thread that is a copy already is left as it is, and its fork point is returned, also when the
        source is gone by then. Raises ``CheckpointNotFound``, and ``PermanentError`` where the target has checkpoints
        of another origin.
        """
        params = {"source": source, "target": target, "checkpoint_id": checkpoint_id, "changes": changes_values}
        async with self._connections() as conn, conn.transaction():
            cursor = conn.cursor(row_factory=class_row(ForkPoint))
            known = await (await cursor.execute(_SQL["forked"], params)).fetchone()
            if known is not None:
                if known.source != source:
                    raise PermanentError(f"thread {target!r} is a fork of {known.source!r} already, not of {source!r}")
                return known
            has_rows = conn.cursor(row_factory=scalar_row)
            if await (await has_rows.execute(_SQL["has_rows"], params)).fetchone():
                raise PermanentError(f"thread {target!r} has checkpoints of its own: fork into a new session")
            copied = await (await cursor.execute(_SQL["copy"], params)).fetchone()
        if copied is None:
            wanted = "no checkpoint" if checkpoint_id is None else f"no checkpoint {checkpoint_id!r}"
            raise CheckpointNotFound(f"thread {source!r} has {wanted}")
        return copied


async def purge_threads(conn: Connection, thread_ids: Sequence[str]) -> None:
    """Delete all checkpoints, blobs and writes of the threads, in the caller's transaction."""
    for statement in ("purge_checkpoints", "purge_blobs", "purge_writes"):
        await conn.execute(_SQL[statement], {"threads": list(thread_ids)})
