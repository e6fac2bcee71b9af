"""``session_events`` in PostgreSQL: the log of what happened in each session."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from psycopg.errors import UniqueViolation
from psycopg.rows import class_row
from psycopg.types.json import set_json_loads

from agentic_core.errors import Superseded, TransientError
from agentic_store.pool import Connections
from agentic_store.records import Event, NewEvent
from agentic_store.results.output import encode_json
from agentic_store.signals import hint_for
from agentic_store.statements import load_statements

_SQL: Final = load_statements("events")
# Of several writers at once one wins each time; no session has nearly as many.
_TRIES: Final = 50


_MAX_DIGITS: Final = 4000


class PostgresEventLog:
    """The event log; see ``protocols.EventLog``."""

    def __init__(self, connections: Connections, announce: Callable[[str], None] | None = None) -> None:
        """``announce`` tells watchers by a session's hint; a log that is only read needs none."""
        self._connections = connections
        self._announce = announce

    async def append(self, session_uid: str, run: int, events: Sequence[NewEvent], *, floor: int = 0) -> int:
        if not events:
            raise ValueError("no events to append")
        params = {
            "session_uid": session_uid,
            "run": run,
            "floor": floor,
            "types": [event.type for event in events],
            "data": [encode_json(event.data) for event in events],
            "times": [event.at for event in events],
            "turns": [event.turn for event in events],
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
            if self._announce is not None:
                self._announce(hint_for(session_uid))
            return int(row["seq"])
        raise TransientError(f"events of session {session_uid!r} met those of others {_TRIES} times: try again")

    async def read(self, session_uid: str, *, after: int = 0, limit: int = 1000) -> list[Event]:
        params = {"session_uid": session_uid, "after": after, "limit": limit}
        async with self._connections() as conn, conn.cursor(row_factory=class_row(Event)) as cursor:
            set_json_loads(read_foreign_json, cursor)
            return await (await cursor.execute(_SQL["read"], params)).fetchall()

    async def find_stored(self, session_uid: str, run: int, events: Sequence[NewEvent], *, floor: int) -> int | None:
        """Return the last one's ``seq`` if these events of a run were stored together after ``floor``; None if not.

        For a writer whose append was not answered: it may have been done all the same.
        """
        wanted = [(run, event.type, json.loads(encode_json(event.data))) for event in events]
        rows = await self.read(session_uid, after=floor, limit=10 * len(events) + 1000)
        found = [(row.run, row.type, row.data) for row in rows]
        for start in range(len(found) - len(wanted) + 1):
            if found[start : start + len(wanted)] == wanted:
                return rows[start + len(wanted) - 1].seq
        return None

    async def fetch_last(self, session_uid: str) -> int:
        """Return the number of the last event, 0 if there is none."""
        async with self._connections() as conn:
            row = await (await conn.execute(_SQL["last"], {"session_uid": session_uid})).fetchone()
        return int(row["seq"]) if row is not None else 0


def read_foreign_json(text: str | bytes) -> Any:
    """Parse what somebody else's code stored: a number with more digits than Python reads stays a text."""
    return json.loads(text, parse_int=_read_integer)


def _read_integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MAX_DIGITS else digits
