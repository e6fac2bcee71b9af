"""Warm wait: the process waits for an answer before it gives its pod up.

It reads its session once a second: the right to watch sessions would be a right to see all of a namespace's.
"""

import asyncio
import logging
from collections.abc import Collection
from typing import Final

from agentic_core.errors import TransientError
from agentic_runner.drain import Drain
from agentic_runner.session.reporter import Reporter

log = logging.getLogger(__name__)

_INTERVAL: Final = 1.0


class WarmWait:
    """How long this process may still wait for people: ``seconds`` for all its questions together."""

    def __init__(
        self, seconds: float, drain: Drain, reporter: Reporter, *, interval_seconds: float = _INTERVAL
    ) -> None:
        self._left = seconds
        self._drain = drain
        self._reporter = reporter
        self._interval = interval_seconds

    async def wait_for_answer(self, questions: Collection[str]) -> bool:
        """Whether one of the questions was answered before the time was up, the pod drained or the session moved.

        Raises ``Superseded`` when the session is not ours any more.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            while (left := self._left - (loop.time() - started)) > 0:
                if await self._drain.wait_requested(min(self._interval, left)):
                    return False
                try:
                    found = await self._reporter.find_answers(questions)
                except TransientError as error:
                    log.warning("looking for an answer failed: %s", error)
                    continue
                if found is not False:
                    return bool(found)
            return False
        finally:
            self._left -= loop.time() - started
