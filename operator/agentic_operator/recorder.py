"""The rows of ``workflow_sessions``, written beside the reconciling and never in its way.

What the API server holds is the truth; a row follows it. A database that is away delays rows, not sessions.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from agentic_core.errors import AgenticError, Conflict, TransientError
from agentic_core.lifecycle import Phase
from agentic_core.resources import AgenticSession
from agentic_core.threads import thread_id
from agentic_operator.retry import compute_delay, jitter
from agentic_store.protocols import Sessions
from agentic_store.records import Json, SessionRecord

MAX_PENDING: Final = 10_000
BATCH: Final = 200
LONGEST_PAUSE: Final = 5.0

logger: Final = logging.getLogger(__name__)


def build_record(session: AgenticSession) -> SessionRecord:
    """Return the row of a session as its resource says it is."""
    status, user = session.status, session.spec.user_context
    error: Mapping[str, Json] | None = status.error.to_wire() if status.error is not None else None
    return SessionRecord(
        project_name=session.namespace,
        session_name=session.name,
        session_uid=session.metadata.uid,
        workflow_name=session.spec.workflow_ref.name,
        status=status.phase or Phase.PENDING,
        thread_id=status.thread_id
        or thread_id(session.namespace, session.name, user.user_id if user is not None and user.private else None),
        created_at=session.metadata.creation_timestamp or datetime.now(UTC),
        input_data=session.spec.inputs,
        run=status.run or 0,
        started_at=status.start_time,
        completed_at=status.completion_time,
        error=error,
    )


async def keep_results(_uid: str) -> None:
    """Remove nothing: there is no object store."""


class Recorder:
    """Collects records and writes them in batches; the last one of a session wins."""

    def __init__(self, sessions: Sessions, remove_results: Callable[[str], Awaitable[None]] = keep_results) -> None:
        """``remove_results`` is told the uid of a session whose row goes next."""
        self._sessions = sessions
        self._remove_results = remove_results
        self._pending: dict[str, SessionRecord] = {}
        self._gone: set[str] = set()
        self._changed = asyncio.Event()

    def submit(self, session: AgenticSession) -> None:
        """Have a session's row written soon."""
        uid = session.metadata.uid
        if uid not in self._pending and len(self._pending) >= MAX_PENDING:
            # The next sweep compares every session with its row.
            return
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
                if batch:
                    await self._write(batch)
                # After what was on its way when they went.
                for uid in list(self._gone):
                    await self._delete(uid)
                failures = 0
            except (TransientError, Conflict) as error:
                failures += 1
                if failures == 1:
                    logger.warning("rows of sessions cannot be written, they follow later: %s", error)
                await asyncio.sleep(min(compute_delay(error, failures, jitter()), LONGEST_PAUSE))

    async def _write(self, batch: list[SessionRecord]) -> None:
        try:
            await self._sessions.record_sessions(batch)
        except (TransientError, Conflict):
            raise
        except AgenticError as error:
            if len(batch) == 1:
                logger.error("the row of a session was refused: %s", error, extra=_about(batch[0]))  # noqa: TRY400
            else:
                # One bad record must not keep the others out.
                for record in batch:
                    await self._write([record])
                return
        for record in batch:
            if self._pending.get(record.session_uid) is record:
                del self._pending[record.session_uid]

    async def _delete(self, uid: str) -> None:
        try:
            await self._sessions.delete_session(uid)
        except (TransientError, Conflict):
            raise
        except AgenticError as error:
            logger.error("the row of a deleted session stays: %s", error, extra={"uid": uid})  # noqa: TRY400
        self._gone.discard(uid)

    async def purge(self, uid: str) -> None:
        """Delete a session's rows and checkpoints; raise ``TransientError`` where the database is away."""
        self._pending.pop(uid, None)
        await self._remove_results(uid)
        await self._sessions.delete_session(uid)


def _about(record: SessionRecord) -> dict[str, str]:
    return {"namespace": record.project_name, "session": record.session_name}
