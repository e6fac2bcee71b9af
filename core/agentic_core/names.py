"""Names that are derived, never stored: group, labels, annotations and the children of a session.

A child's name follows from (session, run), so creating it twice is refused by the API server, by name.
"""

import hashlib
import re
from typing import Final

GROUP: Final = "agentic-operator.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
# Where the operator inspects definitions of the cluster where nobody says otherwise.
INSPECTION_NAMESPACE: Final = "agentic-inspections"
SHORT_NAMES: Final = {"AgenticSession": "as", "WorkflowDefinition": "wfd", "ClusterWorkflowDefinition": "cwfd"}
"""What kubectl takes for each kind; Jobs and labels of inspections begin with it, too."""

# The Job's name is `<session>-r<run>`, and a Job's name is a label value (63). This leaves nine digits of runs.
MAX_SESSION_NAME: Final = 52
# What the API server adds to a generateName.
GENERATED: Final = 5
MAX_RUN: Final = 999_999_999
# A Job makes the next pod when the last one is over; this many may still be looked at.
MAX_PODS: Final = 8
MAX_DEFINITION_NAME: Final = 52

SESSION_LABEL: Final = f"{GROUP}/session"
RUN_LABEL: Final = f"{GROUP}/run"
WORKFLOW_LABEL: Final = f"{GROUP}/workflow"
INSPECTION_LABEL: Final = f"{GROUP}/inspects"
SESSION_UID_LABEL: Final = f"{GROUP}/session-uid"
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
MANAGED_BY: Final = "agentic-operator"
FINALIZER: Final = f"{GROUP}/cleanup"
# On a session, with the time: somebody wants a link to its result in the object store.
DOWNLOAD_ANNOTATION: Final = f"{GROUP}/download-requested"
# On a session, "true" or "false": whether something outside of the cluster declares it and would make it again.
DECLARED_ANNOTATION: Final = f"{GROUP}/declared"

# On a service account, "WorkflowDefinition/NAME" or "ClusterWorkflowDefinition/NAME": whose runs may run as it.
RUNS_ANNOTATION: Final = f"{GROUP}/runs"

RUNNER_SERVICE_ACCOUNT: Final = "agentic-runner"
INSPECTOR_SERVICE_ACCOUNT: Final = "agentic-inspector"
RUNNER_CONTAINER: Final = "runner"
VAULT_CONTAINER: Final = "vault-init"

# On a pod that reports to the gateway: what vouches for the gateway's certificate, in PEM.
GATEWAY_CA_ANNOTATION: Final = f"{GROUP}/gateway-ca"

# Kubernetes' own limit of a field manager's name.
_MAX_MANAGER: Final = 128
_MAX_PLAIN_ID: Final = 56
_DNS_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def is_dns_label(name: str, limit: int = 63) -> bool:
    """Return whether ``name`` is an RFC 1123 label of at most ``limit`` characters."""
    return len(name) <= limit and _DNS_LABEL.fullmatch(name) is not None


def generate_prefix(base: str) -> str:
    """Return the start of a session's generated name that stays within the limit."""
    return base[: MAX_SESSION_NAME - GENERATED - 1].rstrip("-") + "-"


def job_name(session: str, run: int) -> str:
    """Return the name of the Job of a session's ``run`` (1, 2, …)."""
    if run < 1:
        raise ValueError(f"run {run!r} is not a run number: runs count from 1")
    return f"{session}-r{run}"


def read_run(session: str, job: str) -> int:
    """Return the run that a Job of a session is for, by its name; 0 if the name is no run's."""
    prefix, _, digits = job.rpartition("-r")
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= len(str(MAX_RUN))
    return int(digits) if is_number and prefix == session and not digits.startswith("0") else 0


def read_session_name(job: str) -> str:
    """Return the session of a run's Job with this name; empty if it is not the name of a run's Job."""
    prefix = job.rpartition("-r")[0]
    return prefix if read_run(prefix, job) else ""


def read_job(pod: str) -> str:
    """Return the Job that made a pod of this name: the Job controller adds '-' and five characters."""
    return pod.rpartition("-")[0]


def workspace_name(session: str) -> str:
    """Return the name of the PersistentVolumeClaim that all runs of a session share."""
    return f"{session}-workspace"


def inspection_job_name(definition: str, kind: str, fingerprint: str) -> str:
    """Return the name of the Job that inspects one version of a definition.

    ``fingerprint`` is what :func:`fingerprint` says of the part of the spec that inspection depends on, so a change
    there gives another Job, and the same spec never gives two.
    """
    return f"{SHORT_NAMES[kind]}-{definition[:40].rstrip('-')}-{fingerprint}"


def inspection_label(kind: str, definition: str) -> str:
    """Return the label by which the Job and the pod of a definition's inspection are found."""
    return f"{SHORT_NAMES[kind]}.{definition}"


def read_inspection_label(label: str) -> tuple[str, str]:
    """Return kind and name of the definition that a label of an inspection names."""
    prefix, _, name = label.partition(".")
    is_of_cluster = prefix == SHORT_NAMES["ClusterWorkflowDefinition"]
    return ("ClusterWorkflowDefinition" if is_of_cluster else "WorkflowDefinition"), name


def fingerprint(text: str) -> str:
    """Return ten hexadecimal digits that stand for ``text`` in a name."""
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def answer_manager(writer: str, interrupt_id: str) -> str:
    """Return the field manager under which ``writer`` applies the answer to one question.

    One for each answer: a later apply under the same name would take back what an earlier one set and it leaves out.
    """
    suffix = _answer_suffix(interrupt_id)
    name = "".join(each if each.isprintable() else "?" for each in writer)
    # Measured in bytes, by the API server.
    limited = name.encode()[: _MAX_MANAGER - len(suffix)].decode(errors="ignore")
    return (limited or "agentic") + suffix


def _answer_suffix(interrupt_id: str) -> str:
    plain = interrupt_id.isascii() and interrupt_id.isprintable() and len(interrupt_id) <= _MAX_PLAIN_ID
    return "/" + (interrupt_id if plain else fingerprint(interrupt_id))


def notify_channel(session_uid: str) -> str:
    """Return the channel of the database on which a session's runner is told of news.

    Every role of a database may listen and notify: nothing in it from which the uid could be told.
    """
    return f"agentic_session_{hashlib.sha256(session_uid.encode()).hexdigest()[:32]}"
