"""The snapshot of a definition in a session's status: what shapes its pods, fixed when it started.

A later run is built from this alone, so that it is the same whatever happened to the definition since.
"""

from typing import Any

from agentic_core.contract import MAX_PINNED_SPEC_BYTES
from agentic_core.resources import WorkflowSnapshot, WorkflowSpec
from agentic_core.strict_json import encode_json
from agentic_operator.images import InvalidImage, parse_image
from agentic_operator.manifests.jobs import Definition

# What says how new sessions are made or shown, and nothing about a pod or the answers of people.
_NOT_PINNED = {
    "display_name",
    "description",
    "tags",
    "version",
    "input_schema",
    "output_schema",
    "ui_schema",
    "max_active_sessions",
    "suspend",
    "inspection",
}


def pin_spec(spec: WorkflowSpec) -> dict[str, Any] | None:
    """Return what is pinned of a definition; None if that is too much for a status."""
    pinned = spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True, exclude=_NOT_PINNED)
    return pinned if len(encode_json(pinned)) <= MAX_PINNED_SPEC_BYTES else None


def find_spec(snapshot: WorkflowSnapshot | None, definition: Definition | None) -> WorkflowSpec | None:
    """Return the definition's spec as the session pinned it, or as it is now if nothing is pinned yet."""
    if snapshot is not None and snapshot.spec is not None:
        return WorkflowSpec.model_validate(snapshot.spec)
    return definition.spec if definition is not None else None


def pin_image(image: str, image_id: str) -> str | None:
    """Return the image by digest: the one that it names itself, else the kubelet's for the same repository.

    An index of several platforms stays the index: what one node took of it is nothing to nodes of another.
    Images that were loaded rather than pulled carry an id that no registry and no other node knows: they stay by tag.
    """
    try:
        wanted, found = parse_image(image), parse_image(image_id.removeprefix("docker-pullable://"))
    except InvalidImage:
        return None
    if wanted.digest is not None:
        return f"{wanted.registry}/{wanted.repository}@{wanted.digest}"
    if found.digest is None or (wanted.registry, wanted.repository) != (found.registry, found.repository):
        return None
    return f"{wanted.registry}/{wanted.repository}@{found.digest}"
