"""WorkflowDefinition and ClusterWorkflowDefinition: what can be run, declared once."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from agentic_core.conditions import CONDITION_LIST, Condition
from agentic_core.names import MAX_DEFINITION_NAME
from agentic_core.resources.approval import DefinedRule
from agentic_core.resources.graph_config import GraphConfig, GraphContext
from agentic_core.resources.meta import Resource
from agentic_core.resources.pod import (
    ENV_NAME,
    MANY,
    RESERVED_ENV_MESSAGE,
    EnvFromSource,
    EnvVar,
    LocalObjectReference,
    PlainVar,
    PodTemplate,
    ResourceRequirements,
    Workspace,
    reserved_env_rule,
)
from agentic_core.times import Time
from agentic_core.wire import AnyJson, ApiModel, Count, Generation, JsonObject, LongText

DEFINITION_NAME_RULE = {
    "rule": f"self.metadata.name.size() <= {MAX_DEFINITION_NAME}"
    " && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
    "message": f"the name must be a DNS label of at most {MAX_DEFINITION_NAME} characters:"
    " lower-case letters, digits and '-'",
}

SESSION_ENV_RULE: dict[str, Any] = {
    "rule": "!has(self.sessionEnv) || !has(self.env) || self.env.all(e, !(e.name in self.sessionEnv))",
    "message": "sessionEnv lists a variable that env sets: what the definition sets stands; leave it out of one",
    "fieldPath": ".sessionEnv",
}


class RunDefaults(ApiModel):
    """Values for sessions that do not say their own."""

    timeout_seconds: Annotated[
        int | None,
        Field(ge=1, le=31_536_000, description="How long a run may execute. Waiting for people does not count."),
    ] = None
    retries: Annotated[
        int | None, Field(ge=0, le=100, description="How often a failed attempt is repeated from its last checkpoint.")
    ] = None
    ttl_seconds_after_finished: Annotated[
        int | None, Field(ge=0, le=315_360_000, description="When a finished session is deleted; never where absent.")
    ] = None
    keep_warm_seconds: Annotated[
        int | None, Field(ge=0, le=3600, description="How long a pod stays for a quick answer to its question.")
    ] = None
    config: Annotated[
        GraphConfig | None,
        Field(description="LangGraph's config: a session's own is put over it key by key."),
    ] = None
    context: GraphContext = None


class DeadlineAnswers(ApiModel):
    """What a deadline may answer for people: whoever starts a session could else answer its questions in advance."""

    values: Annotated[
        tuple[AnyJson, ...],
        Field(
            max_length=16,
            description="The answers that sessions may choose from.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    any: Annotated[bool, Field(description="Whether sessions may choose any answer.")] = False


class Inspection(ApiModel):
    """What the inspection is given, and no session."""

    env: Annotated[
        tuple[PlainVar, ...],
        Field(
            max_length=64,
            description="Variables over those of env and envFrom, for what an import demands: made-up keys, say.",
            json_schema_extra=MANY,
        ),
    ] = ()


class SessionApi(ApiModel):
    """What the gateway shows of sessions, beside their resource, events and results."""

    state: Annotated[
        Literal["None", "Latest", "History"] | None,
        Field(
            description="What of the state may be read, by who has the right to get agenticsessions/state. None, where"
            " absent. Latest: the output channels at questions, at the ends of turns, and once a second. History: those"
            " of each checkpoint, too. Nothing of sessions whose state is encrypted."
        ),
    ] = None
    stream_tokens: Annotated[
        bool | None,
        Field(
            description="Whether models are asked for their answers token by token, so that messages are in the event"
            " log; true where absent. With false models are called as the graph's code calls them."
        ),
    ] = None


class WorkflowSpec(ApiModel):
    """What to run and how."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [SESSION_ENV_RULE]})

    display_name: Annotated[str | None, Field(max_length=128, description="A name for people.")] = None
    description: Annotated[LongText | None, Field(description="What the workflow is for.")] = None
    version: Annotated[str | None, Field(max_length=64, description="The author's version of the workflow.")] = None
    tags: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=64)], ...],
        Field(max_length=32, description="Words to find it by.", json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    image: Annotated[
        str,
        Field(
            min_length=1,
            max_length=512,
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$",
            description="Image that holds the LangGraph project, by tag or digest.",
        ),
    ]
    image_pull_policy: Annotated[
        Literal["Always", "IfNotPresent", "Never"] | None, Field(description="As of a container.")
    ] = None
    image_pull_secrets: Annotated[
        tuple[LocalObjectReference, ...],
        Field(max_length=8, description="Secrets with registry credentials.", json_schema_extra=MANY),
    ] = ()
    graph: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=256,
            pattern=r"^[^\x00-\x1f\x7f]+$",
            description="A key of the image's langgraph.json, or package.module:attribute. Optional when there is only"
            " one graph.",
        ),
    ] = None
    input_schema: Annotated[
        JsonObject | None,
        Field(
            description="JSON Schema of the inputs: of the draft that $schema names, 2020-12 without. Where absent, the"
            " graph itself decides. At most 64 KiB."
        ),
    ] = None
    output_schema: Annotated[JsonObject | None, Field(description="JSON Schema of the result. At most 64 KiB.")] = None
    ui_schema: Annotated[JsonObject | None, Field(description="Hints for forms that are made from inputSchema.")] = None
    env: Annotated[
        tuple[EnvVar, ...], Field(max_length=64, description="Environment variables.", json_schema_extra=MANY)
    ] = ()
    env_from: Annotated[
        tuple[EnvFromSource, ...],
        Field(
            max_length=16,
            description="ConfigMaps and Secrets whose keys become variables.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    session_env: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=128, pattern=ENV_NAME)], ...],
        Field(
            max_length=64,
            description="Names of the variables that sessions may set by their env; none where absent. What the"
            " definition or its image sets stands.",
            json_schema_extra={
                "x-kubernetes-list-type": "set",
                "x-kubernetes-validations": [
                    {"rule": f"self.all(n, {reserved_env_rule('n')})", "message": RESERVED_ENV_MESSAGE}
                ],
            },
        ),
    ] = ()
    inspection: Annotated[Inspection | None, Field(description="What the inspection is given, and no session.")] = None
    resources: Annotated[ResourceRequirements | None, Field(description="Requests and limits of the runner.")] = None
    pod_template: Annotated[PodTemplate | None, Field(description="Where and how the pods run.")] = None
    workspace: Annotated[
        Workspace | None,
        Field(description="A volume per session, kept over its pods; an emptyDir of one pod where absent."),
    ] = None
    defaults: Annotated[RunDefaults | None, Field(description="Values for sessions that do not say their own.")] = None
    deadline_answers: Annotated[
        DeadlineAnswers | None,
        Field(
            description="What inputDeadline of sessions may answer where nobody did in time; nothing where absent, so"
            " that a deadline can only fail a session."
        ),
    ] = None
    approval: Annotated[
        DefinedRule | None,
        Field(
            description="Who has to answer the questions of sessions; a question's own rule adds to it. Anybody who may"
            " answer where absent."
        ),
    ] = None
    max_active_sessions: Annotated[
        int | None,
        Field(
            ge=0, le=100_000, description="How many sessions run at once; further ones queue. No limit where absent."
        ),
    ] = None
    suspend: Annotated[bool | None, Field(description="While true, no new session starts.")] = None
    api: Annotated[
        SessionApi | None, Field(description="What the gateway shows of sessions, beside resource, events and results.")
    ] = None
    reports_to: Annotated[
        Literal["APIServer", "Gateway"] | None,
        Field(
            description="To whom the runner speaks. APIServer, where absent: it reads and writes its session there."
            " Gateway: a runner of another kind has a token for the gateway alone, and BACKEND_URL names that."
        ),
    ] = None


class GraphDrawing(ApiModel):
    """The graph as the inspection saw it."""

    nodes: Annotated[
        tuple[Annotated[str, Field(max_length=256)], ...], Field(max_length=1000, description="Names of the nodes.")
    ] = ()
    edges: Annotated[
        tuple[Annotated[str, Field(max_length=600)], ...],
        Field(max_length=4000, description="Edges, 'from -> to'; conditional ones end in ' ?'."),
    ] = ()
    mermaid: Annotated[str | None, Field(max_length=65536, description="A drawing in Mermaid's language.")] = None


class IgnoredSetting(ApiModel):
    """A setting of the project that has no effect here."""

    setting: Annotated[str, Field(max_length=256, description="JSON pointer into langgraph.json.")]
    message: Annotated[str, Field(max_length=1024, description="Why it has no effect, and what to do instead.")]


class CheckpointTtl(ApiModel):
    """How long the checkpoints of sessions that ended are kept, by the project's own word."""

    strategy: Annotated[
        Literal["delete", "keep_latest"], Field(description="Whether all of them go, or all but the last.")
    ]
    seconds: Annotated[int, Field(ge=1, le=3_153_600_000, description="How long a session must have been idle.")]


class ProjectStatus(ApiModel):
    """What the inspection found in the project's settings."""

    ignored: Annotated[
        tuple[IgnoredSetting, ...],
        Field(
            max_length=32,
            description="Settings that have no effect.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    vector_dims: Annotated[
        int | None, Field(ge=1, le=16_000, description="Dimension of the vectors that store.index asks for.")
    ] = None
    checkpoint_ttl: Annotated[
        CheckpointTtl | None, Field(description="What checkpointer.ttl says of sessions that ended.")
    ] = None


class WorkflowStatus(ApiModel):
    """What the operator found out about a definition."""

    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=16,
            description="SchemaValid, ImageAllowed, PodAllowed, Inspected, ProjectSupported and Ready.",
            json_schema_extra=CONDITION_LIST,
        ),
    ] = ()
    observed_generation: Annotated[
        Generation | None, Field(description="The generation that this status speaks of.")
    ] = None
    graph: Annotated[GraphDrawing | None, Field(description="The graph, drawn.")] = None
    input_schema: Annotated[
        JsonObject | None, Field(description="Schema of the inputs, derived from the graph where spec gives none.")
    ] = None
    project: Annotated[
        ProjectStatus | None, Field(description="The project's settings; absent where its runner reports none.")
    ] = None
    config_schema: Annotated[
        JsonObject | None, Field(description="Schema of config.configurable, derived from the graph.")
    ] = None
    context_schema: Annotated[
        JsonObject | None, Field(description="Schema of context, derived from the graph; absent where it has none.")
    ] = None
    image_digest: Annotated[
        str | None, Field(max_length=512, description="The image by digest, as the inspection ran it.")
    ] = None
    langgraph_version: Annotated[str | None, Field(max_length=64, description="Version of LangGraph in the image.")] = (
        None
    )
    runner_contract: Annotated[
        Count | None, Field(description="Version of the contract that the image's runner keeps; 1 where absent.")
    ] = None
    active_sessions: Annotated[Count | None, Field(description="Sessions that hold a pod now.")] = None
    last_validated: Annotated[Time | None, Field(description="When the definition was last checked.")] = None


class WorkflowDefinition(Resource):
    """A LangGraph workflow of one namespace: an image, a graph, an input schema."""

    plural: ClassVar[str] = "workflowdefinitions"
    kind_name: ClassVar[str] = "WorkflowDefinition"

    kind: str = "WorkflowDefinition"
    spec: Annotated[WorkflowSpec, Field(description="What to run and how.")]
    status: Annotated[WorkflowStatus, Field(description="What the operator found out.", default_factory=WorkflowStatus)]


class ClusterWorkflowDefinition(Resource):
    """A LangGraph workflow for all namespaces: an image, a graph, an input schema."""

    plural: ClassVar[str] = "clusterworkflowdefinitions"
    kind_name: ClassVar[str] = "ClusterWorkflowDefinition"

    kind: str = "ClusterWorkflowDefinition"
    spec: Annotated[WorkflowSpec, Field(description="What to run and how.")]
    status: Annotated[WorkflowStatus, Field(description="What the operator found out.", default_factory=WorkflowStatus)]
