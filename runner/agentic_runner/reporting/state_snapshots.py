"""Publishes snapshots of the output channels for those who may read them, without delaying the run.

The newest is written at most once a second, and at once where a turn ends or asks. Of one that is larger than 1 MiB it
is said that it is.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from agentic_runner.output.redaction import Redactor, describe
from agentic_runner.reporting.results import encode_up_to
from agentic_store.results.output import encode_json
from agentic_store.thread_values import MAX_STATE_BYTES, ThreadValues

SECONDS: Final = 1.0

log = logging.getLogger(__name__)


class ValuesStore(Protocol):
    """Where the newest values of a session are stored."""

    async def write(self, session_uid: str, values: ThreadValues, channels: Sequence[str]) -> None:
        """Replace the stored values."""
        ...


class StateSnapshots:
    """Writes the newest output of one session's graph."""

    def __init__(
        self,
        store: ValuesStore,
        session_uid: str,
        run: int,
        redactor: Redactor,
        *,
        keeps_history: bool,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._session_uid = session_uid
        self._run = run
        self._redactor = redactor
        self._keeps_history = keeps_history
        self._seconds = seconds
        self._clock = clock
        self._newest: tuple[Any, str | None, int] | None = None
        self._seen = asyncio.Event()
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.channels: tuple[str, ...] = ()
        """The names of the output channels."""

    def start(self) -> None:
        """Start writing."""
        self._task = asyncio.create_task(self._write_for_ever(), name="state")

    def see(self, output: Any, checkpoint_id: str | None, turn: int) -> None:
        """Take the output after a super-step."""
        self._newest = (output, checkpoint_id, turn)
        self._seen.set()

    async def flush(self) -> None:
        """Write the newest output; if the database refuses it, only the snapshot is lost."""
        async with self._lock:
            newest, self._newest = self._newest, None
            self._seen.clear()
            if newest is None:
                return
            output, checkpoint_id, turn = newest
            try:
                values = ThreadValues(
                    run=self._run,
                    turn=turn,
                    checkpoint_id=checkpoint_id,
                    keeps_history=self._keeps_history,
                    state=self._encode(output),
                )
                await self._store.write(self._session_uid, values, self.channels)
            except asyncio.CancelledError:
                self._keep(newest)
                raise
            except Exception as error:  # noqa: BLE001  (the author's objects may raise anything, and a snapshot must not fail the run)
                log.warning("the state cannot be shown: %s", describe(error))

    def _keep(self, newest: tuple[Any, str | None, int]) -> None:
        """Write it later, unless there is a newer output by then."""
        if self._newest is None:
            self._newest = newest

    async def settle(self, patience_seconds: float = SECONDS) -> None:
        """Write the newest output, within the time limit."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.flush(), patience_seconds)

    async def close(self) -> None:
        """Write the newest output and stop."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.settle()

    async def _write_for_ever(self) -> None:
        while True:
            await self._seen.wait()
            began = self._clock()
            await self.flush()
            await asyncio.sleep(max(0.0, began + self._seconds - self._clock()))

    def _encode(self, output: Any) -> str | None:
        encoded = encode_up_to(output, MAX_STATE_BYTES)
        if encoded is None:
            return None
        text = encode_json(self._redactor.redact_all(encoded.value()))
        return text if len(text.encode()) <= MAX_STATE_BYTES else None
