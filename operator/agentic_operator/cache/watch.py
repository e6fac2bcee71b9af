"""Watches by Kopf: the only module that knows it. Every event goes to the index and the work queue.

All handlers are ``on.event`` handlers: ``on.create`` and similar ones keep the last-handled state in annotations of the
objects, need twice the time in a burst, and fail for specs over 256 KiB. Kopf is only the informer; it writes neither
annotations nor finalizers (decision 1).
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import kopf
from kopf._cogs.clients import errors as kopf_errors  # not exported: what a refused watch raises
from kopf._core.engines import peering as kopf_peering  # not exported: the type of the identity only
from pydantic import ValidationError

from agentic_core.names import GROUP, INSPECTION_NAMESPACE, MANAGED_BY, MANAGED_BY_LABEL, VERSION
from agentic_operator.cache.index import Index
from agentic_operator.cache.reads import parse_definition
from agentic_operator.cache.workqueue import WorkQueue
from agentic_operator.faults import Faults
from agentic_operator.kube.client import PAGE
from agentic_operator.kube.connection import Connection
from agentic_operator.sessions.children import observe_job, observe_pod, owner_of
from agentic_operator.sessions.keys import DefinitionKey, Key, SessionKey

# 20 workers with the default idle time of 5 s handle exactly 4 objects a second; without a limit 1,000 objects cost
# 250 MiB. Workers that leave at once need no more.
WORKER_LIMIT: Final = 64
IDLE_SECONDS: Final = 0.05
# A watch on a dead connection gets no events: it is reopened after this time.
WATCH_SECONDS: Final = 30
LOGIN_LIFETIME: Final = timedelta(minutes=10)
GONE: Final = 410
RELIST_SECONDS: Final = 1.0

Raw = Mapping[str, Any]

logger: Final = logging.getLogger(__name__)


class _NothingStored(kopf.DiffBaseStorage):
    """Keeps no last-handled state: nothing here asks for differences, and copying every body would be for nothing."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        return None


class _Forever:
    """Delays between tries that never run out: a watch outlasts any outage of the API server."""

    def __iter__(self) -> Iterator[float]:
        yield from (0.2, 0.5, 1.0, 2.0)
        while True:
            yield 3.0


def build_settings() -> kopf.OperatorSettings:
    """Return Kopf's settings: an informer that writes nothing."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.queueing.worker_limit = WORKER_LIMIT
    settings.queueing.idle_timeout = IDLE_SECONDS
    settings.queueing.exit_timeout = 0.5
    settings.watching.server_timeout = WATCH_SECONDS * 10
    settings.watching.inactivity_timeout = WATCH_SECONDS
    settings.watching.connect_timeout = 5
    settings.watching.chunk_size = PAGE
    settings.networking.error_backoffs = _Forever()
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 5
    settings.persistence.diffbase_storage = _NothingStored()
    settings.persistence.finalizer = f"{GROUP}/never-set-by-kopf"
    settings.persistence.consistency_timeout = 0
    selector = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
    settings.watching.label_selectors["batch", "v1", "jobs"] = selector
    settings.watching.label_selectors["", "v1", "pods"] = selector
    return settings


class Handlers:
    """Turns events into keys. ``on_unrun`` is called with the uid of a session that was deleted before it ever ran.

    ``on_change`` is called with every existing session. The namespace ``inspections`` is watched in addition to the
    served ones (all if empty): only its inspections count, and inspections of cluster definitions count only there.
    """

    def __init__(
        self,
        index: Index,
        queue: WorkQueue[Key],
        served: tuple[str, ...] = (),
        inspections: str = INSPECTION_NAMESPACE,
        on_unrun: Callable[[str], None] = lambda _uid: None,
        on_change: Callable[[Raw], None] = lambda _raw: None,
        faults: Faults | None = None,
    ) -> None:
        self._index = index
        self._queue = queue
        self._served = served
        self._inspections = inspections
        self._on_unrun = on_unrun
        self._on_change = on_change
        self._faults = faults or Faults()

    def on_session(self, kind: str | None, raw: Raw) -> None:
        """A session changed."""
        key = SessionKey(raw["metadata"]["namespace"], raw["metadata"]["name"])
        if not self._is_served(key.namespace):
            return
        if kind == "DELETED":
            self._index.forget_session(key, raw["metadata"].get("uid", ""))
            self._queue.forget(key)
            if not (raw.get("status") or {}).get("run"):
                self._on_unrun(raw["metadata"].get("uid", ""))
            return
        if self._index.see_session(raw, keep_body=True):
            # What has no phase yet waits for its Job; all else can wait for it.
            self._queue.add(key, urgent=not (raw.get("status") or {}).get("phase"))
        with self._faults.apart("events", namespace=key.namespace, session=key.name):
            self._on_change(raw)

    def on_definition(self, kind: str | None, raw: Raw) -> None:
        """A definition changed."""
        key = DefinitionKey(raw["kind"], raw["metadata"].get("namespace", ""), raw["metadata"]["name"])
        if key.namespace and not self._is_served(key.namespace):
            return
        if kind == "DELETED":
            self._index.forget_definition(key)
            return
        try:
            definition = parse_definition(key, dict(raw))
        except ValidationError:
            return
        if self._index.see_definition(key, definition):
            for session in self._index.slots.waiting_for(key):
                self._queue.add(session)
        # Always: a session's pass may have read the definition already, but the definition's own pass has not.
        self._queue.add(key, urgent=False)

    def on_job(self, kind: str | None, raw: Raw) -> None:
        """A Job of ours changed."""
        owner = self._find_owner(raw)
        if owner is None:
            return
        job = observe_job(raw)
        if kind == "DELETED":
            has_news = self._leave(owner, raw) or self._index.forget_job(owner, job.name, job.uid)
        else:
            has_news = self._index.see_job(owner, job)
        if has_news and not (job.is_finished and self._is_settled(owner)):
            self._queue.add(owner, urgent=False)

    def on_pod(self, kind: str | None, raw: Raw) -> None:
        """A pod of ours changed."""
        owner = self._find_owner(raw)
        if owner is None:
            return
        pod = observe_pod(raw)
        if kind == "DELETED":
            has_news = self._leave(owner, raw) or self._index.forget_pod(owner, pod.name)
        else:
            has_news = self._index.see_pod(owner, pod)
        # What a sidecar holds of a session that has ended is cleared away.
        is_wanted = pod.is_held or not self._is_settled(owner)
        if has_news and is_wanted:
            self._queue.add(owner, urgent=False)

    def _leave(self, owner: Key, raw: Raw) -> bool:
        """Return whether a child only may be gone: one that lost our labels leaves the watch in the same way."""
        is_certain = "deletionTimestamp" in raw["metadata"] or isinstance(owner, DefinitionKey)
        return not is_certain and not self._is_settled(owner) and self._index.doubt(owner, raw["metadata"]["name"])

    def _is_served(self, namespace: str) -> bool:
        return not self._served or namespace in self._served

    def _find_owner(self, raw: Raw) -> Key | None:
        """Return the owner's key of a Job or pod; None if no served object owns it."""
        owner = owner_of(dict(raw), self._inspections)
        return owner if owner is not None and (not owner.namespace or self._is_served(owner.namespace)) else None

    def _is_settled(self, owner: Key) -> bool:
        if not isinstance(owner, SessionKey):
            return False
        entry = self._index.find(owner)
        return entry is not None and entry.is_final


Function = Callable[[str | None, Raw], None]
Functions = Mapping[tuple[str, str], Function]


def list_functions(handlers: Handlers, *, has_cluster_definitions: bool = True) -> Functions:
    """Return what is called with the events of each kind, by its group and plural."""
    of_cluster: Functions = {(GROUP, "clusterworkflowdefinitions"): handlers.on_definition}
    return {
        (GROUP, "agenticsessions"): handlers.on_session,
        (GROUP, "workflowdefinitions"): handlers.on_definition,
        **(of_cluster if has_cluster_definitions else {}),
        ("batch", "jobs"): handlers.on_job,
        ("", "pods"): handlers.on_pod,
    }


def build_registry(functions: Functions, connection: Connection) -> kopf.OperatorRegistry:
    """Return Kopf's registry with our functions in it: from it Kopf knows what to watch."""
    registry = kopf.OperatorRegistry()

    def watch(function: Function, group: str, plural: str) -> None:
        async def handle(type: str | None, event: Raw, **_: Any) -> None:  # noqa: A002, RUF100
            try:
                function(type, event["object"])
            except Exception:
                # An object that cannot be read must not end the watch of all others.
                logger.exception("handling a watch event of %s failed", plural)

        version = VERSION if group == GROUP else "v1"
        kopf.on.event(group, version, plural, id=plural, registry=registry)(handle)

    for (group, plural), function in functions.items():
        watch(function, group, plural)

    @kopf.on.login(registry=registry, errors=kopf.ErrorsMode.PERMANENT)
    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(
            server=connection.server,
            ca_data=connection.ca,
            insecure=connection.insecure,
            certificate_data=connection.certificate,
            private_key_data=connection.key,
            token=await asyncio.to_thread(connection.read_token),
            # The kubelet renews the token's file: it is read again well before the old one ends. By the clock of this
            # process, as that is what Kopf compares it with.
            expiration=datetime.now(UTC) + LOGIN_LIFETIME if connection.token_file is not None else None,
        )

    return registry


async def watch_cluster(
    handlers: Handlers,
    connection: Connection,
    namespaces: tuple[str, ...],
    ready: asyncio.Event,
    *,
    has_cluster_definitions: bool = True,
) -> None:
    """Watch until SIGTERM or a fatal error."""
    functions = list_functions(handlers, has_cluster_definitions=has_cluster_definitions)
    while True:
        try:
            await kopf.operator(
                registry=build_registry(functions, connection),
                settings=build_settings(),
                standalone=True,
                clusterwide=not namespaces,
                namespaces=namespaces,
                ready_flag=ready,
                memo=None,
                # Nothing here peers; without a name given, Kopf looks up a user that a container's uid has not.
                identity=kopf_peering.Identity("agentic-operator"),
            )
        except kopf_errors.APIError as error:
            if error.status != GONE:
                raise
            # Kopf lists again after a 410 in a watch's stream, but ends if 410 is the response itself.
            logger.warning("watch expired (resourceVersion too old), listing again")
            await asyncio.sleep(RELIST_SECONDS)
        else:
            return
