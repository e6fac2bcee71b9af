"""SIGTERM: finish the super-step and end; a second one ends the process at once.

The handler is set before anything is imported, so that kubelet never waits for an import.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Final

from agentic_core.contract import ExitCode

log = logging.getLogger(__name__)

# What is left of kubelet's grace for saving, reporting and leaving.
MARGIN_SECONDS: Final = 5.0


class Drain:
    """The wish to stop. Until :meth:`arm` there is nothing to save: a signal ends the process."""

    def __init__(self) -> None:
        self._on_request: Callable[[str], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._requested = asyncio.Event()
        self.reason: str | None = None

    def install(self) -> None:
        """Handle SIGTERM from now on, and SIGINT, which is what images with that STOPSIGNAL are ended by."""
        signal.signal(signal.SIGTERM, self._signalled)
        signal.signal(signal.SIGINT, self._signalled)

    def arm(self, on_request: Callable[[str], None]) -> None:
        """Call ``on_request`` instead of ending the process; to be called in the event loop's thread."""
        self._loop = asyncio.get_running_loop()
        self._on_request = on_request

    def request(self, reason: str) -> None:
        """Ask the run to stop after its super-step."""
        if self.reason is None:
            self.reason = reason
            if self._on_request is not None:
                self._on_request(reason)
            self._requested.set()

    async def wait_requested(self, timeout_seconds: float) -> bool:
        """Wait for the wish to stop, for a while; return whether it is there."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._requested.wait()
        return self.reason is not None

    async def wait(self, grace_seconds: float) -> None:
        """Return when the time for finishing the super-step is over, counted from the request."""
        await self._requested.wait()
        await asyncio.sleep(max(1.0, grace_seconds - MARGIN_SECONDS))

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        if self._on_request is None or self._loop is None or self.reason is not None:
            os._exit(ExitCode.DRAINED)
        # The flag first: it works even where an author's node blocks the loop.
        self.reason = "SIGTERM"
        self._on_request(self.reason)
        self._loop.call_soon_threadsafe(self._signal_seen)

    def _signal_seen(self) -> None:
        log.info("SIGTERM: finishing the super-step")
        self._requested.set()
