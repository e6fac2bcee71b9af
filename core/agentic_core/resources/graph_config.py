"""What a session or definition says to the graph beside the inputs: LangGraph's own config and context."""

from typing import Annotated

from pydantic import Field

from agentic_core.contract import MAX_RECURSION_LIMIT, MAX_TIMEOUT_SECONDS
from agentic_core.wire import MAX_COUNT, ApiModel, JsonObject

_FEW_KEYS = {"maxProperties": 128}


class GraphConfig(ApiModel):
    """LangGraph's config of a run, in LangGraph's own spelling. At most 32 KiB of JSON.

    It is stored in the open, in the resource and in part with each checkpoint: credentials belong into the
    definition's env.
    """

    configurable: Annotated[
        JsonObject | None,
        Field(description='What the graph reads as config["configurable"].', json_schema_extra=_FEW_KEYS),
    ] = None
    recursion_limit: Annotated[
        int | None,
        Field(
            alias="recursion_limit",
            ge=1,
            le=MAX_RECURSION_LIMIT,
            description="How many super-steps one run of the graph may take.",
        ),
    ] = None
    tags: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=256)], ...],
        Field(max_length=32, description="Tags for tracing.", json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    metadata: Annotated[
        JsonObject | None, Field(description="Metadata for tracing and checkpoints.", json_schema_extra=_FEW_KEYS)
    ] = None


GraphContext = Annotated[
    JsonObject | None,
    Field(
        description="What the graph reads as runtime.context, by its context schema. At most 32 KiB of JSON.",
        json_schema_extra=_FEW_KEYS,
    ),
]


class RunLimits(ApiModel):
    """What ends a run that would go on for ever."""

    recursion_limit: Annotated[
        int | None,
        Field(
            ge=1,
            le=MAX_COUNT,
            description="How many super-steps one run of the graph may take; each answer begins a new count.",
        ),
    ] = None
    timeout_seconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=MAX_TIMEOUT_SECONDS,
            description="How long a run may execute. Waiting for people does not count.",
        ),
    ] = None
