"""Settings from flags and the environment, checked once at the start; errors name the variable."""

import argparse
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from agentic_core.contract import MAX_RECURSION_LIMIT, MAX_TIMEOUT_SECONDS
from agentic_core.names import INSPECTION_NAMESPACE, is_dns_label
from agentic_operator.author_pods import AllowedPods, Listed
from agentic_operator.images import EVERY_IMAGE, AllowedImages
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


T = TypeVar("T")


def _parse(read: Callable[[str], T]) -> BeforeValidator:
    """Return a validator that reads a text; what is no text is read already."""
    return BeforeValidator(lambda value: read(value) if isinstance(value, str) else value)


def _number(low: int, high: int) -> BeforeValidator:
    def read(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"{text!r}: write a whole number from {low} to {high}")
        return int(text)

    return _parse(read)


def _choice(*choices: str) -> BeforeValidator:
    def read(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(f"{text!r}: write one of {', '.join(choices)}")
        return text.lower()

    return _parse(read)


def _either(true: str, false: str) -> BeforeValidator:
    def read(text: str) -> bool:
        if text.lower() not in (true, false):
            raise ValueError(f"{text!r}: write {true} or {false}")
        return text.lower() == true

    return _parse(read)


def _read_namespaces(text: str) -> tuple[str, ...]:
    namespaces = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in namespaces:
        if not is_dns_label(name):
            raise ValueError(f"{name!r} is no namespace: write names of namespaces, separated by commas")
    return namespaces


def _read_url(text: str) -> str:
    if text and not re.fullmatch(r"https?://[^\s@]+", text):
        raise ValueError(f"{text!r}: write an http or https address without credentials")
    return text


def _read_template(text: str) -> str:
    if re.search(r"[{}\s]", text.replace("{namespace}", "")):
        raise ValueError(f"{text!r}: it may hold {{namespace}} and no other braces")
    return text


def _read_quantities(text: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for entry in text.split(","):
        if not entry.strip():
            continue
        name, equals, quantity = entry.strip().partition("=")
        if not equals or not _QUANTITY.fullmatch(quantity):
            raise ValueError(f"{entry.strip()!r}: write resource=quantity, as in memory=512Mi")
        found[name] = quantity
    return found


Names = Annotated[Listed, _parse(Listed.parse)]
OnOff = Annotated[bool, _either("on", "off")]
OptionalPath = Annotated[Path | None, _parse(lambda text: Path(text) if text else None)]
Quantities = Annotated[Mapping[str, str], _parse(_read_quantities)]
Template = Annotated[str, _parse(_read_template)]
Url = Annotated[str, _parse(_read_url)]


def _setting(default: str, about: str, *, shown: str = "") -> Any:
    """Return a field: its default as a text, what it is in Markdown, and the default's name where it has no text."""
    return Field(default=default, description=about, validate_default=True, json_schema_extra={"shown": shown})


class Variables(BaseModel):
    """Flags and environment variables, one field each: what ``--help`` and the guide's table are made from.

    A field is named as its variable in lower case.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    operator_namespace: str = _setting(
        "",
        "where the operator lives: the Lease, the source of the database secret",
        shown="the service account's, else `agentic-system`",
    )
    inspection_namespace: str = _setting(
        INSPECTION_NAMESPACE,
        "where definitions of the cluster are inspected: it is there, holds nothing and admits restricted pods only"
        " ([security](security.md#inspections))",
    )
    pod_name: str = _setting("", "who this replica is in the Lease", shown="the host name")
    watch_namespaces: Annotated[tuple[str, ...], _parse(_read_namespaces)] = _setting(
        "",
        "comma-separated namespaces to serve; the rights may be"
        " [Roles in these namespaces](helm.md#rights-in-namespaces-alone)",
        shown="all",
    )
    cluster_definitions: Annotated[ClusterDefinitions, _choice(*ClusterDefinitions)] = _setting(
        "inspect",
        "ClusterWorkflowDefinitions: `inspect` and run them; `read`: run those that another operator inspects; `off`:"
        " ask for none, and sessions that name one wait with the reason",
    )
    allowed_images: Annotated[AllowedImages, _parse(AllowedImages.parse)] = _setting(
        "*", "comma-separated registry prefixes that images must begin with; `*` allows all; see below"
    )
    allowed_priority_classes: Names = _setting(
        "none",
        "PriorityClasses that definitions may use; for this and the next six: comma-separated names, beginnings that"
        " end in `*`, `*` for all, or `none` ([authors](tenancy.md#what-authors-may-use-of-pods))",
    )
    allowed_tolerations: Names = _setting(
        "nvidia.com/gpu,amd.com/gpu,google.com/tpu",
        "keys of taints that definitions may tolerate; `*` also lets them tolerate everything",
    )
    allowed_node_labels: Names = _setting("*", "labels by which definitions may choose nodes")
    allowed_runtime_classes: Names = _setting("*", "RuntimeClasses that definitions may use")
    allowed_pod_labels: Names = _setting(
        "*", "labels that definitions may put on Jobs and pods, beside what is reserved"
    )
    allowed_pod_annotations: Names = _setting(
        "*", "annotations that definitions may put on pods, beside what is reserved"
    )
    session_labels: Names = _setting("none", "labels of sessions that their Jobs and pods carry, beside Kueue's")
    shared_account_annotations: OnOff = _setting(
        "off",
        "`on`: `serviceAccountAnnotations` of definitions still go onto the account that all runners of a namespace"
        " share",
    )
    postgres_connection_string_file: OptionalPath = _setting(
        "", "file with the operator's own connection string; without it sessions get no rows", shown="none"
    )
    runner_postgres_secret: str = _setting(
        "agentic-postgres-runner", "Secret in the operator's namespace, key `dsn`, for runners"
    )
    tenancy: Annotated[Tenancy, _choice(*Tenancy)] = _setting(
        "auto",
        "a database role for each namespace: `auto` where the operator can make them, `on`, `off`"
        " ([tenancy](tenancy.md))",
    )
    removed_namespace_memory: Annotated[str, _choice("keep", "purge")] = _setting(
        "keep", "long-term memory of the graphs of a namespace that is gone: `keep` or `purge`"
    )
    credentials: Annotated[str, _choice("secret", "vault")] = _setting(
        "secret", "where runners get their connection string: `secret`, or [`vault`](vault.md)"
    )
    vault_addr: Url = _setting("", "Vault's address as runners reach it", shown="none")
    vault_auth_mount: str = _setting("kubernetes", "where Vault's Kubernetes auth method is mounted")
    vault_namespace: str = _setting("", "namespace, in Vault Enterprise and HCP", shown="none")
    vault_cacert_bytes: str = _setting(
        "", "authorities in PEM that runners' init containers trust instead of the usual ones", shown="none"
    )
    vault_runner_role: Template = _setting("agentic-runner", "role that runners log in as; `{namespace}` is theirs")
    vault_runner_path: Template = _setting(
        "kv/agentic/runners/{namespace}", "secret that runners read; `{namespace}` is theirs"
    )
    vault_audience: str = _setting("vault", "audience of the token that runners log in with")
    vault_init_image: str = _setting("", "image of the init container", shown="the operator's own")
    result_store: OnOff = _setting(
        "off", "`on`: results over 90 MB go to the object store of Secret `agentic-results` ([results](results.md))"
    )
    encryption: OnOff = _setting(
        "off",
        "`on`: checkpoints are encrypted with the keys of Secret `agentic-encryption` ([encryption](encryption.md))",
    )
    runner_user: Annotated[str, _choice("fixed", "cluster")] = _setting(
        "fixed",
        "who runners run as: `fixed` (65532), or `cluster` where the cluster says ([OpenShift](clusters.md#openshift))",
    )
    runner_cluster_role: str = _setting(
        "agentic-runner", "ClusterRole that runners are bound to, in their own namespace"
    )
    runner_egress: Annotated[Egress | None, _parse(parse_egress)] = _setting(
        "off",
        "where runners may connect to, beside DNS, by a NetworkPolicy in their namespace: `internet`, ports, networks,"
        " network:port; as delivered `internet,443,6443,5432,6432`"
        " ([networks](hardening.md#where-runners-may-connect-to))",
    )
    runner_requests: Quantities = _setting(_join(_REQUESTS), "default requests of runners")
    runner_limits: Quantities = _setting(
        _join(_LIMITS),
        "default limits of runners; what a pod [may write to its node's disk](hardening.md#the-nodes-disk) is for all"
        " its folders",
    )
    runner_retries: Annotated[int, _number(0, 100)] = _setting(
        "3", "how often a failed attempt is repeated where nobody says otherwise"
    )
    runner_recursion_limit: Annotated[int, _number(1, MAX_RECURSION_LIMIT)] = _setting(
        "10000",
        "how many super-steps a run may take where nobody says otherwise"
        " ([limits](config-and-context.md#what-ends-an-endless-run))",
    )
    runner_timeout_seconds: Annotated[int, _number(1, MAX_TIMEOUT_SECONDS)] = _setting(
        "86400", "how long a run may execute where nobody says otherwise"
    )
    checkpoint_retention_days: Annotated[int, _number(0, 36_500)] = _setting(
        "30", "how long checkpoints of finished sessions are kept; `0` for ever; see [retention](#retention)"
    )
    checkpoint_prune_days: Annotated[int, _number(0, 36_500)] = _setting(
        "0", "after how many idle days a finished thread is cut down to its last checkpoint; `0` never"
    )
    audit_retention_days: Annotated[int, _number(0, 36_500)] = _setting(
        "365", "how long the [trail of answers](provable-answers.md) outlives its session; `0` for ever"
    )
    job_ttl_seconds: Annotated[int, _number(0, 2_000_000_000)] = _setting(
        "300", "how long a finished Job and its pod's log stay; those of a session that waits for an answer go at once"
    )
    backend_url: Url = _setting("", "the API server for runners", shown="the cluster's address")
    leader_election: Annotated[bool, _either("true", "false")] = _setting("true", "`false` for one local process")
    lease_seconds: Annotated[int, _number(3, MAX_LEASE_SECONDS)] = _setting(
        "15", "how long a leader that fell silent is waited for"
    )
    liveness_port: Annotated[int, _number(0, 65_535)] = _setting("8080", "`/healthz` and `/metrics`; `0` for none")
    log_format: Annotated[str, _choice("json", "text")] = _setting("json", "`json` or `text`")
    log_level: Annotated[str, _choice("debug", "info", "warning", "error")] = _setting(
        "info", "`debug`, `info`, `warning` or `error`"
    )
    workers: Annotated[int, _number(1, 256)] = _setting("16", "reconcile passes at a time")
    kubeconfig: OptionalPath = _setting(
        "", "kubeconfig file, outside of a pod; certificates or a token, no plugins", shown="none"
    )


@dataclass(frozen=True)
class Option:
    """A setting as people see it."""

    variable: str
    default: str
    about: str
    """In Markdown."""
    shown: str = ""
    """What the default is where it has no text."""

    @property
    def flag(self) -> str:
        return "--" + self.variable.lower().replace("_", "-")

    def describe(self) -> str:
        """Return the help text: plain, with the variable and the default."""
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", self.about).replace("`", "")
        default = self.default or self.shown.replace("`", "")
        return f"{plain} ({self.variable}{f', default {default!r}' if default else ''})"


def _list_options() -> tuple[Option, ...]:
    return tuple(
        Option(
            name.upper(),
            str(each.default),
            each.description or "",
            str(dict(each.json_schema_extra or {}).get("shown", "")),
        )
        for name, each in Variables.model_fields.items()
        if not callable(each.json_schema_extra)
    )


OPTIONS: Final = _list_options()


def build_table() -> str:
    """Return the guide's table of settings, in Markdown."""
    rows = [f"| `{o.variable}` | {o.shown or f'`{o.default}`'} | {o.about} |" for o in OPTIONS]
    return "\n".join(["| variable | default | |", "|---|---|---|", *rows])


def build_parser() -> argparse.ArgumentParser:
    """Return the command line: one flag for every variable."""
    parser = argparse.ArgumentParser(
        prog="python -m agentic_operator",
        description="Runs AgenticSessions as Kubernetes Jobs. Every flag can be given as a variable instead.",
    )
    for option in OPTIONS:
        about = option.describe().replace("%", "%%")
        parser.add_argument(option.flag, metavar="VALUE", dest=option.variable, help=about)
    return parser


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
            session_labels=read.session_labels,
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


def _own_namespace() -> str:
    try:
        return NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    except OSError:
        return "agentic-system"
