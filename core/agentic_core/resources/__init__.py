"""The three resources as pydantic models; the committed CRDs are generated from them."""

from agentic_core.resources.meta import ObjectMeta, OwnerReference, Resource
from agentic_core.resources.pod import (
    EnvFromSource,
    EnvVar,
    LocalObjectReference,
    PodTemplate,
    ResourceRequirements,
    Workspace,
)
from agentic_core.resources.session import (
    AgenticSession,
    ForkFrom,
    InputDeadline,
    Interrupt,
    Response,
    ResultRef,
    RunError,
    SessionSpec,
    SessionStatus,
    UserContext,
    WorkflowRef,
    WorkflowSnapshot,
)
from agentic_core.resources.workflow import (
    ClusterWorkflowDefinition,
    GraphDrawing,
    RunDefaults,
    WorkflowDefinition,
    WorkflowSpec,
    WorkflowStatus,
)

__all__ = [
    "AgenticSession",
    "ClusterWorkflowDefinition",
    "EnvFromSource",
    "EnvVar",
    "ForkFrom",
    "GraphDrawing",
    "InputDeadline",
    "Interrupt",
    "LocalObjectReference",
    "ObjectMeta",
    "OwnerReference",
    "PodTemplate",
    "Resource",
    "ResourceRequirements",
    "Response",
    "ResultRef",
    "RunDefaults",
    "RunError",
    "SessionSpec",
    "SessionStatus",
    "UserContext",
    "WorkflowDefinition",
    "WorkflowRef",
    "WorkflowSnapshot",
    "WorkflowSpec",
    "WorkflowStatus",
    "Workspace",
]
