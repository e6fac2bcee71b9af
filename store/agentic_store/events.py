"""``session_events`` in PostgreSQL: the log of what happened in each session."""

from collections.abc import Sequence
from typing import Final

from psycopg.rows import class_row

from agentic_store.output import encode_json
from agentic_store.pool import Connections
from agentic_store.records import Event, NewEvent
from agentic_store.statements import load_statements

_SQL: Final = load_statements("events")
# Advisory locks of this kind: an arbitrary number of our own, other than the fences'.
_LOCK_CLASS: Final = 20_250_102


class PostgresEventLog:
    """The event log; see ``protocols.EventLog``."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def append(self, session_uid: str, run: int, events: Sequence[NewEvent]) -> int:
        if not events:
            raise ValueError("no events to append")
        params = {
            "session_uid": session_uid,
            "run": run,
            "types": [event.type for event in events],
            "data": [encode_json(event.data) for event in events],
            "times": [event.at for event in events],
        }
        # Gapless numbers need one writer at a time, and the number must be read after the lock is had: in one statement
        # the highest number would be that of before the wait.
        async with self._connections() as conn, conn.pipeline(), conn.transaction():
            await conn.execute(_SQL["lock"], {"class": _LOCK_CLASS, "session_uid": session_uid})
            row = await (await conn.execute(_SQL["append"], params)).fetchone()
            assert row is not None  # noqa: S101  (an aggregate without GROUP BY always has a row)
            return int(row["seq"])

    async def read(self, session_uid: str, *, after: int = 0, limit: int = 1000) -> list[Event]:
        params = {"session_uid": session_uid, "after": after, "limit": limit}
        async with self._connections() as conn, conn.cursor(row_factory=class_row(Event)) as cursor:
            return await (await cursor.execute(_SQL["read"], params)).fetchall()
