"""One run of one session, from its pod's variables to its exit code.

The order is what makes it safe: is the session still ours, take the thread's fence, load the graph, run it, store the
result in the database, and only then report it to the session. Whoever dies in between is followed by a run that finds
the last of these that was reached.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Final

from agentic_core.contract import ExitCode
from agentic_core.errors import AgenticError, PermanentError, Superseded
from agentic_core.lifecycle import Phase
from agentic_runner.config import RunConfig
from agentic_runner.drain import Drain
from agentic_runner.execution.failures import RunFailed
from agentic_runner.output.redaction import Redactor
from agentic_runner.reporting.ends import End, SessionEnd, TurnEnd
from agentic_runner.reporting.outcome_reporter import OutcomeReporter, StoredOutcome
from agentic_runner.reporting.outcome_store import OutcomeStore
from agentic_runner.reporting.progress_reporter import ProgressReporter
from agentic_runner.reporting.state_snapshots import StateSnapshots
from agentic_runner.reporting.verdicts import Ending
from agentic_runner.running.conversation import Conversation
from agentic_runner.running.graph_runner import GraphRunner
from agentic_runner.running.task import build_session_task
from agentic_runner.running.thread import fetch_stored_outcome, start_record, take_thread
from agentic_runner.running.warm_wait import WarmWait
from agentic_runner.session.api import open_api
from agentic_runner.session.event_queue import EventQueue
from agentic_runner.session.reporter import ApiRetriesExhausted, Reporter, check_ours, persist
from agentic_runner.session.run_events import RunEvents
from agentic_runner.session.turn_status import find_current
from agentic_runner.tracing.run_trace import RunTrace
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.session_channel import SessionChannel, listen_to_session

_EVENTS_PATIENCE: Final = 5.0

log = logging.getLogger(__name__)


async def run_session(
    config: RunConfig,
    dsn: Dsn,
    redactor: Redactor,
    drain: Drain,
    importing: Awaitable[None],
    trace: RunTrace | None = None,
) -> Ending:
    """Run the session and return how the process should end; ``importing`` is done when LangGraph is imported.

    ``trace`` is None where no spans are sent.
    """
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
                ending = await Run(config, dsn, redactor, drain, reporter, importing, trace).execute()
            finally:
                await reporter.close()
            return Ending(ExitCode.SUPERSEDED, str(lost[0])) if lost and ending.code is ExitCode.DRAINED else ending
    except Superseded as error:
        return Ending(ExitCode.SUPERSEDED, str(error))
    except ApiRetriesExhausted as error:
        return Ending(ExitCode.API_UNAVAILABLE, str(error))
    except PermanentError as error:
        return Ending(ExitCode.RETRIABLE, str(error))


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
        trace: RunTrace | None = None,
    ) -> None:
        self._config = config
        self._dsn = dsn
        self._drain = drain
        self._reporter = reporter
        trace_id = trace.trace_id if trace is not None else config.trace_id
        self._progress = ProgressReporter(redactor, reporter, trace_id)
        self._warm = WarmWait(config.keep_warm_seconds, drain, self._listen)
        self._runner = GraphRunner(config, redactor, drain, reporter, self._progress, importing, self._warm, trace)
        self._redactor = redactor

    async def execute(self) -> Ending:
        """Do the run, report its end, and return it."""
        if self._reporter.session.is_conversation:
            return await self._converse()
        end = SessionEnd(self._config)
        outcome = OutcomeReporter(self._config, self._redactor, self._drain, self._reporter, self._progress, end)
        return await self._execute(outcome, end, partial(self._run, outcome, end))

    async def _converse(self) -> Ending:
        """Serve the turns of a conversation, beginning with the one that is on."""
        session = await self._reporter.await_begin(run=self._config.run)
        turn = find_current(session)
        if turn is None:
            return Ending(ExitCode.DONE, "no turn is on")
        conversation = Conversation(
            self._config, self._redactor, self._drain, self._reporter, self._progress, self._runner, self._warm
        )
        self._reporter.follow_turn(turn)
        return await self._execute(
            conversation.build_outcome(turn), TurnEnd(self._config, turn), partial(conversation.run, turn)
        )

    async def _execute(
        self, outcome: OutcomeReporter, end: End, work: Callable[[Database], Awaitable[Ending]]
    ) -> Ending:
        """Do the work with a database, and report what it raises."""
        try:
            async with self._open_database() as database, self._open_events(database):
                try:
                    return await work(database)
                except AgenticError as error:
                    return await outcome.report_error(error, OutcomeStore(self._config, database, end))
        except AgenticError as error:
            # Without a database there is still a session to report to.
            return await outcome.report_error(error, None)

    @asynccontextmanager
    async def _open_database(self) -> AsyncIterator[Database]:
        async with open_database(
            self._dsn, application_name="agentic-runner", timeout_seconds=self._config.database_patience_seconds
        ) as database:
            # A checkpoint that waits longer for a connection has its attempt fail, and the status gives the reason.
            database.pool.timeout = max(1.0, self._config.database_patience_seconds / 6)
            yield database

    @asynccontextmanager
    async def _open_events(self, database: Database) -> AsyncIterator[None]:
        config = self._config
        events = EventQueue(
            RunEvents(database.events, config.session_uid, config.run),
            redactor=self._redactor,
            floor=self._reporter.last_seq or 0,
        )
        self._reporter.follow_events(lambda: events.floor)
        events.start()
        self._progress.events = events
        # What is sealed in the database is not shown beside it.
        if config.state_api != "None" and config.keyring is None:
            self._progress.snapshots = StateSnapshots(
                database.thread_values,
                config.session_uid,
                config.run,
                self._redactor,
                keeps_history=config.state_api == "History",
            )
            self._progress.snapshots.start()
        else:
            await self._withdraw_state(database)
        try:
            yield
        finally:
            if self._progress.snapshots is not None:
                await self._progress.snapshots.close()
            await events.close(_EVENTS_PATIENCE)

    async def _withdraw_state(self, database: Database) -> None:
        try:
            await database.thread_values.withdraw(self._config.session_uid, self._config.run)
        except AgenticError as error:
            log.warning("what was shown of the state stays for now: %s", error)

    def _listen(self) -> AbstractAsyncContextManager[SessionChannel]:
        return listen_to_session(self._dsn, self._config.notify_channel, application_name="agentic-runner")

    async def _run(self, outcome: OutcomeReporter, end: End, database: Database) -> Ending:
        """Take the thread, run the graph on the inputs, and report what came of it."""
        store = OutcomeStore(self._config, database, end)
        # Asked once: what the library wants of its tables is compared when the library is there.
        schema = await database.require_schema(checkpoint_version=0)
        fence = await take_thread(database, self._config, self._reporter.session)
        try:
            await start_record(database, self._config, self._reporter.session)
        except Superseded:
            if (row := await fetch_stored_outcome(database, self._config)) is not None:
                error = row.error or {} if row.status is Phase.FAILED else None
                return await outcome.report_stored_outcome(StoredOutcome(row.output_data, error))
            raise
        try:
            await self._runner.load(database, schema)
            task = build_session_task(self._reporter.session)
            found = await self._runner.run(task, database, outcome, store)
        except RunFailed as failed:
            return await outcome.report_failed_run(failed.failure, store, fence)
        return await outcome.report_outcome(found, store)
