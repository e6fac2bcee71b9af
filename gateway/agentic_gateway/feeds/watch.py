"""Says to the database which sessions this replica follows, so that their writers notify it."""

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from typing import Final, Protocol

from agentic_core.errors import AgenticError
from agentic_store.signals import Signals

REFRESH_SECONDS: Final = 20.0
RETRY_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


class Interest(Protocol):
    """Where it is said that sessions are watched; that holds for a minute."""

    async def state(self, session_uids: Collection[str], /) -> None:
        """Say that somebody watches these sessions."""
        ...


class Watch:
    """The sessions that are followed here, as the database is told again and again."""

    def __init__(self, interest: Interest, signals: Signals) -> None:
        self._interest = interest
        self._signals = signals
        self._uids: set[str] = set()

    async def begin(self, session_uid: str) -> None:
        """Say that a session is watched, before it is read first; raises ``DatabaseUnavailable``."""
        self._uids.add(session_uid)
        if self._signals.is_listening:
            await self._interest.state([session_uid])

    def end(self, session_uid: str) -> None:
        """Do not say so again."""
        self._uids.discard(session_uid)

    async def run(self) -> None:
        """Say it again every 20 seconds, and whenever hints come again: a server that crashed has forgotten it."""
        pause = REFRESH_SECONDS
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._signals.began.wait(), pause)
            self._signals.began.clear()
            pause = REFRESH_SECONDS
            if not self._signals.is_listening:
                continue
            try:
                await self._interest.state(self._uids)
            except AgenticError as error:
                log.warning("saying which sessions are watched failed, retrying: %s", error)
                pause = RETRY_SECONDS
