"""Reports the outcome of a run: first in the database, then in the status, then by the exit code.

Every end comes through here: a result, a question, a drain, an error of the graph's and each of ours.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from agentic_core import contract
from agentic_core.conditions import Reason
from agentic_core.contract import ExitCode
from agentic_core.errors import (
    AgenticError,
    DatabaseUnavailable,
    GraphLoadError,
    OutputTooLarge,
    SchemaMismatch,
    Superseded,
    TransientError,
)
from agentic_core.lifecycle import Phase
from agentic_core.resources.session import HistoryEntry
from agentic_runner.checkpoints.lost_checkpoints import LostCheckpoints
from agentic_runner.config import RunConfig
from agentic_runner.drain import Drain
from agentic_runner.execution.execute import Drained, Finished, Outcome, Waits
from agentic_runner.execution.failures import Failure, FailureKind
from agentic_runner.execution.fork import ForkRefused
from agentic_runner.execution.given import SettingsRefused
from agentic_runner.execution.history import extend
from agentic_runner.execution.thread_entry import PendingInterrupt
from agentic_runner.execution.tracking import Progress, StreamEvent, keep_saved
from agentic_runner.keyring import CannotDecrypt
from agentic_runner.redaction import Redactor, bounded
from agentic_runner.results import ResultSaver, SavedResult, UploadInterrupted
from agentic_runner.session import status as statuses
from agentic_runner.session.event_queue import EventQueue
from agentic_runner.session.interrupts import build_interrupts
from agentic_runner.session.reporter import ApiUnavailable, Reporter, SessionSuspended, compute_delay
from agentic_runner.session.session_env import EnvRefused
from agentic_runner.session.status import Result, RunFailure
from agentic_store.database import Database
from agentic_store.errors import Unfenced, UnstorableOutput
from agentic_store.records import Fence, SessionRow
from agentic_store.results.objects import ObjectStoreRefused, ObjectStoreUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

_ATTEMPTS: Final = 3
# For words that help but decide nothing: a failed attempt is followed by the next pod either way.
_SHORT_PATIENCE: Final = 5.0


@dataclass(frozen=True)
class Ending:
    """How a run's process ends: its exit code, and what the pod's termination message says."""

    code: ExitCode
    message: str = ""


class RunFailed(AgenticError):
    """The graph's run raised; ``failure`` says what it means."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class OutcomeReporter:
    """Tells one run's news and its end; ``events`` is None where there is no database to log them in."""

    def __init__(self, config: RunConfig, redactor: Redactor, drain: Drain, reporter: Reporter) -> None:
        self._config = config
        self._redactor = redactor
        self._drain = drain
        self._reporter = reporter
        self._progress = Progress()
        self._recalled: tuple[HistoryEntry, ...] = ()
        self._saved: str | None = None
        """The last checkpoint that this process knows to be saved."""
        self._taken: set[str] = set()
        """Questions whose answers this process took, since checkpoints were lost where they were."""
        self.events: EventQueue | None = None
        self._keeper = ResultSaver(
            config, drain, lambda why: reporter.say(Reason.RESULT_STORE_UNAVAILABLE, redactor.redact(why))
        )

    def recall(self, history: tuple[HistoryEntry, ...]) -> None:
        """Take checkpoints that earlier runs made and may not have told."""
        self._recalled = history
        self._progress = replace(self._progress, history=history)

    @property
    def acknowledged(self) -> str | None:
        """The last checkpoint that this run or one before it told of."""
        return self._confirmed.checkpoint_id or self._reporter.session.status.checkpoint_id

    @property
    def _confirmed(self) -> Progress:
        return keep_saved(self._progress, self._saved)

    async def tell_loss(self, loss: LostCheckpoints, history: tuple[HistoryEntry, ...]) -> None:
        """Tell that the run goes on from an earlier checkpoint; ``history`` is what the database has."""
        log.warning("acknowledged checkpoints are missing: %s", loss.describe())
        self._progress = Progress()
        self.recall(history)
        self._taken.clear()
        await self._reporter.rewind(loss)
        told = {"checkpoint": loss.checkpoint_id, "steps": loss.steps, "steps_left": loss.steps_left}
        await self.put_event("checkpoints_lost", told)

    def take_answers(self, ids: Collection[str]) -> None:
        """Note that a run goes on with the answers to these questions."""
        self._taken.update(ids)

    def see(self, progress: Progress) -> None:
        message = progress.message and self._redactor.redact(progress.message)
        self._progress = replace(progress, message=message, history=extend(self._recalled, progress.history))
        self._reporter.update(self._confirmed)

    def begin_at(self, checkpoint_id: str | None) -> None:
        """Take what the thread ends with as all that is saved."""
        self._saved = checkpoint_id

    def confirm(self, checkpoint_id: str) -> None:
        """Take the news that a checkpoint is saved: from now on it may be told of."""
        self._saved = max(checkpoint_id, self._saved or "")
        self._reporter.update(self._confirmed)

    async def put_event(self, type_: str, data: Mapping[str, Any], *, is_droppable: bool = False) -> None:
        if self.events is not None:
            await self.events.put(StreamEvent(type_, self._redactor.redact_all(data), is_droppable))

    async def tell_outcome(self, outcome: Outcome, database: Database) -> Ending:
        match outcome:
            case Finished():
                return await self._tell_result(outcome.output, database)
            case Waits():
                return Ending(ExitCode.DONE, "waiting for input")
            case Drained():
                return Ending(ExitCode.DRAINED, f"drained after {self._drain.reason}: the next pod continues")

    async def _tell_result(self, output: Any, database: Database) -> Ending:
        try:
            kept = await self._keeper.keep(output)
            try:
                await self._store(kept, database)
            except OutputTooLarge:
                # PostgreSQL's form of a value can be larger than its text.
                kept = await self._keeper.keep_outside(output)
                await self._store(kept, database)
        except UploadInterrupted as given_up:
            return Ending(ExitCode.DRAINED, str(given_up))
        for replacement in kept.replacements[:10]:
            log.warning("the result was changed at %r: %s", replacement.pointer, replacement.reason)
        await self._keeper.tidy(kept)
        await self._conclude_completed(kept.result)
        await self.put_event("completed", {"size": kept.result.size})
        return Ending(ExitCode.DONE, "completed")

    async def _store(self, kept: SavedResult, database: Database) -> None:
        config = self._config
        await self._surely(
            lambda: database.sessions.finish(config.session_uid, config.run, Phase.COMPLETED, output=kept.output)
        )

    async def _conclude_completed(self, result: Result) -> None:
        await self._reporter.conclude(lambda session, now: statuses.completed(session, now, result, self._progress))
        log.info("completed", extra={"size": result.size, "steps": self._progress.steps})

    async def tell_questions(self, questions: tuple[PendingInterrupt, ...], database: Database) -> None:
        """Ask people; raise ``AnswersPending`` where the session holds an answer to one of the questions already."""
        config = self._config
        asked = await asyncio.to_thread(build_interrupts, questions)
        await self._surely(
            lambda: database.sessions.change_status(config.session_uid, config.run, Phase.WAITING_FOR_INPUT)
        )
        await self._reporter.conclude(
            lambda session, now: statuses.waiting(session, now, asked, self._progress, taken=self._taken)
        )
        await self.put_event("waiting_for_input", {"interrupts": [question.id for question in asked]})
        log.info("waiting for input", extra={"questions": len(asked)})

    async def tell_graph_failure(self, failure: Failure, database: Database, fence: Fence) -> Ending:
        """Decide between another attempt and the end."""
        message = self._redactor.redact(failure.message)
        match failure.kind:
            case FailureKind.SUPERSEDED:
                raise Superseded(message)
            case FailureKind.DATABASE:
                raise DatabaseUnavailable(message)
            case FailureKind.SCHEMA:
                raise SchemaMismatch(message)
            case FailureKind.UNFENCED:
                raise Unfenced(message)
            case FailureKind.INPUT:
                verdict = RunFailure(Reason.INVALID_INPUT, failure.type, message)
                return await self._tell_verdict(verdict, ExitCode.INPUT_REFUSED, database)
            case FailureKind.GRAPH:
                pass
        retries = self._config.retries
        failures = await self._surely(lambda: database.fences.record_failure(fence))
        if failure.is_retriable and failures <= retries:
            told = f"attempt {failures} of {retries + 1} failed: {message}"
            await self.put_event("attempt_failed", {"attempt": failures, "of": retries + 1, "error": message[:1024]})
            await self._tell_in_passing(lambda session, now: statuses.retrying(session, now, told))
            return Ending(ExitCode.RETRIABLE, told)
        verdict = RunFailure(failure.reason, failure.type, message, failure.node, failure.is_retriable)
        return await self._tell_verdict(verdict, ExitCode.GRAPH_FAILED, database)

    async def tell_failure(self, error: AgenticError, database: Database | None) -> Ending:
        """Turn an error of ours into the session's verdict, or into words for the next pod."""
        message = self._redactor.redact(str(error))
        name = type(error).__name__
        match error:
            case Superseded():
                return Ending(ExitCode.SUPERSEDED, message)
            case SessionSuspended():
                return Ending(ExitCode.DRAINED, message)
            case ApiUnavailable():
                return Ending(ExitCode.API_UNAVAILABLE, message)
            case ForkRefused(reason=reason):
                verdict = RunFailure(reason, name, message)
                return await self._tell_verdict(verdict, ExitCode.INPUT_REFUSED, database)
            case SettingsRefused():
                verdict = RunFailure(Reason.INVALID_CONFIG, name, message)
                return await self._tell_verdict(verdict, ExitCode.INPUT_REFUSED, database)
            case EnvRefused():
                verdict = RunFailure(Reason.ENV_NOT_ALLOWED, name, message)
                return await self._tell_verdict(verdict, ExitCode.INPUT_REFUSED, database)
            case GraphLoadError():
                verdict = RunFailure(Reason.GRAPH_LOAD_FAILED, name, message)
                return await self._tell_verdict(verdict, ExitCode.GRAPH_NOT_LOADED, database)
            case SchemaMismatch():
                verdict = RunFailure(Reason.DATABASE_NOT_MIGRATED, name, message)
                return await self._tell_verdict(verdict, ExitCode.SCHEMA_MISMATCH, None)
            case OutputTooLarge():
                verdict = RunFailure(Reason.OUTPUT_TOO_LARGE, name, message)
                return await self._tell_verdict(verdict, ExitCode.OUTPUT_TOO_LARGE, database)
            case UnstorableOutput():
                verdict = RunFailure(Reason.GRAPH_ERROR, name, f"the result cannot be stored: {message}")
                return await self._tell_verdict(verdict, ExitCode.GRAPH_FAILED, database)
            case CannotDecrypt() | Unfenced():
                verdict = RunFailure(Reason.RUNNER_MISCONFIGURED, name, message)
                return await self._tell_verdict(verdict, ExitCode.CONFIGURATION, database)
            case ObjectStoreRefused():
                verdict = RunFailure(
                    Reason.RESULT_STORE_UNAVAILABLE, name, f"{message}; the last checkpoint has the result"
                )
                return await self._tell_verdict(verdict, ExitCode.CONFIGURATION, database)
            case ObjectStoreUnavailable():
                await self._tell_in_passing(
                    lambda session, _: statuses.troubled(session, Reason.RESULT_STORE_UNAVAILABLE, message)
                )
                return Ending(ExitCode.RESULTS_UNAVAILABLE, message)
            case TransientError():
                await self._tell_in_passing(
                    lambda session, _: statuses.troubled(session, Reason.DATABASE_UNAVAILABLE, message)
                )
                return Ending(ExitCode.DATABASE_UNAVAILABLE, message)
            case _:
                log.error("unexpected: %s", message, exc_info=error)
                return Ending(ExitCode.RETRIABLE, message)

    async def _tell_verdict(self, verdict: RunFailure, code: ExitCode, database: Database | None) -> Ending:
        """End the session as Failed: in the database, then in its status."""
        config = self._config
        error = {
            "reason": verdict.reason.value,
            "type": verdict.type,
            "message": bounded(verdict.message, contract.MAX_MESSAGE_LENGTH),
            "node": verdict.node,
            "retriable": verdict.retriable,
        }
        if database is not None:
            try:
                await database.sessions.finish(config.session_uid, config.run, Phase.FAILED, error=error)
                await self.put_event("failed", error)
            except Superseded as lost:
                return Ending(ExitCode.SUPERSEDED, str(lost))
            except AgenticError as trouble:
                log.warning("storing the outcome failed: %s", trouble)
        ending = Ending(code, verdict.message)
        try:
            await self._reporter.conclude(lambda session, now: statuses.failed(session, now, verdict, self._confirmed))
        except Superseded as lost:
            return Ending(ExitCode.SUPERSEDED, str(lost))
        except AgenticError as trouble:
            # The exit code and termination message still reach the operator.
            log.warning("reporting the outcome failed: %s", trouble)
        log.info("failed", extra={"reason": verdict.reason.value})
        return ending

    async def report_verdict(self, row: SessionRow) -> Ending:
        """Tell the session what an earlier run already stored."""
        log.info("outcome already stored, reporting it", extra={"status": row.status.wire})
        if row.status is Phase.COMPLETED:
            await self._conclude_completed(await asyncio.to_thread(self._keeper.describe, row.output_data))
            return Ending(ExitCode.DONE, "completed")
        error = row.error or {}
        reason = next((each for each in Reason if each.value == error.get("reason")), Reason.GRAPH_ERROR)
        verdict = RunFailure(
            reason=reason,
            type=str(error.get("type") or reason.value),
            message=str(error.get("message") or ""),
            node=str(error["node"]) if error.get("node") else None,
            retriable=bool(error.get("retriable")),
        )
        return await self._tell_verdict(verdict, _VERDICT_CODES.get(reason, ExitCode.GRAPH_FAILED), None)

    async def _tell_in_passing(self, change: Callable[..., Any]) -> None:
        with contextlib.suppress(AgenticError):
            await self._reporter.conclude(change, patience_seconds=_SHORT_PATIENCE)

    async def _surely(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a statement over passing faults of the database, a few times."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await call()
            except TransientError as error:
                log.warning("database unavailable: %s", error, extra={"attempt": attempt})
                if attempt == _ATTEMPTS:
                    raise
                await asyncio.sleep(compute_delay(attempt + 2, error.retry_after_seconds, 0.5))
        raise AssertionError("unreachable")


_VERDICT_CODES: Final = {
    Reason.INVALID_INPUT: ExitCode.INPUT_REFUSED,
    Reason.INVALID_CONFIG: ExitCode.INPUT_REFUSED,
    Reason.ENV_NOT_ALLOWED: ExitCode.INPUT_REFUSED,
    Reason.FORK_SOURCE_NOT_FOUND: ExitCode.INPUT_REFUSED,
    Reason.FORBIDDEN: ExitCode.INPUT_REFUSED,
    Reason.GRAPH_LOAD_FAILED: ExitCode.GRAPH_NOT_LOADED,
    Reason.OUTPUT_TOO_LARGE: ExitCode.OUTPUT_TOO_LARGE,
    Reason.RESULT_STORE_UNAVAILABLE: ExitCode.CONFIGURATION,
    Reason.RUNNER_MISCONFIGURED: ExitCode.CONFIGURATION,
}
