"""What a namespace needs before its first pod: service accounts, the runner's role, the database secret.

Made once and looked at again only now and then; nothing that somebody else put there is ever overwritten.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from agentic_core.errors import AgenticError, PermanentError
from agentic_core.names import INSPECTOR_SERVICE_ACCOUNT, MANAGED_BY, MANAGED_BY_LABEL, RUNNER_SERVICE_ACCOUNT
from agentic_operator.config import Settings
from agentic_operator.kube import ROLE_BINDINGS, SERVICE_ACCOUNTS, AlreadyExists, Invalid, Json, Kind, Kube
from agentic_operator.logins import Logins
from agentic_operator.shared import SharedSecrets, find_names

TTL_SECONDS: Final = 300.0
# How long a failure stands for all sessions of a namespace: a thousand of them must not ask the same thousand times.
FAILED_SECONDS: Final = 1.0
_LABELS: Final = {MANAGED_BY_LABEL: MANAGED_BY}
_Purpose = Literal["runs", "inspections"]


@dataclass
class _Known:
    """What is remembered of a namespace."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    ready_until: dict[_Purpose, float] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    failure: AgenticError | None = None
    failed_until: float = 0.0

    def is_idle(self, now: float) -> bool:
        return not self.lock.locked() and now >= max(self.failed_until, *self.ready_until.values(), 0.0)


class Namespaces:
    """Prepares namespaces, and remembers for a while that it did."""

    def __init__(
        self, kube: Kube, settings: Settings, logins: Logins, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kube = kube
        self._settings = settings
        self._logins = logins
        self._shared = SharedSecrets(kube, settings.namespace, find_names(settings.jobs))
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._tidy_at = 0.0

    async def prepare_for_runs(self, namespace: str, annotations: Mapping[str, str] | None = None) -> None:
        """Make sure that a runner can start; raise :class:`TransientError` where its secret cannot be given.

        ``annotations`` go onto the service account, for cloud identities.
        """
        known = self._know(namespace)
        wanted = {**known.annotations, **(annotations or {})}
        if self._is_prepared(known, wanted):
            return
        # One at a time: a burst of sessions needs everything once, and asks about what is missing once a second.
        async with known.lock:
            if self._is_prepared(known, wanted):
                return
            if known.failure is not None and self._clock() < known.failed_until:
                raise known.failure.with_traceback(None)
            try:
                await self._prepare(namespace, annotations, wanted)
            except AgenticError as error:
                known.failure, known.failed_until = error, self._clock() + FAILED_SECONDS
                raise
            known.failure, known.annotations = None, wanted
            known.ready_until["runs"] = self._clock() + TTL_SECONDS

    async def _prepare(self, namespace: str, annotations: Mapping[str, str] | None, wanted: Mapping[str, str]) -> None:
        metadata: Json = {"name": RUNNER_SERVICE_ACCOUNT, "labels": _LABELS}
        account: Json = {"metadata": metadata, "automountServiceAccountToken": False}
        if wanted:
            metadata["annotations"] = dict(wanted)
        if not await self._create(SERVICE_ACCOUNTS, namespace, account) and annotations:
            patch: Json = {"metadata": {"annotations": dict(annotations)}}
            await self._kube.patch(SERVICE_ACCOUNTS, namespace, RUNNER_SERVICE_ACCOUNT, patch)
        try:
            await self._create(ROLE_BINDINGS, namespace, self._role_binding(namespace))
            if self._settings.jobs.vault is None:
                await self._logins.place(namespace)
            await self._shared.place(namespace)
        except Invalid as error:
            # No session and no definition had a say in these.
            raise PermanentError(str(error)) from error

    async def prepare_for_inspections(self, namespace: str) -> None:
        """Make sure that an inspection can start: it needs an account without any right."""
        known = self._know(namespace)
        if self._is_ready(known, "inspections"):
            return
        account: Json = {
            "metadata": {"name": INSPECTOR_SERVICE_ACCOUNT, "labels": _LABELS},
            "automountServiceAccountToken": False,
        }
        await self._create(SERVICE_ACCOUNTS, namespace, account)
        known.ready_until["inspections"] = self._clock() + TTL_SECONDS

    def forget(self, namespace: str) -> None:
        """Look again before the next pod: something was missing after all."""
        if namespace in self._known:
            self._known[namespace].ready_until.clear()

    def _know(self, namespace: str) -> _Known:
        """Return what is known of a namespace; now and then, drop what is of no more use, as of one that is gone."""
        now = self._clock()
        if now >= self._tidy_at:
            self._known = {name: known for name, known in self._known.items() if not known.is_idle(now)}
            self._tidy_at = now + TTL_SECONDS
        return self._known.setdefault(namespace, _Known())

    def _is_prepared(self, known: _Known, annotations: Mapping[str, str]) -> bool:
        return self._is_ready(known, "runs") and annotations == known.annotations

    def _is_ready(self, known: _Known, purpose: _Purpose) -> bool:
        return self._clock() < known.ready_until.get(purpose, 0.0)

    async def _create(self, kind: Kind, namespace: str, body: Json) -> bool:
        try:
            await self._kube.create(kind, namespace, body)
        except AlreadyExists:
            return False
        return True

    def _role_binding(self, namespace: str) -> Json:
        return {
            "metadata": {"name": RUNNER_SERVICE_ACCOUNT, "labels": _LABELS},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": self._settings.runner_cluster_role,
            },
            "subjects": [{"kind": "ServiceAccount", "name": RUNNER_SERVICE_ACCOUNT, "namespace": namespace}],
        }
