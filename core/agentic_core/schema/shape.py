"""What shape a JSON Schema may have: nothing to fetch, no endless loops, bounded size and expansion.

These rules are read off the document alone, so each refusal names its place and what to change, before any engine
compiles anything. What they cannot see, because it depends on the input, is left to the CPU limit of a check.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, unquote, urljoin

from agentic_core.schema.dialects import (
    DATA,
    DIALECTS,
    DRAFT_2019,
    DRAFT_2020,
    IN_PLACE,
    Dialect,
    find_dialect,
    is_metaschema,
    refuse_dialect,
)
from agentic_core.schema.remedies import find_remedies

MAX_SUBSCHEMAS: Final = 5_000
# How many schemas one value may be held against, at most, at one place: what doubling `allOf` or `$ref` blows up.
MAX_EXPANSION: Final = 10_000

_REFERENCES: Final = {"$ref": DIALECTS, "$dynamicRef": (DRAFT_2020,), "$recursiveRef": (DRAFT_2019,)}
_ANCHORS: Final = frozenset(("$anchor", "$dynamicAnchor"))
_BASE: Final = "json-schema:///"
_PLAIN: Final = re.compile(r"[A-Za-z0-9/#$._~:?@!&'()*+,;=%-]*")
_URI: Final = "/#$._~:?@!&'()*+,;=%-"
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True, slots=True)
class ShapeProblem:
    """One fault of a schema's shape; ``pointer`` leads into the schema."""

    pointer: str
    keyword: str
    message: str


@dataclass(slots=True)
class Node:
    """One subschema: its place, and the base of its references."""

    pointer: str
    schema: dict[str, Any]
    dialect: Dialect
    base: str
    is_named: bool
    in_place: list[str] = field(default_factory=list)
    references: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Shape:
    """All subschemas of a document, by pointer."""

    document: dict[str, Any]
    nodes: dict[str, Node] = field(default_factory=dict)
    documents: list[Node] = field(default_factory=list)
    """What a metaschema has to look at on its own: embedded documents of another dialect, and what only a reference
    makes a schema."""
    problems: list[ShapeProblem] = field(default_factory=list)
    _booleans: set[str] = field(default_factory=set)
    _resources: dict[str, str] = field(default_factory=dict)
    _anchors: dict[tuple[str, str], str] = field(default_factory=dict)
    _dynamic: dict[str, list[str]] = field(default_factory=dict)

    def index(self, pointer: str, schema: dict[str, Any], dialect: Dialect, base: str, *, is_named: bool) -> None:
        """Find the subschemas of ``schema``, without recursion; each once."""
        pending = [(pointer, schema, dialect, base, is_named)]
        while pending and len(self.nodes) <= MAX_SUBSCHEMAS:
            place, subschema, its_dialect, its_base, named = pending.pop()
            if place in self.nodes:
                continue
            node = self._enter(Node(place, subschema, its_dialect, its_base, named))
            for keyword, message in find_remedies(subschema, node.dialect, is_named=node.is_named):
                self.problems.append(ShapeProblem(f"{place}/{keyword}", keyword, message))
            for keyword, value in subschema.items():
                for rest, child in node.dialect.list_children(keyword, value):
                    at = f"{place}/{keyword}{rest}"
                    if isinstance(child, bool):
                        self._booleans.add(at)
                        continue
                    pending.append((at, child, node.dialect, node.base, node.is_named))
                    if keyword in IN_PLACE and not _is_ignored(node, keyword):
                        node.in_place.append(at)
                if isinstance(value, str) and node.dialect in _REFERENCES.get(keyword, ()):
                    node.references.append((keyword, value))

    def _enter(self, node: Node) -> Node:
        """Record a subschema's own dialect, address and anchors."""
        schema = node.schema
        for keyword in (node.dialect.id_keyword, *_REFERENCES):
            if isinstance(schema.get(keyword), str):
                schema[keyword] = escape_address(schema[keyword])
        is_alone = node.dialect.is_old and "$ref" in schema
        name = schema.get(node.dialect.id_keyword)
        if "$schema" in schema and node.pointer:
            self._change_dialect(node, has_id=isinstance(schema.get("$id", schema.get("id")), str))
            name = schema.get(node.dialect.id_keyword)
        if isinstance(name, str) and not is_alone:
            self._name(node, name)
        elif not node.pointer:
            self._resources[node.base] = ""
        if not node.dialect.is_old:
            for keyword in _ANCHORS & schema.keys():
                if isinstance(schema[keyword], str):
                    self._add_anchor(node, keyword, schema[keyword])
            if schema.get("$recursiveAnchor") is True:
                self._dynamic.setdefault("", []).append(node.pointer)
        self.nodes[node.pointer] = node
        return node

    def _change_dialect(self, node: Node, *, has_id: bool) -> None:
        dialect = find_dialect(node.schema["$schema"])
        if dialect is None:
            self._refuse(node, "$schema", refuse_dialect(node.schema["$schema"]))
        elif dialect is not node.dialect and not has_id:
            self._refuse(node, "$schema", "below the root '$schema' counts only beside an '$id'; remove it")
        elif dialect is not node.dialect:
            node.dialect, node.is_named = dialect, True
            self.documents.append(node)

    def _name(self, node: Node, name: str) -> None:
        address, _, fragment = name.partition("#")
        if address:
            node.base = join(node.base, address)
        if address or not node.pointer:
            known = self._resources.setdefault(node.base, node.pointer)
            if known != node.pointer:
                self._refuse(node, node.dialect.id_keyword, f"the id {name[:80]!r} is given twice; rename one")
        if fragment and node.dialect.is_old and not fragment.startswith("/"):
            self._add_anchor(node, node.dialect.id_keyword, fragment)

    def _add_anchor(self, node: Node, keyword: str, name: str) -> None:
        if self._anchors.setdefault((node.base, name), node.pointer) != node.pointer:
            self._refuse(node, keyword, f"the anchor {name[:80]!r} is defined twice; rename one")
        if keyword == "$dynamicAnchor":
            self._dynamic.setdefault(name, []).append(node.pointer)

    def _refuse(self, node: Node, keyword: str, message: str) -> None:
        self.problems.append(ShapeProblem(f"{node.pointer}/{keyword}", keyword, message))

    # -- references

    def link(self) -> None:
        """Resolve every reference; what only a reference makes a schema is indexed with it."""
        linked: set[str] = set()
        while len(linked) < len(self.nodes) <= MAX_SUBSCHEMAS:
            for pointer in [each for each in self.nodes if each not in linked]:
                linked.add(pointer)
                self._link(self.nodes[pointer])

    def _link(self, node: Node) -> None:
        for keyword, reference in node.references:
            target, message = self._resolve(node, reference)
            if message is not None:
                self._refuse(node, keyword, message)
            elif target is not None:
                node.in_place.append(target)
                if keyword != "$ref":
                    # Which of these is meant depends on the way that led here: any of them may be.
                    name = reference.partition("#")[2]
                    node.in_place += [each for each in self._dynamic.get(name, ()) if each != target]

    def _resolve(self, node: Node, reference: str) -> tuple[str | None, str | None]:
        """Return the pointer that a reference names (None for ``true`` and ``false``), or why it names none."""
        shown = repr(reference[:120])
        address, _, fragment = reference.partition("#")
        address = join(node.base, address) if address else node.base
        root = self._resources.get(address)
        if root is None:
            if is_metaschema(address, node.dialect):
                return None, None
            remedy = f"'{'definitions' if node.dialect.is_old else '$defs'}'"
            message = f"{shown} points outside this schema, and nothing is fetched; copy its target to {remedy}"
            return None, message
        fragment = unquote(fragment)
        if fragment and not fragment.startswith("/"):
            target = self._anchors.get((address, fragment))
            return target, None if target is not None else f"there is no anchor for {shown} in this schema"
        return self._follow(node, f"{root}{fragment}", shown)

    def _follow(self, node: Node, pointer: str, shown: str) -> tuple[str | None, str | None]:
        if pointer not in self.nodes and pointer not in self._booleans and not self._index_late(pointer):
            remedy = f"'{'definitions' if node.dialect.is_old else '$defs'}'"
            return None, f"{shown} names no schema here; define it under {remedy}"
        return pointer if pointer in self.nodes else None, None

    def _index_late(self, pointer: str) -> bool:
        """Index what stands at a pointer where its dialect has no schemas; return whether it can be one."""
        value: Any = self.document
        owner, at = self.nodes[""], ""
        for part in pointer.split("/")[1:]:
            if at in self.nodes:
                owner = self.nodes[at]
                if part in DATA:
                    return False
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(value, dict) and name in value:
                value = value[name]
            elif isinstance(value, list) and name.isdecimal() and int(name[:9]) < len(value):
                value = value[int(name[:9])]
            else:
                return False
            at = f"{at}/{part}"
        if isinstance(value, bool):
            self._booleans.add(pointer)
        elif isinstance(value, dict):
            self.index(pointer, value, owner.dialect, owner.base, is_named=owner.is_named)
            self.documents.append(self.nodes[pointer])
        return isinstance(value, dict | bool)


def find_shape(schema: dict[str, Any], dialect: Dialect) -> Shape:
    """Return the subschemas of a document and what in them is refused at sight: foreign keywords, wrong names.

    Takes any document, also one that its metaschema refuses, and works in time linear in its size.
    """
    shape = Shape(schema)
    shape.index("", schema, dialect, _BASE, is_named="$schema" in schema)
    if len(shape.nodes) > MAX_SUBSCHEMAS:
        shape.problems = [_too_many()]
    return shape


def find_reference_problems(shape: Shape) -> list[ShapeProblem]:
    """Return the refused references of a document that its metaschema allows."""
    shape.link()
    if len(shape.nodes) > MAX_SUBSCHEMAS:
        return [_too_many()]
    return shape.problems or list(_find_expansion(shape.nodes))


def escape_address(address: str) -> str:
    """Return an address in which what a URI may not hold, such as a space in a name, is escaped; what is, stays."""
    if _PLAIN.fullmatch(address):
        return address
    path, separator, fragment = address.partition("#")
    return f"{quote(path, safe=_URI + '[]')}{separator}{quote(fragment, safe=_URI)}"


def locate(shape: Shape, message: str) -> str:
    """Return the pointer of the reference or id that a message of the engine quotes; empty if there is none."""
    for pointer, node in shape.nodes.items():
        for keyword in (node.dialect.id_keyword, *_REFERENCES):
            value = node.schema.get(keyword)
            if isinstance(value, str) and value and value in message:
                return f"{pointer}/{keyword}"
    return ""


def join(base: str, reference: str) -> str:
    """Return the address that a reference without fragment means, relative to a base (RFC 3986)."""
    if _SCHEME.match(reference):
        return reference
    scheme, separator, rest = base.partition("://")
    if not separator:
        return reference
    # The library joins only addresses of schemes that it knows.
    return f"{scheme}{urljoin(f'http://{rest}', reference)[4:]}"


def _is_ignored(node: Node, keyword: str) -> bool:
    """Return whether a keyword has no effect because ``$ref`` stands beside it."""
    return node.dialect.is_old and "$ref" in node.schema and keyword != "$ref"


def _too_many() -> ShapeProblem:
    return ShapeProblem("", "", f"over {MAX_SUBSCHEMAS} subschemas; simplify the schema")


def _find_expansion(nodes: dict[str, Node]) -> Iterator[ShapeProblem]:
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
                    yield ShapeProblem(pointer, "", message)
                    return
                pending.pop()
                del path[pointer]
            elif child in path:
                message = (
                    "the schema applies itself to the same value without end; refer to it below 'properties' or 'items'"
                )
                yield ShapeProblem(child, "$ref", message)
                return
            elif child not in weights:
                path[child] = None
                pending.append((child, iter(nodes[child].in_place)))
