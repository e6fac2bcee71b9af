"""What the reconcilers share, and how they report why there is no Job yet."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from agentic_core.errors import TransientError
from agentic_core.resources import AgenticSession
from agentic_operator.cache.index import Index
from agentic_operator.cache.reads import Reads
from agentic_operator.cache.workqueue import WorkQueue
from agentic_operator.controllers.schema_checker import Checker
from agentic_operator.controllers.start_spans import StartSpans
from agentic_operator.controllers.stuck_pods import StuckPods
from agentic_operator.database.session_rows import Recorder
from agentic_operator.database.trail_rows import TrailKeeper
from agentic_operator.database.turn_rows import TurnRecorder
from agentic_operator.faults import Faults
from agentic_operator.kube.client import Kube
from agentic_operator.kube.errors import NotFound
from agentic_operator.kube.event_recorder import EventRecorder
from agentic_operator.kube.events import Event
from agentic_operator.manifests.jobs import Definition
from agentic_operator.namespaces.prepare import Namespaces
from agentic_operator.sessions.blockers import Blocker, find_blocker
from agentic_operator.sessions.keys import Key
from agentic_operator.sessions.observation import Rules


@dataclass(frozen=True)
class Dependencies:
    """What the reconcilers share; built once by ``main``."""

    kube: Kube
    index: Index
    queue: WorkQueue[Key]
    lookup: Reads
    namespaces: Namespaces
    event_recorder: EventRecorder
    checker: Checker
    rules: Rules
    stuck_pods: StuckPods
    now: Callable[[], datetime]
    """The time of the API server, by which every deadline counts."""
    recorder: Recorder | None = None
    trails: TrailKeeper | None = None
    turns: TurnRecorder | None = None
    faults: Faults = field(default_factory=Faults)
    fetch_vector_dims: Callable[[], Awaitable[int | None]] | None = None
    """Reads the dimensions from the database; None without a database."""
    start_spans: StartSpans | None = None
    """None where the operator sends no spans."""

    async def report_blocker(
        self,
        error: Exception,
        key: Key,
        namespace: str,
        subject: AgenticSession | Definition,
        action: str,
        write: Callable[[Blocker], Awaitable[bool]],
    ) -> None:
        """Report in the status and in an Event why there is no Job yet; ``write`` returns whether that is news."""
        blocker = find_blocker(error, namespace, self.queue.failures_of(key) + 1)
        if blocker is None:
            return
        # If this cannot be written now, the next try writes it; ``error`` decides when that is.
        with suppress(NotFound, TransientError):
            if await write(blocker):
                self.event_recorder.announce(subject, Event(blocker.reason, blocker.message, "Warning", action))
