"""Writes the rows of ``workflow_sessions``, in batches beside the reconciling.

Invariant: once ``purge`` has returned, no write of this process makes the row of the session again. A write on its way
is waited for, and later ones leave the session out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agentic_core.resources import AgenticSession
from agentic_operator.batch_writer import BatchWriter
from agentic_operator.cache.resync import describe_record, keep_results
from agentic_operator.faults import Faults
from agentic_operator.sessions.record import build_record
from agentic_store.protocols import Sessions
from agentic_store.records import SessionRecord

MAX_PURGED: Final = 10_000


@dataclass(frozen=True)
class _Gone:
    """A session of which no row stays."""

    uid: str


class Recorder:
    """Collects records and writes them in batches; the last one of a session wins."""

    def __init__(
        self,
        sessions: Sessions,
        remove_results: Callable[[str], Awaitable[None]] = keep_results,
        faults: Faults | None = None,
        *,
        now: Callable[[], datetime],
    ) -> None:
        """``remove_results`` is told the uid of a session whose row goes next."""
        self._sessions = sessions
        self._remove_results = remove_results
        self._faults = faults or Faults()
        self._now = now
        self._turn = asyncio.Lock()
        self._purged: dict[str, None] = {}
        # What is dropped because too much is pending, or refused, the next resync finds.
        self._writer: BatchWriter[SessionRecord | _Gone] = BatchWriter("recorder", self._write, _describe, self._faults)

    def submit(self, session: AgenticSession) -> None:
        """Have a session's row written soon."""
        uid = session.metadata.uid
        if isinstance(self._writer.find(uid), _Gone):
            return
        with self._faults.apart("recorder", namespace=session.namespace, session=session.name):
            self._writer.put(uid, build_record(session, self._now()))

    def forget(self, uid: str) -> None:
        """Have the row of a session deleted soon that went without a finalizer: it never ran."""
        self._writer.put(uid, _Gone(uid))

    async def run(self) -> None:
        """Write the pending rows, without end."""
        await self._writer.run()

    async def _write(self, batch: Sequence[SessionRecord | _Gone]) -> None:
        await self.record([each for each in batch if isinstance(each, SessionRecord)])
        for each in batch:
            if isinstance(each, _Gone):
                await self._sessions.delete_session(each.uid)

    async def record(self, records: Sequence[SessionRecord]) -> None:
        """Write rows at once, but none of a session that was purged, however old the list is that they come from."""
        async with self._turn:
            if kept := [each for each in records if each.session_uid not in self._purged]:
                await self._sessions.record_sessions(kept)

    async def purge(self, uid: str) -> None:
        """Delete a session's rows and checkpoints; raise ``TransientError`` where the database is away."""
        self._writer.drop(uid)
        self._purged[uid] = None
        if len(self._purged) > MAX_PURGED:
            # Its writes ended long ago.
            self._purged.pop(next(iter(self._purged)))
        await self._remove_results(uid)
        async with self._turn:
            await self._sessions.delete_session(uid)


def _describe(item: SessionRecord | _Gone) -> Mapping[str, str]:
    return describe_record(item) if isinstance(item, SessionRecord) else {"uid": item.uid}
