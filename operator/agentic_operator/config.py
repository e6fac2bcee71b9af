"""What an operator process is told: typed values from flags and the environment, checked once at the start."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from agentic_core.names import INSPECTION_NAMESPACE, is_dns_label
from agentic_core.trace_context import Sampler
from agentic_operator.author_pods import AllowedPods, Listed
from agentic_operator.images import EVERY_IMAGE, AllowedImages
from agentic_operator.networks import Egress
from agentic_operator.variables import (
    DEFAULT_LIMITS,
    DEFAULT_REQUESTS,
    OPTIONS,
    ClusterDefinitions,
    Tenancy,
    Variables,
    build_parser,
)

NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


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
class GatewayAccess:
    """Where runners that report to the gateway find it; their pods are told this."""

    url: str
    authorities: str = ""
    """Certificates in PEM that vouch for it; the usual ones where empty."""

    @property
    def websocket_url(self) -> str:
        """The address of its WebSocket."""
        return f"ws{self.url.removeprefix('http').rstrip('/')}/ws"


@dataclass(frozen=True)
class JobDefaults:
    """What Jobs get where neither session nor definition says otherwise."""

    requests: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_REQUESTS))
    limits: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_LIMITS))
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
    """None if runners get their credentials from a Secret."""
    gateway: GatewayAccess | None = None
    """None if no gateway is known, so that nobody can report to it."""
    notifies: bool = False
    """Whether the operator has the database in which it says that a session has news."""
    session_labels: Listed = field(default_factory=Listed)
    """Labels of a session that its Job and pods carry, beside those of its queue."""
    traces_endpoint: str = ""
    """Where runs send their spans if nobody else says it; empty for nowhere."""
    sampler: Sampler | None = None
    """Which traces the operator sends its own spans of; None if it sends none."""


@dataclass(frozen=True)
class Settings:
    """All that an operator process is told."""

    namespace: str = "agentic-system"
    inspection_namespace: str = INSPECTION_NAMESPACE
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
    """Where runs and inspections may connect to; None if the operator makes no NetworkPolicy."""
    jobs: JobDefaults = field(default_factory=JobDefaults)
    prune_days: int = 0
    """After how many idle days a finished thread is pruned to its last checkpoint; 0 is never."""
    audit_days: int = 365
    """How many days the trail of answers outlives its session; 0 is for ever."""
    event_log_rows: int = 100_000
    event_log_bytes: int = 64 << 20
    max_conversations: int = 0
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


def read_settings(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Return the settings: a flag before its variable before the default; raise :class:`InvalidSetting`."""
    given = vars(build_parser().parse_args(arguments))
    texts = {option.variable: environ[option.variable] for option in OPTIONS if environ.get(option.variable)}
    return parse_settings(texts | {variable: text for variable, text in given.items() if text is not None})


def parse_settings(texts: Mapping[str, str]) -> Settings:
    """Return the settings that these texts mean, by variable; raise :class:`InvalidSetting` that names the variable."""
    try:
        read = Variables.model_validate({variable.lower(): text for variable, text in texts.items()})
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        said = str((fault.get("ctx") or {}).get("error") or fault["msg"])
        raise InvalidSetting(f"{str(fault['loc'][0]).upper()} is {said}") from error
    namespace = read.operator_namespace or _own_namespace()
    _check_together(read, namespace)
    return Settings(
        namespace=namespace,
        inspection_namespace=read.inspection_namespace,
        identity=read.pod_name or socket.gethostname(),
        watch_namespaces=read.watch_namespaces,
        cluster_definitions=read.cluster_definitions,
        allowed_images=read.allowed_images,
        allowed_pods=AllowedPods(
            priority_classes=read.allowed_priority_classes,
            tolerations=read.allowed_tolerations,
            node_labels=read.allowed_node_labels,
            runtime_classes=read.allowed_runtime_classes,
            labels=read.allowed_pod_labels,
            annotations=read.allowed_pod_annotations,
            has_shared_annotations=read.shared_account_annotations,
        ),
        postgres_file=read.postgres_connection_string_file,
        runner_postgres_secret=read.runner_postgres_secret,
        tenancy=read.tenancy,
        purges_removed_memory=read.removed_namespace_memory == "purge",
        runner_cluster_role=read.runner_cluster_role,
        runner_egress=read.runner_egress,
        prune_days=read.checkpoint_prune_days,
        audit_days=read.audit_retention_days,
        event_log_rows=read.event_log_rows,
        event_log_bytes=read.event_log_mebibytes << 20,
        max_conversations=read.max_conversations,
        jobs=JobDefaults(
            requests=read.runner_requests,
            limits=read.runner_limits,
            job_ttl_seconds=read.job_ttl_seconds,
            retention_days=read.checkpoint_retention_days,
            backend_url=read.backend_url,
            retries=read.runner_retries,
            recursion_limit=read.runner_recursion_limit,
            timeout_seconds=read.runner_timeout_seconds,
            has_result_store=read.result_store,
            has_encryption=read.encryption,
            leaves_user=read.runner_user == "cluster",
            vault=_find_vault(read),
            gateway=_find_gateway(read),
            notifies=read.postgres_connection_string_file is not None,
            session_labels=read.session_labels,
            traces_endpoint=read.traces_endpoint,
        ),
        leader_election=read.leader_election,
        lease_seconds=read.lease_seconds,
        liveness_port=read.liveness_port,
        log_format=read.log_format,
        log_level=read.log_level,
        workers=read.workers,
        kubeconfig=read.kubeconfig,
    )


def _check_together(read: Variables, namespace: str) -> None:
    """Refuse settings that do not go together."""
    if not is_dns_label(read.inspection_namespace) or read.inspection_namespace == namespace:
        raise InvalidSetting(
            f"INSPECTION_NAMESPACE is {read.inspection_namespace!r}: name a namespace that holds nothing, never the"
            " operator's own"
        )
    if read.tenancy is Tenancy.ON and read.postgres_connection_string_file is None:
        raise InvalidSetting("TENANCY is 'on' and POSTGRES_CONNECTION_STRING_FILE is not set: the operator makes roles")
    if read.tenancy is Tenancy.ON and read.credentials == "vault":
        raise InvalidSetting("TENANCY is 'on' and CREDENTIALS is 'vault': roles that Vault hands out are made there")
    if read.credentials == "vault" and not read.vault_addr:
        raise InvalidSetting("CREDENTIALS is 'vault' and VAULT_ADDR is not set: give Vault's address")


def _find_vault(read: Variables) -> VaultAccess | None:
    if read.credentials == "secret":
        return None
    return VaultAccess(
        address=read.vault_addr,
        image=read.vault_init_image,
        role=read.vault_runner_role,
        path=read.vault_runner_path,
        audience=read.vault_audience,
        auth_mount=read.vault_auth_mount,
        vault_namespace=read.vault_namespace,
        authorities=read.vault_cacert_bytes,
    )


def _find_gateway(read: Variables) -> GatewayAccess | None:
    if not read.gateway_url:
        return None
    if read.gateway_ca_file is None:
        return GatewayAccess(read.gateway_url.rstrip("/"))
    try:
        text = read.gateway_ca_file.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise InvalidSetting(f"GATEWAY_CA_FILE is {str(read.gateway_ca_file)!r}: it cannot be read: {error}") from error
    if "-----BEGIN CERTIFICATE-----" not in text or "PRIVATE KEY" in text:
        raise InvalidSetting(f"GATEWAY_CA_FILE is {str(read.gateway_ca_file)!r}: write certificates in PEM, and no key")
    return GatewayAccess(read.gateway_url.rstrip("/"), text)


def _own_namespace() -> str:
    try:
        return NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    except OSError:
        return "agentic-system"
