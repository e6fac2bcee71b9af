"""``session_events`` in PostgreSQL: the log of what happened in each session."""

from collections.abc import Sequence
from typing import Final

from psycopg.errors import UniqueViolation
from psycopg.rows import class_row

from agentic_core.errors import Superseded, TransientError
from agentic_store.pool import Connections
from agentic_store.records import Event, NewEvent
from agentic_store.results.output import encode_json
from agentic_store.signals import hint_for
from agentic_store.statements import load_statements

_SQL: Final = load_statements("events")
# Of several writers at once one wins each time; no session has nearly as many.
_TRIES: Final = 50


class PostgresEventLog:
    """The event log; see ``protocols.EventLog``."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def append(self, session_uid: str, run: int, events: Sequence[NewEvent]) -> int:
        if not events:
            raise ValueError("no events to append")
        params = {
            "session_uid": session_uid,
            "hint": hint_for(session_uid),
            "run": run,
            "types": [event.type for event in events],
            "data": [encode_json(event.data) for event in events],
            "times": [event.at for event in events],
        }
        # Gapless numbers: writers at once choose the same ones, the key lets one of them through, and the others look
        # again. A lock would be for every tenant of the database to take.
        for _ in range(_TRIES):
            async with self._connections() as conn:
                try:
                    row = await (await conn.execute(_SQL["append"], params)).fetchone()
                except UniqueViolation:
                    continue
            if row is None:
                raise Superseded(f"session {session_uid!r} is gone: it was deleted or replaced")
            return int(row["seq"])
        raise TransientError(f"events of session {session_uid!r} met those of others {_TRIES} times: try again")

    async def read(self, session_uid: str, *, after: int = 0, limit: int = 1000) -> list[Event]:
        params = {"session_uid": session_uid, "after": after, "limit": limit}
        async with self._connections() as conn, conn.cursor(row_factory=class_row(Event)) as cursor:
            return await (await cursor.execute(_SQL["read"], params)).fetchall()
