"""Runs the graph of a session's project: loaded once in a process, opened and run for each task."""

import gc
import logging
from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING

from agentic_runner.config import RunConfig
from agentic_runner.drain import Drain
from agentic_runner.execution.execute import Outcome, Waits
from agentic_runner.execution.fork import enter_fork
from agentic_runner.output.redaction import Redactor
from agentic_runner.reporting.outcome_reporter import OutcomeReporter
from agentic_runner.reporting.outcome_store import OutcomeStore
from agentic_runner.reporting.progress_reporter import ProgressReporter
from agentic_runner.running.durable import DurableExecution
from agentic_runner.running.imports import finish_imports
from agentic_runner.running.task import Task
from agentic_runner.running.thread import fetch_history, start_record
from agentic_runner.running.warm_wait import WarmWait
from agentic_runner.session.reporter import Reporter
from agentic_runner.session.status import AnswersPending
from agentic_runner.tracing.run_trace import RunTrace
from agentic_store.database import Database
from agentic_store.schema_migrations.schema import SchemaState

if TYPE_CHECKING:
    from agentic_runner.project.loading import Graph
    from agentic_runner.running.graph import LoadedProject, Persistence, PreparedGraph

log = logging.getLogger(__name__)


class GraphRunner:
    """Everything that a process needs to run its graph: once, or once for each turn of a conversation."""

    def __init__(
        self,
        config: RunConfig,
        redactor: Redactor,
        drain: Drain,
        reporter: Reporter,
        progress: ProgressReporter,
        importing: Awaitable[None],
        warm: WarmWait,
        trace: RunTrace | None = None,
    ) -> None:
        self._trace = trace
        self._config = config
        self._redactor = redactor
        self._drain = drain
        self._reporter = reporter
        self._progress = progress
        self._importing = importing
        self._warm = warm
        self._loaded: tuple[LoadedProject, Persistence] | None = None

    async def load(self, database: Database, schema: SchemaState) -> None:
        """Import LangGraph and the project, unless that is done."""
        if self._loaded is not None:
            return
        # Read while LangGraph is imported: once the fence is taken, no other process adds checkpoints.
        self._progress.run.recall(await fetch_history(database, self._config))
        await finish_imports(self._importing)
        # It imports LangGraph, and so must not be imported before the thread above did.
        from agentic_runner.running.graph import load_project, open_persistence

        loaded = await load_project(self._config, self._reporter.session, schema)
        await self._reporter.await_begin()
        persistence = await open_persistence(
            self._config,
            database,
            loaded,
            on_saved=self._report_saved,
            mask=self._redactor.redact,
            warn=self._progress.report_warning,
        )
        self._loaded = loaded, persistence

    async def run(self, task: Task, database: Database, outcome: OutcomeReporter, store: OutcomeStore) -> Outcome:
        """Open the graph with the task's settings and run it on the task, and on with answers that come in time.

        Questions are reported to ``outcome``. :meth:`load` comes before.
        """
        assert self._loaded is not None  # noqa: S101
        from agentic_runner.running.graph import open_for_run, prepare_graph, use_graph

        loaded, persistence = self._loaded

        async def use(graph: "Graph") -> Outcome:
            limits = self._reporter.session.status.limits
            callbacks = self._trace.build_callbacks() if self._trace is not None else []
            prepared = prepare_graph(graph, loaded, persistence, self._config, task, limits, callbacks)
            await self._enter_fork(prepared, database)
            # Everything loaded so far stays until the process ends: freeze it, so that the collector skips it.
            if not gc.isenabled():
                gc.freeze()
                gc.enable()
            return await self._execute_with_people(prepared, task, database, outcome, store)

        return await use_graph(open_for_run(loaded, persistence, self._config, task), use)

    async def _enter_fork(self, prepared: "PreparedGraph", database: Database) -> None:
        """Copy a fork's starting checkpoint to its thread, and read the thread's checkpoints."""
        fork = self._reporter.session.spec.fork_from
        if fork is not None:
            thread = prepared.build_thread_config()
            point = await enter_fork(prepared.graph, thread, database, self._config, fork)
            log.info("forked from checkpoint", extra={"source": point.source, "checkpoint_id": point.checkpoint_id})
            self._progress.run.recall(await fetch_history(database, self._config))

    async def _execute_with_people(
        self,
        prepared: "PreparedGraph",
        task: Task,
        database: Database,
        outcome: OutcomeReporter,
        store: OutcomeStore,
    ) -> Outcome:
        """Run the graph, and resume it with each answer that arrives while this process may still wait."""
        execution = DurableExecution(
            self._config, database, self._drain, self._reporter, self._progress, prepared, task
        )
        while True:
            found = await execution.execute()
            if not isinstance(found, Waits):
                return found
            try:
                await outcome.report_questions(found.questions, store)
            except AnswersPending as pending:
                log.info("continuing at once: %s", pending)
            else:
                asked = [question.id for question in found.questions]
                if not await self._warm.wait(partial(self._reporter.find_answers, asked)):
                    return found
            await start_record(database, self._config, self._reporter.session)

    def _report_saved(self, thread_id: str, checkpoint_id: str) -> None:
        """Report a saved checkpoint; checkpoints of other threads, which a node's own graph may use, are ignored."""
        if thread_id == self._config.thread_id:
            self._progress.report_saved(checkpoint_id)
