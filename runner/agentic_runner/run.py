"""One run of one session, from its pod's variables to its exit code.

The order is what makes it safe: is the session still ours, take the thread's fence, load the graph, run it, store the
result in the database, and only then tell the session. Whoever dies in between is followed by a run that finds the last
of these that was reached.
"""

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar

from agentic_core import contract
from agentic_core.conditions import Reason
from agentic_core.contract import ExitCode
from agentic_core.errors import (
    AgenticError,
    DatabaseUnavailable,
    GraphLoadError,
    OutputTooLarge,
    PermanentError,
    SchemaMismatch,
    Superseded,
    TransientError,
)
from agentic_core.lifecycle import Phase
from agentic_core.resources.session import AgenticSession
from agentic_runner import status as statuses
from agentic_runner.api import open_api
from agentic_runner.config import RunConfig
from agentic_runner.continuation import Action, Question
from agentic_runner.drain import Drain
from agentic_runner.eventlog import EventQueue
from agentic_runner.execute import (
    Drained,
    Finished,
    Outcome,
    Waits,
    build_config,
    build_input,
    build_tracker,
    execute,
    find_entry,
)
from agentic_runner.failures import Failure, Kind, classify
from agentic_runner.redaction import Redactor, bounded, describe
from agentic_runner.report import ApiUnavailable, HeldBack, Reporter, check_ours, compute_delay, persist
from agentic_runner.status import Result, Verdict
from agentic_runner.tracking import Progress, StreamEvent
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.errors import UnstorableOutput
from agentic_store.output import EncodedOutput, encode_output
from agentic_store.records import Fence, SessionRecord, SessionRow
from agentic_store.schema import SchemaState

log = logging.getLogger(__name__)

T = TypeVar("T")

_ATTEMPTS: Final = 3
# For words that help but decide nothing: a failed attempt is followed by the next pod either way.
_SHORT_PATIENCE: Final = 5.0
_EVENTS_PATIENCE: Final = 5.0


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


async def run_session(config: RunConfig, dsn: Dsn, redactor: Redactor, drain: Drain) -> Ending:
    """Run the session and say how the process should end. Raises nothing that a person could cause."""
    importing = asyncio.create_task(asyncio.to_thread(_import_langgraph), name="imports")
    try:
        async with open_api(config, redactor) as api:
            session = await persist(api.fetch, config.api_patience_seconds)
            check_ours(session, config)
            lost: list[Superseded] = []

            def on_lost(reason: Superseded) -> None:
                lost.append(reason)
                drain.request(str(reason))

            reporter = Reporter(api, config, session, on_lost)
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
    finally:
        with contextlib.suppress(Exception):
            await importing


def _import_langgraph() -> None:
    """Import what every run needs, in a thread: meanwhile the loop waits for the API server and the database."""
    import langgraph.checkpoint.postgres.aio
    import langgraph.errors
    import langgraph.graph
    import langgraph.runtime
    import langgraph.store.postgres.aio
    import langgraph.types  # noqa: F401


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
        self._progress = Progress()
        self._events: EventQueue | None = None

    async def execute(self) -> Ending:
        """Do the run, tell its end, and return it."""
        try:
            async with self._open_database() as database, self._open_events(database):
                try:
                    return await self._work(database)
                except AgenticError as error:
                    return await self._tell_failure(error, database)
        except AgenticError as error:
            # Without a database there is still a session to tell.
            return await self._tell_failure(error, None)

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
        self._events = EventQueue(lambda batch: database.events.append(config.session_uid, config.run, batch))
        self._events.start()
        try:
            yield
        finally:
            await self._events.close(_EVENTS_PATIENCE)

    async def _work(self, database: Database) -> Ending:
        # Asked once: what the library wants of its tables is compared when the library is there.
        schema = await database.require_schema(checkpoint_version=0)
        fence = await self._take_thread(database)
        try:
            await self._start_record(database)
        except Superseded:
            if (row := await self._fetch_verdict(database)) is not None:
                return await self._report_verdict(row)
            raise
        try:
            outcome = await self._run_graph(database, schema)
        except RunFailed as error:
            return await self._tell_graph_failure(error.failure, database, fence)
        return await self._tell_outcome(outcome, database)

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
        log.info("took the thread", extra={"thread_id": fence.thread_id, "epoch": fence.epoch})
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

    async def _run_graph(self, database: Database, schema: SchemaState) -> Outcome:
        await self._importing
        # They import LangGraph, and so must not be imported before the thread above did.
        from agentic_runner.checkpoints import build_saver, build_store, checkpoint_version
        from agentic_runner.graphs import import_attribute, open_graph
        from agentic_runner.project import enter_project, find_target, read_project

        wanted = replace(schema, checkpoint_program=checkpoint_version())
        if not wanted.is_current:
            raise SchemaMismatch(wanted.describe())
        project = read_project(self._config.project_file)
        target = find_target(project, self._config.graph)
        enter_project(project)
        value = import_attribute(project, target)
        graph_config = build_config(self._config.thread_id, self._config.run)
        async with AsyncExitStack() as stack:
            graph = await stack.enter_async_context(
                open_graph(value, target, graph_config, checkpointer=build_saver(database), store=build_store(database))
            )
            log.info("loaded the graph", extra={"graph": target.name, "target": str(target)})
            # All that is loaded now stays to the end: the collector, off until here, need never look at it.
            gc.freeze()
            gc.enable()
            return await self._execute_durably(graph, graph_config)

    async def _execute_durably(self, graph: Any, graph_config: Any) -> Outcome:
        """Run the graph, from its last checkpoint again where the database was lost and comes back in time."""
        session = self._reporter.session
        responses = {each.interrupt_id: each.value for each in session.spec.responses}
        asked = [each.id for each in session.status.interrupts if each.answered_at is None]
        attempt, steps, is_begun = 0, 0, False
        while True:
            tracker = build_tracker(graph)
            takes_inputs = False

            async def on_events(new: Sequence[StreamEvent], tracker: Any = tracker) -> None:
                self._see(tracker.progress)
                for event in new:
                    await self._put_event(event.type, event.data, is_droppable=event.is_droppable)

            try:
                entry = await find_entry(graph, graph_config, responses, asked)
                takes_inputs = entry.takes_inputs
                log.info("enters the thread", extra={"action": entry.action.value})
                if entry.action is Action.WAIT:
                    return Waits(entry.questions)
                if not is_begun:
                    is_begun = True
                    self._reporter.start(partial(statuses.running, answered=tuple(entry.answers)))
                    await self._put_event("run_started", {"action": entry.action.value})
                return await execute(
                    graph,
                    graph_config,
                    build_input(entry, session.spec.inputs),
                    durability=self._config.durability,
                    tracker=tracker,
                    drain=self._drain,
                    grace_seconds=self._config.grace_seconds,
                    on_events=on_events,
                )
            except Exception as error:
                failure = classify(error, tracker, takes_inputs=takes_inputs)
                attempt = 1 if tracker.progress.steps > steps else attempt + 1
                steps = max(steps, tracker.progress.steps)
                if failure.kind is Kind.DATABASE and attempt <= _ATTEMPTS and self._drain.reason is None:
                    log.warning("the database was lost: %s", failure.message, extra={"attempt": attempt})
                    self._reporter.say(Reason.DATABASE_UNAVAILABLE, self._redactor.redact(failure.message))
                    await asyncio.sleep(compute_delay(attempt + 2, None, 0.5))
                    continue
                log.exception("the run failed: %s", failure.message)
                raise RunFailed(failure) from error

    def _see(self, progress: Progress) -> None:
        message = progress.message and self._redactor.redact(progress.message)
        self._progress = replace(progress, message=message)
        self._reporter.update(self._progress)

    async def _put_event(self, type_: str, data: Mapping[str, Any], *, is_droppable: bool = False) -> None:
        if self._events is not None:
            texts = {key: self._redactor.redact(value) for key, value in data.items() if isinstance(value, str)}
            await self._events.put(StreamEvent(type_, {**data, **texts}, is_droppable))

    # how it ended

    async def _tell_outcome(self, outcome: Outcome, database: Database) -> Ending:
        match outcome:
            case Finished():
                return await self._tell_result(outcome.output, database)
            case Waits():
                return await self._tell_questions(outcome.questions, database)
            case Drained():
                return Ending(ExitCode.DRAINED, f"drained after {self._drain.reason}: the next pod continues")

    async def _tell_result(self, output: Any, database: Database) -> Ending:
        encoded = await asyncio.to_thread(encode_output, output)
        for replacement in encoded.replacements[:10]:
            log.warning("the result was changed at %r: %s", replacement.pointer, replacement.reason)
        config = self._config
        await self._surely(
            lambda: database.sessions.finish(config.session_uid, config.run, Phase.COMPLETED, output=encoded)
        )
        await self._conclude_completed(encoded)
        await self._put_event("completed", {"size": encoded.size})
        return Ending(ExitCode.DONE, "completed")

    async def _conclude_completed(self, encoded: EncodedOutput) -> None:
        config = self._config
        is_inline = encoded.size <= contract.MAX_INLINE_RESULT_BYTES
        result = Result(
            size=encoded.size,
            sha256=encoded.sha256,
            url=f"db://workflow_sessions/{config.namespace}/{config.session_name}",
            value=encoded.value() if is_inline else None,
        )
        await self._reporter.conclude(lambda session, now: statuses.completed(session, now, result, self._progress))
        log.info("completed", extra={"size": encoded.size, "steps": self._progress.steps})

    async def _tell_questions(self, questions: tuple[Question, ...], database: Database) -> Ending:
        config = self._config
        asked = [replace(question, value=_showable(question.value)) for question in questions]
        await self._surely(
            lambda: database.sessions.change_status(config.session_uid, config.run, Phase.WAITING_FOR_INPUT)
        )
        await self._reporter.conclude(lambda session, now: statuses.waiting(session, now, asked, self._progress))
        await self._put_event("waiting_for_input", {"interrupts": [question.id for question in asked]})
        log.info("waits for input", extra={"questions": len(asked)})
        return Ending(ExitCode.DONE, "waits for input")

    async def _tell_graph_failure(self, failure: Failure, database: Database, fence: Fence) -> Ending:
        """Decide between another attempt and the end."""
        message = self._redactor.redact(failure.message)
        match failure.kind:
            case Kind.SUPERSEDED:
                raise Superseded(message)
            case Kind.DATABASE:
                raise DatabaseUnavailable(message)
            case Kind.SCHEMA:
                raise SchemaMismatch(message)
            case Kind.INPUT:
                verdict = Verdict(Reason.INVALID_INPUT, failure.type, message)
                return await self._tell_verdict(verdict, ExitCode.INPUT_REFUSED, database)
            case Kind.GRAPH:
                pass
        retries = self._config.retries
        failures = await self._surely(lambda: database.fences.record_failure(fence))
        if failure.is_retriable and failures <= retries:
            told = f"attempt {failures} of {retries + 1} failed: {message}"
            await self._put_event("attempt_failed", {"attempt": failures, "of": retries + 1, "error": message[:1024]})
            await self._tell_in_passing(lambda session, now: statuses.retrying(session, now, told))
            return Ending(ExitCode.RETRIABLE, told)
        verdict = Verdict(Reason.GRAPH_ERROR, failure.type, message, failure.node, failure.is_retriable)
        return await self._tell_verdict(verdict, ExitCode.GRAPH_FAILED, database)

    async def _tell_failure(self, error: AgenticError, database: Database | None) -> Ending:
        """Turn an error of ours into the session's verdict, or into words for the next pod."""
        message = self._redactor.redact(str(error))
        name = type(error).__name__
        match error:
            case Superseded():
                return Ending(ExitCode.SUPERSEDED, message)
            case HeldBack():
                return Ending(ExitCode.DRAINED, message)
            case ApiUnavailable():
                return Ending(ExitCode.API_UNAVAILABLE, message)
            case GraphLoadError():
                verdict = Verdict(Reason.GRAPH_LOAD_FAILED, name, message)
                return await self._tell_verdict(verdict, ExitCode.GRAPH_NOT_LOADED, database)
            case SchemaMismatch():
                verdict = Verdict(Reason.DATABASE_NOT_MIGRATED, name, message)
                return await self._tell_verdict(verdict, ExitCode.SCHEMA_MISMATCH, None)
            case OutputTooLarge():
                verdict = Verdict(Reason.OUTPUT_TOO_LARGE, name, message)
                return await self._tell_verdict(verdict, ExitCode.OUTPUT_TOO_LARGE, database)
            case UnstorableOutput():
                verdict = Verdict(Reason.GRAPH_ERROR, name, f"the result cannot be stored: {message}")
                return await self._tell_verdict(verdict, ExitCode.GRAPH_FAILED, database)
            case TransientError():
                await self._tell_in_passing(
                    lambda session, _: statuses.troubled(session, Reason.DATABASE_UNAVAILABLE, message)
                )
                return Ending(ExitCode.DATABASE_UNAVAILABLE, message)
            case _:
                log.error("unexpected: %s", message, exc_info=error)
                return Ending(ExitCode.RETRIABLE, message)

    async def _tell_verdict(self, verdict: Verdict, code: ExitCode, database: Database | None) -> Ending:
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
                await self._put_event("failed", error)
            except Superseded as lost:
                return Ending(ExitCode.SUPERSEDED, str(lost))
            except AgenticError as trouble:
                log.warning("the verdict was not stored: %s", trouble)
        ending = Ending(code, verdict.message)
        try:
            await self._reporter.conclude(lambda session, now: statuses.failed(session, now, verdict, self._progress))
        except Superseded as lost:
            return Ending(ExitCode.SUPERSEDED, str(lost))
        except AgenticError as trouble:
            # The exit code and termination message still reach the operator.
            log.warning("the verdict was not delivered: %s", trouble)
        log.info("failed", extra={"reason": verdict.reason.value})
        return ending

    async def _report_verdict(self, row: SessionRow) -> Ending:
        """Tell the session what an earlier run already stored."""
        log.info("the session's end is stored already: reporting it", extra={"status": row.status.wire})
        if row.status is Phase.COMPLETED:
            await self._conclude_completed(await asyncio.to_thread(encode_output, row.output_data))
            return Ending(ExitCode.DONE, "completed")
        error = row.error or {}
        reason = next((each for each in Reason if each.value == error.get("reason")), Reason.GRAPH_ERROR)
        verdict = Verdict(
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
                log.warning("the database did not answer: %s", error, extra={"attempt": attempt})
                if attempt == _ATTEMPTS:
                    raise
                await asyncio.sleep(compute_delay(attempt + 2, error.retry_after_seconds, 0.5))
        raise AssertionError("unreachable")


_VERDICT_CODES: Final = {
    Reason.INVALID_INPUT: ExitCode.INPUT_REFUSED,
    Reason.GRAPH_LOAD_FAILED: ExitCode.GRAPH_NOT_LOADED,
    Reason.OUTPUT_TOO_LARGE: ExitCode.OUTPUT_TOO_LARGE,
}


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


def _showable(value: Any) -> Any:
    """Return an interrupt's value as JSON that fits into a status; a larger one stays in the checkpoint alone."""
    try:
        encoded = encode_output(value, limit_bytes=contract.MAX_INLINE_RESULT_BYTES)
    except OutputTooLarge:
        return {"truncated": True, "reason": "the question is over 32 KiB: it is in the checkpoint"}
    except UnstorableOutput as error:
        return {"truncated": True, "reason": describe(error)}
    return encoded.value()
