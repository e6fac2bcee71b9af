"""``thread_fences`` in PostgreSQL: one writer a thread (decision 14)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg.rows import class_row, scalar_row

from agentic_core.errors import AgenticError, Superseded
from agentic_store.connect import fetch_backend
from agentic_store.pool import Connections
from agentic_store.records import Fence
from agentic_store.statements import load_statements
from agentic_store.threads import purge_threads

_SQL: Final = load_statements("fences")


@dataclass(frozen=True)
class Take:
    """What taking a fence means for the thread: whether to empty it, and the failures that this run had before."""

    purge: bool
    failures: int


def decide_take(known: Fence | None, session_uid: str, session_created_at: datetime | None, run: int) -> Take:
    """Decide whether a run may take a thread; ``known`` is the current fence.

    Raises ``Superseded`` where the wish comes too late: a later run has the thread, or a session that was made later
    under the same name. Where a time is not known, whoever comes counts as the later one.
    """
    if known is None:
        return Take(purge=False, failures=0)
    if known.session_uid != session_uid:
        if session_created_at and known.session_created_at and known.session_created_at > session_created_at:
            raise Superseded(
                f"thread {known.thread_id!r} belongs to session {known.session_uid!r} now, which was made after "
                f"{session_uid!r}"
            )
        return Take(purge=True, failures=0)
    if known.run > run:
        raise Superseded(f"run {known.run} has taken thread {known.thread_id!r}: run {run} comes too late")
    return Take(purge=False, failures=known.failures if known.run == run else 0)


class PostgresFences:
    """Who may write a thread's checkpoints; see ``protocols.Fences``."""

    def __init__(self, connections: Connections, *, patience_seconds: float = 10.0) -> None:
        """A writer that blocks a take for ``patience_seconds`` while it waits for its client is disconnected."""
        self._connections = connections
        self._patience_seconds = patience_seconds

    async def take(
        self, thread_id: str, session_uid: str, run: int, holder: str, *, session_created_at: datetime | None = None
    ) -> Fence:
        wish = {
            "thread_id": thread_id,
            "session_uid": session_uid,
            "session_created_at": session_created_at,
            "run": run,
            "holder": holder,
        }
        async with (
            self._connections() as conn,
            conn.transaction(),
            self._disconnecting_stuck_writers(await fetch_backend(conn)),
            conn.cursor(row_factory=class_row(Fence)) as cursor,
        ):
            await conn.execute(_SQL["prepare"], {"lock_timeout": f"{self._patience_seconds * 3 * 1000:.0f}ms"})
            while True:
                made = await (await cursor.execute(_SQL["create"], wish)).fetchone()
                if made is not None:
                    return made
                known = await (await cursor.execute(_SQL["lock"], wish)).fetchone()
                # Deleted in between: there is none again.
                if known is not None:
                    break
            take = decide_take(known, session_uid, session_created_at, run)
            if take.purge:
                await purge_threads(conn, [thread_id])
            taken = await (await cursor.execute(_SQL["take"], {**wish, "failures": take.failures})).fetchone()
            assert taken is not None  # noqa: S101  (its row is locked)
            return taken

    async def record_failure(self, fence: Fence) -> int:
        params = {"thread_id": fence.thread_id, "epoch": fence.epoch}
        async with self._connections() as conn, conn.cursor(row_factory=scalar_row) as cursor:
            failures: int | None = await (await cursor.execute(_SQL["record_failure"], params)).fetchone()
        if failures is None:
            raise Superseded(f"run {fence.run} does not hold thread {fence.thread_id!r} any more")
        return failures

    async def verify(self, fence: Fence) -> None:
        async with self._connections() as conn, conn.cursor(row_factory=class_row(Fence)) as cursor:
            known = await (await cursor.execute(_SQL["get"], {"thread_id": fence.thread_id})).fetchone()
        refuse_unless_held(fence, known)

    @asynccontextmanager
    async def _disconnecting_stuck_writers(self, waiting_pid: int) -> AsyncIterator[None]:
        """While the block runs, disconnect whoever keeps it waiting without working."""
        watch = asyncio.create_task(self._disconnect_stuck_writers(waiting_pid))
        try:
            yield
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch

    async def _disconnect_stuck_writers(self, waiting_pid: int) -> None:
        while True:
            await asyncio.sleep(self._patience_seconds)
            # Without a second connection, or the right, the take itself reports that it waited in vain.
            with contextlib.suppress(AgenticError):
                async with self._connections() as conn:
                    await conn.execute(_SQL["disconnect_stuck"], {"pid": waiting_pid})


def refuse_unless_held(fence: Fence, known: Fence | None) -> None:
    """Raise ``Superseded`` unless ``known``, the current fence, still has this epoch."""
    if known is None:
        raise Superseded(f"thread {fence.thread_id!r} has no fence any more: its session was deleted")
    if known.epoch != fence.epoch:
        raise Superseded(
            f"thread {fence.thread_id!r} was taken by {known.holder!r} (run {known.run}, epoch {known.epoch}); "
            f"this is epoch {fence.epoch}"
        )
