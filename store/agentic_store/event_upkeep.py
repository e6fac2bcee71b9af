"""Upkeep of ``session_events``: what was said in parts is joined, and a log that is too long loses its beginning.

Each method is one bounded transaction that holds the session's row, so that of several operators one works on a log at
a time, and a kill between any two leaves what :mod:`agentic_store.event_compaction` says of it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from psycopg.rows import class_row, dict_row
from psycopg.types.json import set_json_loads

from agentic_core.errors import TransientError
from agentic_store.event_compaction import FAMILY, Part, Plan, compute_plan
from agentic_store.events import read_foreign_json
from agentic_store.pool import Connection, Connections
from agentic_store.results.output import encode_json
from agentic_store.statements import load_statements

_SQL: Final = load_statements("event_upkeep")


@dataclass(frozen=True)
class OpenTurn:
    """A turn with messages that are not joined yet."""

    session_uid: str
    turn: int
    project_name: str
    is_due: bool


@dataclass(frozen=True)
class Log:
    """A session's log: its first and its last number."""

    session_uid: str
    project_name: str
    first: int
    last: int


@dataclass(frozen=True)
class Compacted:
    """What one step did; ``is_done`` where the turn has nothing left to join, or somebody else is at it."""

    messages: int = 0
    removed: int = 0
    is_done: bool = True


class PostgresEventUpkeep:
    """The statements of the event log's upkeep; every method may raise what the store raises."""

    def __init__(self, connections: Connections, *, lock_seconds: float = 2.0, statement_seconds: float = 20.0) -> None:
        """Give up a step that waits ``lock_seconds`` for a lock, or a statement that takes ``statement_seconds``."""
        self._connections = connections
        self._limits = {
            "lock_timeout": f"{lock_seconds * 1000:.0f}ms",
            "statement_timeout": f"{statement_seconds * 1000:.0f}ms",
        }

    async def list_open(self, *, seconds: float, after: tuple[str, int] = ("", -1), limit: int = 500) -> list[OpenTurn]:
        """Return turns with messages that are not joined, after one; due are those that ended ``seconds`` ago."""
        params = {"after_uid": after[0], "after_turn": after[1], "seconds": seconds, "limit": limit}
        async with self._transaction() as conn, conn.cursor(row_factory=class_row(OpenTurn)) as cursor:
            return await (await cursor.execute(_SQL["due"], params)).fetchall()

    async def compact(self, session_uid: str, turn: int, *, rows: int = 2000, size: int = 8 << 20) -> Compacted:
        """Join the messages of a turn, as far as ``rows`` rows and about ``size`` bytes of them go."""
        async with self._transaction() as conn:
            if not await _lock(conn, session_uid):
                return Compacted()
            params = {"session_uid": session_uid, "turn": turn, "types": list(FAMILY), "limit": rows, "bytes": size}
            async with conn.cursor(row_factory=dict_row) as cursor:
                set_json_loads(read_foreign_json, cursor)
                found = await (await cursor.execute(_SQL["parts"], params)).fetchall()
            has_more = {row.pop("has_more") for row in found}
            is_whole = True not in has_more
            plan = compute_plan([Part(**row) for row in found], is_whole=is_whole)
            await _carry_out(conn, session_uid, plan)
        return Compacted(len(plan.messages), len(plan.removed), is_done=is_whole or not plan.messages)

    async def list_logs(self, *, seconds: float, after: str = "", limit: int = 1000) -> list[Log]:
        """Return the logs of sessions that have not ended, or not longer than ``seconds`` ago, after one."""
        params = {"after": after, "seconds": seconds, "limit": limit}
        async with self._transaction() as conn, conn.cursor(row_factory=class_row(Log)) as cursor:
            return await (await cursor.execute(_SQL["logs"], params)).fetchall()

    async def weigh(self, session_uid: str, *, after: int = 0) -> tuple[int, int]:
        """Return how many rows a log has after a number, and their bytes as they are stored."""
        async with self._transaction() as conn:
            row = await (await conn.execute(_SQL["weigh"], {"session_uid": session_uid, "after": after})).fetchone()
        return (int(row["rows"]), int(row["bytes"])) if row is not None else (0, 0)

    async def find_cut(self, session_uid: str, *, rows: int, size: int) -> int | None:
        """Return the newest number that goes so that ``rows`` rows and ``size`` bytes stay; None if none goes."""
        params = {"session_uid": session_uid, "rows": rows, "bytes": size}
        async with self._transaction() as conn:
            row = await (await conn.execute(_SQL["find_cut"], params)).fetchone()
        return None if row is None or row["cut"] is None else int(row["cut"])

    async def trim(self, session_uid: str, cut: int, *, rows: int = 4000) -> tuple[int, bool]:
        """Remove up to ``rows`` of the oldest rows up to number ``cut``, of which a row of type ``gap`` stays.

        Returns how many went, and whether all have gone, or somebody else is at it.
        """
        params = {"session_uid": session_uid, "cut": cut, "limit": max(rows, 2)}
        async with self._transaction() as conn:
            if not await _lock(conn, session_uid):
                return 0, True
            row = await (await conn.execute(_SQL["trim"], params)).fetchone()
        if row is None or row["last"] is None:
            return 0, True
        return int(row["rows"]), int(row["last"]) >= cut or not row["rows"]

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with self._connections() as conn, conn.transaction():
            await conn.execute(_SQL["prepare"], self._limits)
            yield conn


async def _lock(conn: Connection, session_uid: str) -> bool:
    return await (await conn.execute(_SQL["lock"], {"session_uid": session_uid})).fetchone() is not None


async def _carry_out(conn: Connection, session_uid: str, plan: Plan) -> None:
    own = {"session_uid": session_uid}
    joined = {"seqs": [each.seq for each in plan.messages], "data": [encode_json(each.data) for each in plan.messages]}
    marks = {"seqs": list(plan.since), "since": list(plan.since.values())}
    await _expect(conn, "remove", {**own, "seqs": list(plan.removed)}, len(plan.removed))
    await _expect(conn, "join", {**own, **joined}, len(plan.messages))
    await _expect(conn, "mark_joined", {**own, **marks}, len(plan.since))


async def _expect(conn: Connection, name: str, params: dict[str, object], rows: int) -> None:
    """Run a statement; raises ``TransientError``, and so undoes the step, unless it changes so many rows."""
    if rows and (await conn.execute(_SQL[name], params)).rowcount != rows:
        raise TransientError("the rows of an event log changed while they were joined: they are in the next round")
