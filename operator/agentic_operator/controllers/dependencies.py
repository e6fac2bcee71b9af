"""What the reconcilers work with, and how a pass that failed is told of."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from agentic_core.errors import TransientError
from agentic_core.resources import AgenticSession
from agentic_operator.cache.index import Index
from agentic_operator.cache.reads import Reads
from agentic_operator.cache.workqueue import WorkQueue
from agentic_operator.clock import utc_now
from agentic_operator.controllers.schema_checker import Checker
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
    """What the reconcilers work with; made once by ``main``."""

    kube: Kube
    index: Index
    queue: WorkQueue[Key]
    lookup: Reads
    namespaces: Namespaces
    event_recorder: EventRecorder
    checker: Checker
    rules: Rules
    stalls: StuckPods
    recorder: Recorder | None = None
    trails: TrailKeeper | None = None
    turns: TurnRecorder | None = None
    faults: Faults = field(default_factory=Faults)
    now: Callable[[], datetime] = utc_now
    fetch_vector_dims: Callable[[], Awaitable[int | None]] | None = None
    """Asks the database; None where there is none."""

    async def tell(
        self,
        error: Exception,
        key: Key,
        namespace: str,
        subject: AgenticSession | Definition,
        action: str,
        write: Callable[[Blocker], Awaitable[bool]],
    ) -> None:
        """Say in a status and an Event why there is no Job yet; ``write`` says whether that was not said already."""
        obstacle = find_blocker(error, namespace, self.queue.failures_of(key) + 1)
        if obstacle is None:
            return
        # What cannot be written now is written with the next try; the error at hand says when that is.
        with suppress(NotFound, TransientError):
            if await write(obstacle):
                self.event_recorder.announce(subject, Event(obstacle.reason, obstacle.message, "Warning", action))
