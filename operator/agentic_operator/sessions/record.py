"""Rows of ``workflow_sessions`` and ``session_turns`` as their resources say they are. Pure."""

from collections.abc import Mapping
from datetime import datetime

from agentic_core.lifecycle import Phase
from agentic_core.resources import AgenticSession, SessionStatus
from agentic_core.resources import TurnRecord as TurnRecorded
from agentic_store.records import Json, SessionRecord, TurnPhase, TurnRecord


def build_record(session: AgenticSession, now: datetime) -> SessionRecord:
    """Return the row of a session as its resource says it is; one that does not say when it was made was made now."""
    status = session.status
    error: Mapping[str, Json] | None = status.error.to_wire() if status.error is not None else None
    return SessionRecord(
        project_name=session.namespace,
        session_name=session.name,
        session_uid=session.metadata.uid,
        workflow_name=session.spec.workflow_ref.name,
        status=status.phase or Phase.PENDING,
        thread_id=session.thread,
        created_at=session.metadata.creation_timestamp or now,
        input_data=session.spec.inputs,
        run=status.run or 0,
        started_at=status.start_time,
        completed_at=status.completion_time,
        error=error,
    )


def build_turns(session: AgenticSession, since: SessionStatus | None = None) -> list[TurnRecord]:
    """Return the rows of the turns that began, as the status has them; those alone that changed ``since`` another."""
    status = session.status
    known = since.turns if since is not None else ()
    has_new_run = since is not None and since.run != status.run
    # The write that ends a turn may begin the next one, in a later run. Which run an earlier one had, its row knows.
    ended_run = (since.run or 0) if since is not None and since.turn is not None else 0
    return [
        _build_turn(session, each, each.number, ended_run if each.is_over else status.run or 0)
        for each in status.turns
        if each.number is not None and (each not in known or (has_new_run and not each.is_over))
    ]


def _build_turn(session: AgenticSession, record: TurnRecorded, number: int, run: int) -> TurnRecord:
    # One that was removed from the spec has its row already, or has nothing to say any more of what was asked.
    asked = session.find_turn(record.name)
    return TurnRecord(
        session_uid=session.metadata.uid,
        number=number,
        name=record.name,
        project_name=session.namespace,
        session_name=session.name,
        author=record.by,
        input=asked.input if asked is not None else None,
        command=asked.command.to_wire() if asked is not None and asked.command is not None else None,
        phase=TurnPhase(record.phase.lower()),
        error=record.error.to_wire() if record.error is not None else None,
        checkpoint_id=record.checkpoint_id,
        run=run,
        started_at=record.started_at,
        finished_at=record.finished_at,
    )
