"""The queue of events for the event log, written in batches beside the run."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from agentic_core.errors import AgenticError, TransientError
from agentic_runner.execution.stream_events import StreamEvent
from agentic_runner.output.block_mask import BlockMask
from agentic_runner.output.redaction import Redactor
from agentic_store.records import NewEvent

log = logging.getLogger(__name__)


class EventStore(Protocol):
    """Where events of one run are stored."""

    async def append(self, events: Sequence[NewEvent], *, floor: int) -> int:
        """Store events in their order, without a gap between them, after ``floor``; return the last one's number."""
        ...

    async def find_stored(self, events: Sequence[NewEvent], *, floor: int) -> int | None:
        """Return the last one's number if they were stored already."""
        ...


_BATCH: Final = 200
_BATCH_CHARACTERS: Final = 512 * 1024
_RETRY_SECONDS: Final = 1.0
PROGRESS_SECONDS: Final = 1.0
MAX_TEXT: Final = 16 * 1024
"""Characters of a block's text in one event at most."""


@dataclass(slots=True)
class _Entry:
    """An event that waits; of a block's text, with the parts that were joined."""

    event: StreamEvent
    parts: list[str] = field(default_factory=list)
    size: int = 0


class EventQueue:
    """Holds at most ``capacity`` events; when it is full, makes the run wait a little.

    The wait is bounded: an event log that does not answer costs events, never the run, and an event says how many.
    Parts of one block's text that wait are joined, and none is dropped before other events are. Progress is the
    latest, once a second at most, and the last one before whatever the run ends or waits with.
    """

    def __init__(
        self,
        store: EventStore,
        *,
        floor: int = 0,
        redactor: Redactor | None = None,
        capacity: int = 2000,
        patience_seconds: float = 5.0,
        pause_seconds: float = 0.1,
        progress_seconds: float = PROGRESS_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self.floor = floor
        """The highest number that is known to have been given: it is never given again."""
        self._mask = BlockMask(redactor or Redactor())
        self._capacity = capacity
        self._patience = patience_seconds
        self._pause = pause_seconds
        self._progress_seconds = progress_seconds
        self._now = now
        self._waiting: deque[_Entry] = deque()
        self._open: dict[tuple[str, int], _Entry] = {}
        """The last part of each block's text that waits, since there was any other event."""
        self._progress: StreamEvent | None = None
        self._progress_at = -progress_seconds
        self._missing = 0
        self._filled = asyncio.Event()
        self._has_room = asyncio.Event()
        self._is_closed = False
        self._task: asyncio.Task[None] | None = None
        self._is_urgent = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self.dropped = 0
        self.first_seq: int | None = None
        """Number of the first event that was stored since :meth:`mark`."""
        self.last_seq: int | None = None

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write(), name="events")

    async def put(self, event: StreamEvent) -> None:
        """Queue one event."""
        if self._is_closed:
            return
        if event.is_droppable:
            self._progress = event  # the one before was of interest until now
            if not self._is_time:
                self._note()
                return
            self._take_progress()
        if event.text is not None and event.block is not None and self._join(event.block, event.text):
            return
        if len(self._waiting) >= self._capacity:
            await self._make_room()
        if event.text is None or event.block is None:
            self._open.clear()
            self._waiting.append(_Entry(event))
        else:
            entry = self._open[event.block] = _Entry(event, [event.text], len(event.text))
            self._waiting.append(entry)
        self._note()

    def _note(self) -> None:
        self._settled.clear()
        self._filled.set()

    def _join(self, block: tuple[str, int], text: str) -> bool:
        entry = self._open.get(block)
        if entry is None or entry.size + len(text) > MAX_TEXT:
            return False
        entry.parts.append(text)
        entry.size += len(text)
        return True

    async def _make_room(self) -> None:
        self._has_room.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._has_room.wait(), self._patience)
        if len(self._waiting) >= self._capacity:
            lost = next((index for index, each in enumerate(self._waiting) if not each.parts), 0)
            del self._waiting[lost]
            self._open.clear()
            self.dropped += 1
            self._missing += 1

    def mark(self) -> None:
        """Begin to count anew which events were stored."""
        self.first_seq = self.last_seq = None

    async def settle(self, patience_seconds: float) -> None:
        """Wait until what is queued is stored, without the pause between batches, for as long as the patience lasts."""
        self._is_urgent.set()
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._settled.wait(), patience_seconds)
        finally:
            self._is_urgent.clear()

    async def close(self, patience_seconds: float) -> None:
        """Write the queued events until the time limit, and end."""
        self._is_closed = True
        self._filled.set()
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._task, patience_seconds)
            self._task = None
        if lost := self.dropped + len(self._waiting):
            log.warning("events were lost", extra={"events": lost})

    async def _write(self) -> None:
        while self._has_more or not self._is_closed:
            await self._wait_for_events()
            while batch := self._take():
                self._has_room.set()
                if not await self._append_batch(batch):
                    self.dropped += len(batch)
                    self._is_closed = True
                    self._settled.set()
                    return
                if not self._has_more:
                    self._settled.set()
                if not self._is_closed:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._is_urgent.wait(), self._pause)
            if not self._has_more:
                self._settled.set()

    @property
    def _has_more(self) -> bool:
        return bool(self._waiting) or self._progress is not None

    async def _wait_for_events(self) -> None:
        """Return when there is something to write: an event, or progress whose time has come."""
        while not self._waiting and not self._is_due:
            if self._is_closed:
                return
            self._filled.clear()
            seconds = None
            if self._progress is not None:
                seconds = self._progress_at + self._progress_seconds - self._now()
            urgent = asyncio.ensure_future(self._is_urgent.wait()) if self._progress is not None else None
            filled = asyncio.ensure_future(self._filled.wait())
            waited = [each for each in (filled, urgent) if each is not None]
            await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for each in waited:
                each.cancel()

    @property
    def _is_due(self) -> bool:
        return self._progress is not None and (self._is_time or self._is_closed or self._is_urgent.is_set())

    @property
    def _is_time(self) -> bool:
        return self._now() >= self._progress_at + self._progress_seconds

    def _take(self) -> list[NewEvent]:
        """Remove and return what is written next: an event that is being written can no longer be dropped or joined."""
        batch: list[NewEvent] = []
        if self._missing:
            why = "the event log did not take them in time"
            batch.append(NewEvent("gap", {"reason": why, "count": self._missing}))
            self._missing = 0
        size = 0
        while self._waiting and len(batch) < _BATCH and size < _BATCH_CHARACTERS:
            entry = self._waiting.popleft()
            size += entry.size
            if entry.event.ends_progress:
                batch += self._take_progress()
            batch += self._build(entry)
        self._open.clear()
        if self._is_due:
            batch += self._take_progress()
        return batch

    def _take_progress(self) -> list[NewEvent]:
        progress, self._progress = self._progress, None
        if progress is None:
            return []
        self._progress_at = self._now()
        return [NewEvent(progress.type, progress.data, turn=progress.turn)]

    def _build(self, entry: _Entry) -> list[NewEvent]:
        event = entry.event
        if event.block is None:
            return [NewEvent(event.type, event.data, turn=event.turn)]
        if event.ends_block:
            rest = self._mask.end(event.block)
            return [*_build_texts(event, rest), NewEvent(event.type, event.data, turn=event.turn)]
        return _build_texts(event, self._mask.mask(event.block, "".join(entry.parts)))

    async def _append_batch(self, batch: Sequence[NewEvent]) -> bool:
        is_repeated = False
        while True:
            try:
                # One that was not answered may have been done.
                found = await self._store.find_stored(batch, floor=self.floor) if is_repeated else None
                last = found or await self._store.append(batch, floor=self.floor)
            except TransientError as error:
                is_repeated = True
                log.warning("writing events failed, retrying: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)
            except AgenticError as error:
                log.warning("stopped writing events: %s", error)
                return False
            else:
                if self.first_seq is None:
                    self.first_seq = last - len(batch) + 1
                self.last_seq = self.floor = last
                return True


def _build_texts(event: StreamEvent, text: str) -> list[NewEvent]:
    """Return a block's text as events of a bounded size; none if it is all held back."""
    parts = (text[start : start + MAX_TEXT] for start in range(0, len(text), MAX_TEXT))
    return [NewEvent("content-block-delta", {**event.data, "text": part}, turn=event.turn) for part in parts]
