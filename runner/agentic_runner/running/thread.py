"""Takes over the session's thread and row in the database at the start of a run."""

import logging

from agentic_core.contract import MAX_HISTORY
from agentic_core.errors import DatabaseUnavailable, TransientError
from agentic_core.lifecycle import Phase
from agentic_core.resources.session import AgenticSession, HistoryEntry
from agentic_runner.config import RunConfig
from agentic_runner.execution.history import recall
from agentic_store.database import Database
from agentic_store.records import Fence, SessionRecord, SessionRow

log = logging.getLogger(__name__)


async def take_thread(database: Database, config: RunConfig, session: AgenticSession) -> Fence:
    """Take the thread's fence and carry it: from now on nobody else adds to the thread.

    Raises ``Superseded`` where a newer run has it.
    """
    fence = await database.fences.take(
        config.thread_id,
        config.session_uid,
        config.run,
        config.holder,
        # A pod of a deleted session must not take the thread of a new session with the same name.
        session_created_at=session.metadata.creation_timestamp,
    )
    await database.carry(fence)
    log.info("acquired the thread", extra={"thread_id": fence.thread_id, "epoch": fence.epoch})
    return fence


async def start_record(database: Database, config: RunConfig, session: AgenticSession) -> None:
    """Mark the session's row as running; insert the row first if the operator has not done so yet.

    Raises ``Superseded`` where the row is final, or of a newer run.
    """
    try:
        await database.sessions.start_run(config.session_uid, config.run)
    except DatabaseUnavailable:
        raise
    except TransientError:
        await database.sessions.record_session(build_record(session, config))
        await database.sessions.start_run(config.session_uid, config.run)


async def fetch_stored_outcome(database: Database, config: RunConfig) -> SessionRow | None:
    """Return the session's row if an earlier run stored its outcome; None otherwise."""
    row = await database.sessions.get(config.session_uid, with_output=True)
    return row if row is not None and row.status in (Phase.COMPLETED, Phase.FAILED) else None


async def fetch_history(database: Database, config: RunConfig) -> tuple[HistoryEntry, ...]:
    """Return the last checkpoints of the thread, oldest first."""
    return recall(await database.threads.list_checkpoints(config.thread_id, limit=MAX_HISTORY))


def build_record(session: AgenticSession, config: RunConfig) -> SessionRecord:
    """Return the row of a session, as the operator writes it."""
    assert session.metadata.creation_timestamp is not None  # noqa: S101  (every stored object has one)
    return SessionRecord(
        project_name=config.namespace,
        session_name=config.session_name,
        session_uid=config.session_uid,
        workflow_name=session.spec.workflow_ref.name,
        status=Phase.CREATING,
        thread_id=config.thread_id,
        created_at=session.metadata.creation_timestamp,
        input_data=session.spec.inputs,
        run=config.run,
    )
