"""AgenticSession: one durable execution of a workflow."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from agentic_core.conditions import CONDITION_LIST, Condition
from agentic_core.contract import MAX_HISTORY
from agentic_core.digests import digest_question
from agentic_core.lifecycle import Phase, phase_rule
from agentic_core.names import MAX_DEFINITION_NAME, MAX_PODS, MAX_RUN, MAX_SESSION_NAME
from agentic_core.resources.approval import Approval
from agentic_core.resources.graph_config import GraphConfig, GraphContext, RunLimits
from agentic_core.resources.meta import Resource
from agentic_core.resources.pod import MANY, EnvVar, ResourceRequirements
from agentic_core.resources.results import ResultRef, RunError
from agentic_core.resources.turns import (
    MAX_RECORDS,
    MAX_USERNAME,
    ConversationSpec,
    CurrentTurn,
    Turn,
    TurnEnd,
    TurnRecord,
    only_in_conversations,
)
from agentic_core.threads import thread_id
from agentic_core.times import Time
from agentic_core.trail import Trail
from agentic_core.wire import (
    MAX_COUNT,
    AnyJson,
    ApiModel,
    Count,
    Generation,
    JsonObject,
    LongText,
    ShortText,
)

SESSION_NAME_RULE = {
    "rule": f"self.metadata.name.size() <= {MAX_SESSION_NAME}"
    " && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
    "message": f"the name must be a DNS label of at most {MAX_SESSION_NAME} characters:"
    " lower-case letters, digits and '-'",
}

# Nobody can be called so in an answer.
BY_DEADLINE = "inputDeadline"

# `inputs`, `config` and `context` hold any JSON, which CEL in a CRD cannot compare: an admission policy guards them.
IMMUTABLE = (
    "workflowRef",
    "mode",
    "createdBy",
    "userContext",
    "timeoutSeconds",
    "retries",
    "keepWarmSeconds",
    "inputDeadline",
    "forkFrom",
    "resources",
    "env",
)


def _immutable(field: str) -> dict[str, Any]:
    return {
        "rule": f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        "message": f"{field} cannot change once the session exists; delete it and make a new one",
        "fieldPath": f".{field}",
        "reason": "FieldValueForbidden",
    }


class WorkflowRef(ApiModel):
    """Which workflow a session runs."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_DEFINITION_NAME, description="Name of the definition.")]
    kind: Annotated[
        Literal["WorkflowDefinition", "ClusterWorkflowDefinition"],
        Field(description="Kind of the definition."),
    ] = "WorkflowDefinition"
    graph: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=256,
            pattern=r"^[^\x00-\x1f\x7f]+$",
            description="Another graph of the same image than the definition's.",
        ),
    ] = None


class UserContext(ApiModel):
    """For whom a session runs."""

    user_id: Annotated[str, Field(min_length=1, max_length=256, description="The user, as the platform names them.")]
    private: Annotated[bool, Field(description="Whether the thread belongs to this user alone.")] = False


class Response(ApiModel):
    """One person's answer to one interrupt.

    It is written as a whole: of two people who apply different answers one is told, and none is made of parts of both.
    """

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    interrupt_id: Annotated[
        str, Field(min_length=1, max_length=128, description="The id that status.interrupts shows.")
    ]
    by: Annotated[
        str,
        Field(
            max_length=MAX_USERNAME,
            description="Who answers: the writer's own name, as the API server knows them; admission refuses any other."
            " Empty where it is not stated.",
        ),
    ] = ""
    value: Annotated[AnyJson, Field(description="The answer, any JSON.")] = None
    digest: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9a-f]{64}$",
            max_length=64,
            description="SHA-256 of the question that is answered, in its canonical form: the answer is refused where"
            " another one is asked under the id. Any question of the id where absent.",
        ),
    ] = None


class InputDeadline(ApiModel):
    """How long a session waits for people."""

    seconds: Annotated[int, Field(ge=1, le=31_536_000, description="Seconds from the oldest open question.")]
    on_expiry: Annotated[Literal["Fail", "Resume"], Field(description="Fail the session, or resume it with value.")] = (
        "Fail"
    )
    value: Annotated[AnyJson, Field(description="The answer to give where onExpiry is Resume.")] = None


class ForkFrom(ApiModel):
    """Start from another session's checkpoint instead of from inputs."""

    session: Annotated[
        str, Field(min_length=1, max_length=MAX_SESSION_NAME, description="A session of the same namespace.")
    ]
    checkpoint_id: Annotated[
        str | None, Field(max_length=128, description="The checkpoint; the last one where absent.")
    ] = None
    values: Annotated[JsonObject | None, Field(description="State values to change before going on.")] = None
    as_node: Annotated[
        ShortText | None,
        Field(description="The node that counts as the writer of values; the last one that ran where absent."),
    ] = None


class SessionSpec(ConversationSpec):
    """What to run, with which inputs.

    All is fixed at creation but suspend, stop, responses, ttlSecondsAfterFinished and displayName, and of a
    conversation its turns, revision, close and idleDeadlineSeconds.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                *(_immutable(field) for field in IMMUTABLE),
                only_in_conversations("turns", is_list=True),
                *(only_in_conversations(field) for field in ("idleDeadlineSeconds", "close", "revision")),
            ]
        }
    )

    workflow_ref: Annotated[WorkflowRef, Field(description="The workflow.")]
    inputs: Annotated[
        AnyJson,
        Field(
            description="The inputs, any JSON that the workflow's input schema takes. At most 256 KiB. Conversations"
            " take theirs in turns."
        ),
    ] = None
    config: Annotated[
        GraphConfig | None, Field(description="LangGraph's config, beside the definition's defaults.config.")
    ] = None
    context: GraphContext = None
    display_name: Annotated[str | None, Field(max_length=128, description="A name for people.")] = None
    created_by: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=MAX_USERNAME,
            description="Who asked for the session: the writer's own name, as the API server knows them; admission"
            " refuses any other. Absent where it is not stated.",
        ),
    ] = None
    user_context: Annotated[UserContext | None, Field(description="For whom it runs.")] = None
    timeout_seconds: Annotated[
        int | None,
        Field(ge=1, le=31_536_000, description="How long a run may execute. Waiting for people does not count."),
    ] = None
    retries: Annotated[
        int | None, Field(ge=0, le=100, description="How often a failed attempt is repeated from its last checkpoint.")
    ] = None
    ttl_seconds_after_finished: Annotated[
        int | None,
        Field(ge=0, le=315_360_000, description="When the finished session is deleted; never where absent."),
    ] = None
    keep_warm_seconds: Annotated[
        int | None, Field(ge=0, le=3600, description="How long the pod stays for a quick answer to its question.")
    ] = None
    suspend: Annotated[bool | None, Field(description="While true, the session holds no pod.")] = None
    stop: Annotated[bool | None, Field(description="True ends the session as Stopped; it cannot be taken back.")] = None
    responses: Annotated[
        tuple[Response, ...],
        Field(
            max_length=256,
            description="Answers to status.interrupts. Anyone who may patch the session can answer; Git never declares"
            " them.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["interruptId", "by"]},
        ),
    ] = ()
    input_deadline: Annotated[InputDeadline | None, Field(description="How long it waits for people.")] = None
    fork_from: Annotated[ForkFrom | None, Field(description="Start from another session's checkpoint.")] = None
    resources: Annotated[
        ResourceRequirements | None, Field(description="Requests and limits instead of the definition's.")
    ] = None
    env: Annotated[
        tuple[EnvVar, ...],
        Field(
            max_length=64,
            description="Variables that the definition lists in sessionEnv, with plain values.",
            json_schema_extra=MANY,
        ),
    ] = ()


class WorkflowSnapshot(ApiModel):
    """The workflow as it was when the session started; every later run of the session uses this."""

    image: Annotated[str, Field(max_length=512, description="The image, as the definition named it.")]
    image_digest: Annotated[
        str | None,
        Field(max_length=512, description="The image by digest, as the first run or inspection resolved it."),
    ] = None
    graph: Annotated[str | None, Field(max_length=256, description="The graph.")] = None
    generation: Annotated[Generation | None, Field(description="Generation of the definition.")] = None
    version: Annotated[str | None, Field(max_length=64, description="The author's version of the workflow.")] = None
    runner_contract: Annotated[
        Count | None,
        Field(description="Version of the contract that the image's runner keeps, as inspected; 1 where absent."),
    ] = None
    spec: Annotated[
        JsonObject | None,
        Field(description="What the definition said of pods, workspace and defaults when the session started."),
    ] = None


class AnswerOption(ApiModel):
    """One of the complete answers that a question offers."""

    value: Annotated[AnyJson, Field(description="The answer.")] = None
    label: Annotated[ShortText, Field(description="The answer, for people.")]


class Interrupt(ApiModel):
    """A question that the graph asks a person."""

    id: Annotated[str, Field(max_length=128, description="Id to answer by.")]
    node: Annotated[ShortText | None, Field(description="The node that asks.")] = None
    value: Annotated[AnyJson, Field(description="What the graph asks, as interrupt() was given it.")] = None
    prompt: Annotated[LongText | None, Field(description="The question in words.")] = None
    options: Annotated[
        tuple[AnswerOption, ...],
        Field(
            max_length=64,
            description="Complete answers to choose from. The schema may take others.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    schema_: Annotated[
        JsonObject | None, Field(alias="schema", description="JSON Schema of the answer; any answer where absent.")
    ] = None
    approval: Annotated[
        AnyJson,
        Field(description="The question's own approval rule, as the value has it; what counts is in status.approvals."),
    ] = None
    asked_at: Annotated[Time | None, Field(description="When it was asked.")] = None
    answer: Annotated[
        AnyJson, Field(description="The answer that was accepted, and that the graph goes on with; it never changes.")
    ] = None
    answered_at: Annotated[Time | None, Field(description="When the answer was accepted.")] = None
    answered_by: Annotated[
        ShortText | None,
        Field(
            description="Who answered, as admission made sure; absent where they did not state it, inputDeadline where"
            " nobody did in time."
        ),
    ] = None
    resumed_at: Annotated[Time | None, Field(description="When a run went on with the answer.")] = None

    def digest(self) -> str:
        """Return the digest of what the question shows; ``docs/human-input.md`` says how anybody can make it."""
        options = [each.to_wire() for each in self.options]
        return digest_question(self.prompt, self.value, options, self.schema_)

    @property
    def is_open(self) -> bool:
        """Whether nobody has answered."""
        return self.answered_at is None

    @property
    def is_pending(self) -> bool:
        """Whether an answer is there that no run has taken yet."""
        return self.answered_at is not None and self.resumed_at is None


class Answer(ApiModel):
    """An answer that was accepted, as the operator recorded it. No runner can write it."""

    interrupt_id: Annotated[str, Field(max_length=128, description="The question's id.")]
    by: Annotated[
        str,
        Field(
            max_length=MAX_USERNAME,
            description="Who answered, as admission made sure; empty where they did not state it, inputDeadline where"
            " nobody did in time.",
        ),
    ] = ""
    value: Annotated[
        AnyJson,
        Field(
            description="The answer. Where the list grows too long, whole entries go: old ones that were acted upon."
        ),
    ] = None
    at: Annotated[Time | None, Field(description="When it was accepted.")] = None
    digest: Annotated[
        str | None, Field(max_length=64, description="SHA-256 of the question as it was then, in its canonical form.")
    ] = None


class HistoryEntry(ApiModel):
    """A checkpoint of the session, to fork from."""

    id: Annotated[str, Field(max_length=128, description="The checkpoint, for forkFrom.checkpointId.")]
    step: Annotated[
        int | None,
        Field(
            ge=-MAX_COUNT,
            le=MAX_COUNT,
            description="LangGraph's number of the super-step: -1 for the inputs, from 1 for nodes.",
        ),
    ] = None
    node: Annotated[ShortText | None, Field(description="The nodes that wrote it.")] = None
    next: Annotated[
        ShortText | None, Field(description="The nodes that run after it; absent where the graph has ended.")
    ] = None
    at: Annotated[Time | None, Field(description="When it was saved.")] = None


class SessionStatus(ApiModel):
    """How a session stands."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": phase_rule(),
                    "messageExpression": "'phase cannot change from ' + oldSelf.phase + ' to '"
                    " + (has(self.phase) ? self.phase : 'nothing')",
                    "message": "this change of phase is not legal",
                    "fieldPath": ".phase",
                }
            ]
        }
    )

    phase: Annotated[Phase | None, Field(description="Where the session is in its life.")] = None
    reason: Annotated[str | None, Field(max_length=64, description="Why, as a stable PascalCase word.")] = None
    message: Annotated[LongText | None, Field(description="Why, for people.")] = None
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=16,
            description="Accepted, Scheduled, Running, WaitingForInput, InputAccepted, TurnAccepted, CheckpointsLost,"
            " Complete, Failed and Expired.",
            json_schema_extra=CONDITION_LIST,
        ),
    ] = ()
    observed_generation: Annotated[
        Generation | None, Field(description="The generation that this status speaks of.")
    ] = None
    run: Annotated[int | None, Field(ge=0, le=MAX_RUN, description="Which run this is, from 1.")] = None
    restarts: Annotated[
        Count | None, Field(description="Runs in a row that ended without a verdict, each followed by the next.")
    ] = None
    withdrawn_run: Annotated[
        int | None,
        Field(
            ge=0,
            le=MAX_RUN,
            description="Jobs of runs up to this one were deleted by the operator itself: that they are gone is no"
            " loss.",
        ),
    ] = None
    job_name: Annotated[str | None, Field(max_length=63, description="Job of this run.")] = None
    pod_uids: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=64)], ...],
        Field(
            max_length=MAX_PODS,
            description="Pods of this run's Job, by uid: once there are any, no other pod writes this status.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    thread_id: Annotated[str | None, Field(max_length=1024, description="LangGraph's thread id.")] = None
    workflow: Annotated[WorkflowSnapshot | None, Field(description="The pinned workflow.")] = None
    limits: Annotated[RunLimits | None, Field(description="What ends a run that would go on for ever.")] = None
    start_time: Annotated[Time | None, Field(description="When the first run started.")] = None
    resumed_at: Annotated[
        Time | None, Field(description="When a conversation was last taken out of its suspension without a turn.")
    ] = None
    completion_time: Annotated[Time | None, Field(description="When the session ended.")] = None
    current_node: Annotated[ShortText | None, Field(description="A node that runs now.")] = None
    progress: Annotated[
        str | None, Field(max_length=16, description="How far the workflow says it is, for instance 40%.")
    ] = None
    steps: Annotated[Count | None, Field(description="Super-steps done.")] = None
    checkpoint_id: Annotated[str | None, Field(max_length=128, description="The last checkpoint.")] = None
    last_seq: Annotated[
        Annotated[int, Field(ge=0, le=2**53 - 1)] | None,
        Field(
            description="Number of the last event that was stored when the runner last wrote. No later event has it."
        ),
    ] = None
    question: Annotated[ShortText | None, Field(description="What is asked and not answered yet, in one line.")] = None
    interrupts: Annotated[
        tuple[Interrupt, ...],
        Field(
            max_length=256,
            description="Questions to people, answered ones included.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]},
        ),
    ] = ()
    answers: Annotated[
        tuple[Answer, ...],
        Field(
            max_length=256,
            description="The answers that were accepted, written by the operator alone; what runs go on with.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["interruptId", "by"]},
        ),
    ] = ()
    approvals: Annotated[
        tuple[Approval, ...],
        Field(
            max_length=256,
            description="Who has to answer which question, written by the operator alone once it is asked; what"
            " admission holds answers against.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["interruptId"]},
        ),
    ] = ()
    trail: Annotated[
        Trail | None,
        Field(
            description="The trail of who answered what: its head, and what the database does not have yet; written by"
            " the operator alone."
        ),
    ] = None
    turn_count: Annotated[Count | None, Field(description="How many turns of a conversation began.")] = None
    turn: Annotated[
        CurrentTurn | None,
        Field(description="The turn that is on, written by the operator alone; what a runner runs, and nothing else."),
    ] = None
    turn_end: Annotated[
        TurnEnd | None, Field(description="How the last turn ended, as its runner says; the operator records it.")
    ] = None
    turns: Annotated[
        tuple[TurnRecord, ...],
        Field(
            max_length=MAX_RECORDS,
            description="The turn that is on and the last 20 that ended, written by the operator alone.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    result: Annotated[
        AnyJson, Field(description="The result, up to 32 KiB of JSON; a conversation's is that of its last turn.")
    ] = None
    result_ref: Annotated[ResultRef | None, Field(description="Where a larger result is kept.")] = None
    error: Annotated[RunError | None, Field(description="Why it failed; a conversation's is its last turn's.")] = None
    history: Annotated[
        tuple[HistoryEntry, ...],
        Field(
            max_length=MAX_HISTORY,
            description="The last checkpoints, oldest first.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]},
        ),
    ] = ()

    def find_answer(self, interrupt: Interrupt) -> Any:
        """Return the accepted answer to a question that is not open.

        One that was accepted before answers were recorded apart stands in the question alone.
        """
        found = next((each for each in self.answers if each.interrupt_id == interrupt.id), None)
        return found.value if found is not None else interrupt.answer


class AgenticSession(Resource):
    """One durable execution of a LangGraph workflow.

    It runs in a pod of its own, checkpoints every super-step, and can wait for people without one.
    """

    plural: ClassVar[str] = "agenticsessions"
    kind_name: ClassVar[str] = "AgenticSession"

    kind: str = "AgenticSession"
    spec: Annotated[SessionSpec, Field(description="What to run, with which inputs.")]
    status: Annotated[SessionStatus, Field(description="How it stands.", default_factory=SessionStatus)]

    @property
    def is_conversation(self) -> bool:
        return self.spec.mode == "Conversation"

    def find_turn(self, name: str) -> Turn | None:
        """Return the turn of this name in ``spec.turns``; None where there is none."""
        return next((turn for turn in self.spec.turns if turn.name == name), None)

    @property
    def thread(self) -> str:
        """The thread of the session, derived from its names.

        ``status.threadId`` shows it to people. It is never read back: a status could name somebody else's thread.
        """
        user = self.spec.user_context
        return thread_id(self.namespace, self.name, user.user_id if user is not None and user.private else None)
