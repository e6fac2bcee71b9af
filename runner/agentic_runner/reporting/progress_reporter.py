"""Reports a run while it goes on: progress and troubles in the session's status, events in the database."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from agentic_core.conditions import Reason
from agentic_core.resources.session import HistoryEntry
from agentic_runner.checkpoints.lost_checkpoints import LostCheckpoints
from agentic_runner.execution.stream_events import StreamEvent
from agentic_runner.execution.tracking import Progress
from agentic_runner.output.redaction import Redactor
from agentic_runner.reporting.run_progress import RunProgress
from agentic_runner.reporting.state_snapshots import StateSnapshots
from agentic_runner.session.event_queue import EventQueue
from agentic_runner.session.reporter import Reporter

log = logging.getLogger(__name__)

_SETTLE_SECONDS: Final = 1.0
# The last progress is reported before these.
_ENDS_PROGRESS: Final = frozenset({"completed", "failed", "waiting_for_input", "attempt_failed"})


class ProgressReporter:
    """Reports the progress of one run. ``events`` is None as long as there is no database to store them in.

    ``trace_id`` is empty where the run is part of no trace.
    """

    def __init__(self, redactor: Redactor, reporter: Reporter, trace_id: str = "") -> None:
        self._trace = {"trace_id": trace_id} if trace_id else {}
        self._redactor = redactor
        self._reporter = reporter
        self.run = RunProgress()
        self.events: EventQueue | None = None
        self.snapshots: StateSnapshots | None = None
        """None if the definition does not publish the state."""
        self.turn: int | None = None
        """The number of the turn that events belong to."""

    @property
    def acknowledged(self) -> str | None:
        """The last checkpoint that this run or one before it reported."""
        return self.run.reportable.checkpoint_id or self._reporter.session.status.checkpoint_id

    def report(self, progress: Progress) -> None:
        """Report progress from the graph's stream, as far as it is saved."""
        message = progress.message and self._redactor.redact(progress.message)
        self.run.see(replace(progress, message=message))
        self._reporter.update(self.run.reportable)

    def report_saved(self, checkpoint_id: str) -> None:
        """Report progress up to a checkpoint that was just saved."""
        self.run.confirm(checkpoint_id)
        self._reporter.update(self.run.reportable)

    def report_trouble(self, reason: Reason, message: str) -> None:
        """Report what blocks the run; the next progress clears it."""
        self._reporter.report_trouble(reason, self._redactor.redact(message))

    def show_state(self, output: Any, checkpoint_id: str | None, channels: str | Sequence[str]) -> None:
        """Publish the output after a super-step, if the definition publishes the state."""
        if self.snapshots is not None:
            self.snapshots.channels = (channels,) if isinstance(channels, str) else tuple(channels)
            self.snapshots.see(output, checkpoint_id, self.turn or 0)

    async def settle_state(self) -> None:
        """Return once the newest state is stored; called when a turn ends or asks a question."""
        if self.snapshots is not None:
            await self.snapshots.settle()

    async def report_loss(self, loss: LostCheckpoints, history: tuple[HistoryEntry, ...]) -> None:
        """Report that the run goes on from an earlier checkpoint; ``history`` is what the database has.

        Raises as ``Reporter.conclude`` does.
        """
        log.warning("acknowledged checkpoints are missing: %s", loss.describe())
        self.run.rewind(history)
        await self._reporter.rewind(loss)
        data = {"checkpoint": loss.checkpoint_id, "steps": loss.steps, "steps_left": loss.steps_left}
        await self.put_event("checkpoints_lost", data)

    async def report_warning(self, message: str) -> None:
        """Report a warning for the graph's author; it stops nothing."""
        log.warning("%s", message)
        await self.put_event("warning", {"message": message})

    async def put_event(self, type_: str, data: Mapping[str, Any]) -> None:
        """Add an event about the run to the session's log, with its trace, secrets masked; waits for a full queue."""
        await self.put(StreamEvent(type_, {**data, **self._trace}, ends_progress=type_ in _ENDS_PROGRESS))

    async def put(self, event: StreamEvent) -> None:
        """Add an event of the stream, with secrets masked, including secrets split over parts of a block's text."""
        if self.events is None:
            return
        data = event.data if event.text is not None else self._redactor.redact_all(event.data)
        await self.events.put(replace(event, data=data, turn=self.turn or 0))

    def begin_turn(self, number: int) -> None:
        """Report another turn from now on; progress of the previous turn is forgotten."""
        self.turn = number
        self.run.begin_turn()
        if self.events is not None:
            self.events.mark()

    async def settle_events(self) -> tuple[int | None, int | None]:
        """Return the numbers of the turn's first and last event once they are stored; None if that takes long."""
        if self.events is None:
            return None, None
        await self.events.settle(_SETTLE_SECONDS)
        return self.events.first_seq, self.events.last_seq
