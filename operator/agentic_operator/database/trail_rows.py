"""Writes the rows of audit trails, in batches beside the reconciling.

Nothing is remembered that matters: a process that takes over finds in the statuses what is not known to be stored, and
stores it again, which changes nothing where it was.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from agentic_core.errors import TransientError
from agentic_core.resources import AgenticSession
from agentic_operator.backoff import compute_delay, jitter
from agentic_operator.faults import Faults, Outage
from agentic_operator.sessions.keys import Key, SessionKey
from agentic_operator.sessions.trail import Stored
from agentic_store.protocols import Trails
from agentic_store.records import TrailRow

BATCH: Final = 50
LONGEST_PAUSE: Final = 5.0
# How often an entry is tried again that the database refuses, or in whose place it has another one.
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
    """Collects what is not stored yet; wakes a session once it is, so that its status lets go of it."""

    def __init__(self, trails: Trails, wake: Callable[[Key], None], faults: Faults | None = None) -> None:
        self._trails = trails
        self._wake = wake
        self._faults = faults or Faults()
        self._pending: dict[str, AgenticSession] = {}
        self._stored: dict[str, Stored] = {}
        self._changed = asyncio.Event()

    def submit(self, session: AgenticSession) -> None:
        """Have the entries stored soon that a session's status holds, as the API server has it."""
        uid, trail = session.metadata.uid, session.status.trail
        if trail is None or not trail.pending:
            self.forget(uid)
            return
        known, waiting = self._stored.get(uid, Stored()), self._pending.get(uid)
        is_newest = waiting is None or waiting.status.trail is None or waiting.status.trail.seq <= trail.seq
        if trail.pending[-1].seq > known.seq and not known.conflict and is_newest:
            self._pending[uid] = session
            self._changed.set()

    def find(self, uid: str) -> Stored | None:
        """Return how far the chain of a session is stored, as far as this process knows."""
        return self._stored.get(uid)

    def forget(self, uid: str) -> None:
        """Drop what is remembered of a session that is gone, or of which nothing is left to store."""
        self._pending.pop(uid, None)
        self._stored.pop(uid, None)

    async def run(self) -> None:
        """Store what is pending, for ever."""
        failures = 0
        while True:
            await self._changed.wait()
            batch = list(self._pending.values())[:BATCH]
            if not batch:
                self._changed.clear()
                continue
            try:
                left = await self._store_batch(batch)
                failures = 0
            except TransientError as error:
                failures += 1
                if failures == 1:
                    logger.warning("the trail of answers cannot be stored, it follows later: %s", error)
                await asyncio.sleep(min(compute_delay(error, failures, jitter()), LONGEST_PAUSE))
            else:
                if left:
                    await asyncio.sleep(LONGEST_PAUSE)

    async def keep(self, session: AgenticSession) -> None:
        """Store at once what a session's status holds, before it goes.

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

    async def _store_batch(self, batch: list[AgenticSession]) -> int:
        """Store the entries of several sessions at once, or of each by itself where one of them is refused.

        Returns how many are to be tried again.
        """
        try:
            await self._store(batch)
        except Exception as error:  # noqa: BLE001  (told below, with the name of the one that it is about)
            logger.info("stores the trails of a batch one by one: %s", type(error).__name__)
        else:
            return 0
        outage, left = Outage(), 0
        for session in batch:
            try:
                await self._store([session])
            except TransientError as error:
                left += 1
                # Those behind it go first the next time.
                self._pending[session.metadata.uid] = self._pending.pop(session.metadata.uid, session)
                if outage.fail() or len(batch) == 1:
                    raise
                self._tell(error, session)
            except Exception as error:  # noqa: BLE001  (of one session, which keeps it in its status)
                self._tell(error, session)
                self._pending.pop(session.metadata.uid, None)
                asyncio.get_running_loop().call_later(AGAIN_SECONDS, self.submit, session)
            else:
                outage.succeed()
        return left

    async def _store(self, batch: list[AgenticSession]) -> None:
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
            if self._pending.get(uid) is session:
                # What came meanwhile stays.
                del self._pending[uid]
            self._wake(key)

    def _try_again(self, uid: str, key: SessionKey) -> None:
        if (known := self._stored.get(uid)) is not None and known.conflict:
            del self._stored[uid]
            self._wake(key)

    def _tell(self, error: Exception, session: AgenticSession) -> None:
        self._faults.tell("trails", error, namespace=session.namespace, session=session.name)
