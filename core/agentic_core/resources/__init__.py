"""The three resources as pydantic models; the committed CRDs are generated from them.

Definitions are imported when somebody asks for them: runners never do, and pay for every import with each start.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from agentic_core.resources.approval import Approval, ApprovalRule, EffectiveRule
from agentic_core.resources.meta import ObjectMeta, OwnerReference, Resource
from agentic_core.resources.pod import (
    EnvFromSource,
    EnvVar,
    LocalObjectReference,
    PodTemplate,
    ResourceRequirements,
    Workspace,
)
from agentic_core.resources.results import ResultRef, RunError
from agentic_core.resources.session import (
    AgenticSession,
    Answer,
    AnswerOption,
    ForkFrom,
    HistoryEntry,
    InputDeadline,
    Interrupt,
    Response,
    SessionSpec,
    SessionStatus,
    UserContext,
    WorkflowRef,
    WorkflowSnapshot,
)
from agentic_core.resources.turns import CurrentTurn, Turn, TurnCommand, TurnEnd, TurnRecord

if TYPE_CHECKING:
    from agentic_core.resources.workflow import (
        CheckpointTtl,
        ClusterWorkflowDefinition,
        DeadlineAnswers,
        GraphDrawing,
        IgnoredSetting,
        ProjectStatus,
        RunDefaults,
        WorkflowDefinition,
        WorkflowSpec,
        WorkflowStatus,
    )

__all__ = [
    "AgenticSession",
    "Answer",
    "AnswerOption",
    "Approval",
    "ApprovalRule",
    "CheckpointTtl",
    "ClusterWorkflowDefinition",
    "CurrentTurn",
    "DeadlineAnswers",
    "EffectiveRule",
    "EnvFromSource",
    "EnvVar",
    "ForkFrom",
    "GraphDrawing",
    "HistoryEntry",
    "IgnoredSetting",
    "InputDeadline",
    "Interrupt",
    "LocalObjectReference",
    "ObjectMeta",
    "OwnerReference",
    "PodTemplate",
    "ProjectStatus",
    "Resource",
    "ResourceRequirements",
    "Response",
    "ResultRef",
    "RunDefaults",
    "RunError",
    "SessionSpec",
    "SessionStatus",
    "Turn",
    "TurnCommand",
    "TurnEnd",
    "TurnRecord",
    "UserContext",
    "WorkflowDefinition",
    "WorkflowRef",
    "WorkflowSnapshot",
    "WorkflowSpec",
    "WorkflowStatus",
    "Workspace",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("agentic_core.resources.workflow"), name)
