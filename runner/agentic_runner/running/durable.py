"""Durable execution: runs the graph, and resumes it from its last checkpoint after the database was away."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from agentic_core.conditions import Reason
from agentic_core.resources.session import AgenticSession
from agentic_runner.checkpoints.checkpoint_ids import follow
from agentic_runner.checkpoints.lost_checkpoints import find_loss
from agentic_runner.config import RunConfig
from agentic_runner.drain import Drain
from agentic_runner.execution.execute import (
    Drained,
    Outcome,
    Waits,
    build_input,
    build_tracker,
    execute,
    find_entry,
    find_first_step,
)
from agentic_runner.execution.failures import (
    Failure,
    FailureKind,
    RunFailed,
    classify,
    find_lost_save,
    find_undecryptable,
)
from agentic_runner.execution.stream_events import StreamEvent
from agentic_runner.execution.thread_entry import EntryAction
from agentic_runner.execution.tracking import Tracker
from agentic_runner.execution.turn_entry import Gift, TurnEntry
from agentic_runner.execution.turn_execution import Given, entering, find_turn_entry, prepare_turn
from agentic_runner.reporting.progress_reporter import ProgressReporter
from agentic_runner.running.task import Task
from agentic_runner.running.thread import fetch_history
from agentic_runner.session.reporter import ApiRetriesExhausted, Reporter, SessionSuspended, compute_delay
from agentic_store.database import Database
from agentic_store.thread_end import find_tip

if TYPE_CHECKING:
    from agentic_runner.running.graph import PreparedGraph

log = logging.getLogger(__name__)

_ATTEMPTS: Final = 3


@dataclass(frozen=True)
class KnownAnswers:
    """The session's accepted answers, by question, and its open questions."""

    answers: Mapping[str, Any]
    asked: Sequence[str]


def read_answers(session: AgenticSession) -> KnownAnswers:
    """Return the answers that the operator accepted; ``spec.responses`` may hold wrong or late ones."""
    interrupts = session.status.interrupts
    return KnownAnswers(
        {each.id: session.status.find_answer(each) for each in interrupts if not each.is_open},
        [each.id for each in interrupts if each.is_open],
    )


class AttemptCounter:
    """Counts consecutive attempts without a new super-step. Pure."""

    def __init__(self, attempts: int = _ATTEMPTS) -> None:
        self._attempts = attempts
        self._steps = 0
        self.failed = 0

    def count(self, steps: int) -> bool:
        """Count a failed attempt that reached ``steps`` super-steps; return whether another attempt may follow."""
        self.failed = 1 if steps > self._steps else self.failed + 1
        self._steps = max(self._steps, steps)
        return self.failed <= self._attempts


@dataclass
class Attempt:
    """One attempt: the progress its stream shows, and whether an error before the first node is the inputs' fault."""

    tracker: Tracker
    takes_inputs: bool = False


class DurableExecution:
    """Runs one prepared graph on the session's thread; call :meth:`execute` again to resume with answers."""

    def __init__(
        self,
        config: RunConfig,
        database: Database,
        drain: Drain,
        reporter: Reporter,
        progress: ProgressReporter,
        prepared: "PreparedGraph",
        task: Task,
    ) -> None:
        self._config = config
        self._database = database
        self._drain = drain
        self._reporter = reporter
        self._progress = progress
        self._prepared = prepared
        self._task = task
        self._is_started = False

    async def execute(self) -> Outcome:
        """Run the graph to its end, its questions or a drain.

        Raises :class:`RunFailed`, ``CannotDecrypt``, :class:`SessionSuspended` and :class:`ApiRetriesExhausted`.
        """
        known = read_answers(self._reporter.session)
        counter = AttemptCounter()
        self._is_started = False
        while True:
            attempt = Attempt(build_tracker(self._prepared.graph, self._reporter.now))
            try:
                return await self._execute_once(attempt, known)
            except (SessionSuspended, ApiRetriesExhausted):
                raise
            except (asyncio.CancelledError, SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                failure = self._classify(error, attempt)
                if failure.kind is FailureKind.DATABASE:
                    if self._drain.reason is not None:
                        return Drained()
                    if counter.count(attempt.tracker.progress.steps):
                        await self._wait_for_database(failure, counter.failed)
                        continue
                log.exception("run failed: %s", failure.message)
                raise RunFailed(failure) from error

    async def _execute_once(self, attempt: Attempt, known: KnownAnswers) -> Outcome:
        await self._find_thread_end()
        found = await self._find_entry(known)
        entry = found.entry
        attempt.takes_inputs = entry.takes_inputs
        log.info("entering thread", extra={"action": found.action})
        if entry.action is EntryAction.WAIT:
            return Waits(entry.questions)
        self._progress.run.take_answers(entry.answers)
        await self._report_start(found)
        prepared = self._prepared
        prepared.saver.unsaved.clear()
        with entering(prepared.saver, found, self._config.thread_id):
            given = await self._prepare(found)
            outcome = await execute(
                prepared.graph,
                given.config,
                given.value,
                thread=prepared.build_thread_config(),
                context=prepared.build_context(),
                durability=self._config.durability,
                tracker=attempt.tracker,
                drain=self._drain,
                grace_seconds=self._config.grace_seconds,
                on_events=partial(self._report_events, attempt.tracker),
                # What a model says is state, and the event log is not encrypted.
                with_messages=self._config.streams_tokens and self._config.keyring is None,
            )
        await self._progress.settle_state()
        return outcome

    async def _find_entry(self, known: KnownAnswers) -> TurnEntry:
        graph, thread = self._prepared.graph, self._prepared.build_thread_config()
        if self._task.turn is None:
            return TurnEntry(await find_entry(graph, thread, known.answers, known.asked))
        return await find_turn_entry(graph, thread, self._task.turn, known.answers, known.asked)

    async def _prepare(self, found: TurnEntry) -> Given:
        prepared, turn = self._prepared, self._task.turn
        if turn is None:
            return Given(build_input(found.entry, self._task.inputs), prepared.build_config())
        return await prepare_turn(
            prepared.graph, prepared.build_thread_config(), prepared.build_config(turn.label), turn, found
        )

    async def _find_thread_end(self) -> None:
        """Continue after the thread's last checkpoint, and report acknowledged checkpoints that are missing."""
        known = self._progress.acknowledged
        end = await find_tip(self._database.pool, self._config.thread_id, known=known)
        if end.newest is not None:
            follow(end.newest)
        steps = self._reporter.session.status.steps or 0
        loss = find_loss(end, known, steps, first_step=find_first_step(self._prepared.graph))
        if loss is not None:
            await self._progress.report_loss(loss, await fetch_history(self._database, self._config))
        self._progress.run.start_at(end.latest)

    async def _report_start(self, found: TurnEntry) -> None:
        """Report that the run executes, at its first attempt only."""
        if self._is_started:
            return
        self._is_started = True
        limit = self._prepared.settings.recursion_limit
        begins = found.gift is not Gift.NOTHING
        self._reporter.start(self._task.report_start(tuple(found.entry.answers), limit, begins=begins))
        await self._progress.put_event("run_started", {"action": found.action})

    async def _report_events(self, tracker: Tracker, new: Sequence[StreamEvent]) -> None:
        if tracker.has_news:
            tracker.has_news = False
            self._progress.report(tracker.progress)
        if tracker.has_stepped:
            tracker.has_stepped = False
            channels = self._prepared.graph.output_channels
            self._progress.show_state(tracker.output, tracker.checkpoint_id, channels)
        for event in new:
            await self._progress.put(event)

    def _classify(self, error: BaseException, attempt: Attempt) -> Failure:
        if (undecryptable := find_undecryptable(error)) is not None:
            raise undecryptable from error
        failure = classify(error, attempt.tracker, takes_inputs=attempt.takes_inputs, root=self._prepared.root)
        if failure.kind in (FailureKind.GRAPH, FailureKind.INPUT):
            return find_lost_save(self._prepared.saver.unsaved) or failure
        return failure

    async def _wait_for_database(self, failure: Failure, attempt: int) -> None:
        log.warning("lost the database: %s", failure.message, extra={"attempt": attempt})
        self._progress.report_trouble(Reason.DATABASE_UNAVAILABLE, failure.message)
        await asyncio.sleep(compute_delay(attempt + 2, None, 0.5))
