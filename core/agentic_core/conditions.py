"""Conditions and their stable reasons: what a status tells people and programs beyond the phase."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from agentic_core.times import Time
from agentic_core.wire import ApiModel, Generation

ConditionStatus = Literal["True", "False", "Unknown"]

CONDITION_LIST: Final[dict[str, Any]] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}


class Reason(StrEnum):
    """Why a condition or phase is what it is. A reason is an interface: it is added, never renamed."""

    # of a definition
    VALID = "Valid"
    INVALID_SCHEMA = "InvalidSchema"
    INVALID_SPEC = "InvalidSpec"
    IMAGE_ALLOWED = "ImageAllowed"
    IMAGE_NOT_ALLOWED = "ImageNotAllowed"
    POD_ALLOWED = "PodAllowed"
    POD_NOT_ALLOWED = "PodNotAllowed"
    INSPECTED = "Inspected"
    INSPECTING = "Inspecting"
    INSPECTION_FAILED = "InspectionFailed"
    GRAPH_LOAD_FAILED = "GraphLoadFailed"
    SUPPORTED = "Supported"
    SETTINGS_IGNORED = "SettingsIgnored"
    NOT_REPORTED = "NotReported"
    READY = "Ready"
    NOT_READY = "NotReady"

    # of a session before it runs
    ACCEPTED = "Accepted"
    INVALID_INPUT = "InvalidInput"
    UNKNOWN_INPUT = "UnknownInput"
    INVALID_CONFIG = "InvalidConfig"
    ENV_NOT_ALLOWED = "EnvNotAllowed"
    CREATOR_NOT_STATED = "CreatorNotStated"
    WORKFLOW_NOT_FOUND = "WorkflowNotFound"
    WORKFLOW_NOT_READY = "WorkflowNotReady"
    WORKFLOW_SUSPENDED = "WorkflowSuspended"
    GATEWAY_NOT_CONFIGURED = "GatewayNotConfigured"
    FORK_SOURCE_NOT_FOUND = "ForkSourceNotFound"
    QUEUED = "Queued"

    # of a run
    JOB_CREATED = "JobCreated"
    NAME_TAKEN = "NameTaken"
    FORBIDDEN = "Forbidden"
    QUOTA_EXCEEDED = "QuotaExceeded"
    OUTSIDE_LIMIT_RANGE = "OutsideLimitRange"
    ADMISSION_REFUSED = "AdmissionRefused"
    ADMISSION_UNAVAILABLE = "AdmissionUnavailable"
    NAMESPACE_TERMINATING = "NamespaceTerminating"
    NAMESPACE_NOT_PREPARED = "NamespaceNotPrepared"
    SERVICE_ACCOUNT_MISSING = "ServiceAccountMissing"
    SERVICE_ACCOUNT_NOT_ALLOWED = "ServiceAccountNotAllowed"
    SECRET_MISSING = "SecretMissing"  # noqa: S105  (a reason)
    SECRET_INVALID = "SecretInvalid"  # noqa: S105
    API_SERVER_UNAVAILABLE = "APIServerUnavailable"
    POD_NOT_STARTED = "PodNotStarted"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CONTAINER_CONFIG_ERROR = "ContainerConfigError"
    RUNNING = "Running"
    RETRYING = "Retrying"
    CHECKPOINTS_LOST = "CheckpointsLost"
    WAITING_FOR_INPUT = "WaitingForInput"
    INPUT_DEADLINE_EXCEEDED = "InputDeadlineExceeded"

    # of an answer
    ANSWERED = "Answered"
    INVALID_ANSWER = "InvalidAnswer"
    UNKNOWN_INTERRUPT = "UnknownInterrupt"
    ALREADY_ANSWERED = "AlreadyAnswered"
    TOO_LATE = "TooLate"
    APPROVALS_MISSING = "ApprovalsMissing"
    ANSWER_NOT_ALLOWED = "AnswerNotAllowed"
    GIVEN_TOO_EARLY = "GivenTooEarly"
    QUESTION_CHANGED = "QuestionChanged"
    TRAIL_BEHIND = "TrailBehind"
    TRAIL_CONFLICT = "TrailConflict"

    # of a conversation
    IDLE = "Idle"
    TURN_STARTED = "TurnStarted"
    TURN_COMPLETED = "TurnCompleted"
    TURN_FAILED = "TurnFailed"
    TURN_CANCELED = "TurnCanceled"
    TURN_REFUSED = "TurnRefused"
    TURN_ACCEPTED = "TurnAccepted"
    TURN_NAME_USED = "TurnNameUsed"
    INVALID_TURN = "InvalidTurn"
    RUNNER_TOO_OLD = "RunnerTooOld"
    TOO_MANY_CONVERSATIONS = "TooManyConversations"
    CLOSED = "Closed"
    IDLE_DEADLINE_EXCEEDED = "IdleDeadlineExceeded"

    # of an end
    COMPLETED = "Completed"
    GRAPH_ERROR = "GraphError"
    RECURSION_LIMIT_REACHED = "RecursionLimitReached"
    OUTPUT_TOO_LARGE = "OutputTooLarge"
    OOM_KILLED = "OOMKilled"
    EVICTED = "Evicted"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    RUNNER_LOST = "RunnerLost"
    RUNNER_MISCONFIGURED = "RunnerMisconfigured"
    DATABASE_UNAVAILABLE = "DatabaseUnavailable"
    DATABASE_NOT_MIGRATED = "DatabaseNotMigrated"
    RESULT_STORE_UNAVAILABLE = "ResultStoreUnavailable"
    SUSPENDED = "Suspended"
    STOPPED_BY_USER = "StoppedByUser"
    DECLARED_ELSEWHERE = "DeclaredElsewhere"


class Condition(ApiModel):
    """One observation of the latest state, in the form of Kubernetes' own conditions."""

    type: Annotated[str, Field(max_length=64, description="The aspect this condition speaks of.")]
    status: Annotated[ConditionStatus, Field(description="True, False, or Unknown where it could not be looked at.")]
    reason: Annotated[str, Field(max_length=64, description="A stable PascalCase word for programs.")]
    message: Annotated[str, Field(max_length=4096, description="What happened and what to do, for people.")] = ""
    last_transition_time: Annotated[Time, Field(description="When status last changed.")]
    observed_generation: Annotated[
        Generation | None, Field(description="The metadata.generation that this condition was computed from.")
    ] = None


def with_condition(conditions: Iterable[Condition], new: Condition) -> list[Condition]:
    """Return ``conditions`` with ``new`` in the place of its type; its time stays where the status did not change."""
    kept = list(conditions)
    for index, old in enumerate(kept):
        if old.type == new.type:
            if old.status == new.status:
                new = new.model_copy(update={"last_transition_time": old.last_transition_time})
            kept[index] = new
            return kept
    return [*kept, new]


def find_condition(conditions: Iterable[Condition], type_: str) -> Condition | None:
    """Return the condition of this type; None without one."""
    return next((condition for condition in conditions if condition.type == type_), None)
