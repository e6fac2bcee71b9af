"""When to look at the event log: PostgreSQL's notifications, on a connection of their own.

A notification is a hint. It may be lost with its connection, so whoever follows a log also looks from time to time.
PostgreSQL lets every role of a database listen, so a hint names its session only to those who know the session's uid.
"""

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final, Protocol

import psycopg

from agentic_core.errors import AgenticError
from agentic_store.connect import connect, is_pooled
from agentic_store.dsn import Dsn
from agentic_store.protocols import EventLog
from agentic_store.records import Event
from agentic_store.statements import load_statements

_SQL: Final = load_statements("events")
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 10.0

log = logging.getLogger(__name__)


def hint_for(session_uid: str) -> str:
    """Return the payload of a session's notification; its uid cannot be derived from it."""
    return hashlib.sha256(session_uid.encode()).hexdigest()[:32]


class Signals(Protocol):
    """Tells when a session's log may have grown."""

    @property
    def is_listening(self) -> bool:
        """Whether hints can be relied upon now; if not, whoever follows a log looks much more often."""
        ...

    @property
    def began(self) -> asyncio.Event:
        """Set whenever hints can be relied upon (again); what was said to the database before may be lost by then."""
        ...

    @contextmanager
    def subscribe(self, session_uid: str) -> Iterator[asyncio.Event]:
        """Give an event that is set when there may be something new; whoever waits clears it before looking."""
        ...


class LocalSignals:
    """Signals within a process: any number of subscribers, each with room for exactly one hint."""

    def __init__(self, *, is_listening: bool = True) -> None:
        self.is_listening = is_listening
        self.began = asyncio.Event()
        self._subscribers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def subscribe(self, session_uid: str) -> Iterator[asyncio.Event]:
        hint, signal = hint_for(session_uid), asyncio.Event()
        self._subscribers[hint].add(signal)
        try:
            yield signal
        finally:
            self._subscribers[hint].discard(signal)
            if not self._subscribers[hint]:
                del self._subscribers[hint]

    def notify(self, hint: str) -> None:
        for signal in self._subscribers.get(hint, ()):
            signal.set()

    def notify_all(self) -> None:
        for hint in list(self._subscribers):
            self.notify(hint)


@asynccontextmanager
async def listen(dsn: Dsn, *, application_name: str) -> AsyncIterator[Signals]:
    """Listen for the database's notifications until the block ends, reconnecting as often as it takes.

    Behind a pooler nothing is heard, because the next statement may come to another backend: nobody listens there.
    """
    signals = LocalSignals(is_listening=False)
    task = asyncio.create_task(_listen_for_ever(dsn, application_name, signals))
    try:
        yield signals
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def follow(
    events: EventLog, signals: Signals, session_uid: str, *, after: int = 0, poll_seconds: float = 5.0
) -> AsyncGenerator[Event]:
    """Yield the events after number ``after`` and then each new one, without end, gap or repetition."""
    with signals.subscribe(session_uid) as changed:
        while True:
            changed.clear()
            found = await events.read(session_uid, after=after)
            for event in found:
                yield event
                after = event.seq
            if not found:
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), poll_seconds)


async def _listen_for_ever(dsn: Dsn, application_name: str, signals: LocalSignals) -> None:
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            conn = await connect(dsn.refresh(), application_name=application_name)
            async with conn:
                if await is_pooled(conn):
                    log.info("a pooler is between here and the database: reading the event log instead of listening")
                    return
                await conn.execute(_SQL["listen"])
                pause = _FIRST_PAUSE_SECONDS
                signals.is_listening = True
                signals.began.set()
                # Notifications from before LISTEN were missed.
                signals.notify_all()
                async for notification in conn.notifies():
                    signals.notify(notification.payload)
        except (psycopg.Error, AgenticError) as error:
            log.warning("lost the LISTEN connection: %s", dsn.redact(str(error)).strip())
        finally:
            signals.is_listening = False
            # Whoever waits for the next hint for long has to know.
            signals.notify_all()
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
