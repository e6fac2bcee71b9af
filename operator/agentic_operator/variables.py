"""The operator's settings as people give them: one typed model of flags and environment variables.

``--help`` and the guide's table are made from it.
"""

import argparse
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from agentic_core.contract import MAX_RECURSION_LIMIT, MAX_TIMEOUT_SECONDS
from agentic_core.names import INSPECTION_NAMESPACE, is_dns_label
from agentic_operator.author_pods import Listed
from agentic_operator.images import AllowedImages
from agentic_operator.networks import Egress, parse_egress

_QUANTITY: Final = re.compile(r"[0-9]+(\.[0-9]+)?([eE][0-9]+|m|[kKMGTPE]i?|u|n)?")
MAX_LEASE_SECONDS: Final = 600
DEFAULT_REQUESTS: Final = {"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "256Mi"}
# What a pod may write to its node's disk: enough for what workflows fetch, and not all that others there need.
DEFAULT_LIMITS: Final = {"cpu": "2", "memory": "1Gi", "ephemeral-storage": "10Gi"}


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


def _join(quantities: Mapping[str, str]) -> str:
    return ",".join(f"{name}={quantity}" for name, quantity in quantities.items())


def _setting(default: str, about: str, *, shown: str = "") -> Any:
    """Return a field: its default as a text, what it is in Markdown, and the default's name if it has no text."""
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
    runner_requests: Quantities = _setting(_join(DEFAULT_REQUESTS), "default requests of runners")
    runner_limits: Quantities = _setting(
        _join(DEFAULT_LIMITS),
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
    event_log_rows: Annotated[int, _number(0, 100_000_000)] = _setting(
        "100000",
        "how many rows a session's [event log](gateway.md#the-event-log) keeps: the first ones go, and an event says"
        " which; `0` for any number",
    )
    event_log_mebibytes: Annotated[int, _number(0, 1_000_000)] = _setting(
        "64", "how many MiB they may have, as they are stored; `0` for any number"
    )
    audit_retention_days: Annotated[int, _number(0, 36_500)] = _setting(
        "365", "how long the [trail of answers](provable-answers.md) outlives its session; `0` for ever"
    )
    max_conversations: Annotated[int, _number(0, 1_000_000)] = _setting(
        "0", "how many [conversations](conversations.md) that have not ended a namespace may have; `0` for any number"
    )
    job_ttl_seconds: Annotated[int, _number(0, 2_000_000_000)] = _setting(
        "300", "how long a finished Job and its pod's log stay; those of a session that waits for an answer go at once"
    )
    backend_url: Url = _setting("", "the API server for runners", shown="the cluster's address")
    gateway_url: Url = _setting(
        "",
        "the [gateway](gateway.md) for runners whose definition says `reportsTo: Gateway`; without it their sessions"
        " wait with the reason",
        shown="none",
    )
    gateway_ca_file: OptionalPath = _setting(
        "", "certificates (PEM) that vouch for the gateway; those runners get them as a file", shown="none"
    )
    traces_endpoint: Url = _setting(
        "",
        "the collector that runs send their [spans](gateway.md#spans) to, as `http://collector.monitoring:4318`,"
        " where neither a definition nor its image names one by OpenTelemetry's variables",
        shown="none",
    )
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
    """What the default is if it has no text."""

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
