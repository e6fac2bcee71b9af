"""Fetching the definition whose schema types and checks inputs, if the user may read it."""

from collections.abc import Mapping
from typing import Any

from agentic_cli.interaction.target import Project
from agentic_cli.kube.errors import Forbidden, NotFound
from agentic_cli.model.kinds import CLUSTER_WORKFLOWS
from agentic_cli.model.sessions import Session, Workflow
from agentic_cli.output import terminal
from agentic_core.errors import PermanentError
from agentic_core.input_rules import InputRules


def fetch_definition(project: Project, name: str, *, cluster: bool) -> Workflow | None:
    """Return the definition; None, with a word about it, for a user who may start sessions but not read definitions."""
    try:
        return project.fetch_workflow(name, cluster=cluster)
    except Forbidden:
        terminal.note(f"the workflow {name!r} cannot be read, so its inputs are sent unchecked")
        return None
    except NotFound as missing:
        if not cluster and has_cluster_workflow(project, name):
            raise NotFound(f"{missing}; there is a ClusterWorkflowDefinition of this name: add --cluster") from None
        raise


def find_definition(project: Project, session: Session) -> Workflow | None:
    """Return the definition of a session; None if it is deleted or the user may not read it."""
    try:
        return project.fetch_workflow(session.workflow, cluster=session.workflow_kind == CLUSTER_WORKFLOWS.kind)
    except (Forbidden, NotFound):
        return None


def has_cluster_workflow(project: Project, name: str) -> bool:
    """Return whether there is a ClusterWorkflowDefinition of this name that the user may read."""
    try:
        project.fetch_workflow(name, cluster=True)
    except PermanentError:
        return False
    return True


def find_derived(definition: Workflow | None, graph: str | None) -> Mapping[str, Any]:
    """Return the status with the schemas of config and context; of another graph nothing is known."""
    if definition is None or (graph is not None and graph != definition.spec.get("graph")):
        return {}
    return definition.raw.get("status") or {}


def find_rules(definition: Workflow | None, graph: str | None) -> InputRules:
    """Return by what the inputs are judged; of another graph than the inspected one nothing is known."""
    if definition is None:
        return InputRules()
    is_inspected = graph is None or graph == definition.spec.get("graph")
    return definition.rules if definition.rules.is_declared or is_inspected else InputRules()


def find_graph(session: Session) -> str | None:
    """Return the graph that a session names, None if it runs the definition's."""
    return (session.spec.get("workflowRef") or {}).get("graph")
