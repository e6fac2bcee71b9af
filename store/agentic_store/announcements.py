"""Tells watchers of a session that its event log grew, and nobody where no one watches.

A notification takes a lock of the whole server's queue until its transaction is over, and wakes everybody who listens.
So it is a transaction of its own, which writes nothing and waits for no disk; it is sent only for sessions that
somebody watches at that moment, and at most once in 100 ms for each. Whether somebody watches is asked after the events
are there: who begins to watch says so before reading, and so either reads them or is told.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from agentic_core.errors import AgenticError
from agentic_store.pool import Connections
from agentic_store.statements import load_statements

INTERVAL_SECONDS: Final = 0.1

_SQL: Final = load_statements("events")

log = logging.getLogger(__name__)


class Announcer:
    """Announces new events of this process's sessions, beside whatever wrote them."""

    def __init__(
        self,
        connections: Connections,
        *,
        interval_seconds: float = INTERVAL_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = connections
        self._interval = interval_seconds
        self._now = now
        self._last: dict[str, float] = {}
        self._pending: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = asyncio.Event()

    def announce(self, hint: str) -> None:
        """Tell watchers soon. Several announcements until then are one; the last one is never left out."""
        if hint not in self._pending:
            self._pending.add(hint)
            task = asyncio.create_task(self._announce(hint), name="announce")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Send what is pending, without waiting for its time."""
        self._is_closing.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _announce(self, hint: str) -> None:
        await self._wait_for_turn(hint)
        # What is announced from here on has a task of its own: this one may have looked already.
        self._pending.discard(hint)
        self._last[hint] = self._now()
        self._forget_old()
        try:
            async with self._connections() as conn:
                await conn.execute(_SQL["notify_watchers"], {"hint": hint})
        except AgenticError as error:
            # A hint is lost: watchers look from time to time.
            log.debug("could not notify watchers: %s", error)

    async def _wait_for_turn(self, hint: str) -> None:
        pause = self._last.get(hint, -self._interval) + self._interval - self._now()
        if pause <= 0:
            return
        try:
            await asyncio.wait_for(self._is_closing.wait(), pause)
        except TimeoutError:
            return

    def _forget_old(self) -> None:
        limit = self._now() - self._interval
        for hint in [hint for hint, at in self._last.items() if at < limit]:
            del self._last[hint]
