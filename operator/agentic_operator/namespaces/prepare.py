"""What a namespace needs before its first pod: service accounts, the runner's role, the database secret.

Made once and looked at again only now and then; nothing that somebody else put there is ever overwritten.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from agentic_core.conditions import Reason
from agentic_core.errors import AgenticError, PermanentError
from agentic_core.names import (
    INSPECTOR_SERVICE_ACCOUNT,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    RUNNER_SERVICE_ACCOUNT,
    RUNS_ANNOTATION,
)
from agentic_operator.config import Settings
from agentic_operator.kube.client import NETWORK_POLICIES, ROLE_BINDINGS, SERVICE_ACCOUNTS, USER_AGENT, Json, Kind, Kube
from agentic_operator.kube.errors import AlreadyExists, Blocked, Invalid
from agentic_operator.namespaces.database_logins import DatabaseLogins
from agentic_operator.namespaces.shared_secrets import SharedSecrets, find_names
from agentic_operator.networks import build_runner_policy

TTL_SECONDS: Final = 300.0
# How long a failure counts for all sessions of a namespace: a thousand of them must not repeat the same requests.
FAILED_SECONDS: Final = 1.0
_LABELS: Final = {MANAGED_BY_LABEL: MANAGED_BY}
# How often an account is looked for that a definition names and that is not there, or not marked.
ACCOUNT_SECONDS: Final = 5.0
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
        self, kube: Kube, settings: Settings, logins: DatabaseLogins, clock: Callable[[], float] = time.monotonic
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
        # One at a time: a burst of sessions needs everything once, and checks for missing objects once a second.
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

    async def prepare_account(self, namespace: str, account: str, workflow: str) -> None:
        """Make sure that pods may run as an account which a definition names; raise :class:`Blocked` where not.

        Who may edit service accounts decides which workflow runs as one, and with which rights and roles elsewhere; who
        may only make definitions does not. It is asked for every run: taking the mark off has effect at once.
        """
        raw = await self._kube.find(SERVICE_ACCOUNTS, namespace, account)
        place = f"/spec/podTemplate/serviceAccountName: service account {account!r} in namespace {namespace!r}"
        if raw is None:
            raise Blocked(
                Reason.SERVICE_ACCOUNT_MISSING,
                f"{place} does not exist; it starts once that is there",
                retry_after_seconds=ACCOUNT_SECONDS,
            )
        if (raw["metadata"].get("annotations") or {}).get(RUNS_ANNOTATION) != workflow:
            raise Blocked(
                Reason.SERVICE_ACCOUNT_NOT_ALLOWED,
                f"{place} is not marked for this workflow. Who may edit service accounts runs: kubectl annotate"
                f" serviceaccount {account} -n {namespace} {RUNS_ANNOTATION}={workflow}",
                retry_after_seconds=ACCOUNT_SECONDS,
            )
        await self._create(ROLE_BINDINGS, namespace, self._role_binding(namespace, account))

    async def _take_off(self, namespace: str) -> None:
        """Take off the shared account what definitions of earlier versions put there, and nothing else."""
        raw = await self._kube.get(SERVICE_ACCOUNTS, namespace, RUNNER_SERVICE_ACCOUNT)
        if found := find_own_annotations(raw):
            patch: Json = {"metadata": {"annotations": dict.fromkeys(found)}}
            await self._kube.patch(SERVICE_ACCOUNTS, namespace, RUNNER_SERVICE_ACCOUNT, patch)

    async def _prepare(self, namespace: str, annotations: Mapping[str, str] | None, wanted: Mapping[str, str]) -> None:
        metadata: Json = {"name": RUNNER_SERVICE_ACCOUNT, "labels": _LABELS}
        account: Json = {"metadata": metadata, "automountServiceAccountToken": False}
        if wanted:
            metadata["annotations"] = dict(wanted)
        is_new = await self._create(SERVICE_ACCOUNTS, namespace, account)
        if not is_new and not self._settings.allowed_pods.has_shared_annotations:
            await self._take_off(namespace)
        elif not is_new and annotations:
            patch: Json = {"metadata": {"annotations": dict(annotations)}}
            await self._kube.patch(SERVICE_ACCOUNTS, namespace, RUNNER_SERVICE_ACCOUNT, patch)
        try:
            await self._close_network(namespace)
            await self._create(ROLE_BINDINGS, namespace, self._role_binding(namespace))
            if self._settings.jobs.vault is None:
                await self._logins.place(namespace)
            await self._shared.place(namespace)
        except Invalid as error:
            # No session and no definition affects these.
            raise PermanentError(str(error)) from error

    async def _close_network(self, namespace: str) -> None:
        """Create or update the policy for the destinations of runs and inspections.

        The namespace of cluster definitions' inspections has no network at all, and a policy of ours would open it,
        because policies add up. A policy of this name that somebody else created is not changed.
        """
        egress = self._settings.runner_egress
        if egress is None or namespace == self._settings.inspection_namespace:
            return
        gateway_in = self._settings.namespace if self._settings.jobs.gateway is not None else ""
        policy = build_runner_policy(egress, gateway_in=gateway_in)
        if await self._create(NETWORK_POLICIES, namespace, policy):
            return
        name = policy["metadata"]["name"]
        found = await self._kube.find(NETWORK_POLICIES, namespace, name)
        is_ours = found is not None and (found["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) == MANAGED_BY
        if found is not None and is_ours and found["spec"] != policy["spec"]:
            await self._kube.patch(NETWORK_POLICIES, namespace, name, {"spec": policy["spec"]})

    async def prepare_for_inspections(self, namespace: str) -> None:
        """Make sure that an inspection can start: it needs an account without any right."""
        known = self._know(namespace)
        if self._is_ready(known, "inspections"):
            return
        account: Json = {
            "metadata": {"name": INSPECTOR_SERVICE_ACCOUNT, "labels": _LABELS},
            "automountServiceAccountToken": False,
        }
        await self._close_network(namespace)
        await self._create(SERVICE_ACCOUNTS, namespace, account)
        known.ready_until["inspections"] = self._clock() + TTL_SECONDS

    def forget(self, namespace: str) -> None:
        """Look again before the next pod: something was missing after all."""
        if namespace in self._known:
            self._known[namespace].ready_until.clear()

    def _know(self, namespace: str) -> _Known:
        """Return the state of a namespace; now and then, drop outdated states, such as those of deleted namespaces."""
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

    def _role_binding(self, namespace: str, account: str = RUNNER_SERVICE_ACCOUNT) -> Json:
        is_shared = account == RUNNER_SERVICE_ACCOUNT
        name = account if is_shared else f"{RUNNER_SERVICE_ACCOUNT}-{account}"
        return {
            "metadata": {"name": name, "labels": _LABELS},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": self._settings.runner_cluster_role,
            },
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
        }


def find_own_annotations(raw: Json) -> list[str]:
    """Return the annotations of an object that this operator wrote last, by ``metadata.managedFields``."""
    found: set[str] = set()
    for entry in raw["metadata"].get("managedFields") or ():
        if entry.get("manager") == USER_AGENT and not entry.get("subresource"):
            fields = ((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:annotations") or {}
            found.update(field.removeprefix("f:") for field in fields if field.startswith("f:"))
    return sorted(found & (raw["metadata"].get("annotations") or {}).keys())
