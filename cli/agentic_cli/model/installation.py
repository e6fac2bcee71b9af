"""The eight steps of `agentic check`: what was seen of an installation, and what of it is wrong. Pure.

A step that cannot be looked at has not passed, and says which right or answer is missing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from agentic_core.names import GROUP

OLDEST_MINOR: Final = 30
RESOURCES: Final = ("agenticsessions", "workflowdefinitions", "clusterworkflowdefinitions")
POLICIES: Final = (
    "runner-writes-own-session",
    "runners-are-the-operators",
    "sessions-leave-room",
    "turns-are-their-authors",
)
# Those of all releases: one of them makes these.
SHARED_POLICIES: Final = (
    "inputs-are-immutable",
    "reserved-config-keys",
    "names-are-their-bearers",
    "answers-keep-to-their-rules",
)
SECRETS: Final = ("agentic-postgres-owner", "agentic-postgres-operator", "agentic-postgres-runner")
DSN_KEY: Final = "dsn"
LEASE: Final = "agentic-operator"
# Labels of the Jobs that migrate.
MIGRATIONS: Final = "app.kubernetes.io/part-of=agentic-operator,app.kubernetes.io/component=migrate"
DEFAULT_NAMESPACE: Final = "agentic-system"
DEFAULT_NAME: Final = "agentic-operator"
_LEVEL: Final = "pod-security.kubernetes.io/enforce"
_CHART: Final = "charts/agentic-operator"


@dataclass(frozen=True)
class Right:
    """Something that the operator has to be allowed."""

    verb: str
    resource: str
    group: str = ""
    subresource: str = ""

    def show(self) -> str:
        """Return it as `kubectl auth can-i` takes it."""
        whole = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {whole}/{self.subresource}" if self.subresource else f"{self.verb} {whole}"


RIGHTS: Final = (
    Right("create", "jobs", "batch"),
    Right("list", "pods"),
    Right("patch", "agenticsessions", GROUP, "status"),
    Right("create", "secrets"),
    Right("create", "events", "events.k8s.io"),
    Right("list", "events", "events.k8s.io"),
)
RIGHT_TO_ALL_NAMESPACES: Final = Right("list", "namespaces")
RIGHT_TO_ONE_NAMESPACE: Final = Right("get", "namespaces")


@dataclass(frozen=True)
class Place:
    """Where an installation is, and what it is called: that of the manifests, or a release of Helm."""

    namespace: str = DEFAULT_NAMESPACE
    name: str = DEFAULT_NAME

    def name_policies(self, deployment: "Look") -> list[str]:
        """Return its policies; an operator's variables say who made the shared ones, by the name of a role."""
        role = read_variable(deployment, "RUNNER_CLUSTER_ROLE") or "agentic-runner"
        shared = f"{role.removesuffix('-runner')}-operator"
        return [
            *(f"{policy}.{_name_domain(self.name)}" for policy in POLICIES),
            *(f"{policy}.{_name_domain(shared)}" for policy in SHARED_POLICIES),
        ]

    @property
    def migration(self) -> str:
        """The Job that migrates."""
        return f"{self._base}-migrate"

    @property
    def vault_config(self) -> str:
        """The ConfigMap that is there if credentials come from Vault."""
        return f"{self._base}-vault"

    @property
    def _base(self) -> str:
        return self.name.removesuffix("-operator")

    @property
    def account(self) -> str:
        """The operator's name as the API server knows it."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"


@dataclass(frozen=True)
class Look:
    """One object as it was found; None if there is none, and ``trouble`` if it could not be read."""

    found: Mapping[str, Any] | None = None
    trouble: str = ""


@dataclass(frozen=True)
class Seen:
    """What was read of a cluster. Of Secrets only whether the key is there."""

    version: str = ""
    """Of the API server; empty if it did not answer, and nothing else was read."""
    trouble: str = ""
    resources: Mapping[str, Look] = field(default_factory=dict)
    namespace: Look = Look()
    vault: Look = Look()
    secrets: Mapping[str, bool | str] = field(default_factory=dict)
    """Whether each has the key; text if it could not be read."""
    migration: Look = Look()
    missing_rights: Sequence[str] = ()
    rights_trouble: str = ""
    policies: Mapping[str, Look] = field(default_factory=dict)
    """By kind and name, as `validatingadmissionpolicy/NAME`."""
    deployment: Look = Look()
    lease: Look = Look()


@dataclass(frozen=True)
class Check:
    """One step; it passed if there is no problem."""

    name: str
    problem: str = ""
    remedy: str = ""

    def show(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**asdict(self), "passed": not self.problem}


def judge(seen: Seen, place: Place) -> list[Check]:
    """Return the eight steps in their order, each with its problem and what mends it."""
    cluster = Check("cluster", *_judge_cluster(seen))
    if not seen.version:
        return [cluster, *(Check(name, "not looked at", "see cluster") for name in _STEPS)]
    helm = _find_release(seen.deployment, place)
    system = f"-n {place.namespace}"
    make_secret = f"kubectl create secret generic {system} NAME --from-file={DSN_KEY}=FILE; or use manifests/vault"
    describe = f"kubectl {system} describe deployment {place.name}; kubectl {system} logs deployment/{place.name}"
    found = {
        "resources": (_judge_resources(seen), helm or "kubectl apply --server-side -k crds"),
        "namespace": (_judge_namespace(seen, place), _mend_namespace(seen, place)),
        "credentials": (_judge_credentials(seen), make_secret),
        "migration": (
            _judge_migration(seen.migration),
            f"kubectl -n {place.namespace} logs job/{place.migration}; then "
            + (helm or "delete the Job and apply manifests/migrate again"),
        ),
        "rights": (_judge_rights(seen), helm or "kubectl apply -f manifests/operator/rbac.yaml"),
        "admission": (_judge_admission(seen), helm or "kubectl apply -f manifests/operator/admission.yaml"),
        "operator": (_judge_operator(seen), describe),
    }
    return [cluster, *(Check(name, problem, remedy if problem else "") for name, (problem, remedy) in found.items())]


_STEPS: Final = ("resources", "namespace", "credentials", "migration", "rights", "admission", "operator")


def _judge_cluster(seen: Seen) -> tuple[str, str]:
    remedy = f"name a reachable cluster of version 1.{OLDEST_MINOR} or newer: kubectl config use-context NAME"
    if not seen.version:
        return seen.trouble or "does not answer", remedy
    known = re.fullmatch(r"v?1\.(\d+).*", seen.version)
    if known is None or int(known[1]) < OLDEST_MINOR:
        return f"Kubernetes {seen.version.removeprefix('v')}", remedy
    return "", ""


def _judge_resources(seen: Seen) -> str:
    troubles = [each.trouble for each in seen.resources.values() if each.trouble]
    missing = [
        plural
        for plural, look in seen.resources.items()
        if not look.trouble and _read_condition(look.found, "Established") != "True"
    ]
    leaving = [plural for plural, look in seen.resources.items() if _is_leaving(look)]
    return _join(
        f"not established: {' '.join(missing)}" if missing else "",
        f"being deleted, with every object of theirs: {' '.join(leaving)}" if leaving else "",
        *troubles,
    )


def _judge_namespace(seen: Seen, place: Place) -> str:
    if seen.namespace.trouble:
        return seen.namespace.trouble
    if seen.namespace.found is None:
        return f"there is no namespace {place.namespace}"
    if _is_leaving(seen.namespace):
        return f"{place.namespace} is being deleted"
    level = (seen.namespace.found["metadata"].get("labels") or {}).get(_LEVEL) or "nothing"
    return "" if level == "restricted" else f"pods of {place.namespace} are held to '{level}'"


def _mend_namespace(seen: Seen, place: Place) -> str:
    if _is_leaving(seen.namespace):
        return f"install again once it is gone: kubectl wait --for=delete namespace/{place.namespace}"
    if place.namespace == DEFAULT_NAMESPACE:
        return "kubectl apply -f manifests/operator/namespace.yaml"
    create = "" if seen.namespace.found is not None else f"kubectl create namespace {place.namespace}; "
    return f"{create}kubectl label namespace {place.namespace} --overwrite {_LEVEL}=restricted"


def _judge_credentials(seen: Seen) -> str:
    if seen.vault.found is not None:
        return ""
    troubles = [each for each in seen.secrets.values() if isinstance(each, str)]
    missing = [name for name, has in seen.secrets.items() if has is False]
    return _join(f"no key {DSN_KEY} in: {' '.join(missing)}" if missing else "", *troubles)


def _judge_migration(look: Look) -> str:
    """Judge the Job; one that is gone was complete, and is taken away a day later."""
    if look.trouble or look.found is None or _read_condition(look.found, "Complete") == "True":
        return look.trouble
    failed = [each for each in _list_conditions(look.found) if each.get("type") == "Failed"]
    return ", ".join(["the Job is not complete", *(str(each.get("reason")) for each in failed)])


def _judge_rights(seen: Seen) -> str:
    told = f"the operator may not: {', '.join(seen.missing_rights)}" if seen.missing_rights else ""
    return _join(told, seen.rights_trouble)


def _judge_admission(seen: Seen) -> str:
    troubles = [each.trouble for each in seen.policies.values() if each.trouble]
    missing = [name for name, look in seen.policies.items() if not look.trouble and look.found is None]
    # Their group says nothing that is not known.
    shown = [name.removesuffix(f".{GROUP}") for name in missing]
    return _join(f"missing: {' '.join(shown)}" if missing else "", *troubles)


def _judge_operator(seen: Seen) -> str:
    if trouble := seen.deployment.trouble or seen.lease.trouble:
        return trouble
    if _read_condition(seen.deployment.found, "Available") != "True":
        return "no replica is available"
    return "" if ((seen.lease.found or {}).get("spec") or {}).get("holderIdentity") else "no replica leads"


def _find_release(look: Look, place: Place) -> str:
    labels = ((look.found or {}).get("metadata") or {}).get("labels") or {}
    if labels.get("app.kubernetes.io/managed-by") != "Helm":
        return ""
    release = labels.get("app.kubernetes.io/instance") or place.name
    return f"helm upgrade {release} {_CHART} -n {place.namespace} --reset-then-reuse-values"


def list_served(deployment: Look) -> list[str]:
    """Return the namespaces that an operator serves, by its variables; none for all."""
    value = read_variable(deployment, "WATCH_NAMESPACES")
    return [name for each in value.split(",") if (name := each.strip())]


def read_variable(deployment: Look, name: str) -> str:
    """Return a variable of a Deployment's containers; empty if it has none."""
    spec = (((deployment.found or {}).get("spec") or {}).get("template") or {}).get("spec") or {}
    variables = [each for container in spec.get("containers") or () for each in container.get("env") or ()]
    return next((str(each.get("value") or "") for each in variables if each.get("name") == name), "")


def _name_domain(release: str) -> str:
    return GROUP if release == DEFAULT_NAME else f"{release}.{GROUP}"


def _is_leaving(look: Look) -> bool:
    return bool(((look.found or {}).get("metadata") or {}).get("deletionTimestamp"))


def _list_conditions(found: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    return list(((found or {}).get("status") or {}).get("conditions") or ())


def _read_condition(found: Mapping[str, Any] | None, kind: str) -> str:
    return next((str(each.get("status")) for each in _list_conditions(found) if each.get("type") == kind), "")


def _join(*told: str) -> str:
    return "; ".join(dict.fromkeys(each for each in told if each))
