"""Ends a session, or one turn of a conversation, with a result or a failure.

Both are stored first and reported then, by the same steps (``outcome_store``, ``outcome_reporter``); here is where they
differ: the row, the status, and how the process ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from agentic_core.contract import ExitCode
from agentic_core.lifecycle import Phase
from agentic_core.resources.session import AgenticSession, SessionStatus
from agentic_core.resources.turns import CurrentTurn
from agentic_runner.config import RunConfig
from agentic_runner.execution.tracking import Progress
from agentic_runner.reporting.verdicts import Ending, Verdict
from agentic_runner.session import status as statuses
from agentic_runner.session import turn_status
from agentic_runner.session.status import Result
from agentic_runner.session.turn_status import TurnMarks
from agentic_store.database import Database
from agentic_store.records import TurnPhase
from agentic_store.results.output import EncodedOutput


class End(Protocol):
    """How the end of a run is stored in the database and reported in the session."""

    @property
    def turn_number(self) -> int | None:
        """The number of the turn that ends; None if the session ends."""
        ...

    async def store_result(self, database: Database, output: EncodedOutput, checkpoint_id: str | None, /) -> None:
        """Store a result."""
        ...

    async def store_failure(self, database: Database, error: Mapping[str, Any], checkpoint_id: str | None, /) -> None:
        """Store a failure."""
        ...

    def completed(
        self, session: AgenticSession, now: datetime, result: Result, progress: Progress, marks: TurnMarks, /
    ) -> SessionStatus:
        """Return the status that reports a result."""
        ...

    def failed(
        self, session: AgenticSession, now: datetime, verdict: Verdict, progress: Progress, marks: TurnMarks, /
    ) -> SessionStatus:
        """Return the status that reports a failure."""
        ...

    def close_failed(self, verdict: Verdict) -> Ending:
        """Return how the process ends once a failure is reported."""
        ...


@dataclass(frozen=True)
class SessionEnd:
    """The session ends with its run."""

    config: RunConfig

    @property
    def turn_number(self) -> int | None:
        return None

    async def store_result(self, database: Database, output: EncodedOutput, _checkpoint_id: str | None, /) -> None:
        await database.sessions.finish(self.config.session_uid, self.config.run, Phase.COMPLETED, output=output)

    async def store_failure(self, database: Database, error: Mapping[str, Any], _checkpoint_id: str | None, /) -> None:
        await database.sessions.finish(self.config.session_uid, self.config.run, Phase.FAILED, error=error)

    def completed(
        self, session: AgenticSession, now: datetime, result: Result, progress: Progress, _marks: TurnMarks, /
    ) -> SessionStatus:
        return statuses.completed(session, now, result, progress)

    def failed(
        self, session: AgenticSession, now: datetime, verdict: Verdict, progress: Progress, _marks: TurnMarks, /
    ) -> SessionStatus:
        return statuses.failed(session, now, verdict, progress)

    def close_failed(self, verdict: Verdict) -> Ending:
        return Ending(verdict.code, verdict.message)


@dataclass(frozen=True)
class TurnEnd:
    """One turn ends and the conversation continues: a failure is the turn's, and the process exits with 0."""

    config: RunConfig
    turn: CurrentTurn

    @property
    def turn_number(self) -> int | None:
        return self.turn.number

    async def store_result(self, database: Database, output: EncodedOutput, checkpoint_id: str | None, /) -> None:
        await database.turns.finish(
            self.config.session_uid,
            self.turn.number,
            self.config.run,
            TurnPhase.COMPLETED,
            output=output,
            checkpoint_id=checkpoint_id,
        )

    async def store_failure(self, database: Database, error: Mapping[str, Any], checkpoint_id: str | None, /) -> None:
        await database.turns.finish(
            self.config.session_uid,
            self.turn.number,
            self.config.run,
            TurnPhase.FAILED,
            error=error,
            checkpoint_id=checkpoint_id,
        )

    def completed(
        self, session: AgenticSession, now: datetime, result: Result, progress: Progress, marks: TurnMarks, /
    ) -> SessionStatus:
        return turn_status.turn_completed(session, now, result, progress, turn=self.turn, marks=marks)

    def failed(
        self, session: AgenticSession, now: datetime, verdict: Verdict, progress: Progress, marks: TurnMarks, /
    ) -> SessionStatus:
        return turn_status.turn_failed(session, now, verdict, progress, turn=self.turn, marks=marks)

    def close_failed(self, verdict: Verdict) -> Ending:
        return Ending(ExitCode.DONE, f"turn {self.turn.name!r} failed: {verdict.message}")
