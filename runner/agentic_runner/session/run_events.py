"""The part of a session's event log that one run writes."""

from collections.abc import Sequence

from agentic_store.events import PostgresEventLog
from agentic_store.records import NewEvent


class RunEvents:
    """Stores the events of one run of a session."""

    def __init__(self, events: PostgresEventLog, session_uid: str, run: int) -> None:
        self._events = events
        self._session_uid = session_uid
        self._run = run

    async def append(self, events: Sequence[NewEvent], *, floor: int) -> int:
        """Store events after ``floor``; return the last one's number."""
        return await self._events.append(self._session_uid, self._run, events, floor=floor)

    async def find_stored(self, events: Sequence[NewEvent], *, floor: int) -> int | None:
        """Return the last one's number if they were stored already, after ``floor``."""
        return await self._events.find_stored(self._session_uid, self._run, events, floor=floor)
