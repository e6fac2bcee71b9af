"""Paths of objects that other objects name; a name that could be none never becomes part of a path."""

from collections.abc import Mapping
from typing import Any, Final

from agentic_gateway.kube.client import is_name, object_path

DEFINITIONS: Final = "workflowdefinitions"
CLUSTER_DEFINITIONS: Final = "clusterworkflowdefinitions"


def find_definition_path(reference: Mapping[str, Any], namespace: str) -> str | None:
    """Return the path of the definition that a session's ``workflowRef`` names; None for what can be no name."""
    name = reference.get("name")
    if not isinstance(name, str) or not is_name(name):
        return None
    if reference.get("kind") == "ClusterWorkflowDefinition":
        return object_path(CLUSTER_DEFINITIONS, "", name)
    return object_path(DEFINITIONS, namespace, name)
