"""What definitions may ask for in their pods: nodes, priority, labels and service accounts, by the admin's settings.

A definition decides over code and Secrets of its own namespace. What reaches beyond that, to nodes, to pods of others
and to identities outside of the cluster, is the admin's to give: the settings list it, and what is not listed is
refused by a condition that names the place.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agentic_core.errors import Problem
from agentic_core.resources import PodTemplate, WorkflowSpec
from agentic_core.strict_json import escape_part

EVERYTHING: Final = "*"
NOTHING: Final = "none"


@dataclass(frozen=True)
class Listed:
    """Names that are allowed: exact ones, and beginnings that end in ``*``."""

    names: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Listed":
        """Read a comma-separated list, or ``none``; raise ``ValueError`` for a name that can match nothing."""
        if text.strip() == NOTHING:
            return cls()
        names = tuple(name.strip() for name in text.split(",") if name.strip())
        for name in names:
            if EVERYTHING in name[:-1] or any(each.isspace() for each in name):
                raise ValueError(f"{name!r} is no name: write names, or beginnings that end in '*'")
        return cls(names)

    @property
    def is_open(self) -> bool:
        """Whether everything is allowed, also what has no name."""
        return EVERYTHING in self.names

    def allows(self, name: str) -> bool:
        """Return whether a name is on the list."""
        return any(
            name.startswith(each.removesuffix(EVERYTHING)) if each.endswith(EVERYTHING) else name == each
            for each in self.names
        )

    def describe(self) -> str:
        """Return the list for people."""
        return ", ".join(self.names) or NOTHING


_ALL: Final = Listed((EVERYTHING,))


@dataclass(frozen=True)
class AllowedPods:
    """What the operator's settings let authors use."""

    priority_classes: Listed = field(default_factory=Listed)
    tolerations: Listed = field(default_factory=lambda: Listed(("nvidia.com/gpu", "amd.com/gpu", "google.com/tpu")))
    node_labels: Listed = _ALL
    runtime_classes: Listed = _ALL
    labels: Listed = _ALL
    annotations: Listed = _ALL
    has_shared_annotations: bool = False
    """Whether a definition's ``serviceAccountAnnotations`` still go onto the account that all runners share."""


def list_pod_problems(spec: WorkflowSpec | None, allowed: AllowedPods, account: str = "") -> list[Problem]:
    """Return what a definition asks of its pods and may not have; ``account`` runs in the shared one's place."""
    template = spec.pod_template if spec is not None else None
    if template is None:
        return []
    return [
        Problem(f"/spec/podTemplate/{pointer}", message)
        for pointer, message in (
            *_check_names(template, allowed),
            *_check_tolerations(template, allowed.tolerations),
            *_check_affinity(template.affinity, allowed.node_labels),
            *_check_account(template, allowed, account),
        )
    ]


def find_account(spec: WorkflowSpec | None, current: WorkflowSpec | None) -> str:
    """Return the service account that a definition names; empty if the shared one serves.

    A session that was pinned when annotations still went onto the shared account runs as what the definition names now.
    """
    template = spec.pod_template if spec is not None else None
    if template is None:
        return ""
    if template.service_account_name or not template.service_account_annotations:
        return template.service_account_name or ""
    newer = current.pod_template if current is not None else None
    return (newer.service_account_name if newer is not None else None) or ""


def _check_names(template: PodTemplate, allowed: AllowedPods) -> Iterator[tuple[str, str]]:
    for pointer, name, listed, setting in (
        ("priorityClassName", template.priority_class_name, allowed.priority_classes, "ALLOWED_PRIORITY_CLASSES"),
        ("runtimeClassName", template.runtime_class_name, allowed.runtime_classes, "ALLOWED_RUNTIME_CLASSES"),
    ):
        if name and not listed.allows(name):
            yield pointer, _refuse(name, listed, setting)
    for pointer, values, listed, setting in (
        ("nodeSelector", template.node_selector, allowed.node_labels, "ALLOWED_NODE_LABELS"),
        ("labels", template.labels, allowed.labels, "ALLOWED_POD_LABELS"),
        ("annotations", template.annotations, allowed.annotations, "ALLOWED_POD_ANNOTATIONS"),
    ):
        for name in values or ():
            if not listed.allows(name):
                yield f"{pointer}/{escape_part(name)}", _refuse(name, listed, setting)


def _check_tolerations(template: PodTemplate, listed: Listed) -> Iterator[tuple[str, str]]:
    for index, toleration in enumerate(template.tolerations):
        if not toleration.key and not listed.is_open:
            said = "a toleration without a key tolerates every taint, also those that keep pods off for a reason"
            yield f"tolerations/{index}", f"{said}; name the taint's key ({_list(listed, 'ALLOWED_TOLERATIONS')})"
        elif toleration.key and not listed.allows(toleration.key):
            yield f"tolerations/{index}/key", _refuse(toleration.key, listed, "ALLOWED_TOLERATIONS")


def _check_affinity(affinity: Mapping[str, Any] | None, listed: Listed) -> Iterator[tuple[str, str]]:
    for pointer, value in _walk(affinity or {}, "affinity"):
        parts = pointer.split("/")
        if parts[1:2] != ["nodeAffinity"]:
            if (parts[-1] == "namespaces" and value) or (parts[-1] == "namespaceSelector" and value is not None):
                yield pointer, "pods of other namespaces are none of this one's: leave it out"
        elif isinstance(value, dict) and "key" in value and not listed.allows(str(value["key"])):
            yield f"{pointer}/key", _refuse(str(value["key"]), listed, "ALLOWED_NODE_LABELS")


def _walk(value: object, pointer: str) -> Iterator[tuple[str, object]]:
    """Go through a value without recursion: an author chooses how deep it is."""
    pending: list[tuple[str, object]] = [(pointer, value)]
    while pending:
        place, found = pending.pop()
        yield place, found
        items: Iterable[tuple[object, object]] = ()
        if isinstance(found, dict):
            items = found.items()
        elif isinstance(found, list | tuple):
            items = enumerate(found)
        pending.extend((f"{place}/{escape_part(str(name))}", each) for name, each in items)


def _check_account(template: PodTemplate, allowed: AllowedPods, account: str) -> Iterator[tuple[str, str]]:
    if template.service_account_annotations and not allowed.has_shared_annotations and not account:
        yield (
            "serviceAccountAnnotations",
            (
                "all runners of the namespace share that service account, and what an annotation gives it. Annotate a"
                " service account for this workflow alone, let an admin mark it, and name it in serviceAccountName"
            ),
        )


def _refuse(name: str, listed: Listed, setting: str) -> str:
    return f"{name!r} is not among what authors may use ({_list(listed, setting)})"


def _list(listed: Listed, setting: str) -> str:
    return f"{listed.describe()}; an admin extends the operator's {setting}"
