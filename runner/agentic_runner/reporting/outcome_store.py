"""Stores the outcome of a run in the row of the session or of its turn, over passing faults of the database."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from agentic_core.errors import OutputTooLarge, TransientError
from agentic_core.lifecycle import Phase
from agentic_runner.config import RunConfig
from agentic_runner.reporting.ends import End
from agentic_runner.reporting.results import ResultSaver, SavedResult
from agentic_runner.session.reporter import compute_delay
from agentic_store.database import Database
from agentic_store.records import Fence

log = logging.getLogger(__name__)

T = TypeVar("T")

_ATTEMPTS: Final = 3


class OutcomeStore:
    """Stores the outcome of one run; methods raise the database's error after the last attempt."""

    def __init__(self, config: RunConfig, database: Database, end: End) -> None:
        self._config = config
        self._database = database
        self._end = end

    async def store_result(self, output: Any, saver: ResultSaver, checkpoint_id: str | None) -> SavedResult:
        """Save a result and mark the session or turn as completed. Also raises what ``ResultSaver.save`` raises.

        ``checkpoint_id`` is the thread's last checkpoint.
        """
        saved = await saver.save(output)
        try:
            await self._complete(saved, checkpoint_id)
        except OutputTooLarge:
            # PostgreSQL's form of a value can be larger than its text.
            saved = await saver.save_outside(output)
            await self._complete(saved, checkpoint_id)
        for replacement in saved.replacements[:10]:
            log.warning("the result was changed at %r: %s", replacement.pointer, replacement.reason)
        await saver.remove_others(saved)
        return saved

    async def store_waiting(self) -> None:
        """Mark the session as waiting for input."""
        sessions, config = self._database.sessions, self._config
        await _repeat(lambda: sessions.change_status(config.session_uid, config.run, Phase.WAITING_FOR_INPUT))

    async def store_failure(self, error: Mapping[str, Any], checkpoint_id: str | None) -> None:
        """Mark the session or turn as failed, in one attempt: the status and the exit code also report the failure."""
        await self._end.store_failure(self._database, error, checkpoint_id)

    async def count_failure(self, fence: Fence) -> int:
        """Count a failed attempt of the graph; return the number of failed attempts."""
        return await _repeat(lambda: self._database.fences.record_failure(fence))

    async def _complete(self, saved: SavedResult, checkpoint_id: str | None) -> None:
        await _repeat(lambda: self._end.store_result(self._database, saved.output, checkpoint_id))


async def _repeat(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a statement a few times over transient database errors."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return await call()
        except TransientError as error:
            log.warning("database unavailable: %s", error, extra={"attempt": attempt})
            if attempt == _ATTEMPTS:
                raise
            await asyncio.sleep(compute_delay(attempt + 2, error.retry_after_seconds, 0.5))
    raise AssertionError("unreachable")
