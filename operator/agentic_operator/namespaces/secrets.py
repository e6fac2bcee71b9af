"""Secrets that the operator makes in namespaces: known by a label, changed only where they are still its own."""

import base64
from collections.abc import Mapping
from typing import Any

from agentic_core.conditions import Reason
from agentic_core.errors import TransientError
from agentic_core.names import MANAGED_BY, MANAGED_BY_LABEL
from agentic_operator.kube.client import SECRETS, Json, Kube
from agentic_operator.kube.errors import AlreadyExists, Blocked


def is_ours(raw: Mapping[str, Any]) -> bool:
    """Return whether the operator made an object, and so may change it."""
    return bool((raw["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) == MANAGED_BY)


def read_text(secret: Json, place: str, name: str, key: str) -> str:
    """Return the text of a key of a Secret; raise :class:`Blocked` with both names if it is missing."""
    encoded = (secret.get("data") or {}).get(key)
    if not encoded:
        raise Blocked(
            Reason.SECRET_MISSING,
            f"Secret {name!r} in {place!r} has nothing under {key!r}: add that key, and it starts by itself",
        )
    try:
        return base64.b64decode(encoded).decode()
    except UnicodeDecodeError:
        raise Blocked(
            Reason.SECRET_INVALID, f"Secret {name!r} in {place!r} holds no text under {key!r}: replace it"
        ) from None


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
