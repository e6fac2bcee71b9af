"""The JSON Schemas of a graph's input and output, made from its types.

They describe what a graph takes, for people and forms. What the graph itself would refuse is said apart, under
``GRAPH_ACCEPTS``: LangGraph wants an object for a state of several keys, and where a node's state is a pydantic model
or a dataclass, the fields that it cannot be made without. It checks no types of other states, requires none of their
keys, ignores keys that it does not know, and never takes managed values such as ``RemainingSteps`` as inputs
(decision 19).

Before Python 3.12 pydantic refuses ``typing.TypedDict``, which is how most graphs declare their state. The same type
made anew by ``typing_extensions`` says the same and is accepted.
"""

import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from agentic_core.input_rules import FIELD_ORDER, GRAPH_ACCEPTS
from agentic_runner.project.message_schema import MARK, accept_single, is_message_reducer, place_messages

if TYPE_CHECKING:
    from agentic_runner.project.loading import Graph

_ROOT = "__root__"
_SCHEMAS_BY_NAME = frozenset({"properties", "$defs", "definitions", "patternProperties", "dependentSchemas"})
_SCHEMAS = frozenset(
    {"items", "prefixItems", "additionalProperties", "anyOf", "oneOf", "allOf", "if", "then", "else", "not"}
)


def derive_input_schema(graph: "Graph") -> dict[str, Any]:
    """Return the JSON Schema of the graph's input; raise whatever the author's types raise."""
    builder = getattr(graph, "builder", None)
    declared = getattr(builder, "input_schema", None)
    if builder is None or declared is None:
        wants_object = not isinstance(getattr(graph, "input_channels", ""), str)
        described = _describe_whole(graph.get_input_schema, graph.get_input_jsonschema)
        return {**keep_order(described), GRAPH_ACCEPTS: {"type": "object"} if wants_object else {}}
    names = _list_inputs(builder, declared)
    if names == [_ROOT]:
        described = _describe_whole(graph.get_input_schema, graph.get_input_jsonschema)
        return {**keep_order(described), GRAPH_ACCEPTS: {}}
    required = find_required(builder, names)
    described = _describe(builder, declared, names)
    described.pop("required", None)
    described.pop("additionalProperties", None)
    needed = {"required": required} if required else {}
    return {**keep_order({**described, **needed}), GRAPH_ACCEPTS: {"type": "object", **needed}}


def derive_context_schema(graph: "Graph") -> dict[str, Any] | None:
    """Return the JSON Schema of the graph's context; None without one.

    ``GRAPH_ACCEPTS`` says what LangGraph cannot make the context of: a dataclass takes no other keys than its fields,
    a model lacks what it requires. It makes nothing of a ``TypedDict``, which therefore takes anything.
    """
    from pydantic import BaseModel

    declared = graph.context_schema
    if declared is None:
        return None
    described = place_messages(_describe_context(declared))
    names = _list_keywords(declared)
    accepted: dict[str, Any] = {"type": "object"}
    if required := _list_required(declared):
        accepted["required"] = required
    # pydantic's own dataclasses ignore what they do not know.
    is_closed = (dataclasses.is_dataclass(declared) and not hasattr(declared, "__pydantic_config__")) or (
        inspect.isclass(declared) and issubclass(declared, BaseModel) and declared.model_config.get("extra") == "forbid"
    )
    if is_closed and names is not None:
        accepted |= {"properties": {name: {} for name in names}, "additionalProperties": False}
    described.pop("required", None)
    described.pop("additionalProperties", None)
    needed = {"required": required} if required else {}
    return {**keep_order({**described, **needed}), GRAPH_ACCEPTS: accepted}


def derive_config_schema(graph: "Graph") -> dict[str, Any] | None:
    """Return the JSON Schema of ``config["configurable"]``, which refuses nothing; None if the graph declares none.

    LangGraph takes a ``config_schema``, as it was called before, for the schema of the context, and the other way
    round: a graph may read the same keys in both places.
    """
    described = derive_context_schema(graph)
    if described is None:
        return None
    shown = {key: value for key, value in described.items() if key not in (GRAPH_ACCEPTS, "required")}
    return {**shown, GRAPH_ACCEPTS: {}}


def _describe_context(declared: Any) -> dict[str, Any]:
    from pydantic import TypeAdapter

    try:
        return TypeAdapter(_made_portable(declared)).json_schema(by_alias=True, schema_generator=_generator())
    except Exception:  # noqa: BLE001  (a field without a schema: the names are worth something without their types)
        names = _list_keywords(declared) or typing.get_type_hints(declared)
        return {"title": declared.__name__, "type": "object", "properties": {name: {} for name in names}}


def _list_keywords(declared: Any) -> list[str] | None:
    """Return the parameter names of a class; None if it takes any."""
    if not inspect.isclass(declared) or typing.is_typeddict(declared):
        return None
    parameters = inspect.signature(declared).parameters.values()
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return None
    return [each.name for each in parameters if each.kind is not each.POSITIONAL_ONLY]


def derive_output_schema(graph: "Graph") -> dict[str, Any]:
    """Return the JSON Schema of the graph's output."""
    builder = getattr(graph, "builder", None)
    declared = getattr(builder, "output_schema", None)
    if builder is None or declared is None:
        return graph.get_output_jsonschema()
    names = _list_inputs(builder, declared)
    return graph.get_output_jsonschema() if names == [_ROOT] else _describe(builder, declared, names)


def find_required(builder: Any, names: Iterable[str]) -> list[str]:
    """Return the inputs without which the first super-step fails for certain.

    The state of a node that certainly runs first is made by calling its class with what the channels hold: what the
    class requires must be there, unless its channel has a value from the beginning, as most with a reducer do.
    """
    from langgraph.graph import START

    classes = {node.input_schema for name, node in builder.nodes.items() if (START, name) in builder.edges}
    needed = {name for each in classes for name in _list_required(each)}
    return [name for name in names if name in needed and not builder.channels[name].is_available()]


def _list_inputs(builder: Any, declared: Any) -> list[str]:
    """Return the keys of a state that are channels: all but the managed values."""
    return [name for name in builder.schemas[declared] if name in builder.channels]


def _list_required(state: Any) -> list[str]:
    """Return the required fields of a class; none for a class that may fill them in itself."""
    from pydantic import BaseModel

    if not inspect.isclass(state):
        return []
    if issubclass(state, BaseModel):
        validators = state.__pydantic_decorators__.model_validators.values()
        if any(each.info.mode != "after" for each in validators) or state.__init__ is not BaseModel.__init__:
            return []
        fields = state.model_fields.items()
        return [name for name, field in fields if field.is_required() and field.validation_alias is None]
    if dataclasses.is_dataclass(state) and getattr(state, "__dataclass_params__").init:  # noqa: B009  (typeshed hides it)
        missing = dataclasses.MISSING
        return [
            field.name
            for field in dataclasses.fields(state)
            if field.init and field.default is missing and field.default_factory is missing
        ]
    return []


def keep_order(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema in which each object lists its fields under ``FIELD_ORDER``: as declared, required ones first.

    The API server sorts the members of every object; only lists keep their order. What an author wrote stays.
    """
    ordered: dict[str, Any] = _keep_order(schema)
    return ordered


def _keep_order(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_keep_order(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: {name: _keep_order(each) for name, each in value.items()}
        if key in _SCHEMAS_BY_NAME and isinstance(value, dict)
        else _keep_order(value)
        if key in _SCHEMAS
        else value
        for key, value in schema.items()
    }
    properties = schema.get("properties")
    if isinstance(properties, dict) and len(properties) > 1:
        required = set(schema.get("required") or ())
        kept.setdefault(FIELD_ORDER, sorted(properties, key=lambda name: name not in required))
    return kept


# -- describing --------------------------------------------------------------------------------------------------------


def _describe_whole(model: Callable[[], Any], plain: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the schema of a graph that takes one value, if possible with messages as people write them."""
    try:
        return place_messages(model().model_json_schema(schema_generator=_generator()))
    except Exception:  # noqa: BLE001  (whatever an author's type causes; the library's own way may still do)
        return plain()


def _describe(builder: Any, declared: Any, names: list[str]) -> dict[str, Any]:
    """Return the schema of a state's keys ``names``; a type that has no schema is any value."""
    schema = _open_root(place_messages(_generate(builder, declared, names)))
    properties = schema.get("properties") or {}
    shown = {}
    for name in names:
        channel = builder.channels[name]
        reducer = getattr(channel, "operator", None) or getattr(channel, "reducer", None)
        described = properties.get(name, {})
        shown[name] = accept_single(described) if is_message_reducer(reducer) else described
    return {**schema, "type": "object", "properties": shown}


def _open_root(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with its root inlined: for a class that refers to itself, pydantic writes a reference."""
    reference = schema.get("$ref")
    target = (schema.get("$defs") or {}).get(str(reference).rpartition("/")[2])
    return {**target, "$defs": schema["$defs"]} if reference and isinstance(target, dict) else schema


def _generate(builder: Any, declared: Any, names: list[str]) -> dict[str, Any]:
    from pydantic import BaseModel, TypeAdapter

    generator = _generator()
    if inspect.isclass(declared) and (issubclass(declared, BaseModel) or dataclasses.is_dataclass(declared)):
        try:
            return TypeAdapter(declared).json_schema(by_alias=False, schema_generator=generator)
        except Exception:  # noqa: BLE001, S110  (a field without a schema: the others are described one by one)
            pass
    hints = _find_hints(builder, declared, names)
    try:
        return _generate_fields(declared, hints)
    except Exception:  # noqa: BLE001  (as above)
        return _generate_fields(declared, {name: hint if _has_schema(hint) else Any for name, hint in hints.items()})


def _find_hints(builder: Any, declared: Any, names: list[str]) -> dict[str, Any]:
    import typing_extensions

    try:
        hints = typing_extensions.get_type_hints(typing.get_origin(declared) or declared, include_extras=True)
    except Exception:  # noqa: BLE001  (the channels know the types, too)
        hints = {}
    return {name: _strip(hints[name]) if name in hints else builder.channels[name].UpdateType for name in names}


def _strip(hint: Any) -> Any:
    """Return the type of a hint, without the markers for required or read-only keys."""
    import typing_extensions

    marks = (typing_extensions.Required, typing_extensions.NotRequired, typing_extensions.ReadOnly)
    while typing.get_origin(hint) in marks:
        hint = typing.get_args(hint)[0]
    return hint


def _generate_fields(declared: Any, hints: Mapping[str, Any]) -> dict[str, Any]:
    import typing_extensions
    from pydantic import ConfigDict, TypeAdapter

    make_state: Any = typing_extensions.TypedDict
    fields = {key: typing_extensions.NotRequired[_made_portable(hint)] for key, hint in hints.items()}
    state = make_state(getattr(declared, "__name__", "Input"), fields)
    state.__doc__ = declared.__doc__ if inspect.isclass(declared) else None
    state.__pydantic_config__ = ConfigDict(arbitrary_types_allowed=True)
    return TypeAdapter(state).json_schema(schema_generator=_generator())


def _has_schema(hint: Any) -> bool:
    try:
        _generate_fields(None, {"value": hint})
    except Exception:  # noqa: BLE001  (whatever an author's type causes)
        return False
    return True


def _made_portable(hint: Any) -> Any:
    return hint if sys.version_info >= (3, 12) else portable(hint)


def _generator() -> Any:
    """Return the class that generates schemas: messages are marked, types without a schema become any value."""
    from langchain_core.messages import BaseMessage
    from pydantic.json_schema import GenerateJsonSchema

    class Generator(GenerateJsonSchema):
        def model_schema(self, schema: Any) -> dict[str, Any]:
            return {MARK: True} if issubclass(schema["cls"], BaseMessage) else super().model_schema(schema)

        def tagged_union_schema(self, schema: Any) -> dict[str, Any]:
            if all(is_message(choice) for choice in schema["choices"].values()):
                return {MARK: True}
            return super().tagged_union_schema(schema)

        def union_schema(self, schema: Any) -> dict[str, Any]:
            choices = [each[0] if isinstance(each, tuple) else each for each in schema["choices"]]
            return {MARK: True} if all(map(is_message, choices)) else super().union_schema(schema)

        def handle_invalid_for_json_schema(self, *_: Any) -> dict[str, Any]:
            return {}

        def emit_warning(self, kind: Any, detail: str) -> None:
            """Say nothing: what is left out of a description is no fault."""

    def is_message(schema: Any) -> bool:
        while isinstance(schema, dict) and schema.get("type") not in ("model", "definition-ref"):
            schema = schema.get("schema")
        if not isinstance(schema, dict):
            return False
        if schema["type"] == "definition-ref":
            return str(schema["schema_ref"]).startswith("langchain_core.messages.")
        return issubclass(schema["cls"], BaseMessage)

    return Generator


# -- `typing.TypedDict` before Python 3.12 -----------------------------------------------------------------------------


def portable(annotation: Any, known: dict[Any, Any] | None = None) -> Any:
    """Return ``annotation`` with every ``typing.TypedDict`` in it made by ``typing_extensions``.

    A type that refers to itself is cut at the second time: any value passes there.
    """
    import typing_extensions

    known = {} if known is None else known
    if typing.is_typeddict(annotation):
        if annotation not in known:
            known[annotation] = Any
            hints = typing_extensions.get_type_hints(annotation, include_extras=True)
            known[annotation] = typing_extensions.TypedDict(  # type: ignore[operator]  # made from values
                annotation.__name__,
                {name: _field(annotation, name, portable(hint, known)) for name, hint in hints.items()},
            )
            known[annotation].__doc__ = annotation.__doc__
        return known[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is None or origin is typing.Literal or not arguments:
        return annotation
    if origin is typing.Annotated:
        return typing.Annotated[(portable(arguments[0], known), *arguments[1:])]
    converted = tuple(portable(each, known) for each in arguments)
    if converted == arguments:
        return annotation
    return typing.Union[converted] if _is_union(origin) else origin[converted]  # noqa: UP007  (built from values)


def _field(owner: Any, name: str, hint: Any) -> Any:
    import typing_extensions

    if typing.get_origin(hint) in (typing_extensions.Required, typing_extensions.NotRequired):
        return hint
    return hint if name in owner.__required_keys__ else typing_extensions.NotRequired[hint]


def _is_union(origin: Any) -> bool:
    import types

    return origin is typing.Union or origin is types.UnionType
