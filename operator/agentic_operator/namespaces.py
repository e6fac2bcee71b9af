"""What a namespace needs before its first pod: service accounts, the runner's role, the database secret.

Made once and looked at again only now and then; nothing that somebody else put there is ever overwritten.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

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
        self._ready_until: dict[tuple[str, str], float] = {}
        self._annotations: dict[str, Mapping[str, str]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._failed: dict[str, tuple[float, AgenticError]] = {}

    async def prepare_for_runs(self, namespace: str, annotations: Mapping[str, str] | None = None) -> None:
        """Make sure that a runner can start; raise :class:`TransientError` where its secret cannot be given.

        ``annotations`` go onto the service account, for cloud identities.
        """
        wanted = {**self._annotations.get(namespace, {}), **(annotations or {})}
        if self._is_prepared(namespace, wanted):
            return
        # One at a time: a burst of sessions needs everything once, and asks about what is missing once a second.
        async with self._locks.setdefault(namespace, asyncio.Lock()):
            if self._is_prepared(namespace, wanted):
                return
            until, failure = self._failed.get(namespace, (0.0, None))
            if failure is not None and self._clock() < until:
                raise failure.with_traceback(None)
            try:
                await self._prepare(namespace, annotations, wanted)
            except AgenticError as error:
                self._failed[namespace] = self._clock() + FAILED_SECONDS, error
                raise
            self._failed.pop(namespace, None)

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
        self._annotations[namespace] = wanted
        self._ready_until[namespace, "runs"] = self._clock() + TTL_SECONDS

    async def prepare_for_inspections(self, namespace: str) -> None:
        """Make sure that an inspection can start: it needs an account without any right."""
        if self._is_ready(namespace, "inspections"):
            return
        account: Json = {
            "metadata": {"name": INSPECTOR_SERVICE_ACCOUNT, "labels": _LABELS},
            "automountServiceAccountToken": False,
        }
        await self._create(SERVICE_ACCOUNTS, namespace, account)
        self._ready_until[namespace, "inspections"] = self._clock() + TTL_SECONDS

    def forget(self, namespace: str) -> None:
        """Look again before the next pod: something was missing after all."""
        for purpose in ("runs", "inspections"):
            self._ready_until.pop((namespace, purpose), None)

    def _is_prepared(self, namespace: str, annotations: Mapping[str, str]) -> bool:
        return self._is_ready(namespace, "runs") and annotations == self._annotations.get(namespace, {})

    def _is_ready(self, namespace: str, purpose: str) -> bool:
        return self._clock() < self._ready_until.get((namespace, purpose), 0.0)

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
