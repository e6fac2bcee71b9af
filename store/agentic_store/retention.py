"""Retention: removes checkpoints, blobs, writes, events and shown states of sessions that ended long ago, in steps.

A step is one transaction with a limit of rows for each table. Between two steps a thread may be partly removed. Its
beginning is removed first, so that nobody takes the rest for a complete thread (``threads.copy_thread`` checks). Its
session stays listed until all rows are removed, so that another process continues after a kill. The caller decides
which sessions are due.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from psycopg.rows import class_row, scalar_row

from agentic_store.pool import Connection, Connections
from agentic_store.statements import load_statements
from agentic_store.tenants import memory_label

_SQL: Final = load_statements("retention")
_TABLES: Final = ("checkpoints", "writes", "blobs", "events")
_BEGINNING: Final = datetime(1, 1, 1, tzinfo=UTC)


class KeptCheckpoints(StrEnum):
    """What is left of a session's checkpoints."""

    ALL = "all"
    NEEDED = "needed"
    """What its last checkpoint needs."""
    NONE = "none"


@dataclass(frozen=True)
class Ended:
    """A session that ended by its row, and its known times.

    ``checkpoint_id`` and ``ts`` are its last checkpoint's, both written by the runner and neither checked.
    """

    session_uid: str
    project_name: str
    session_name: str
    thread_id: str
    completed_at: datetime
    updated_at: datetime
    checkpoint_id: str | None
    ts: str | None


@dataclass(frozen=True)
class Thread:
    """A thread with rows in any of the three tables; its times only if it has no fence."""

    thread_id: str
    is_fenced: bool
    checkpoint_id: str | None
    ts: str | None


@dataclass(frozen=True)
class Gone:
    """What was deleted: rows by table, and the bytes of their values as they were stored."""

    rows: Mapping[str, int] = field(default_factory=dict)
    bytes: int = 0

    def __add__(self, other: "Gone") -> "Gone":
        tables = dict.fromkeys((*self.rows, *other.rows))
        rows = {table: self.rows.get(table, 0) + other.rows.get(table, 0) for table in tables}
        return Gone(rows, self.bytes + other.bytes)

    @property
    def total(self) -> int:
        return sum(self.rows.values())


@dataclass(frozen=True)
class Step:
    """One transaction's work. ``finished`` are those of the sessions or threads of which nothing is left to do.

    Whoever is in neither ``finished`` nor ``left`` was passed over: somebody else holds or changed it.
    """

    gone: Gone = Gone()
    finished: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    rested: float = 0.0
    """Seconds of pauses in it."""


class PostgresRetention:
    """The statements of retention. Every method is one transaction and may raise what the store raises."""

    def __init__(self, connections: Connections, *, lock_seconds: float = 2.0, statement_seconds: float = 20.0) -> None:
        """Give up a step that waits ``lock_seconds`` for a lock, or a statement that takes ``statement_seconds``."""
        self._connections = connections
        self._limits = {
            "lock_timeout": f"{lock_seconds * 1000:.0f}ms",
            "statement_timeout": f"{statement_seconds * 1000:.0f}ms",
            "plan_cache_mode": "auto",
        }

    async def fetch_clock(self) -> datetime:
        """Return what time the server thinks it is."""
        async with self._connections() as conn, conn.cursor(row_factory=scalar_row) as cursor:
            now = await (await cursor.execute(_SQL["clock"])).fetchone()
            assert isinstance(now, datetime)  # noqa: S101  (one row, always)
            return now

    async def list_projects(self) -> list[str]:
        """Return the projects that have checkpoints of ended sessions."""
        async with self._transaction() as conn, conn.cursor(row_factory=scalar_row) as cursor:
            return await (await cursor.execute(_SQL["projects"])).fetchall()

    async def list_ended(
        self,
        project: str,
        *,
        before: datetime,
        kept: KeptCheckpoints,
        workflow: str | None = None,
        after: Ended | None = None,
        limit: int = 100,
    ) -> list[Ended]:
        """Return the sessions of a project that ended before a time and of which ``kept`` is left, oldest first.

        With ``workflow``, those that run workflows of this name alone.
        """
        params = {
            "project_name": project,
            "workflow_name": workflow,
            "kept": kept.value,
            "before": before,
            "after_completed_at": _BEGINNING if after is None else after.completed_at,
            "after_session_uid": "" if after is None else after.session_uid,
            "limit": limit,
        }
        async with self._transaction() as conn, conn.cursor(row_factory=class_row(Ended)) as cursor:
            return await (await cursor.execute(_SQL["candidates"], params)).fetchall()

    async def measure(self, session_uids: Sequence[str], *, limit: int) -> dict[str, int]:
        """Return how many rows the sessions have in the table that has the most of each, counted up to a limit."""
        async with self._transaction() as conn:
            found = await conn.execute(_SQL["measure"], {"uids": list(session_uids), "limit": limit})
            return {row["session_uid"]: row["rows"] for row in await found.fetchall()}

    async def remove(self, session_uids: Sequence[str], *, rows: int = 1000) -> Step:
        """Delete up to ``rows`` rows of each table of the sessions' threads and events; their own rows stay.

        A runner that comes to life again after all this time is refused from the first step on.
        """
        async with self._pipeline() as conn:
            claimed = await _claim(conn, session_uids)
            if not claimed:
                return Step()
            params = {"uids": list(claimed), "threads": list(claimed.values())}
            gone, is_all = await _delete(conn, _TABLES, params, rows)
            if not is_all:
                return Step(gone, left=tuple(claimed))
            await conn.execute(_SQL["delete_fences"], params)
            await conn.execute(_SQL["delete_values"], params)
            await conn.execute(_SQL["mark"], {**params, "kept": KeptCheckpoints.NONE.value})
            return Step(gone, finished=tuple(claimed))

    async def empty(self, pieces: Sequence[Sequence[str]], *, rest: float = 0.0) -> Step:
        """Remove many sessions that are known to be small, in pieces; otherwise like :meth:`remove`.

        The database pauses ``rest`` seconds after each piece: a long step takes the processor from running sessions,
        and their next checkpoint waits until the log of the deletions before it is on the disk. All pieces are sent at
        once, so that this process need not wake up between them.
        """
        cursors = []
        # One plan for all pieces: to make one takes as long as such a piece.
        async with self._pipeline(plan="force_generic_plan") as conn:
            claimed = await _claim(conn, [uid for piece in pieces for uid in piece])
            for piece in pieces:
                threads = {uid: claimed[uid] for uid in piece if uid in claimed}
                if threads:
                    params = {"uids": list(threads), "threads": list(threads.values()), "rest": rest}
                    cursors.append(await conn.execute(_SQL["empty"], params))
            found = [row for cursor in cursors for row in await cursor.fetchall()]
        rows = {table: sum(row[table] for row in found) for table in _TABLES}
        gone = Gone(rows, sum(row["bytes"] for row in found))
        return Step(gone, finished=tuple(claimed), rested=rest * len(cursors))

    async def prune(self, session_uid: str, *, rows: int = 1000) -> Step:
        """Delete up to ``rows`` rows of each table of a session's thread that its last checkpoint does not need.

        A thread with delta channels stays whole: its last checkpoint needs those before it.
        """
        async with self._pipeline() as conn:
            claimed = await _claim(conn, [session_uid])
            if not claimed:
                return Step()
            kept = await _find_kept(conn, claimed[session_uid])
            gone, is_all = Gone(), True
            if kept is not None:
                # First, so that nobody takes the kept checkpoint for a part of a longer history.
                await conn.execute(_SQL["end_history"], kept)
                # The remaining checkpoints determine the needed blobs, so these are removed after the checkpoints.
                gone, is_all = await _delete(conn, ("checkpoints",), kept, rows, verb="prune")
                if is_all:
                    others, is_all = await _delete(conn, ("writes", "blobs"), kept, rows, verb="prune")
                    gone += others
            if not is_all:
                return Step(gone, left=(session_uid,))
            await conn.execute(_SQL["mark"], {"uids": [session_uid], "kept": KeptCheckpoints.NEEDED.value})
            return Step(gone, finished=(session_uid,))

    async def list_threads(self, *, after: str = "", limit: int = 200) -> list[Thread]:
        """Return the next threads after one, by their ids."""
        params = {"after": after, "limit": limit}
        async with self._transaction() as conn, conn.cursor(row_factory=class_row(Thread)) as cursor:
            return await (await cursor.execute(_SQL["threads"], params)).fetchall()

    async def remove_ownerless(self, threads: Mapping[str, tuple[str, str]], *, rows: int = 1000) -> Step:
        """Delete up to ``rows`` rows of each table of threads without a session and without a fence.

        ``threads`` are their ids with the project and session that these name.
        """
        wanted = {
            "threads": list(threads),
            "projects": [project for project, _ in threads.values()],
            "names": [name for _, name in threads.values()],
        }
        async with self._transaction() as conn:
            async with conn.cursor(row_factory=scalar_row) as cursor:
                claimed = await (await cursor.execute(_SQL["take_ownerless"], wanted)).fetchall()
            if not claimed:
                return Step()
            params = {"threads": claimed}
            gone, is_all = await _delete(conn, ("checkpoints", "writes", "blobs"), params, rows)
            await conn.execute(_SQL["delete_fences"], params)
            return Step(gone, finished=tuple(claimed)) if is_all else Step(gone, left=tuple(claimed))

    async def expire_items(self, projects: Sequence[str] | None = None, *, rows: int = 1000) -> int:
        """Delete up to ``rows`` expired items of the long-term store, of these projects or of all.

        Returns how many they were; their vectors go with them.
        """
        labels = None if projects is None else [memory_label(project) for project in projects]
        async with self._transaction() as conn:
            return (await conn.execute(_SQL["expire"], {"labels": labels, "limit": rows})).rowcount

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with self._connections() as conn, conn.transaction():
            await conn.execute(_SQL["prepare"], self._limits)
            yield conn

    @asynccontextmanager
    async def _pipeline(self, *, plan: str = "auto") -> AsyncIterator[Connection]:
        """Do as ``_transaction``; statements travel together until one's rows are asked for."""
        async with self._connections() as conn, conn.pipeline(), conn.transaction():
            await conn.execute(_SQL["prepare"], {**self._limits, "plan_cache_mode": plan})
            yield conn


async def _claim(conn: Connection, session_uids: Sequence[str]) -> dict[str, str]:
    """Take the fences and lock the rows of those sessions that may be worked on; return their threads."""
    params = {"uids": list(session_uids)}
    fences = await conn.execute(_SQL["take_fences"], params)
    rows = await conn.execute(_SQL["lock_rows"], params)
    taken = {row["session_uid"]: row["thread_id"] for row in await fences.fetchall()}
    locked = {row["session_uid"] for row in await rows.fetchall()}
    if gone := [thread for uid, thread in taken.items() if uid not in locked]:
        # Their sessions were deleted a moment ago: no fence may stay behind.
        await conn.execute(_SQL["delete_fences"], {"threads": gone})
    return {uid: thread for uid, thread in taken.items() if uid in locked}


async def _delete(
    conn: Connection, tables: Sequence[str], params: Mapping[str, Any], rows: int, *, verb: str = "delete"
) -> tuple[Gone, bool]:
    """Delete up to ``rows`` rows of each table; return whether none is left in any."""
    limited = {**params, "limit": rows}
    # Unprepared: a plan made once for any arrays would not know how short these are.
    cursors = [await conn.execute(_SQL[f"{verb}_{table}"], limited, prepare=False) for table in tables]
    gone, is_all = Gone(), True
    for table, cursor in zip(tables, cursors, strict=True):
        found = await cursor.fetchone()
        assert found is not None  # noqa: S101  (an aggregate always has a row)
        gone += Gone({table: found["rows"]}, found["bytes"])
        is_all = is_all and found["rows"] < rows
    return gone, is_all


async def _find_kept(conn: Connection, thread_id: str) -> dict[str, Any] | None:
    """Return the checkpoints of a thread that stay when it is pruned; None if all have to."""
    heads = await (await conn.execute(_SQL["heads"], {"thread_id": thread_id})).fetchall()
    root = next((head["checkpoint_id"] for head in heads if not head["checkpoint_ns"]), None)
    staying = [head for head in heads if ":" not in head["checkpoint_ns"] or head["root"] == root]
    if root is None or any(head["is_delta"] for head in staying):
        return None
    kept = [(head["checkpoint_ns"], head["checkpoint_id"]) for head in staying]
    kept += [(head["checkpoint_ns"], head["sends_parent"]) for head in staying if head["sends_parent"]]
    return {
        "thread_id": thread_id,
        "spaces": [space for space, _ in kept],
        "ids": [checkpoint for _, checkpoint in kept],
    }
