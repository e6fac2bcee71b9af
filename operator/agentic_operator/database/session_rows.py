"""Writes the rows of ``workflow_sessions``, in batches beside the reconciling.

What the API server holds is the truth; a row follows it. A database that is away delays rows, not sessions.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from agentic_core.errors import TransientError
from agentic_core.resources import AgenticSession
from agentic_operator.backoff import compute_delay, jitter
from agentic_operator.cache.resync import keep_results
from agentic_operator.faults import Faults, Outage
from agentic_operator.sessions.record import build_record
from agentic_store.protocols import Sessions
from agentic_store.records import SessionRecord

MAX_PENDING: Final = 10_000
BATCH: Final = 200
LONGEST_PAUSE: Final = 5.0

logger: Final = logging.getLogger(__name__)


class Recorder:
    """Collects records and writes them in batches; the last one of a session wins."""

    def __init__(
        self,
        sessions: Sessions,
        remove_results: Callable[[str], Awaitable[None]] = keep_results,
        faults: Faults | None = None,
    ) -> None:
        """``remove_results`` is told the uid of a session whose row goes next."""
        self._sessions = sessions
        self._remove_results = remove_results
        self._faults = faults or Faults()
        self._pending: dict[str, SessionRecord] = {}
        self._gone: set[str] = set()
        self._changed = asyncio.Event()

    def submit(self, session: AgenticSession) -> None:
        """Have a session's row written soon."""
        uid = session.metadata.uid
        if uid not in self._pending and len(self._pending) >= MAX_PENDING:
            # The next sweep compares every session with its row.
            return
        with self._faults.apart("recorder", namespace=session.namespace, session=session.name):
            self._pending[uid] = build_record(session)
            self._changed.set()

    def forget(self, uid: str) -> None:
        """Have the row of a session deleted soon that went without a finalizer: it never ran."""
        self._pending.pop(uid, None)
        if len(self._gone) < MAX_PENDING:
            # Beyond that the sweep finds it.
            self._gone.add(uid)
            self._changed.set()

    async def run(self) -> None:
        """Write what is pending, for ever."""
        failures = 0
        while True:
            await self._changed.wait()
            batch = list(self._pending.values())[:BATCH]
            if not batch and not self._gone:
                self._changed.clear()
                continue
            try:
                left = await self._write(batch) if batch else 0
                # After what was on its way when they went.
                for uid in list(self._gone):
                    await self._delete(uid)
                failures = failures + 1 if left else 0
            except TransientError as error:
                failures += 1
                if failures == 1:
                    logger.warning("writing rows of sessions failed, retrying: %s", error)
                await asyncio.sleep(min(compute_delay(error, failures, jitter()), LONGEST_PAUSE))
            else:
                if left:
                    await asyncio.sleep(LONGEST_PAUSE)

    async def _write(self, batch: list[SessionRecord]) -> int:
        """Write rows at once, or each by itself where one of them fails; return how many are to be tried again."""
        try:
            await self._sessions.record_sessions(batch)
        except Exception as error:  # noqa: BLE001  (told below, with the name of the one that it is about)
            logger.info("batch of rows failed, writing them one by one: %s", type(error).__name__)
        else:
            for record in batch:
                self._drop(record)
            return 0
        outage, left = Outage(), 0
        for record in batch:
            try:
                await self._sessions.record_sessions([record])
            except TransientError as error:
                # Somebody holds this row, or the database is away. Those behind it go first the next time.
                left += 1
                self._drop(record, is_kept=True)
                if outage.fail():
                    raise
                self._faults.tell("recorder", error, **_about(record))
            except Exception as error:  # noqa: BLE001  (of one session: the next sweep tries it again)
                self._faults.tell("recorder", error, **_about(record))
                self._drop(record)
            else:
                outage.succeed()
                self._drop(record)
        return left

    def _drop(self, record: SessionRecord, *, is_kept: bool = False) -> None:
        """Take a row out of those that are pending, or put it behind the others; a newer one stays where it is."""
        if self._pending.get(record.session_uid) is record:
            del self._pending[record.session_uid]
            if is_kept:
                self._pending[record.session_uid] = record

    async def _delete(self, uid: str) -> None:
        try:
            await self._sessions.delete_session(uid)
        except TransientError:
            raise
        except Exception as error:  # noqa: BLE001  (the next sweep finds it)
            self._faults.tell("recorder", error, uid=uid)
        self._gone.discard(uid)

    async def purge(self, uid: str) -> None:
        """Delete a session's rows and checkpoints; raise ``TransientError`` where the database is away."""
        self._pending.pop(uid, None)
        await self._remove_results(uid)
        await self._sessions.delete_session(uid)


def _about(record: SessionRecord) -> dict[str, str]:
    return {"namespace": record.project_name, "session": record.session_name}
