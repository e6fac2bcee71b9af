"""Whether a session is declared outside of the cluster (Argo CD, Helm, Flux), so that a sync would make it again.

A session that its time to live deletes, and that a repository still holds, comes back with the next sync under a new
identity and runs anew. So such a session stays after its end, until it goes where it is declared. It is told by the
marks that the usual tools leave on what they apply; the annotation ``agentic-operator.dev/declared`` says it outright,
``"true"`` or ``"false"``, and counts before all marks (decision 24).
"""

from collections.abc import Collection
from typing import Final

from agentic_core.names import DECLARED_ANNOTATION
from agentic_core.resources.meta import ObjectMeta

# Made by a sync rather than declared by it: a hook that is gone is not missed.
_HOOKS: Final = ("argocd.argoproj.io/hook", "helm.sh/hook")
_ANNOTATIONS: Final = (
    "argocd.argoproj.io/tracking-id",
    "meta.helm.sh/release-name",
    "configsync.gke.io/resource-id",
    "configmanagement.gke.io/managed",
    "objectset.rio.cattle.io/id",
    "kapp.k14s.io/identity",
)
_LABELS: Final = (
    "kustomize.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/name",
    "objectset.rio.cattle.io/hash",
    "applyset.kubernetes.io/part-of",
)
# ArgoCD's older way. The label is common, also on what nobody declares: only what was applied counts.
_INSTANCE: Final = "app.kubernetes.io/instance"
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_ARGOCD: Final = "argocd"


def find_declaration(metadata: ObjectMeta, managers: Collection[str] = ()) -> str | None:
    """Return the mark by which a session is declared elsewhere; None if it has none.

    ``managers`` are the names in its ``metadata.managedFields``.
    """
    labels, annotations = metadata.labels, metadata.annotations
    match annotations.get(DECLARED_ANNOTATION):
        case "true":
            return DECLARED_ANNOTATION
        case "false":
            return None
    if any(name in annotations for name in _HOOKS):
        return None
    for name in _ANNOTATIONS:
        if name in annotations:
            return name
    for name in _LABELS:
        if name in labels:
            return name
    was_applied = _LAST_APPLIED in annotations or any(each.startswith(_ARGOCD) for each in managers)
    return _INSTANCE if _INSTANCE in labels and was_applied else None
