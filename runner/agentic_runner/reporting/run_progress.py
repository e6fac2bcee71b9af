"""Tracks a run's progress, and how much of it may be reported: only what is saved. Pure."""

from collections.abc import Collection
from dataclasses import replace

from agentic_core.resources.session import HistoryEntry
from agentic_runner.execution.history import extend
from agentic_runner.execution.tracking import Progress, keep_saved


class RunProgress:
    """The progress of one run, and which of its checkpoints are known to be saved."""

    def __init__(self) -> None:
        self._seen = Progress()
        self._recalled: tuple[HistoryEntry, ...] = ()
        self._saved: str | None = None
        """The last checkpoint that this process knows to be saved."""
        self._answers_taken: set[str] = set()
        """Questions whose answers this process took, since checkpoints were lost where they were."""

    @property
    def seen(self) -> Progress:
        """The whole progress, including what is not saved yet; used at the end, when everything is saved."""
        return self._seen

    @property
    def reportable(self) -> Progress:
        """How far the run is up to its last saved checkpoint."""
        return keep_saved(self._seen, self._saved)

    @property
    def thread_end(self) -> str | None:
        """The last checkpoint of the thread that is known to be saved."""
        return self._saved

    @property
    def answers_taken(self) -> Collection[str]:
        return frozenset(self._answers_taken)

    def recall(self, history: tuple[HistoryEntry, ...]) -> None:
        """Add checkpoints that earlier runs made and may not have reported."""
        self._recalled = history
        self._seen = replace(self._seen, history=history)

    def see(self, progress: Progress) -> None:
        """Add progress from the graph's stream."""
        self._seen = replace(progress, history=extend(self._recalled, progress.history))

    def begin_turn(self) -> None:
        """Forget the previous turn's progress, but not the known checkpoints."""
        self._seen = Progress(checkpoint_id=self._seen.checkpoint_id, history=self._seen.history)
        self._recalled = self._seen.history
        self._answers_taken.clear()

    def start_at(self, checkpoint_id: str | None) -> None:
        """Set the thread's last checkpoint as all that is saved."""
        self._saved = checkpoint_id

    def confirm(self, checkpoint_id: str) -> None:
        """Mark a checkpoint as saved, and with it those before it; ids are ordered by time."""
        self._saved = max(checkpoint_id, self._saved or "")

    def take_answers(self, ids: Collection[str]) -> None:
        """Note that the run resumes with the answers to these questions."""
        self._answers_taken.update(ids)

    def rewind(self, history: tuple[HistoryEntry, ...]) -> None:
        """Forget what was seen and which answers were taken: the database went back to ``history``."""
        self._seen = Progress()
        self.recall(history)
        self._answers_taken.clear()
