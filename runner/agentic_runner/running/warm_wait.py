"""Warm wait: the process waits for an answer or a turn before it gives its pod up.

It reads its session whenever the database has a hint for it, and now and then without: the right to watch sessions
would be a right to see all of a namespace's. Where nobody listens for hints, it reads once a second.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeAlias

from agentic_core.errors import TransientError
from agentic_runner.drain import Drain
from agentic_store.session_channel import SessionChannel

log = logging.getLogger(__name__)

LISTENING_SECONDS: Final = 15.0
"""How often the session is read while hints are listened for: one may be lost."""
READING_SECONDS: Final = 1.0
"""How often it is read while they are not."""
# Every database role can send hints: this bounds the reads that a flood of hints causes.
_SHORTEST_PAUSE: Final = 0.1

Listen: TypeAlias = Callable[[], AbstractAsyncContextManager[SessionChannel]]
"""Listens on the session's channel during a wait."""


class WarmWait:
    """How long this process may still wait for people: ``seconds`` for all its waits together, until it is renewed."""

    def __init__(
        self,
        seconds: float,
        drain: Drain,
        listen: Listen,
        *,
        listening_seconds: float = LISTENING_SECONDS,
        reading_seconds: float = READING_SECONDS,
    ) -> None:
        self._seconds = self._left = seconds
        self._drain = drain
        self._listen = listen
        self._listening_seconds = listening_seconds
        self._reading_seconds = reading_seconds

    def renew(self) -> None:
        """Reset the time limit: a turn begins or has ended."""
        self._left = self._seconds

    async def wait(self, look: Callable[[], Awaitable[bool | None]]) -> bool:
        """Whether what is waited for came before the time was up.

        ``look`` reads the session: True if it is there, None if nobody waits any more. It may raise
        ``TransientError``, and ``Superseded`` when the session is not ours any more, which is raised. It is called once
        more when the time is up: who wrote the session a moment before took this process for waiting.
        """
        if self._left <= 0:
            return False
        loop = asyncio.get_running_loop()
        started = loop.time()
        deadline = started + self._left
        try:
            async with self._listen() as channel:
                while True:
                    is_last = self._drain.reason is not None or loop.time() >= deadline
                    channel.changed.clear()
                    try:
                        found = await look()
                    except TransientError as error:
                        log.warning("looking at the session failed: %s", error)
                        found = False
                    if found is not False:
                        return bool(found) and self._drain.reason is None
                    if is_last:
                        return False
                    await self._pause(channel, deadline)
        finally:
            self._left -= loop.time() - started

    async def _pause(self, channel: SessionChannel, deadline: float) -> None:
        """Return at a hint, at a drain, or when the next read is due."""
        loop = asyncio.get_running_loop()
        longest = self._listening_seconds if channel.is_listening else self._reading_seconds
        if await self._drain.wait_requested(min(_SHORTEST_PAUSE, longest, max(0.0, deadline - loop.time()))):
            return
        left = min(longest - _SHORTEST_PAUSE, deadline - loop.time())
        if left <= 0:
            return
        drained = asyncio.create_task(self._drain.wait_requested(left))
        changed = asyncio.create_task(channel.changed.wait())
        try:
            await asyncio.wait({drained, changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (drained, changed):
                task.cancel()
