"""Writes the rows of audit trails, in batches beside the reconciling.

Its memory holds nothing essential: a process that takes over finds the pending entries in the statuses and stores them
again, which changes no existing row.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from typing import Final

from agentic_core.errors import TransientError
from agentic_core.resources import AgenticSession
from agentic_operator.batch_writer import BatchWriter
from agentic_operator.faults import Faults
from agentic_operator.sessions.keys import Key, SessionKey
from agentic_operator.sessions.trail import Stored
from agentic_store.protocols import Trails
from agentic_store.records import TrailRow

BATCH: Final = 50
# How often an entry is retried that the database refuses, or that conflicts with another entry of its number.
AGAIN_SECONDS: Final = 60.0

logger: Final = logging.getLogger(__name__)


def build_rows(session: AgenticSession) -> list[TrailRow]:
    """Return the rows for the entries of a session that are not known to be stored."""
    trail = session.status.trail
    return [
        TrailRow(
            project_name=session.namespace,
            session_name=session.name,
            session_uid=session.metadata.uid,
            seq=each.seq,
            entry=each.entry,
            hash=each.hash,
            value=each.value,
            message=each.message,
        )
        for each in (trail.pending if trail is not None else ())
    ]


class TrailKeeper:
    """Collects pending entries; wakes a session once they are stored, so that they are removed from its status."""

    def __init__(self, trails: Trails, wake: Callable[[Key], None], faults: Faults | None = None) -> None:
        self._trails = trails
        self._wake = wake
        self._stored: dict[str, Stored] = {}
        self.writer: BatchWriter[AgenticSession] = BatchWriter(
            "trails", self._store, _describe, faults, size=BATCH, most=math.inf, on_refused=self._submit_again
        )
        """What is not stored yet, by the uid of its session."""

    def submit(self, session: AgenticSession) -> None:
        """Have the entries stored soon that a session's status holds, as the API server has it."""
        uid, trail = session.metadata.uid, session.status.trail
        if trail is None or not trail.pending:
            self.forget(uid)
            return
        known, waiting = self._stored.get(uid, Stored()), self.writer.find(uid)
        is_newest = waiting is None or waiting.status.trail is None or waiting.status.trail.seq <= trail.seq
        if trail.pending[-1].seq > known.seq and not known.conflict and is_newest:
            self.writer.put(uid, session)

    def find(self, uid: str) -> Stored | None:
        """Return how far the chain of a session is stored, as far as this process knows."""
        return self._stored.get(uid)

    def forget(self, uid: str) -> None:
        """Drop the state of a session that was deleted or has nothing left to store."""
        self.writer.drop(uid)
        self._stored.pop(uid, None)

    async def run(self) -> None:
        """Store the pending entries, without end."""
        await self.writer.run()

    async def keep(self, session: AgenticSession) -> None:
        """Store the entries of a session's status at once, before it is deleted.

        Raises ``TransientError`` where the database is away, or has other entries.
        """
        if not (rows := build_rows(session)):
            return
        others = await self._trails.store(rows)
        if seq := others.get(session.metadata.uid):
            raise TransientError(
                f"the database has another entry {seq} in the trail of {session.name!r}: the session stays until an"
                " administrator has exported and removed that, or takes off its finalizer"
            )
        logger.info(
            "the trail ends with entry %d, hash %s",
            rows[-1].seq,
            rows[-1].hash,
            extra={"namespace": session.namespace, "session": session.name, "uid": session.metadata.uid},
        )

    async def _store(self, batch: Sequence[AgenticSession]) -> None:
        others = await self._trails.store([row for session in batch for row in build_rows(session)])
        for session in batch:
            uid, trail, key = session.metadata.uid, session.status.trail, SessionKey(session.namespace, session.name)
            assert trail is not None  # noqa: S101  (or it were not here)
            conflict = others.get(uid, 0)
            if conflict:
                logger.error(
                    "the database has another entry %d in the trail of this session than its status",
                    conflict,
                    extra={"namespace": session.namespace, "session": session.name, "uid": uid},
                )
                asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._try_again, uid, key)
            self._stored[uid] = Stored(seq=conflict - 1 if conflict else trail.pending[-1].seq, conflict=conflict)
            self._wake(key)

    def _try_again(self, uid: str, key: SessionKey) -> None:
        if (known := self._stored.get(uid)) is not None and known.conflict:
            del self._stored[uid]
            self._wake(key)

    def _submit_again(self, session: AgenticSession) -> None:
        # Its status keeps what the database refused.
        asyncio.get_running_loop().call_later(AGAIN_SECONDS, self.submit, session)


def _describe(session: AgenticSession) -> dict[str, str]:
    return {"namespace": session.namespace, "session": session.name}
