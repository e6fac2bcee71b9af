"""Rows of ``workflow_sessions`` as their resources say they are. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime

from agentic_core.lifecycle import Phase
from agentic_core.resources import AgenticSession
from agentic_store.records import Json, SessionRecord


def build_record(session: AgenticSession) -> SessionRecord:
    """Return the row of a session as its resource says it is."""
    status = session.status
    error: Mapping[str, Json] | None = status.error.to_wire() if status.error is not None else None
    return SessionRecord(
        project_name=session.namespace,
        session_name=session.name,
        session_uid=session.metadata.uid,
        workflow_name=session.spec.workflow_ref.name,
        status=status.phase or Phase.PENDING,
        thread_id=session.thread,
        created_at=session.metadata.creation_timestamp or datetime.now(UTC),
        input_data=session.spec.inputs,
        run=status.run or 0,
        started_at=status.start_time,
        completed_at=status.completion_time,
        error=error,
    )
