"""The turns of a conversation, one after another in one process, as the operator says which is on.

The invariant: a turn is begun only while ``status.turn`` names it and neither its row nor ``status.turnEnd`` has its
end; its input is given as ``execution.turn_entry`` says; its end is stored before it is reported. So whoever dies in
between is followed by a process that finds the end in the row and reports it, or finds the input in the thread and goes
on, or neither and gives it.

A process waits warm for the next turn only after one that completed, and only while no failure of the graph was counted
in its run: retries are the Job's, and a turn in one whose graph failed before would have fewer of them.
"""

import logging

from agentic_core.contract import ExitCode
from agentic_core.errors import AgenticError, Superseded
from agentic_core.lifecycle import Phase
from agentic_core.resources.session import AgenticSession
from agentic_core.resources.turns import CurrentTurn
from agentic_runner.config import RunConfig
from agentic_runner.drain import Drain
from agentic_runner.execution.failures import RunFailed
from agentic_runner.output.redaction import Redactor
from agentic_runner.reporting.ends import TurnEnd
from agentic_runner.reporting.outcome_reporter import OutcomeReporter, StoredOutcome
from agentic_runner.reporting.outcome_store import OutcomeStore
from agentic_runner.reporting.progress_reporter import ProgressReporter
from agentic_runner.reporting.verdicts import Ending
from agentic_runner.running.graph_runner import GraphRunner
from agentic_runner.running.task import build_turn_task
from agentic_runner.running.thread import start_record, take_thread
from agentic_runner.running.warm_wait import WarmWait
from agentic_runner.session.reporter import Reporter
from agentic_runner.session.turn_status import find_current
from agentic_store.database import Database
from agentic_store.records import Fence, TurnPhase, TurnRecord, TurnRow
from agentic_store.schema_migrations.schema import SchemaState

log = logging.getLogger(__name__)


class Conversation:
    """Serves turns in one process."""

    def __init__(
        self,
        config: RunConfig,
        redactor: Redactor,
        drain: Drain,
        reporter: Reporter,
        progress: ProgressReporter,
        runner: GraphRunner,
        warm: WarmWait,
    ) -> None:
        self._config = config
        self._redactor = redactor
        self._drain = drain
        self._reporter = reporter
        self._progress = progress
        self._runner = runner
        self._warm = warm

    def build_outcome(self, turn: CurrentTurn) -> OutcomeReporter:
        """Return the reporter of a turn's end."""
        end = TurnEnd(self._config, turn)
        return OutcomeReporter(self._config, self._redactor, self._drain, self._reporter, self._progress, end)

    async def run(self, first: CurrentTurn, database: Database) -> Ending:
        """Serve the current turn and further ones while this process may wait; return how the process ends.

        Raises what keeps the first one from beginning.
        """
        schema = await database.require_schema(checkpoint_version=0)
        fence = await take_thread(database, self._config, self._reporter.session)
        turn = first
        while True:
            ending, is_well = await self._serve(turn, database, schema, fence)
            if ending.code is not ExitCode.DONE or not is_well or fence.failures > 0:
                return ending
            found = await self._wait_for_turn()
            if isinstance(found, Ending):
                return found
            turn = found

    async def _wait_for_turn(self) -> CurrentTurn | Ending:
        try:
            self._warm.renew()
            if await self._warm.wait(self._reporter.find_turn):
                found = find_current(self._reporter.session)
                assert found is not None  # noqa: S101  (`find_turn` found it)
                return found
        except Superseded as error:
            phase = self._reporter.session.status.phase
            # The conversation was closed between two turns: no turn is waiting.
            is_over = phase is not None and phase.is_final
            return Ending(ExitCode.DONE if is_over else ExitCode.SUPERSEDED, str(error))
        return Ending(ExitCode.DONE, "the conversation is idle")

    async def _serve(
        self, turn: CurrentTurn, database: Database, schema: SchemaState, fence: Fence
    ) -> tuple[Ending, bool]:
        """Run one turn; return how the process would end after it, and whether it may serve another turn instead."""
        outcome, store = self.build_outcome(turn), OutcomeStore(self._config, database, TurnEnd(self._config, turn))
        self._reporter.follow_turn(turn)
        self._progress.begin_turn(turn.number)
        self._warm.renew()
        log.info("begins a turn", extra={"turn": turn.number})
        try:
            row = await self._begin(turn, database)
            if row.phase.is_over:
                return await outcome.report_stored_outcome(await self._fetch_stored(row, database)), True
            await self._runner.load(database, schema)
            task = build_turn_task(self._reporter.session, turn)
            found = await self._runner.run(task, database, outcome, store)
            ending = await outcome.report_outcome(found, store)
        except RunFailed as error:
            return await outcome.report_failed_run(error.failure, store, fence), False
        except AgenticError as error:
            return await outcome.report_error(error, store), False
        # Idle once the turn's end is reported, or if it asked a question and was cancelled.
        return ending, self._reporter.session.status.phase is Phase.IDLE

    async def _begin(self, turn: CurrentTurn, database: Database) -> TurnRow:
        """Mark the turn's row as begun; insert it first if the operator has not done so yet."""
        session = self._reporter.session
        await start_record(database, self._config, session)
        return await database.turns.begin(build_turn_record(session, turn, self._config))

    async def _fetch_stored(self, row: TurnRow, database: Database) -> StoredOutcome:
        full = await database.turns.get(row.session_uid, row.number, with_output=True) or row
        error = full.error if full.phase is TurnPhase.FAILED else None
        if full.phase is TurnPhase.CANCELED:
            raise Superseded(f"turn {full.name!r} was cancelled")
        return StoredOutcome(full.output, error, full.checkpoint_id)


def build_turn_record(session: AgenticSession, turn: CurrentTurn, config: RunConfig) -> TurnRecord:
    """Return the row of a turn, as the operator writes it."""
    spec = session.find_turn(turn.name)
    command = None if spec is None or spec.command is None else spec.command.to_wire()
    return TurnRecord(
        session_uid=config.session_uid,
        number=turn.number,
        name=turn.name,
        project_name=config.namespace,
        session_name=config.session_name,
        author=turn.by,
        input=None if spec is None else spec.input,
        command=command,
        run=config.run,
    )
