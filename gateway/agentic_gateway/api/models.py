"""Bodies of requests and answers that are no custom resources; they become the OpenAPI's schemas."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from agentic_gateway.problems import FieldProblem

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"


class Body(BaseModel):
    """A body that people send: what is not known is refused, so that no typing error is lost."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class NewMetadata(Body):
    """Name and labels of a new object."""

    name: str | None = Field(None, pattern=NAME_PATTERN, description="Its name; made from generateName if absent.")
    generate_name: str | None = Field(
        None, alias="generateName", max_length=50, description="What the server begins a unique name with."
    )
    labels: dict[str, str] = Field(default_factory=dict, description="Labels, to select by.")
    annotations: dict[str, str] = Field(default_factory=dict, description="Annotations.")

    def to_wire(self) -> dict[str, Any]:
        """Return it as Kubernetes has it, without what is absent."""
        found = self.model_dump(by_alias=True, exclude_none=True)
        return {key: value for key, value in found.items() if value}


class NewObject(Body):
    """A new object: what `kubectl apply` would be given, without kind and namespace."""

    metadata: NewMetadata = Field(default_factory=lambda: NewMetadata.model_validate({}))
    # What a spec may hold is the custom resource's to say: its schema is put here in the description.
    spec: dict[str, Any] = Field(description="Its spec, as the custom resource has it.")


class NewSession(NewObject):
    """A new session: what `kubectl apply` would be given, without kind and namespace."""


class NewDefinition(NewObject):
    """A new definition: what `kubectl apply` would be given, without kind and namespace."""


class NewRetry(Body):
    """How a session is retried."""

    name: str | None = Field(None, pattern=NAME_PATTERN, description="Name of the new session; made if absent.")
    force: bool = Field(False, description="Retry even if the session's own inputs or settings were refused.")


class NewFork(Body):
    """Where a new session starts, and with what."""

    name: str | None = Field(None, pattern=NAME_PATTERN, description="Name of the new session; made if absent.")
    checkpoint: str | None = Field(
        None, min_length=1, max_length=128, description="Id of the checkpoint to start from; the last one if absent."
    )
    values: dict[str, Any] | None = Field(None, description="State values to change before it goes on.")
    as_node: str | None = Field(
        None, alias="asNode", min_length=1, max_length=256, description="The node that counts as their writer."
    )
    inputs: Any = Field(None, description="Inputs that the new session goes on with; none if absent.")
    conversation: bool = Field(False, description="The new session takes turns.")
    config: dict[str, Any] | None = Field(None, description="LangGraph's config, over that of the session.")
    context: dict[str, Any] | None = Field(None, description="LangGraph's context, over that of the session.")


class ObjectMetadata(BaseModel):
    """Metadata of an object, as Kubernetes has it."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(description="Its name.")
    namespace: str = Field("", description="Its namespace.")
    uid: str = Field("", description="Its uid: another object of the same name has another one.")
    resource_version: str = Field("", alias="resourceVersion", description="Its version; the ETag without its quotes.")
    creation_timestamp: datetime | None = Field(None, alias="creationTimestamp", description="When it was created.")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels.")
    annotations: dict[str, str] = Field(default_factory=dict, description="Annotations.")


class KubernetesObject(BaseModel):
    """A custom resource, with every field that the API server has of it."""

    model_config = ConfigDict(extra="allow")

    api_version: str = Field(alias="apiVersion", description="Group and version.")
    metadata: ObjectMetadata = Field(description="Name, version and labels.")
    spec: dict[str, Any] = Field(
        description="What is wanted; the CustomResourceDefinition says which fields there are."
    )
    status: dict[str, Any] | None = Field(None, description="What the operator and the runner say of it.")


class SessionObject(KubernetesObject):
    """An AgenticSession."""

    kind: Literal["AgenticSession"] = Field(description="AgenticSession.")


class DefinitionObject(KubernetesObject):
    """A WorkflowDefinition or ClusterWorkflowDefinition."""

    kind: Literal["WorkflowDefinition", "ClusterWorkflowDefinition"] = Field(description="Its kind.")


class ListMetadata(BaseModel):
    """Where a page stands."""

    model_config = ConfigDict(extra="allow")

    resource_version: str = Field("", alias="resourceVersion", description="Version of the list.")
    continue_: str = Field("", alias="continue", description="Leads to the next page; absent on the last one.")
    remaining_item_count: int | None = Field(
        None, alias="remainingItemCount", description="About how many follow, if that is known."
    )


class DefinitionList(BaseModel):
    """A page of definitions."""

    model_config = ConfigDict(extra="allow")

    metadata: ListMetadata = Field(description="Where the page stands.")
    items: tuple[dict[str, Any], ...] = Field(description="The definitions, by name.")


class SessionList(BaseModel):
    """A page of sessions."""

    model_config = ConfigDict(extra="allow")

    metadata: ListMetadata = Field(description="Where the page stands.")
    items: tuple[dict[str, Any], ...] = Field(description="The sessions.")


class WayToAnswer(BaseModel):
    """How a question is answered."""

    method: Literal["POST"] = Field("POST", description="The HTTP method.")
    href: str = Field(description="The path.")
    body: dict[str, Any] = Field(description="The body, to which the answer is added as `value`.")
    stream: str = Field(description="Path of the session's stream, which tells what comes of it.")


class InboxItem(BaseModel):
    """An open question that the caller may answer."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    namespace: str = Field(description="The session's namespace.")
    session: str = Field(description="The session's name.")
    session_uid: str = Field(description="The session's uid.")
    display_name: str = Field("", description="The session's name for people.")
    workflow: str = Field("", description="The workflow's name.")
    created_by: str = Field("", description="Who started the session.")
    interrupt_id: str = Field(description="The question's id.")
    node: str | None = Field(None, description="The node that asks.")
    prompt: str = Field("", description="The question in words.")
    value: Any = Field(None, description="What the graph asks, as interrupt() was given it.")
    options: tuple[dict[str, Any], ...] = Field((), description="Complete answers to choose from.")
    schema_: Any = Field(None, alias="schema", description="JSON Schema of the answer; any answer if null.")
    digest: str = Field(description="SHA-256 of the question as it is shown here, to be sent with the answer.")
    rule: dict[str, Any] | None = Field(None, description="Who has to answer; null if anybody may.")
    needed: str = Field("", description="Whose answer is missing, in words; empty if anybody's will do.")
    asked_at: datetime | None = Field(None, description="When it was asked.")
    deadline: datetime | None = Field(None, description="Until when it can be answered; null without a deadline.")
    on_expiry: str | None = Field(None, description="What happens then: Fail or Resume.")
    answer: WayToAnswer = Field(description="How to answer.")


class Inbox(BaseModel):
    """A page of open questions, the most urgent first."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    items: tuple[InboxItem, ...] = Field(description="The questions.")
    last: str | None = Field(None, description="To ask for the next page with, as `after`; null on the last one.")
    is_whole: bool = Field(
        True, description="False if more sessions wait than were looked at: name namespaces to see the others."
    )


class DefinitionSchemas(BaseModel):
    """JSON Schemas of a workflow; null if there is none, and any value is taken."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    input: Any = Field(None, description="Of a session's inputs, to make forms from.")
    input_is_declared: bool = Field(
        False, description="Whether the author wrote it: one derived from the graph refuses less than it describes."
    )
    output: Any = Field(None, description="Of the result.")
    config: Any = Field(None, description="Of config.configurable.")
    context: Any = Field(None, description="Of the context.")
    ui: Any = Field(None, description="Hints for forms.")


class Graph(BaseModel):
    """A workflow's graph."""

    nodes: tuple[str, ...] = Field(description="Names of the nodes.")
    edges: tuple[str, ...] = Field(description="The edges, as text.")
    mermaid: str | None = Field(None, description="A drawing in Mermaid's language.")


class SessionGraph(Graph):
    """The graph of a session's workflow, and where in it the session is."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    current_node: str | None = Field(None, description="A node that runs now.")
    done: tuple[str, ...] = Field((), description="Nodes that wrote the last checkpoints, each once, oldest first.")
    failed_node: str | None = Field(None, description="The node that raised the session's error.")
    is_pinned: bool = Field(
        True, description="False if the definition has changed since the session started: the graph may be another."
    )


class Checkpoint(BaseModel):
    """A checkpoint, without its state."""

    id: str = Field(description="Its id, for `fork` and `fromCheckpoint`.")
    step: int | None = Field(None, description="LangGraph's number of the super-step: -1 for the inputs.")
    node: str | None = Field(None, description="The nodes that wrote it.")
    next: str | None = Field(None, description="The nodes that run after it; null if the graph had ended.")
    at: datetime | None = Field(None, description="When it was saved.")
    turn: str | None = Field(None, description="The turn of a conversation that ended with it.")


class Checkpoints(BaseModel):
    """The checkpoints that a session shows."""

    items: tuple[Checkpoint, ...] = Field(description="The checkpoints, newest first.")
    last: str | None = Field(None, description="Id of the thread's last one.")


class SessionState(BaseModel):
    """The output channels of a session at one moment."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    checkpoint_id: str | None = Field(None, description="The checkpoint that they are of.")
    at: datetime | None = Field(None, description="When they were stored; absent for a checkpoint that was asked for.")
    run: int | None = Field(None, description="The run that stored them.")
    turn: int | None = Field(None, description="The number of the turn; 0 in a session without turns.")
    values: Any = Field(description="The channels by name, or the value of the only one; secrets are masked.")


class SchemaToCheck(Body):
    """A schema, and perhaps a value to check by it."""

    schema_: Any = Field(alias="schema", description="The JSON Schema.")
    instance: Any = Field(None, description="A value; only the schema is checked if it is absent.")


class Inputs(Body):
    """Inputs to be checked."""

    inputs: Any = Field(None, description="Inputs of a session, any JSON.")


class Verdict(BaseModel):
    """Whether inputs are accepted."""

    valid: bool = Field(description="Whether a session with these inputs would start.")
    errors: tuple[FieldProblem, ...] = Field((), description="Why not, sorted by pointer.")


class NewResponse(Body):
    """An answer to a question."""

    interrupt_id: str = Field(alias="interruptId", min_length=1, max_length=128, description="The question's id.")
    value: Any = Field(None, description="The answer, any JSON that the question's schema takes.")
    digest: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the question as it was shown; refused for another one."
    )


class NewTurn(Body):
    """A turn of a conversation."""

    name: str | None = Field(None, pattern=NAME_PATTERN, description="Its name; the next free one if absent.")
    input: Any = Field(None, description="The input, any JSON that the workflow's input schema takes; at most 32 KiB.")
    command: dict[str, Any] | None = Field(None, description="A command instead of an input: goto, update.")
    from_checkpoint: str | None = Field(
        None, alias="fromCheckpoint", min_length=1, max_length=128, description="The checkpoint to branch from."
    )
    preempt: Literal["Interrupt", "Rollback"] | None = Field(None, description="What happens to the turn that is on.")
    config: dict[str, Any] | None = Field(None, description="LangGraph's config of this turn.")
    context: dict[str, Any] | None = Field(None, description="LangGraph's context of this turn.")


class Events(BaseModel):
    """A page of a session's messages."""

    items: tuple[dict[str, Any], ...] = Field(description="The messages, as a stream sends them.")
    last: int = Field(description="Number to ask for the next page with, as `after`.")


class TurnSummary(BaseModel):
    """A turn of a conversation, without its result."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    number: int = Field(description="Its number in the session, from 1.")
    name: str = Field(description="Its name.")
    by: str = Field("", description="Whose turn it is; empty if it is not stated.")
    input: Any = Field(None, description="Its input.")
    command: Any = Field(None, description="Its command, if it had no input.")
    phase: str = Field(description="Running, Completed, Failed or Canceled.")
    error: Any = Field(None, description="Why it failed.")
    checkpoint_id: str | None = Field(None, description="The thread's last checkpoint then.")
    started_at: datetime | None = Field(None, description="When it began.")
    finished_at: datetime | None = Field(None, description="When it ended.")


class Turns(BaseModel):
    """A page of turns."""

    items: tuple[TurnSummary, ...] = Field(description="The turns, in order.")
    last: int = Field(description="Number to ask for the next page with, as `after`.")


class Namespaces(BaseModel):
    """Namespaces in which the caller may list sessions."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    items: tuple[str, ...] = Field(description="Their names, sorted.")
    may_list_all: bool = Field(description="Whether the caller may list the sessions of all namespaces at once.")
    is_whole: bool = Field(
        description="False if there may be others: the caller may not list namespaces, or there are too many."
    )


class Rights(BaseModel):
    """What the caller may do with the sessions and workflows of a namespace, by RBAC; policies may still refuse it."""

    sessions: tuple[str, ...] = Field(description="Verbs on `agenticsessions`.")
    workflows: tuple[str, ...] = Field(description="Verbs on `workflowdefinitions`.")
    logs: bool = Field(description="Whether the caller may read the logs of pods.")
    audit: bool = Field(description="Whether the caller may export the trail of a session.")
