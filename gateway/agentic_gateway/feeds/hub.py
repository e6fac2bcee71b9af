"""One feed a session: its log is read once and encoded once, however many clients follow it.

A feed keeps the newest messages in a ring. A client is a number, the last message that it was given: it takes what
follows from the ring, and from the database if that lies behind the ring. Nothing is ever skipped; a client that
cannot follow is told so and comes back with its number.
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Final, Protocol

from agentic_core.errors import AgenticError
from agentic_gateway.feeds.envelope import Frame, build_ahead, build_frame, build_gap
from agentic_gateway.feeds.watch import Interest, Watch
from agentic_store.records import Event
from agentic_store.signals import Signals

MAX_FRAMES: Final = 1000
MAX_BYTES: Final = 1024 * 1024
PAGE: Final = 500
# A hint may be lost, so feeds look from time to time; if no hints come, much more often while somebody follows.
POLL_SECONDS: Final = 5.0
DEAF_POLL_SECONDS: Final = 0.25
LONGEST_PAUSE: Final = 5.0
LINGER_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class Rows(Protocol):
    """The part of the event log that feeds read."""

    async def read(self, session_uid: str, *, after: int = 0, limit: int = 1000) -> list[Event]:
        """Return the events that follow number ``after``, in order."""
        ...

    async def fetch_last(self, session_uid: str) -> int:
        """Return the number of the last event, 0 if there is none."""
        ...


OpenRows = Callable[[str], Rows]
"""Gives the part of the log that is a namespace's."""


def build_frames(events: Sequence[Event], after: int) -> list[Frame]:
    """Return the messages for rows that follow ``after``; what is missing between them becomes a gap.

    What is missing because it was joined into messages that are there is no gap: the message that follows says so.
    """
    frames: list[Frame] = []
    for event in events:
        kept_from = event.seq if event.since is None else min(event.since, event.seq)
        if kept_from > after + 1:
            frames.append(build_gap(after, kept_from, event.at, event.turn))
            after = kept_from - 1
        frames.append(build_frame(event, after))
        after = event.seq
    return frames


class FeedFailed(Exception):
    """The log cannot be followed any more, by a fault of ours; a client that comes back gets a new feed."""


class Feed:
    """The log of one session as messages."""

    def __init__(self, session_uid: str, rows: Rows, signals: Signals, watch: Watch) -> None:
        self.session_uid = session_uid
        self.clients = 0
        self._rows = rows
        self._signals = signals
        self._watch = watch
        self._ring: deque[Frame] = deque()
        self._bytes = 0
        self._last: int | None = None
        self._grown = asyncio.Condition()
        self.has_failed = False

    async def run(self) -> None:
        """Read what is new, for ever; a database that is away delays messages and loses none.

        Whatever else goes wrong ends the feed, and whoever follows it is told.
        """
        try:
            await self._read_for_ever()
        except Exception:
            log.exception("the feed of session %s ends", self.session_uid)
            async with self._grown:
                self.has_failed = True
                self._grown.notify_all()

    async def _read_for_ever(self) -> None:
        failures = 0
        with self._signals.subscribe(self.session_uid) as changed:
            while True:
                changed.clear()
                try:
                    is_new = await self._read_on()
                    failures = 0
                except AgenticError as error:
                    failures += 1
                    if failures == 1:
                        log.warning("reading the event log failed, retrying: %s", error)
                    await asyncio.sleep(min(0.2 * 2.0 ** min(failures, 10), LONGEST_PAUSE))
                    continue
                if not is_new:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(changed.wait(), self._choose_pause())

    def _choose_pause(self) -> float:
        return POLL_SECONDS if self._signals.is_listening or not self.clients else DEAF_POLL_SECONDS

    async def _read_on(self) -> bool:
        if self._last is None:
            await self._watch.begin(self.session_uid)
            last = await self._rows.fetch_last(self.session_uid)
            async with self._grown:
                self._last = last
                self._grown.notify_all()
        found = await self._rows.read(self.session_uid, after=self._last, limit=PAGE)
        if not found:
            return False
        async with self._grown:
            for frame in build_frames(found, self._last):
                self._ring.append(frame)
                self._bytes += len(frame.wire)
            while len(self._ring) > MAX_FRAMES or (self._bytes > MAX_BYTES and len(self._ring) > 1):
                self._bytes -= len(self._ring.popleft().wire)
            self._last = found[-1].seq
            self._grown.notify_all()
        return True

    async def follow(self, after: int) -> AsyncIterator[Sequence[Frame]]:
        """Yield what follows message ``after``, in batches, and then each new one, without end, gap or repetition.

        A client that has a number beyond the newest row is told so, once: its log was another one, or lost rows.
        Raises ``DatabaseUnavailable`` if the rows cannot be read, and :class:`FeedFailed`.
        """
        if after and (notice := await self._find_ahead(after)) is not None:
            yield [notice]
        while True:
            async with self._grown:
                while not self.has_failed and (self._last is None or self._last <= after):
                    await self._grown.wait()
                if self.has_failed:
                    raise FeedFailed
                batch = self._take(after)
            if batch is None:
                batch = build_frames(await self._rows.read(self.session_uid, after=after, limit=PAGE), after)
            if not batch:
                # What the feed has seen is gone by now: the session was deleted.
                return
            yield batch
            after = batch[-1].seq or after

    async def _find_ahead(self, after: int) -> Frame | None:
        async with self._grown:
            if self._last is not None and self._last >= after:
                return None
        # A number that another replica sent may be newer than what was read here.
        last = await self._rows.fetch_last(self.session_uid)
        return build_ahead(last, after, datetime.now(UTC)) if last < after else None

    def _take(self, after: int) -> list[Frame] | None:
        """Return what the ring has after ``after``; None if it begins later than that."""
        if not self._ring or (self._ring[0].seq or 0) > after + 1:
            return None
        # From the end: most clients lack a few messages of a thousand.
        found = list(itertools.takewhile(lambda frame: (frame.seq or 0) > after, reversed(self._ring)))
        found.reverse()
        return found


class Hub:
    """The feeds of one process; a feed without clients ends after a moment."""

    def __init__(self, open_rows: OpenRows, signals: Signals, interest: Interest) -> None:
        self._open_rows = open_rows
        self._signals = signals
        self._watch = Watch(interest, signals)
        self._watching: asyncio.Task[None] | None = None
        self._feeds: dict[str, tuple[Feed, asyncio.Task[None]]] = {}

    @asynccontextmanager
    async def open_feed(self, namespace: str, session_uid: str) -> AsyncIterator[Feed]:
        """Give the feed of a session of this namespace, which runs at least until the block ends."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch.run(), name="watch")
        known = self._feeds.get(session_uid)
        if known is None or known[0].has_failed:
            made = Feed(session_uid, self._open_rows(namespace), self._signals, self._watch)
            self._feeds[session_uid] = made, asyncio.create_task(made.run(), name=f"feed {session_uid}")
        feed = self._feeds[session_uid][0]
        feed.clients += 1
        try:
            yield feed
        finally:
            feed.clients -= 1
            if not feed.clients:
                asyncio.get_running_loop().call_later(LINGER_SECONDS, self._end, feed)

    def _end(self, feed: Feed) -> None:
        known = self._feeds.get(feed.session_uid)
        if feed.clients or known is None or known[0] is not feed:
            return
        self._watch.end(feed.session_uid)
        del self._feeds[feed.session_uid]
        known[1].cancel()

    @property
    def feeds(self) -> int:
        """How many sessions are followed."""
        return len(self._feeds)

    async def close(self) -> None:
        """End every feed."""
        tasks = [task for _, task in self._feeds.values()]
        if self._watching is not None:
            tasks.append(self._watching)
        self._feeds.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
