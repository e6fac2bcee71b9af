"""Reports the outcome of a run: first in the database, then in the status, then by the exit code.

Every end comes through here: a result, a question, a drain, an error of the graph's and each of ours.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from agentic_core.conditions import Reason
from agentic_core.contract import ExitCode
from agentic_core.errors import AgenticError, Superseded
from agentic_runner.config import RunConfig
from agentic_runner.drain import Drain
from agentic_runner.execution.execute import Drained, Finished, Outcome, Waits
from agentic_runner.execution.failures import Failure, FailureKind
from agentic_runner.execution.thread_entry import PendingInterrupt
from agentic_runner.output.redaction import Redactor
from agentic_runner.reporting.ends import End
from agentic_runner.reporting.outcome_store import OutcomeStore
from agentic_runner.reporting.progress_reporter import ProgressReporter
from agentic_runner.reporting.results import ResultSaver
from agentic_runner.reporting.verdicts import (
    Ending,
    Verdict,
    decide_failed_run,
    decide_verdict,
    describe_verdict,
    find_rule,
    read_verdict,
)
from agentic_runner.session import status as statuses
from agentic_runner.session.interrupts import build_interrupts, describe_question
from agentic_runner.session.reporter import Reporter
from agentic_runner.session.status import Result
from agentic_runner.session.turn_status import TurnMarks
from agentic_store.records import Fence

log = logging.getLogger(__name__)

# For messages that decide nothing: another pod follows a failed attempt in any case.
_SHORT_PATIENCE: Final = 5.0


@dataclass(frozen=True)
class StoredOutcome:
    """The stored outcome of a run: a result or an error."""

    output: Any = None
    error: Mapping[str, Any] | None = None
    checkpoint_id: str | None = None


class OutcomeReporter:
    """Reports how a run or a turn ends. Methods take the store of outcomes, or None without a database."""

    def __init__(
        self,
        config: RunConfig,
        redactor: Redactor,
        drain: Drain,
        reporter: Reporter,
        progress: ProgressReporter,
        end: End,
    ) -> None:
        self._config = config
        self._redactor = redactor
        self._drain = drain
        self._reporter = reporter
        self._progress = progress
        self._end = end
        self._saver = ResultSaver(
            config,
            drain,
            lambda why: progress.report_trouble(Reason.RESULT_STORE_UNAVAILABLE, why),
            turn=end.turn_number,
        )

    async def report_outcome(self, outcome: Outcome, store: OutcomeStore) -> Ending:
        """Report a result. Questions are reported already, and a drain needs only the exit code."""
        match outcome:
            case Finished():
                return await self._report_result(outcome.output, store)
            case Waits():
                return Ending(ExitCode.DONE, "waiting for input")
            case Drained():
                return Ending(ExitCode.DRAINED, f"drained after {self._drain.reason}: the next pod continues")

    async def report_questions(self, questions: tuple[PendingInterrupt, ...], store: OutcomeStore) -> None:
        """Report open questions; raise ``AnswersPending`` if the session already has an answer to one of them."""
        asked = await asyncio.to_thread(build_interrupts, questions)
        await store.store_waiting()
        run = self._progress.run
        await self._reporter.conclude(
            lambda session, now: statuses.waiting(session, now, asked, run.seen, taken=run.answers_taken)
        )
        for interrupt in asked:
            await self._progress.put_event("waiting_for_input", describe_question(interrupt))
        log.info("waiting for input", extra={"questions": len(asked)})

    async def report_failed_run(self, failure: Failure, store: OutcomeStore, fence: Fence) -> Ending:
        """Report that the graph raised: another attempt follows, or the session failed."""
        failure = replace(failure, message=self._redactor.redact(failure.message))
        retries = self._config.retries
        failures = await store.count_failure(fence) if failure.kind is FailureKind.GRAPH else 0
        decision = decide_failed_run(failure, failures=failures, retries=retries)
        if isinstance(decision, Ending) and decision.trouble is Reason.RETRYING:
            data = {"attempt": failures, "of": retries + 1, "error": failure.message[:1024]}
            await self._progress.put_event("attempt_failed", data)
        return await self._carry_out(decision, store)

    async def report_error(self, error: AgenticError, store: OutcomeStore | None) -> Ending:
        """Report an ``AgenticError``: as the session's failure, or as the reason for another run."""
        decision = decide_verdict(error)
        if find_rule(type(error)) is None:
            log.error("unexpected: %s", decision.message, exc_info=error)
        return await self._carry_out(decision, store)

    async def report_stored_outcome(self, stored: StoredOutcome) -> Ending:
        """Report the outcome that an earlier run stored."""
        log.info("outcome already stored, reporting it", extra={"error": stored.error is not None})
        self._progress.run.start_at(stored.checkpoint_id)
        if stored.error is None:
            await self._conclude_completed(await asyncio.to_thread(self._saver.describe, stored.output))
            return Ending(ExitCode.DONE, "completed")
        return await self._report_verdict(read_verdict(stored.error), None)

    async def _report_result(self, output: Any, store: OutcomeStore) -> Ending:
        saved = await store.store_result(output, self._saver, self._progress.run.thread_end)
        await self._progress.put_event("completed", {"size": saved.result.size, "result": saved.result.url})
        await self._conclude_completed(saved.result)
        return Ending(ExitCode.DONE, "completed")

    async def _conclude_completed(self, result: Result) -> None:
        run, marks = self._progress.run, await self._mark_end()
        await self._reporter.conclude(lambda session, now: self._end.completed(session, now, result, run.seen, marks))
        log.info("completed", extra={"size": result.size, "steps": run.seen.steps})

    async def _mark_end(self) -> TurnMarks:
        """Return the last checkpoint and the event numbers of a turn; no marks for a session."""
        if self._end.turn_number is None:
            return TurnMarks()
        first, last = await self._progress.settle_events()
        return TurnMarks(self._progress.run.thread_end, first, last)

    async def _carry_out(self, decision: Verdict | Ending, store: OutcomeStore | None) -> Ending:
        decision = replace(decision, message=self._redactor.redact(decision.message))
        if isinstance(decision, Verdict):
            return await self._report_verdict(decision, store)
        if decision.trouble is not None:
            await self._report_trouble(decision.trouble, decision.message)
        return decision

    async def _report_verdict(self, verdict: Verdict, store: OutcomeStore | None) -> Ending:
        """End the session as Failed: in the database, then in its status."""
        if store is not None and verdict.is_storable:
            try:
                error = describe_verdict(verdict)
                await store.store_failure(error, self._progress.run.thread_end)
                await self._progress.put_event("failed", error)
            except Superseded as lost:
                return Ending(ExitCode.SUPERSEDED, str(lost))
            except AgenticError as trouble:
                log.warning("storing the outcome failed: %s", trouble)
        run, marks = self._progress.run, await self._mark_end()
        try:
            await self._reporter.conclude(
                lambda session, now: self._end.failed(session, now, verdict, run.reportable, marks)
            )
        except Superseded as lost:
            return Ending(ExitCode.SUPERSEDED, str(lost))
        except AgenticError as trouble:
            # The exit code and termination message still reach the operator.
            log.warning("reporting the outcome failed: %s", trouble)
            return Ending(verdict.code, verdict.message)
        log.info("failed", extra={"reason": verdict.reason.value})
        return self._end.close_failed(verdict)

    async def _report_trouble(self, reason: Reason, message: str) -> None:
        """Write the reason for another run, and give up soon: the next run does not need it."""
        try:
            await self._reporter.conclude(
                lambda session, now: (
                    statuses.retrying(session, now, message)
                    if reason is Reason.RETRYING
                    else statuses.troubled(session, reason, message)
                ),
                patience_seconds=_SHORT_PATIENCE,
            )
        except AgenticError as error:
            log.warning("reporting the trouble failed: %s", error)
