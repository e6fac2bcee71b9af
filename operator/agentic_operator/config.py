"""Settings from flags and the environment, checked once at the start; errors name the variable."""

import argparse
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from agentic_core.contract import MAX_RECURSION_LIMIT, MAX_TIMEOUT_SECONDS
from agentic_core.names import is_dns_label
from agentic_operator.author_pods import AllowedPods, Listed
from agentic_operator.images import EVERY_IMAGE, AllowedImages, InvalidImage
from agentic_operator.networks import Egress, parse_egress

_QUANTITY: Final = re.compile(r"[0-9]+(\.[0-9]+)?([eE][0-9]+|m|[kKMGTPE]i?|u|n)?")
MAX_LEASE_SECONDS: Final = 600
_REQUESTS: Final = {"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "256Mi"}
# What a pod may write to its node's disk: enough for what workflows fetch, and not all that others there need.
_LIMITS: Final = {"cpu": "2", "memory": "1Gi", "ephemeral-storage": "10Gi"}
NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def _join(quantities: Mapping[str, str]) -> str:
    return ",".join(f"{name}={quantity}" for name, quantity in quantities.items())


class Tenancy(StrEnum):
    """Whether every namespace has a database role of its own."""

    AUTO = "auto"
    """Where the operator's role can make roles."""
    ON = "on"
    """Or else no session runs."""
    OFF = "off"
    """All namespaces share one connection string."""


class ClusterDefinitions(StrEnum):
    """What this operator does with ClusterWorkflowDefinitions."""

    INSPECT = "inspect"
    """It inspects them and runs their sessions."""
    READ = "read"
    """It runs their sessions by what another operator's inspection says."""
    OFF = "off"
    """It asks for none, and needs no right in the cluster at large."""


class InvalidSetting(ValueError):
    """A flag or variable that cannot be used; the message names it."""


@dataclass(frozen=True)
class VaultAccess:
    """Where runners get their database credentials from, where that is Vault; their init container is told this."""

    address: str
    image: str = ""
    """Image with ``vault-init``; the operator's own where empty."""
    role: str = "agentic-runner"
    path: str = "kv/agentic/runners/{namespace}"
    audience: str = "vault"
    auth_mount: str = "kubernetes"
    vault_namespace: str = ""
    authorities: str = ""
    """Certificates in PEM that are trusted instead of the usual ones."""

    def resolve(self, template: str, namespace: str) -> str:
        """Return a role or path for the pods of one namespace."""
        return template.replace("{namespace}", namespace)


@dataclass(frozen=True)
class JobDefaults:
    """What Jobs get where neither session nor definition says otherwise."""

    requests: Mapping[str, str] = field(default_factory=lambda: dict(_REQUESTS))
    limits: Mapping[str, str] = field(default_factory=lambda: dict(_LIMITS))
    job_ttl_seconds: int = 300
    retention_days: int = 30
    backend_url: str = ""
    retries: int = 3
    recursion_limit: int = 10_000
    timeout_seconds: int = 86_400
    has_result_store: bool = False
    """Whether results over 90 MB go to an object store; its Secret is mounted."""
    has_encryption: bool = False
    """Whether checkpoints are encrypted; the Secret with the keys is mounted."""
    leaves_user: bool = False
    """Whether the cluster says which user and groups pods have, as OpenShift does."""
    vault: VaultAccess | None = None
    """None where runners get their credentials from a Secret."""
    session_labels: Listed = field(default_factory=Listed)
    """Labels of a session that its Job and pods carry, beside those of its queue."""


@dataclass(frozen=True)
class Settings:
    """All that an operator process is told."""

    namespace: str = "agentic-system"
    inspection_namespace: str = "agentic-inspections"
    identity: str = "operator"
    watch_namespaces: tuple[str, ...] = ()
    cluster_definitions: ClusterDefinitions = ClusterDefinitions.INSPECT
    allowed_images: AllowedImages = EVERY_IMAGE
    allowed_pods: AllowedPods = field(default_factory=AllowedPods)
    postgres_file: Path | None = None
    runner_postgres_secret: str = "agentic-postgres-runner"  # noqa: S105  (a resource's name)
    tenancy: Tenancy = Tenancy.AUTO
    purges_removed_memory: bool = False
    runner_cluster_role: str = "agentic-runner"
    runner_egress: Egress | None = None
    """Where runs and inspections may connect to; None where the operator makes no NetworkPolicy."""
    jobs: JobDefaults = field(default_factory=JobDefaults)
    prune_days: int = 0
    """After how many idle days a finished thread is pruned to its last checkpoint; 0 is never."""
    audit_days: int = 365
    """How many days the trail of answers outlives its session; 0 is for ever."""
    leader_election: bool = True
    lease_seconds: float = 15
    liveness_port: int = 8080
    log_format: str = "json"
    log_level: str = "info"
    workers: int = 16
    kubeconfig: Path | None = None

    @property
    def observed_namespaces(self) -> tuple[str, ...]:
        """Where Jobs and pods are looked at: where it serves and where it inspects; () for all namespaces."""
        if not self.watch_namespaces or self.cluster_definitions is not ClusterDefinitions.INSPECT:
            return self.watch_namespaces
        return (*self.watch_namespaces, self.inspection_namespace)


@dataclass(frozen=True)
class _Option:
    variable: str
    default: str
    about: str

    @property
    def flag(self) -> str:
        return "--" + self.variable.lower().replace("_", "-")


OPTIONS: Final = (
    _Option("OPERATOR_NAMESPACE", "", "where the operator lives; the service account's namespace where absent"),
    _Option("INSPECTION_NAMESPACE", "agentic-inspections", "where definitions of the cluster are inspected"),
    _Option("POD_NAME", "", "who this replica is in the Lease; the host name where absent"),
    _Option("WATCH_NAMESPACES", "", "comma-separated namespaces to serve; all where empty"),
    _Option(
        "CLUSTER_DEFINITIONS",
        "inspect",
        "ClusterWorkflowDefinitions: inspect and run them, read those that another operator inspects, or off",
    ),
    _Option("ALLOWED_IMAGES", "*", "comma-separated registry prefixes that images must begin with; '*' allows all"),
    _Option("ALLOWED_PRIORITY_CLASSES", "none", "PriorityClasses that definitions may use"),
    _Option(
        "ALLOWED_TOLERATIONS",
        "nvidia.com/gpu,amd.com/gpu,google.com/tpu",
        "keys of taints that definitions may tolerate; '*' allows all, tolerating everything too",
    ),
    _Option("ALLOWED_NODE_LABELS", "*", "labels by which definitions may choose nodes"),
    _Option("ALLOWED_RUNTIME_CLASSES", "*", "RuntimeClasses that definitions may use"),
    _Option("ALLOWED_POD_LABELS", "*", "labels that definitions may put on Jobs and pods"),
    _Option("ALLOWED_POD_ANNOTATIONS", "*", "annotations that definitions may put on pods"),
    _Option(
        "SESSION_LABELS", "none", "labels of sessions that their Jobs and pods carry, beside those of Kueue's queues"
    ),
    _Option(
        "SHARED_ACCOUNT_ANNOTATIONS",
        "off",
        "whether serviceAccountAnnotations still go onto the account that all runners share: on or off",
    ),
    _Option("POSTGRES_CONNECTION_STRING_FILE", "", "file with the operator's connection string; no rows without"),
    _Option("RUNNER_POSTGRES_SECRET", "agentic-postgres-runner", "Secret with the runners' connection string"),
    _Option("TENANCY", "auto", "whether each namespace gets a database role of its own: auto, on or off"),
    _Option(
        "REMOVED_NAMESPACE_MEMORY", "keep", "long-term memory of graphs of a namespace that is gone: keep or purge"
    ),
    _Option("CREDENTIALS", "secret", "where runners get their connection string: secret or vault"),
    _Option("VAULT_ADDR", "", "Vault's address as runners reach it, with CREDENTIALS=vault"),
    _Option("VAULT_RUNNER_ROLE", "agentic-runner", "role that runners log in as; {namespace} stands for theirs"),
    _Option("VAULT_RUNNER_PATH", "kv/agentic/runners/{namespace}", "secret that runners read; {namespace} likewise"),
    _Option("VAULT_AUDIENCE", "vault", "audience of the token that runners log in with"),
    _Option("VAULT_AUTH_MOUNT", "kubernetes", "where Vault's Kubernetes auth method is mounted"),
    _Option("VAULT_NAMESPACE", "", "namespace, in Vault Enterprise and HCP"),
    _Option("VAULT_CACERT_BYTES", "", "authorities in PEM to trust instead of the usual ones"),
    _Option("VAULT_INIT_IMAGE", "", "image of runners' vault-init; the operator's own where empty"),
    _Option(
        "RESULT_STORE", "off", "whether results over 90 MB go to an object store (Secret agentic-results): on or off"
    ),
    _Option("ENCRYPTION", "off", "whether checkpoints are encrypted (Secret agentic-encryption): on or off"),
    _Option("RUNNER_CLUSTER_ROLE", "agentic-runner", "ClusterRole that runners are bound to in their namespace"),
    _Option(
        "RUNNER_EGRESS",
        "off",
        "where runners may connect to, beside DNS: internet, ports, networks, network:port; off for no NetworkPolicy",
    ),
    _Option("RUNNER_REQUESTS", _join(_REQUESTS), "default requests of runners"),
    _Option("RUNNER_LIMITS", _join(_LIMITS), "default limits of runners; ephemeral-storage is of the whole pod"),
    _Option("RUNNER_USER", "fixed", "who runners run as: fixed (65532), or cluster where the cluster says (OpenShift)"),
    _Option("RUNNER_RETRIES", "3", "how often a failed attempt is repeated where nobody says otherwise"),
    _Option("RUNNER_RECURSION_LIMIT", "10000", "how many super-steps a run may take where nobody says otherwise"),
    _Option("RUNNER_TIMEOUT_SECONDS", "86400", "how long a run may execute where nobody says otherwise"),
    _Option("CHECKPOINT_RETENTION_DAYS", "30", "how long checkpoints of finished sessions are kept; 0 for ever"),
    _Option("CHECKPOINT_PRUNE_DAYS", "0", "when finished threads are cut down to their last checkpoint; 0 for never"),
    _Option("AUDIT_RETENTION_DAYS", "365", "how long the trail of answers outlives its session; 0 for ever"),
    _Option("JOB_TTL_SECONDS", "300", "how long a finished Job stays, to be looked at"),
    _Option("BACKEND_URL", "", "the API server for runners; the cluster's own address where empty"),
    _Option("LEADER_ELECTION", "true", "whether replicas agree on one that acts; false for local runs"),
    _Option("LEASE_SECONDS", "15", "how long a leader that fell silent is waited for"),
    _Option("LIVENESS_PORT", "8080", "port of /healthz; 0 for none"),
    _Option("LOG_FORMAT", "json", "json or text"),
    _Option("LOG_LEVEL", "info", "debug, info, warning or error"),
    _Option("WORKERS", "16", "reconcile passes at a time"),
    _Option("KUBECONFIG", "", "kubeconfig file; the service account's files where absent"),
)


def build_parser() -> argparse.ArgumentParser:
    """Return the command line: one flag for every variable."""
    parser = argparse.ArgumentParser(
        prog="python -m agentic_operator",
        description="Runs AgenticSessions as Kubernetes Jobs. Every flag can be given as a variable instead.",
    )
    for option in OPTIONS:
        default = f", default {option.default!r}" if option.default else ""
        about = f"{option.about} ({option.variable}{default})".replace("%", "%%")
        parser.add_argument(option.flag, metavar="VALUE", dest=option.variable, help=about)
    return parser


def read_settings(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Return the settings: a flag before its variable before the default; raise :class:`InvalidSetting`."""
    given = vars(build_parser().parse_args(arguments))
    values = {
        option.variable: given[option.variable]
        if given[option.variable] is not None
        else environ.get(option.variable, "") or option.default
        for option in OPTIONS
    }
    return parse_settings(values)


def parse_settings(values: Mapping[str, str]) -> Settings:
    """Return the settings that these texts mean; raise :class:`InvalidSetting` that names the variable."""
    namespaces = tuple(part.strip() for part in values["WATCH_NAMESPACES"].split(",") if part.strip())
    for name in namespaces:
        if not is_dns_label(name):
            raise InvalidSetting(f"WATCH_NAMESPACES holds {name!r}: write names of namespaces, separated by commas")
    try:
        allowed = AllowedImages.parse(values["ALLOWED_IMAGES"])
    except InvalidImage as error:
        raise InvalidSetting(f"ALLOWED_IMAGES: {error}") from error
    namespace = values["OPERATOR_NAMESPACE"] or _own_namespace()
    inspections = values["INSPECTION_NAMESPACE"]
    if not is_dns_label(inspections) or inspections == namespace:
        raise InvalidSetting(
            f"INSPECTION_NAMESPACE is {inspections!r}: name a namespace that holds nothing, never the operator's own"
        )
    return Settings(
        namespace=namespace,
        inspection_namespace=inspections,
        identity=values["POD_NAME"] or socket.gethostname(),
        watch_namespaces=namespaces,
        cluster_definitions=ClusterDefinitions(_choice(values, "CLUSTER_DEFINITIONS", tuple(ClusterDefinitions))),
        allowed_images=allowed,
        allowed_pods=_allowed_pods(values),
        postgres_file=_path(values, "POSTGRES_CONNECTION_STRING_FILE"),
        runner_postgres_secret=values["RUNNER_POSTGRES_SECRET"],
        tenancy=_tenancy(values),
        purges_removed_memory=_choice(values, "REMOVED_NAMESPACE_MEMORY", ("keep", "purge")) == "purge",
        runner_cluster_role=values["RUNNER_CLUSTER_ROLE"],
        runner_egress=_egress(values),
        prune_days=_number(values, "CHECKPOINT_PRUNE_DAYS", 0, 36_500),
        audit_days=_number(values, "AUDIT_RETENTION_DAYS", 0, 36_500),
        jobs=JobDefaults(
            requests=_quantities(values, "RUNNER_REQUESTS"),
            limits=_quantities(values, "RUNNER_LIMITS"),
            job_ttl_seconds=_number(values, "JOB_TTL_SECONDS", 0, 2_000_000_000),
            retention_days=_number(values, "CHECKPOINT_RETENTION_DAYS", 0, 36_500),
            backend_url=_url(values, "BACKEND_URL"),
            retries=_number(values, "RUNNER_RETRIES", 0, 100),
            recursion_limit=_number(values, "RUNNER_RECURSION_LIMIT", 1, MAX_RECURSION_LIMIT),
            timeout_seconds=_number(values, "RUNNER_TIMEOUT_SECONDS", 1, MAX_TIMEOUT_SECONDS),
            has_result_store=_choice(values, "RESULT_STORE", ("on", "off")) == "on",
            has_encryption=_choice(values, "ENCRYPTION", ("on", "off")) == "on",
            leaves_user=_choice(values, "RUNNER_USER", ("fixed", "cluster")) == "cluster",
            vault=_vault(values),
            session_labels=_listed(values, "SESSION_LABELS"),
        ),
        leader_election=_truth(values, "LEADER_ELECTION"),
        lease_seconds=_number(values, "LEASE_SECONDS", 3, MAX_LEASE_SECONDS),
        liveness_port=_number(values, "LIVENESS_PORT", 0, 65_535),
        log_format=_choice(values, "LOG_FORMAT", ("json", "text")),
        log_level=_choice(values, "LOG_LEVEL", ("debug", "info", "warning", "error")),
        workers=_number(values, "WORKERS", 1, 256),
        kubeconfig=_path(values, "KUBECONFIG"),
    )


def _allowed_pods(values: Mapping[str, str]) -> AllowedPods:
    return AllowedPods(
        priority_classes=_listed(values, "ALLOWED_PRIORITY_CLASSES"),
        tolerations=_listed(values, "ALLOWED_TOLERATIONS"),
        node_labels=_listed(values, "ALLOWED_NODE_LABELS"),
        runtime_classes=_listed(values, "ALLOWED_RUNTIME_CLASSES"),
        labels=_listed(values, "ALLOWED_POD_LABELS"),
        annotations=_listed(values, "ALLOWED_POD_ANNOTATIONS"),
        has_shared_annotations=_choice(values, "SHARED_ACCOUNT_ANNOTATIONS", ("on", "off")) == "on",
    )


def _listed(values: Mapping[str, str], variable: str) -> Listed:
    try:
        return Listed.parse(values[variable])
    except ValueError as error:
        raise InvalidSetting(f"{variable}: {error}") from error


def _egress(values: Mapping[str, str]) -> Egress | None:
    try:
        return parse_egress(values["RUNNER_EGRESS"])
    except ValueError as error:
        raise InvalidSetting(f"RUNNER_EGRESS: {error}") from error


def _own_namespace() -> str:
    try:
        return NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    except OSError:
        return "agentic-system"


def _path(values: Mapping[str, str], variable: str) -> Path | None:
    return Path(values[variable]) if values[variable] else None


def _number(values: Mapping[str, str], variable: str, low: int, high: int) -> int:
    text = values[variable]
    if not text.isdecimal() or not low <= int(text) <= high:
        raise InvalidSetting(f"{variable} is {text!r}: write a whole number from {low} to {high}")
    return int(text)


def _truth(values: Mapping[str, str], variable: str) -> bool:
    text = values[variable].lower()
    if text not in ("true", "false"):
        raise InvalidSetting(f"{variable} is {values[variable]!r}: write true or false")
    return text == "true"


def _choice(values: Mapping[str, str], variable: str, choices: tuple[str, ...]) -> str:
    text = values[variable].lower()
    if text not in choices:
        raise InvalidSetting(f"{variable} is {values[variable]!r}: write one of {', '.join(choices)}")
    return text


def _tenancy(values: Mapping[str, str]) -> Tenancy:
    tenancy = Tenancy(_choice(values, "TENANCY", tuple(Tenancy)))
    if tenancy is Tenancy.ON and not values["POSTGRES_CONNECTION_STRING_FILE"]:
        raise InvalidSetting("TENANCY is 'on' and POSTGRES_CONNECTION_STRING_FILE is not set: the operator makes roles")
    if tenancy is Tenancy.ON and values["CREDENTIALS"].lower() == "vault":
        raise InvalidSetting("TENANCY is 'on' and CREDENTIALS is 'vault': roles that Vault hands out are made there")
    return tenancy


def _vault(values: Mapping[str, str]) -> VaultAccess | None:
    if _choice(values, "CREDENTIALS", ("secret", "vault")) == "secret":
        return None
    if not values["VAULT_ADDR"]:
        raise InvalidSetting("CREDENTIALS is 'vault' and VAULT_ADDR is not set: give Vault's address")
    for variable in ("VAULT_RUNNER_ROLE", "VAULT_RUNNER_PATH"):
        if re.search(r"[{}\s]", values[variable].replace("{namespace}", "")):
            raise InvalidSetting(f"{variable} is {values[variable]!r}: it may hold {{namespace}} and no other braces")
    return VaultAccess(
        address=_url(values, "VAULT_ADDR"),
        image=values["VAULT_INIT_IMAGE"],
        role=values["VAULT_RUNNER_ROLE"],
        path=values["VAULT_RUNNER_PATH"],
        audience=values["VAULT_AUDIENCE"],
        auth_mount=values["VAULT_AUTH_MOUNT"],
        vault_namespace=values["VAULT_NAMESPACE"],
        authorities=values["VAULT_CACERT_BYTES"],
    )


def _url(values: Mapping[str, str], variable: str) -> str:
    text = values[variable]
    if text and not re.fullmatch(r"https?://[^\s@]+", text):
        raise InvalidSetting(f"{variable} is {text!r}: write an http or https address without credentials")
    return text


def _quantities(values: Mapping[str, str], variable: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in values[variable].split(","):
        if not entry.strip():
            continue
        name, equals, quantity = entry.strip().partition("=")
        if not equals or not _QUANTITY.fullmatch(quantity):
            raise InvalidSetting(f"{variable} holds {entry.strip()!r}: write resource=quantity, as in memory=512Mi")
        found[name] = quantity
    return found
