"""How the process ends: it takes itself out of service, then hands its streams over, then stops.

A Service goes on sending connections here for a moment after the pod was told to end. They are served until then.
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Iterator
from types import FrameType
from typing import Final

import uvicorn

HAND_OVER_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class Lifecycle:
    """Where the process stands between its start and its end, and which streams are open."""

    def __init__(self) -> None:
        self.is_draining = False
        """Whether the process was told to end: it is not ready any more, and serves who still comes."""
        self.leaving = asyncio.Event()
        """Set when streams have to end and their clients to go on elsewhere."""
        self._streams = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return self._streams

    @contextlib.contextmanager
    def stream(self) -> Iterator[None]:
        """Count a stream as open until the block ends."""
        self._streams += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._streams -= 1
            if not self._streams:
                self._idle.set()

    async def hand_over(self, seconds: float) -> None:
        """Have every stream end with the number from which its client goes on; wait ``seconds`` for them at most."""
        self.leaving.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)


class GracefulServer(uvicorn.Server):
    """A server that drains before it stops: SIGTERM is the beginning of its end, a second one hastens it."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, drain_seconds: float) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self._drain_seconds = drain_seconds
        self._stop_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Begin to drain; stop at once if that has begun already."""
        hurries = self._lifecycle.is_draining
        self._lifecycle.is_draining = True
        self._stop_at = time.monotonic() + (0.0 if hurries else self._drain_seconds)

    async def on_tick(self, counter: int) -> bool:
        """Say that it is time to stop once the drain is over."""
        return await super().on_tick(counter) or (self._stop_at is not None and time.monotonic() >= self._stop_at)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, hand the streams over, and let requests end."""
        for server in self.servers:
            server.close()
        log.info("handing over %d streams", self._lifecycle.streams)
        await self._lifecycle.hand_over(HAND_OVER_SECONDS)
        await super().shutdown(sockets)
