"""What shape a JSON Schema may have: local references, no endless loops, bounded size and expansion.

These rules are read off the document alone, so each refusal names its place and what to change, before any engine
compiles anything. What they cannot see, because it depends on the input, is left to the CPU limit of a check.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MAX_SUBSCHEMAS = 5_000
# How many schemas one value may be held against, at most, at one place: what doubling `allOf` or `$ref` blows up.
MAX_EXPANSION = 10_000

_ONE = frozenset(
    ("items", "contains", "additionalProperties", "propertyNames", "unevaluatedItems", "unevaluatedProperties")
) | {"contentSchema", "not", "if", "then", "else"}
_LIST = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
_MAP = frozenset(("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"))
# These apply to the same value as their parent; all others move on to a part of it.
_IN_PLACE = frozenset(("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"))
_REFERENCES = frozenset(("$ref", "$dynamicRef"))
_ANCHORS = frozenset(("$anchor", "$dynamicAnchor"))
# Other dialects' words that some engines obey and others ignore: the same schema must mean the same everywhere.
_FOREIGN = {
    "dependencies": "use 'dependentRequired' or 'dependentSchemas'",
    "additionalItems": "use 'items' beside 'prefixItems'",
    "$recursiveRef": "use '$dynamicRef'",
    "$recursiveAnchor": "use '$dynamicAnchor'",
}


@dataclass(frozen=True, slots=True)
class ShapeProblem:
    """One fault of a schema's shape; ``pointer`` leads into the schema."""

    pointer: str
    keyword: str
    message: str


@dataclass(slots=True)
class _Node:
    pointer: str
    in_place: list[str] = field(default_factory=list)
    references: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Index:
    nodes: dict[str, _Node] = field(default_factory=dict)
    booleans: set[str] = field(default_factory=set)
    anchors: dict[str, str] = field(default_factory=dict)
    problems: list[ShapeProblem] = field(default_factory=list)


def find_shape_problems(schema: dict[str, object]) -> list[ShapeProblem]:
    """Return what of ``schema``, valid against its metaschema, is refused before it is compiled.

    Works in time linear in the size of the schema, without recursion.
    """
    index = _index(schema)
    if len(index.nodes) > MAX_SUBSCHEMAS:
        return [ShapeProblem("", "", f"over {MAX_SUBSCHEMAS} subschemas; simplify the schema")]
    if not index.problems:
        _link(index)
    if not index.problems:
        index.problems.extend(_find_expansion(index.nodes))
    return index.problems


def _index(schema: dict[str, object]) -> _Index:
    index = _Index()
    pending: list[tuple[str, dict[str, object]]] = [("", schema)]
    while pending and len(index.nodes) <= MAX_SUBSCHEMAS:
        pointer, subschema = pending.pop()
        node = index.nodes[pointer] = _Node(pointer)
        for keyword, value in subschema.items():
            for place, child in _children(f"{pointer}/{keyword}", keyword, value):
                if isinstance(child, bool):
                    index.booleans.add(place)
                    continue
                pending.append((place, child))
                if keyword in _IN_PLACE:
                    node.in_place.append(place)
            if isinstance(value, str):
                if keyword in _REFERENCES:
                    node.references.append((keyword, value))
                elif keyword in _ANCHORS:
                    _add_anchor(index, node, keyword, value)
                elif keyword == "$id" and pointer:
                    message = (
                        f"'$id' {value[:80]!r} inside a schema is not supported; only the whole schema may have one"
                    )
                    index.problems.append(ShapeProblem(f"{pointer}/$id", keyword, message))
                elif keyword == "$schema" and value.removesuffix("#") != DIALECT:
                    message = f"the dialect {value[:80]!r} is not supported; use {DIALECT!r} or leave '$schema' out"
                    index.problems.append(ShapeProblem(f"{pointer}/$schema", keyword, message))
            if keyword in _FOREIGN:
                message = f"'{keyword}' is no keyword of JSON Schema 2020-12; {_FOREIGN[keyword]}"
                index.problems.append(ShapeProblem(f"{pointer}/{keyword}", keyword, message))
    return index


def _children(pointer: str, keyword: str, value: object) -> Iterator[tuple[str, dict[str, object] | bool]]:
    """Yield the subschemas that stand under one keyword, each with its pointer."""
    if keyword in _ONE:
        if isinstance(value, dict | bool):
            yield pointer, value
    elif keyword in _MAP and isinstance(value, dict):
        for name, child in value.items():
            yield f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}", child
    elif keyword in _LIST and isinstance(value, list):
        for position, child in enumerate(value):
            yield f"{pointer}/{position}", child


def _add_anchor(index: _Index, node: _Node, keyword: str, name: str) -> None:
    if index.anchors.setdefault(name, node.pointer) != node.pointer:
        message = f"the anchor {name[:80]!r} is defined twice; rename one"
        index.problems.append(ShapeProblem(f"{node.pointer}/{keyword}", keyword, message))


def _link(index: _Index) -> None:
    for node in index.nodes.values():
        for keyword, reference in node.references:
            target, message = _resolve(index, reference)
            if message is not None:
                index.problems.append(ShapeProblem(f"{node.pointer}/{keyword}", keyword, message))
            elif target is not None:
                node.in_place.append(target)


def _resolve(index: _Index, reference: str) -> tuple[str | None, str | None]:
    """Return the pointer that a reference names (None for ``true`` and ``false``), or why it names none."""
    shown = repr(reference[:120])
    if not reference.startswith("#"):
        return (
            None,
            f"{shown} points outside this schema, and nothing is fetched; copy its target to '$defs'",
        )
    fragment = unquote(reference[1:])
    if fragment and not fragment.startswith("/"):
        target = index.anchors.get(fragment)
        return target, None if target is not None else f"there is no anchor for {shown} in this schema"
    if fragment in index.nodes:
        return fragment, None
    if fragment in index.booleans:
        return None, None
    return None, f"{shown} names no schema here; define it under '$defs'"


def _find_expansion(nodes: dict[str, _Node]) -> list[ShapeProblem]:
    """Follow what applies to the same value: a cycle never ends, and doubling grows without bound."""
    weights: dict[str, int] = {}
    for start in nodes:
        if start in weights:
            continue
        path = {start: None}
        pending = [(start, iter(nodes[start].in_place))]
        while pending:
            pointer, children = pending[-1]
            child = next(children, None)
            if child is None:
                weights[pointer] = 1 + sum(weights[each] for each in nodes[pointer].in_place)
                if weights[pointer] > MAX_EXPANSION:
                    message = f"one value is held against over {MAX_EXPANSION} schemas here; simplify what doubles"
                    return [ShapeProblem(pointer, "", message)]
                pending.pop()
                del path[pointer]
            elif child in path:
                message = (
                    "the schema applies itself to the same value without end; refer to it below 'properties' or 'items'"
                )
                return [ShapeProblem(child, "$ref", message)]
            elif child not in weights:
                path[child] = None
                pending.append((child, iter(nodes[child].in_place)))
    return []
