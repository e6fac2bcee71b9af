# ruff: noqa: ARG002  (LangChain tells more than a span may have)
"""Spans of nodes, and of calls of models and tools, by what LangChain tells of them.

Names and attributes are those of OpenTelemetry's conventions for generative AI. Nothing that a person, a model or a
tool said is in a span: only names, counts and the types of errors. Imports LangChain.
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langgraph.errors import GraphBubbleUp

from agentic_core.spans import Kind, Span, Tracer, Value

_STEP_TAG: Final = "graph:step:"


class SpanCallbacks(BaseCallbackHandler):
    """Follows one run; called by threads of nodes as well as by the event loop."""

    # Spans begin and end where the work does, and not when a thread comes to it.
    run_inline = True

    def __init__(self, tracer: Tracer, root: Span) -> None:
        self._tracer = tracer
        self._root = root
        self._open: dict[UUID, tuple[Span, bool]] = {}
        """By LangChain's id: the span that is next above what it does, and whether it is its own."""

    def close(self) -> None:
        """End the spans of what was given up."""
        for id_ in list(self._open):
            self._end(id_)

    # -- nodes

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Begin the span of a node; chains inside of one have none."""
        about = metadata or {}
        node = about.get("langgraph_node")
        is_node = node and more.get("name") == node and any(tag.startswith(_STEP_TAG) for tag in tags or ())
        if not is_node or str(node).startswith("__"):
            self._open[run_id] = self._find(parent_run_id), False
            return
        said = {"langgraph.node": str(node), "langgraph.step": about.get("langgraph_step")}
        self._begin(run_id, parent_run_id, f"node {node}", said)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **_: Any) -> None:
        """End a node's span."""
        self._end(run_id)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """End a node's span; a question is no failure."""
        self._fail(run_id, error)

    # -- models

    def on_chat_model_start(
        self,
        serialized: dict[str, Any] | None,
        messages: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Begin the span of a chat model's call."""
        self._begin_model("chat", run_id, parent_run_id, metadata or {}, more.get("invocation_params") or {})

    def on_llm_start(
        self,
        serialized: dict[str, Any] | None,
        prompts: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Begin the span of a call of a model that completes text."""
        self._begin_model("text_completion", run_id, parent_run_id, metadata or {}, more.get("invocation_params") or {})

    def on_llm_end(self, response: Any, *, run_id: UUID, **_: Any) -> None:
        """End the span of a model's call, with what it used."""
        self._end(run_id, _read_response(response))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """End the span of a model's call that failed."""
        self._fail(run_id, error)

    # -- tools

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **more: Any,
    ) -> None:
        """Begin the span of a tool's call."""
        name = str((serialized or {}).get("name") or more.get("name") or "")
        said = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.call.id": str(more.get("tool_call_id") or ""),
        }
        self._begin(run_id, parent_run_id, f"execute_tool {name}".strip(), said)

    def on_tool_end(self, output: Any, *, run_id: UUID, **_: Any) -> None:
        """End the span of a tool's call."""
        self._end(run_id)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """End the span of a tool's call that failed."""
        self._fail(run_id, error)

    # -- spans

    def _begin_model(
        self,
        operation: str,
        run_id: UUID,
        parent_run_id: UUID | None,
        metadata: Mapping[str, Any],
        params: Mapping[str, Any],
    ) -> None:
        model = str(metadata.get("ls_model_name") or params.get("model") or params.get("model_name") or "")
        said: dict[str, Value | None] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": str(metadata.get("ls_provider") or ""),
            "gen_ai.request.model": model,
            "gen_ai.request.temperature": _read_number(metadata.get("ls_temperature")),
            "gen_ai.request.max_tokens": _read_number(metadata.get("ls_max_tokens")),
            "gen_ai.conversation.id": self._root.attributes.get("gen_ai.conversation.id"),
        }
        self._begin(run_id, parent_run_id, f"{operation} {model}".strip(), said, Kind.CLIENT)

    def _find(self, id_: UUID | None) -> Span:
        return self._open[id_][0] if id_ in self._open else self._root

    def _begin(
        self,
        run_id: UUID,
        parent_run_id: UUID | None,
        name: str,
        attributes: Mapping[str, Value | None],
        kind: Kind = Kind.INTERNAL,
    ) -> None:
        parent = self._find(parent_run_id).context
        span = self._tracer.begin(name, parent=parent, kind=kind, attributes=attributes)
        self._open[run_id] = span, True

    def _end(self, run_id: UUID, attributes: Mapping[str, Value | None] | None = None, *, error: str = "") -> None:
        span, is_own = self._open.pop(run_id, (self._root, False))
        if is_own:
            self._tracer.describe(span, attributes or {})
            self._tracer.end(span, error=error)

    def _fail(self, run_id: UUID, error: BaseException) -> None:
        if isinstance(error, GraphBubbleUp):
            self._end(run_id, {"langgraph.interrupted": True})
        else:
            self._end(run_id, error=f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins."))


def _read_response(response: Any) -> dict[str, Value | None]:
    """Return what a model's answer says of itself, without the answer."""
    said: list[Any] = [each for some in getattr(response, "generations", ()) for each in some]
    message = getattr(said[0], "message", None) if said else None
    usage = getattr(message, "usage_metadata", None) or {}
    about = getattr(message, "response_metadata", None) or {}
    reason = about.get("finish_reason") or about.get("stop_reason")
    model = about.get("model_name") or about.get("model")
    return {
        "gen_ai.response.model": model if isinstance(model, str) else None,
        "gen_ai.response.finish_reasons": [reason] if isinstance(reason, str) else None,
        "gen_ai.usage.input_tokens": _read_number(usage.get("input_tokens")),
        "gen_ai.usage.output_tokens": _read_number(usage.get("output_tokens")),
    }


def _read_number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
