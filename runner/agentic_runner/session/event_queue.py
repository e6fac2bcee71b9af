"""The queue of events for the event log, written in batches beside the run."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from agentic_core.errors import AgenticError, TransientError
from agentic_runner.execution.tracking import StreamEvent
from agentic_store.records import NewEvent

log = logging.getLogger(__name__)

Append = Callable[[Sequence[NewEvent]], Awaitable[object]]

_BATCH: Final = 200
_RETRY_SECONDS: Final = 1.0


class EventQueue:
    """Holds at most ``capacity`` events; drops the oldest progress first, then makes the run wait a little.

    The wait is bounded: an event log that does not answer costs events, never the run.
    """

    def __init__(
        self, append: Append, *, capacity: int = 2000, patience_seconds: float = 5.0, pause_seconds: float = 0.1
    ) -> None:
        self._append = append
        self._capacity = capacity
        self._patience = patience_seconds
        self._pause = pause_seconds
        self._waiting: deque[tuple[NewEvent, bool]] = deque()
        self._filled = asyncio.Event()
        self._has_room = asyncio.Event()
        self._is_closed = False
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write(), name="events")

    async def put(self, event: StreamEvent) -> None:
        """Queue one event."""
        if self._is_closed:
            return
        if len(self._waiting) >= self._capacity and not self._drop_progress():
            self._has_room.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._has_room.wait(), self._patience)
            if len(self._waiting) >= self._capacity:
                self._waiting.popleft()
                self.dropped += 1
        self._waiting.append((NewEvent(event.type, event.data), event.is_droppable))
        self._filled.set()

    def _drop_progress(self) -> bool:
        for index, (_, is_droppable) in enumerate(self._waiting):
            if is_droppable:
                del self._waiting[index]
                self.dropped += 1
                return True
        return False

    async def close(self, patience_seconds: float) -> None:
        """Write what is queued, for as long as the patience lasts, and end."""
        self._is_closed = True
        self._filled.set()
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._task, patience_seconds)
            self._task = None
        if lost := self.dropped + len(self._waiting):
            log.warning("events were lost", extra={"events": lost})

    async def _write(self) -> None:
        while self._waiting or not self._is_closed:
            await self._filled.wait()
            self._filled.clear()
            while self._waiting:
                # Taken out first: what is being written can no longer be dropped.
                batch = [self._waiting.popleft()[0] for _ in range(min(_BATCH, len(self._waiting)))]
                self._has_room.set()
                if not await self._append_batch(batch):
                    self.dropped += len(batch)
                    self._is_closed = True
                    return
                if not self._is_closed:
                    await asyncio.sleep(self._pause)

    async def _append_batch(self, batch: Sequence[NewEvent]) -> bool:
        while True:
            try:
                await self._append(batch)
            except TransientError as error:
                log.warning("writing events failed, retrying: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)
            except AgenticError as error:
                log.warning("stopped writing events: %s", error)
                return False
            else:
                return True
