"""The JSON Schemas of a graph's input and output, also where pydantic declines the author's types.

Before Python 3.12 pydantic refuses ``typing.TypedDict``, which is how most graphs declare their state. The same type
made anew by ``typing_extensions`` says the same and is accepted.
"""

import sys
import typing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentic_runner.graphs import Graph


def derive_input_schema(graph: "Graph") -> dict[str, Any]:
    """Return the JSON Schema of what the graph takes; raise whatever the author's types cause."""
    declared = getattr(getattr(graph, "builder", None), "input_schema", None)
    return _adapted(declared) or graph.get_input_jsonschema()


def derive_output_schema(graph: "Graph") -> dict[str, Any]:
    """Return the JSON Schema of what the graph gives."""
    declared = getattr(getattr(graph, "builder", None), "output_schema", None)
    return _adapted(declared) or graph.get_output_jsonschema()


def _adapted(declared: Any) -> dict[str, Any] | None:
    from pydantic import TypeAdapter

    if sys.version_info >= (3, 12) or not typing.is_typeddict(declared):
        return None
    return TypeAdapter(portable(declared)).json_schema()


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
