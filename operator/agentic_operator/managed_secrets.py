"""Secrets that the operator makes in namespaces: known by a label, changed only where they are still its own."""

from collections.abc import Mapping
from typing import Any

from agentic_core.errors import TransientError
from agentic_core.names import MANAGED_BY, MANAGED_BY_LABEL
from agentic_operator.kube import SECRETS, AlreadyExists, Json, Kube


def is_ours(raw: Mapping[str, Any]) -> bool:
    """Say whether the operator made an object, and so may change it."""
    return bool((raw["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) == MANAGED_BY)


async def write_secret(
    kube: Kube,
    namespace: str,
    name: str,
    there: Json | None,
    data: Mapping[str, str | None],
    annotations: Mapping[str, str | None],
) -> None:
    """Change the Secret that is ``there``, under the version that was read, or make it; None removes a key.

    Raises ``TransientError`` where somebody else was quicker.
    """
    if there is not None:
        metadata: Json = {"resourceVersion": there["metadata"]["resourceVersion"], "annotations": dict(annotations)}
        await kube.patch(SECRETS, namespace, name, {"metadata": metadata, "data": dict(data)})
        return
    metadata = {
        "name": name,
        "labels": {MANAGED_BY_LABEL: MANAGED_BY},
        "annotations": _without_removed(annotations),
    }
    try:
        body: Json = {"metadata": metadata, "type": "Opaque", "data": _without_removed(data)}
        await kube.create(SECRETS, namespace, body)
    except AlreadyExists as error:
        raise TransientError(f"somebody else made Secret {name!r} in {namespace!r} just now") from error


def _without_removed(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}
