"""Records Kubernetes Events about our objects. Best effort, with a budget.

A burst of sessions must not double its writes, so there is a budget: Events beyond it are dropped, as in Kubernetes'
own components. The status has the same information and lasts.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agentic_core.display import cut, show_text
from agentic_core.errors import AgenticError
from agentic_core.resources import Resource
from agentic_core.wire import format_time
from agentic_operator.faults import Faults
from agentic_operator.kube.client import EVENTS, Json, Kube
from agentic_operator.kube.events import Event

CONTROLLER: Final = "agentic-operator.dev/operator"
BURST: Final = 25
PER_SECOND: Final = 5.0
MAX_NOTE: Final = 1024

logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Subject:
    kind: str
    api_version: str
    namespace: str
    name: str
    uid: str
    version: str


class EventRecorder:
    """Posts notes as Events from a bounded queue."""

    def __init__(
        self,
        kube: Kube,
        identity: str,
        default_namespace: str,
        clock: Callable[[], float] = time.monotonic,
        faults: Faults | None = None,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._kube = kube
        self._identity = identity[:128]
        self._default_namespace = default_namespace
        self._faults = faults or Faults()
        self._clock = clock
        self._now = now
        self._queue: asyncio.Queue[tuple[_Subject, Event, datetime]] = asyncio.Queue(maxsize=BURST * 4)
        self._tokens = float(BURST)
        self._refilled_at = clock()
        self._last: dict[str, Event] = {}

    def announce(self, about: Resource, note: Event) -> None:
        """Queue an Event; drop it if the same was just sent or if there are too many."""
        uid = about.metadata.uid
        if self._last.get(uid) == note or not self._take_token():
            return
        if len(self._last) > 1000:
            self._last.clear()
        self._last[uid] = note
        subject = _Subject(
            about.kind, about.api_version, about.namespace, about.name, uid, about.metadata.resource_version
        )
        self._put(subject, note)

    def announce_about(self, raw: Json, note: Event) -> None:
        """Queue an Event about an object of Kubernetes itself; drop it if there are too many."""
        meta = raw["metadata"]
        namespace = meta.get("namespace") or (meta["name"] if raw["kind"] == "Namespace" else "")
        if self._take_token():
            self._put(
                _Subject(raw["kind"], raw["apiVersion"], namespace, meta["name"], meta["uid"], meta["resourceVersion"]),
                note,
            )

    async def run(self) -> None:
        """Post the queued Events, without end."""
        while True:
            subject, note, at = await self._queue.get()
            try:
                namespace = subject.namespace or self._default_namespace
                await self._kube.create(EVENTS, namespace, self._build(subject, note, at, namespace))
            except AgenticError as error:
                logger.debug("posting an Event failed: %s", error)
            except Exception as error:  # noqa: BLE001  (an event that cannot be written is lost, not the next ones)
                self._faults.report("announcer", error, namespace=subject.namespace, object=subject.name)

    def _put(self, subject: _Subject, note: Event) -> None:
        try:
            self._queue.put_nowait((subject, note, self._now()))
        except asyncio.QueueFull:
            logger.debug("dropped an Event: rate limit")

    def _take_token(self) -> bool:
        now = self._clock()
        self._tokens = min(BURST, self._tokens + (now - self._refilled_at) * PER_SECOND)
        self._refilled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _build(self, subject: _Subject, note: Event, at: datetime, namespace: str) -> Json:
        regarding: Json = {
            "apiVersion": subject.api_version,
            "kind": subject.kind,
            "name": subject.name,
            "uid": subject.uid,
            "resourceVersion": subject.version,
        }
        if subject.namespace:
            regarding["namespace"] = subject.namespace
        return {
            "metadata": {"name": f"{subject.name}.{uuid.uuid4().hex[:16]}", "namespace": namespace},
            "eventTime": format_time(at),
            "type": note.type,
            "reason": str(note.reason),
            "action": note.action,
            "note": cut(show_text(note.message), MAX_NOTE),
            "regarding": regarding,
            "reportingController": CONTROLLER,
            "reportingInstance": self._identity,
        }
