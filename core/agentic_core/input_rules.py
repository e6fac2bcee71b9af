"""The rules for a session's inputs, and their keys that a graph does not read.

An author's ``spec.inputSchema`` judges. A schema that an inspection derived from a graph's types describes: LangGraph
itself checks no types of a ``TypedDict``, takes messages in many forms and ignores keys that it does not know. So only
the part of it under ``GRAPH_ACCEPTS`` judges, in which the inspection says what the graph itself would refuse.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentic_core.errors import Problem
from agentic_core.strict_json import escape_part

GRAPH_ACCEPTS: Final = "x-graph-accepts"
"""Annotation of a derived schema: the schema of what the graph itself takes."""

FIELD_ORDER: Final = "x-order"
"""Annotation of an object's schema: the names of its fields in their order, of which the API server keeps none."""

MAX_UNKNOWN: Final = 10
_MAX_NAME: Final = 64
_IN_PLACE: Final = ("$ref", "$dynamicRef", "$recursiveRef", "allOf", "anyOf", "oneOf", "if", "then", "else")
_OPEN: Final = ("additionalProperties", "patternProperties", "unevaluatedProperties", "dependentSchemas", *_IN_PLACE)


@dataclass(frozen=True)
class InputRules:
    """The rules for the inputs of one graph."""

    judging: Mapping[str, Any] | None = None
    """The schema that refuses; None if nothing is refused."""
    form: Mapping[str, Any] | None = None
    """The schema that forms and helps are made from; None if nothing is known."""
    is_declared: bool = False
    """Whether the author wrote the schema; an unusable derived schema must never stop a session."""


def read_rules(declared: Mapping[str, Any] | None, derived: Mapping[str, Any] | None) -> InputRules:
    """Return the rules of a definition: by the author's schema if there is one."""
    if declared is not None:
        return InputRules(declared, declared, is_declared=True)
    accepted = (derived or {}).get(GRAPH_ACCEPTS)
    return InputRules(accepted if isinstance(accepted, Mapping) else None, derived)


def complete_inputs(inputs: Any) -> Any:
    """Return the graph's input for ``inputs``: an empty object without any."""
    return {} if inputs is None else inputs


def find_unknown_keys(rules: InputRules, inputs: Any) -> tuple[Problem, ...]:
    """Return a warning for each key of ``inputs`` that the graph does not know and therefore ignores.

    An author's schema lists what its author thought of, not what the graph reads: there, only a key that looks like
    a mistyped one is named.
    """
    from difflib import get_close_matches

    known = _list_keys(rules.form)
    if known is None or not isinstance(inputs, Mapping):
        return ()
    found = []
    for key in sorted(inputs):
        if key in known:
            continue
        similar = get_close_matches(key[:_MAX_NAME], [name for name in known if name not in inputs], n=1, cutoff=0.7)
        if similar:
            found.append(Problem(_point(key), f"is not an input of this workflow; did you mean {similar[0]!r}?"))
        elif not rules.is_declared:
            names = ", ".join(sorted(known)[:MAX_UNKNOWN]) or "none"
            found.append(Problem(_point(key), f"is not an input of this workflow and is ignored; it knows {names}"))
        if len(found) == MAX_UNKNOWN:
            break
    return tuple(found)


def _list_keys(schema: Mapping[str, Any] | None) -> frozenset[str] | None:
    """Return the keys that a schema lists; None if it allows others."""
    if schema is None or any(keyword in schema for keyword in _OPEN):
        return None
    properties = schema.get("properties")
    return frozenset(name for name in properties if len(name) <= _MAX_NAME) if isinstance(properties, Mapping) else None


def _point(key: str) -> str:
    escaped = escape_part(key)
    return f"/{escaped if len(escaped) <= _MAX_NAME else escaped[: _MAX_NAME - 1] + '…'}"
