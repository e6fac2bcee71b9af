"""Explains missing or stuck pods from their Events.

A Job's status does not say why its pod is missing or does not start; controllers and kubelets report it in Events.
Events are read only in namespaces with a late run, so a run that starts in time costs nothing. What a namespace lost
after it was prepared for runs is created again.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from agentic_core.conditions import Reason
from agentic_core.times import EARLIEST, parse_time
from agentic_operator.cache.index import Index
from agentic_operator.cache.workqueue import WorkQueue
from agentic_operator.faults import Faults, Outage, repeat
from agentic_operator.kube.client import EVENTS, Json, Kube
from agentic_operator.kube.errors import REASONS, REMEDIES, Cause, find_cause
from agentic_operator.sessions.children import ObservedJob, ObservedPod, StuckPod
from agentic_operator.sessions.diagnosis import clip, newest
from agentic_operator.sessions.keys import Key, SessionKey

ROUND_SECONDS: Final = 3.0
# The API server reads a list of Events from etcd: the interval doubles up to this while nothing changes.
LONGEST_SECONDS: Final = 30.0
LATE: Final = timedelta(seconds=4)
# How often a namespace whose pods lack something is prepared again.
MEND_SECONDS: Final = 30.0
MAX_EVENTS: Final = 1000
_MENDED: Final = (Reason.NAMESPACE_NOT_PREPARED, Reason.SECRET_MISSING)
_JOB_EVENTS: Final = ("FailedCreate",)
_PULL_SECRET_EVENT: Final = "FailedToRetrieveImagePullSecret"  # noqa: S105  (an Event's reason)
_POD_EVENTS: Final = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", _PULL_SECRET_EVENT)
# A kubelet reports failed tries at least every five minutes; after this time without a report the Secret exists.
PULL_SECRET_LASTS: Final = timedelta(minutes=10)

logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Late:
    key: Key
    namespace: str
    job: ObservedJob
    pod: ObservedPod | None


class Prepares(Protocol):
    """The part of ``Namespaces`` that is used here."""

    def forget(self, namespace: str) -> None: ...

    async def prepare_for_runs(self, namespace: str) -> None: ...


class StuckPods:
    """Checks late runs every few seconds, and keeps what it found for the reconcilers."""

    def __init__(
        self,
        kube: Kube,
        index: Index,
        queue: WorkQueue[Key],
        namespaces: Prepares,
        now: Callable[[], datetime],
        *,
        clock: Callable[[], float] = time.monotonic,
        inspection_namespace: str = "",
        faults: Faults | None = None,
    ) -> None:
        self._kube = kube
        self._index = index
        self._queue = queue
        self._namespaces = namespaces
        self._now = now
        self._clock = clock
        self._inspection_namespace = inspection_namespace
        self._faults = faults or Faults()
        self._found: dict[Key, StuckPod] = {}
        self._pauses: dict[str, tuple[float, float, frozenset[Key]]] = {}
        self._mended_at: dict[str, float] = {}

    def find(self, key: Key, jobs: Iterable[ObservedJob], pods: Iterable[ObservedPod]) -> StuckPod | None:
        """Return what keeps a run or an inspection from starting; None if its Job or pod is another one by now."""
        stuck = self._found.get(key)
        if stuck is None:
            return None
        late = find_late(jobs, pods, self._now())
        is_current = late is not None and stuck.job == late[0].name and stuck.pod == _name(late[1])
        return stuck if is_current else None

    async def run(self) -> None:
        """Check late runs until cancelled."""
        await repeat("stuck pods", self.run_once, self._faults, first_seconds=ROUND_SECONDS, seconds=ROUND_SECONDS)

    async def run_once(self) -> None:
        """Check all late runs once."""
        by_namespace: dict[str, list[_Late]] = {}
        for late in self._list_late():
            by_namespace.setdefault(late.namespace, []).append(late)
        listed = {late.key for some in by_namespace.values() for late in some}
        self._found = {key: stuck for key, stuck in self._found.items() if key in listed}
        self._pauses = {namespace: pause for namespace, pause in self._pauses.items() if namespace in by_namespace}
        outage = Outage()
        for namespace, some in by_namespace.items():
            if self._is_due(namespace, frozenset(late.key for late in some)):
                with self._faults.apart("stuck pods", outage, namespace=namespace):
                    await self._look(namespace, some)

    def _is_due(self, namespace: str, keys: frozenset[Key]) -> bool:
        """Return whether to list a namespace's Events: at once for a new late run, otherwise less and less often."""
        due, seconds, known = self._pauses.get(namespace, (0.0, 0.0, frozenset()))
        is_news = not keys <= known
        if not is_news and self._clock() < due:
            return False
        seconds = ROUND_SECONDS if is_news else min(2 * seconds, LONGEST_SECONDS)
        self._pauses[namespace] = (self._clock() + seconds, seconds, keys)
        return True

    def _list_late(self) -> Iterable[_Late]:
        before = self._now() - LATE
        for owner in self._index.child_owners():
            uid = self._find_uid(owner)
            if uid is None:
                continue
            jobs = self._index.jobs_of(owner, uid)
            if (late := find_late(jobs, self._index.pods_of(owner), before)) is not None:
                yield _Late(owner, owner.namespace or self._inspection_namespace, *late)

    def _find_uid(self, owner: Key) -> str | None:
        """Return the owner's uid; None if none of its Jobs should be running."""
        if isinstance(owner, SessionKey):
            entry = self._index.find(owner)
            return entry.uid if entry is not None and entry.phase in ("Creating", "Running") else None
        definition = self._index.find_definition(owner)
        return definition.metadata.uid if definition is not None else None

    async def _look(self, namespace: str, some: list[_Late]) -> None:
        some = [late for late in some if not self._is_held_back(namespace, late)]
        if not some:
            return
        said = await self._list_events(namespace, "Job", _JOB_EVENTS)
        if any(late.pod is not None for late in some):
            said += await self._list_events(namespace, "Pod", _POD_EVENTS)
        latest = {(event.kind, event.name): event for event in sorted(said, key=lambda event: event.at)}
        is_lacking = False
        for late in some:
            event = latest.get(("Pod", late.pod.name) if late.pod else ("Job", late.job.name))
            # Ignore Events about an earlier pod, or about an earlier Job of this name.
            since = (late.pod or late.job).created_at
            if event is None or (since is not None and event.at < since):
                continue
            if event.reason == _PULL_SECRET_EVENT and self._now() - event.at > PULL_SECRET_LASTS:
                self._drop(late.key)
                continue
            stuck = describe(namespace, late.job, late.pod, event.text)
            is_lacking |= isinstance(late.key, SessionKey) and stuck.reason in _MENDED
            self._keep(late.key, stuck)
        if is_lacking:
            await self._mend(namespace)

    def _is_held_back(self, namespace: str, late: _Late) -> bool:
        if late.pod is not None or not late.job.is_suspended:
            return False
        message = (
            f"Job {late.job.name!r} in {namespace!r} is held back by its spec.suspend, which a queue for Jobs or a"
            " person set; it starts once that is false"
        )
        self._keep(late.key, StuckPod(late.job.name, "", Reason.QUEUED, message))
        return True

    def _keep(self, key: Key, stuck: StuckPod) -> None:
        old = self._found.get(key)
        if old is None or (old.job, old.pod, old.reason) != (stuck.job, stuck.pod, stuck.reason):
            self._found[key] = stuck
            self._queue.add(key, urgent=False)

    def _drop(self, key: Key) -> None:
        if self._found.pop(key, None) is not None:
            self._queue.add(key, urgent=False)

    async def _list_events(self, namespace: str, kind: str, reasons: tuple[str, ...]) -> list["_Event"]:
        found: list[_Event] = []
        fields = f"type=Warning,regarding.kind={kind}"
        async for page in self._kube.list_pages(EVENTS, namespace, fields=fields):
            found += [_read_event(raw) for raw in page if raw.get("reason") in reasons]
            if len(found) >= MAX_EVENTS:
                break
        return found

    async def _mend(self, namespace: str) -> None:
        if self._clock() - self._mended_at.get(namespace, -MEND_SECONDS) < MEND_SECONDS:
            return
        self._mended_at[namespace] = self._clock()
        self._namespaces.forget(namespace)
        await self._namespaces.prepare_for_runs(namespace)


@dataclass(frozen=True)
class _Event:
    kind: str
    name: str
    at: datetime
    text: str
    reason: str


def find_late(
    jobs: Iterable[ObservedJob], pods: Iterable[ObservedPod], before: datetime
) -> tuple[ObservedJob, ObservedPod | None] | None:
    """Return the newest Job and its unstarted pod, both created before ``before``; None if neither is late."""
    job = max(jobs, key=lambda job: job.run, default=None)
    if job is None or job.is_finished or job.is_deleting or (job.created_at is not None and job.created_at > before):
        return None
    pod = newest(pod for pod in pods if pod.job == job.name and not pod.is_over and pod.deleting_since is None)
    if pod is None:
        return job, None
    is_late = pod.created_at is None or pod.created_at <= before
    return (job, pod) if is_late and not pod.has_started and not pod.unschedulable else None


def describe(namespace: str, job: ObservedJob, pod: ObservedPod | None, text: str) -> StuckPod:
    """Describe a stuck Job or pod: where it is, what its Event says, and the remedy."""
    if pod is not None:
        is_secret = "secret" in text and ("not found" in text or "Unable to retrieve" in text)
        reason = Reason.SECRET_MISSING if is_secret else Reason.POD_NOT_STARTED
        remedy = "it starts by itself once that is mended"
        return StuckPod(
            job.name, pod.name, reason, f"{clip(f'pod {pod.name!r} in {namespace!r}', text, 1600)}; {remedy}"
        )
    cause = find_cause(text)
    reason = REASONS[cause] if cause is not Cause.RIGHTS else Reason.POD_NOT_STARTED
    remedy = REMEDIES[cause] if cause is not Cause.RIGHTS else "the Job tries again by itself"
    about = f"Job {job.name!r} in {namespace!r} gets no pod"
    return StuckPod(job.name, "", reason, f"{clip(about, text.removeprefix('Error creating: '), 1600)}; {remedy}")


def _read_event(raw: Json) -> _Event:
    regarding = raw.get("regarding") or {}
    series = raw.get("series") or {}
    last = series.get("lastObservedTime") or raw.get("deprecatedLastTimestamp") or raw.get("eventTime")
    at = parse_time(last or raw["metadata"]["creationTimestamp"]) or EARLIEST
    return _Event(
        regarding.get("kind", ""), regarding.get("name", ""), at, str(raw.get("note") or ""), str(raw.get("reason"))
    )


def _name(pod: ObservedPod | None) -> str:
    return pod.name if pod is not None else ""
