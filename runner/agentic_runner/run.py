"""One run of one session, from its pod's variables to its exit code.

The order is what makes it safe: is the session still ours, take the thread's fence, load the graph, run it, store the
result in the database, and only then tell the session. Whoever dies in between is followed by a run that finds the last
of these that was reached.
"""

import asyncio
import gc
import importlib
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from agentic_core.conditions import Reason
from agentic_core.contract import MAX_HISTORY, ExitCode
from agentic_core.errors import (
    AgenticError,
    DatabaseUnavailable,
    GraphLoadError,
    PermanentError,
    SchemaMismatch,
    Superseded,
    TransientError,
)
from agentic_core.lifecycle import Phase
from agentic_core.resources.session import AgenticSession, HistoryEntry
from agentic_core.run_settings import RunSettings, read_settings
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
from agentic_runner.execution.failures import FailureKind, classify, find_undecryptable
from agentic_runner.execution.fork import enter_fork
from agentic_runner.execution.given import build_config, build_context, choose_limit, copy_context
from agentic_runner.execution.history import recall
from agentic_runner.execution.thread_entry import Entry, EntryAction
from agentic_runner.execution.tracking import StreamEvent
from agentic_runner.floors import find_outdated
from agentic_runner.outcome import Ending, OutcomeReporter, RunFailed
from agentic_runner.redaction import Redactor, describe
from agentic_runner.session import status as statuses
from agentic_runner.session.api import open_api
from agentic_runner.session.event_queue import EventQueue
from agentic_runner.session.reporter import (
    ApiUnavailable,
    Change,
    Reporter,
    SessionSuspended,
    check_ours,
    compute_delay,
    persist,
)
from agentic_runner.session.session_env import take_session_env
from agentic_runner.warm_wait import WarmWait
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.records import Fence, SessionRecord, SessionRow
from agentic_store.schema_migrations.schema import SchemaState
from agentic_store.thread_end import find_tip

log = logging.getLogger(__name__)

_ATTEMPTS: Final = 3
_EVENTS_PATIENCE: Final = 5.0


async def run_session(
    config: RunConfig, dsn: Dsn, redactor: Redactor, drain: Drain, importing: Awaitable[None]
) -> Ending:
    """Run the session and say how the process should end; ``importing`` is done when LangGraph is imported."""
    try:
        async with open_api(config, redactor) as api:
            session = await persist(api.fetch, config.api_patience_seconds)
            check_ours(session, config)
            lost: list[Superseded] = []

            def on_lost(reason: Superseded) -> None:
                lost.append(reason)
                drain.request(str(reason))

            reporter = Reporter(api, config, session, on_lost, now=api.clock.now)
            try:
                ending = await Run(config, dsn, redactor, drain, reporter, importing).execute()
            finally:
                await reporter.close()
            return Ending(ExitCode.SUPERSEDED, str(lost[0])) if lost and ending.code is ExitCode.DRAINED else ending
    except Superseded as error:
        return Ending(ExitCode.SUPERSEDED, str(error))
    except ApiUnavailable as error:
        return Ending(ExitCode.API_UNAVAILABLE, str(error))
    except PermanentError as error:
        return Ending(ExitCode.RETRIABLE, str(error))


def import_langgraph() -> None:
    """Import what every run needs of it.

    Raises ``GraphLoadError`` where a library of the image is too old, and ``ImportError`` where one is broken.
    """
    if (fault := find_outdated()) is not None:
        raise GraphLoadError(fault)
    for module in ("langgraph.graph", "langgraph.checkpoint.postgres.aio", "langgraph.store.postgres.aio"):
        importlib.import_module(module)
    from langgraph.runtime import RunControl  # noqa: F401  (new in 1.2)


class Run:
    """The steps of one run; ``execute`` is the whole of it."""

    def __init__(
        self,
        config: RunConfig,
        dsn: Dsn,
        redactor: Redactor,
        drain: Drain,
        reporter: Reporter,
        importing: Awaitable[None],
    ) -> None:
        self._config = config
        self._dsn = dsn
        self._redactor = redactor
        self._drain = drain
        self._reporter = reporter
        self._importing = importing
        self._settings = RunSettings()
        self._teller = OutcomeReporter(config, redactor, drain, reporter)
        self._root: Path | None = None

    async def execute(self) -> Ending:
        """Do the run, tell its end, and return it."""
        try:
            async with self._open_database() as database, self._open_events(database):
                try:
                    return await self._work(database)
                except AgenticError as error:
                    return await self._teller.tell_failure(error, database)
        except AgenticError as error:
            # Without a database there is still a session to tell.
            return await self._teller.tell_failure(error, None)

    @asynccontextmanager
    async def _open_database(self) -> AsyncIterator[Database]:
        async with open_database(
            self._dsn, application_name="agentic-runner", timeout_seconds=self._config.database_patience_seconds
        ) as database:
            # A checkpoint that waits longer for a connection has its attempt fail, and the session says why.
            database.pool.timeout = max(1.0, self._config.database_patience_seconds / 6)
            yield database

    @asynccontextmanager
    async def _open_events(self, database: Database) -> AsyncIterator[None]:
        config = self._config
        events = EventQueue(lambda batch: database.events.append(config.session_uid, config.run, batch))
        events.start()
        self._teller.events = events
        try:
            yield
        finally:
            await events.close(_EVENTS_PATIENCE)

    async def _work(self, database: Database) -> Ending:
        # Asked once: what the library wants of its tables is compared when the library is there.
        schema = await database.require_schema(checkpoint_version=0)
        fence = await self._take_thread(database)
        try:
            await self._start_record(database)
        except Superseded:
            if (row := await self._fetch_verdict(database)) is not None:
                return await self._teller.report_verdict(row)
            raise
        try:
            outcome = await self._run_graph(database, schema)
        except RunFailed as error:
            return await self._teller.tell_graph_failure(error.failure, database, fence)
        return await self._teller.tell_outcome(outcome, database)

    async def _take_thread(self, database: Database) -> Fence:
        config = self._config
        fence = await database.fences.take(
            config.thread_id,
            config.session_uid,
            config.run,
            config.holder,
            # A pod of a deleted session must not take the thread from the one that has its name now.
            session_created_at=self._reporter.session.metadata.creation_timestamp,
        )
        await database.carry(fence)
        log.info("acquired the thread", extra={"thread_id": fence.thread_id, "epoch": fence.epoch})
        return fence

    async def _start_record(self, database: Database) -> None:
        """Mark the session's row as running; write the row first where the operator has not come to it yet."""
        config, session = self._config, self._reporter.session
        try:
            await database.sessions.start_run(config.session_uid, config.run)
        except DatabaseUnavailable:
            raise
        except TransientError:
            await database.sessions.record_session(build_record(session, config))
            await database.sessions.start_run(config.session_uid, config.run)

    async def _fetch_verdict(self, database: Database) -> SessionRow | None:
        row = await database.sessions.get(self._config.session_uid, with_output=True)
        return row if row is not None and row.status in (Phase.COMPLETED, Phase.FAILED) else None

    async def _enter_thread(self, graph: Any, graph_config: Any, database: Database) -> None:
        """Bring a fork to where it starts, and recall its checkpoints."""
        fork = self._reporter.session.spec.fork_from
        if fork is not None:
            point = await enter_fork(graph, graph_config, database, self._config, fork)
            log.info("forked from checkpoint", extra={"source": point.source, "checkpoint_id": point.checkpoint_id})
            self._teller.recall(await self._read_history(database))

    async def _read_history(self, database: Database) -> tuple[HistoryEntry, ...]:
        return recall(await database.threads.list_checkpoints(self._config.thread_id, limit=MAX_HISTORY))

    async def _find_place(self, graph: Any, database: Database) -> None:
        """See where the thread ends: the next checkpoints follow that, and what is missing of it is told."""
        known = self._teller.acknowledged
        tip = await find_tip(database.pool, self._config.thread_id, known=known)
        if tip.newest is not None:
            follow(tip.newest)
        steps = self._reporter.session.status.steps or 0
        loss = find_loss(tip, known, steps, first_step=find_first_step(graph))
        if loss is not None:
            await self._teller.tell_loss(loss, await self._read_history(database))
        self._teller.begin_at(tip.latest)

    async def _run_graph(self, database: Database, schema: SchemaState) -> Outcome:
        # While LangGraph is imported: from the fence on, nobody else adds to them.
        self._teller.recall(await self._read_history(database))
        try:
            await self._importing
        except ImportError as error:
            raise GraphLoadError(
                f"LangGraph cannot be imported: {describe(error)}: the image needs langgraph 1.2.13 or newer and"
                " langgraph-checkpoint-postgres"
            ) from error
        # They import LangGraph, and so must not be imported before the thread above did.
        from agentic_runner.checkpoints.factory import build_saver, checkpoint_version, open_store
        from agentic_runner.checkpoints.state_types import StateTypes, read_allowed
        from agentic_runner.project.folders import find_import_folders
        from agentic_runner.project.langgraph_json import find_target, read_project
        from agentic_runner.project.loading import load_value, open_graph

        wanted = replace(schema, checkpoint_program=checkpoint_version())
        if not wanted.is_current:
            raise SchemaMismatch(wanted.describe())
        project = read_project(self._config.project_file)
        target = find_target(project, self._config.graph)
        self._root = project.root
        folders = find_import_folders(project.root, project.dependencies, project.settings)
        state_types = StateTypes(read_allowed(project.settings), folders, before=sys.modules)
        take_session_env(self._reporter.session)
        value = await load_value(project, target)
        session = await self._reporter.await_begin()
        self._settings = read_settings(session)
        graph_config = build_config(self._config.thread_id, self._config.run, self._settings)
        saver = build_saver(
            database,
            self._config.keyring,
            on_saved=self._confirm,
            state_types=state_types,
            mask=self._redactor.redact,
        )
        store = await open_store(database, self._config.namespace, self._config.keyring, project, self._warn)
        ending = _Ending()
        async with ending.watching_exits(), AsyncExitStack() as stack:
            graph = await stack.enter_async_context(
                open_graph(
                    value,
                    target,
                    graph_config,
                    checkpointer=saver,
                    store=store,
                    context=copy_context(self._settings),
                )
            )
            state_types.note_loaded()
            log.info("graph loaded", extra={"graph": target.name, "target": str(target)})
            build_context(graph.context_schema, self._settings)
            limits = session.status.limits
            limit = choose_limit(graph, self._settings, limits.recursion_limit if limits is not None else None)
            self._settings = replace(self._settings, recursion_limit=limit)
            await self._enter_thread(graph, graph_config, database)
            # All that is loaded now stays to the end: the collector, off until here, need never look at it.
            gc.freeze()
            gc.enable()
            with ending:
                ending.outcome = await self._execute_with_people(graph, graph_config, database)
        return ending.resolve()

    def _confirm(self, thread_id: str, checkpoint_id: str) -> None:
        """Tell of a saved checkpoint, unless it is one of a graph that a node runs on a thread of its own."""
        if thread_id == self._config.thread_id:
            self._teller.confirm(checkpoint_id)

    async def _warn(self, message: str) -> None:
        """Tell of something that the graph's author should know, and that keeps nothing from going on."""
        log.warning("%s", message)
        await self._teller.put_event("warning", {"message": message})

    async def _execute_with_people(self, graph: Any, graph_config: Any, database: Database) -> Outcome:
        """Run the graph, and on with every answer that comes while this process may still wait for one."""
        warm = WarmWait(self._config.keep_warm_seconds, self._drain, self._reporter)
        while True:
            outcome = await self._execute_durably(graph, graph_config, database)
            if not isinstance(outcome, Waits):
                return outcome
            try:
                await self._teller.tell_questions(outcome.questions, database)
            except statuses.AnswersPending as pending:
                log.info("continuing at once: %s", pending)
            else:
                if not await warm.wait_for_answer([question.id for question in outcome.questions]):
                    return outcome
            await self._start_record(database)

    def _begin(self, entry: Entry) -> Change:
        limit = self._settings.recursion_limit
        return partial(statuses.running, answered=tuple(entry.answers), recursion_limit=limit)

    async def _execute_durably(self, graph: Any, graph_config: Any, database: Database) -> Outcome:
        """Run the graph, from its last checkpoint again where the database was lost and comes back in time."""
        session = self._reporter.session
        # Only what the operator accepted: what stands in `spec.responses` may be wrong, late or about to change.
        answers = {each.id: session.status.find_answer(each) for each in session.status.interrupts if not each.is_open}
        asked = [each.id for each in session.status.interrupts if each.is_open]
        attempt, steps, is_begun = 0, 0, False
        while True:
            tracker = build_tracker(graph, self._reporter.now)
            takes_inputs = False

            async def on_events(new: Sequence[StreamEvent], tracker: Any = tracker) -> None:
                self._teller.see(tracker.progress)
                for event in new:
                    await self._teller.put_event(event.type, event.data, is_droppable=event.is_droppable)

            try:
                await self._find_place(graph, database)
                entry = await find_entry(graph, graph_config, answers, asked)
                takes_inputs = entry.takes_inputs
                log.info("entering thread", extra={"action": entry.action.value})
                if entry.action is EntryAction.WAIT:
                    return Waits(entry.questions)
                self._teller.take_answers(entry.answers)
                if not is_begun:
                    is_begun = True
                    self._reporter.start(self._begin(entry))
                    await self._teller.put_event("run_started", {"action": entry.action.value})
                return await execute(
                    graph,
                    build_config(self._config.thread_id, self._config.run, self._settings),
                    build_input(entry, session.spec.inputs),
                    context=build_context(graph.context_schema, self._settings),
                    durability=self._config.durability,
                    tracker=tracker,
                    drain=self._drain,
                    grace_seconds=self._config.grace_seconds,
                    on_events=on_events,
                )
            except (SessionSuspended, ApiUnavailable):
                raise
            except (asyncio.CancelledError, SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                if (sealed := find_undecryptable(error)) is not None:
                    raise sealed from error
                failure = classify(error, tracker, takes_inputs=takes_inputs, root=self._root)
                attempt = 1 if tracker.progress.steps > steps else attempt + 1
                steps = max(steps, tracker.progress.steps)
                if failure.kind is FailureKind.DATABASE and self._drain.reason is not None:
                    return Drained()
                if failure.kind is FailureKind.DATABASE and attempt <= _ATTEMPTS:
                    log.warning("lost the database: %s", failure.message, extra={"attempt": attempt})
                    self._reporter.say(Reason.DATABASE_UNAVAILABLE, self._redactor.redact(failure.message))
                    await asyncio.sleep(compute_delay(attempt + 2, None, 0.5))
                    continue
                log.exception("run failed: %s", failure.message)
                raise RunFailed(failure) from error


class _Ending:
    """How a graph's run ended, whatever the exits of its factory do afterwards: raise, or swallow what was raised."""

    def __init__(self) -> None:
        self.outcome: Outcome | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._error = error

    @asynccontextmanager
    async def watching_exits(self) -> AsyncIterator[None]:
        """Let nothing that is raised after the run's end take its place."""
        try:
            yield
        except Exception as error:
            if self.outcome is None and self._error is None:
                raise
            if error is not self._error:
                log.warning("graph factory failed while closing: %s", describe(error), exc_info=error)

    def resolve(self) -> Outcome:
        """Return the run's outcome, or raise what it raised."""
        if self._error is not None:
            raise self._error
        if self.outcome is None:
            raise GraphLoadError("the factory of the graph swallows exceptions: let them pass through its `yield`")
        return self.outcome


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
