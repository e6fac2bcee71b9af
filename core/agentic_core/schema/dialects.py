"""The supported dialects of JSON Schema, and the places of subschemas in each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import jsonschema_rs as engine

from agentic_core.strict_json import escape_part

Subschema = dict[str, Any] | bool

_ONE: Final = frozenset(("additionalProperties", "not"))
_ONE_SINCE_6: Final = _ONE | {"contains", "propertyNames"}
_ONE_SINCE_7: Final = _ONE_SINCE_6 | {"if", "then", "else"}
_ONE_SINCE_2019: Final = _ONE_SINCE_7 | {"unevaluatedItems", "unevaluatedProperties", "contentSchema"}
_LIST: Final = frozenset(("allOf", "anyOf", "oneOf"))
_MAP: Final = frozenset(("properties", "patternProperties", "definitions"))
_MAP_SINCE_2019: Final = _MAP | {"$defs", "dependentSchemas"}
# These apply to the same value as their parent; all others move on to a part of it.
IN_PLACE: Final = frozenset(
    ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies")
)
# Under these stand values, whatever they look like.
DATA: Final = frozenset(("default", "const", "enum", "examples", "example"))


@dataclass(frozen=True, slots=True)
class Dialect:
    """One version of JSON Schema."""

    name: str
    year: int
    """Its place in the order of versions."""
    uri: str
    """The id of its metaschema, without the empty fragment."""
    validator: type[engine.Validator]
    one: frozenset[str]
    list_: frozenset[str]
    map_: frozenset[str]
    id_keyword: str = "$id"
    is_old: bool = False
    """Up to draft 7: what stands beside ``$ref`` is ignored, and ``#name`` as an id makes an anchor."""

    def list_children(self, keyword: str, value: object) -> Iterator[tuple[str, Subschema]]:
        """Yield the subschemas under one keyword, each with the rest of its pointer."""
        if isinstance(value, dict):
            if keyword in self.one:
                yield "", value
            elif keyword in self.map_:
                for name, child in value.items():
                    if isinstance(child, dict | bool):
                        yield f"/{escape_part(name)}", child
        elif isinstance(value, bool):
            if keyword in self.one:
                yield "", value
        elif isinstance(value, list) and keyword in self.list_:
            for position, child in enumerate(value):
                if isinstance(child, dict | bool):
                    yield f"/{position}", child


# `items` and `dependencies` may hold schemas in several forms: they stand in more than one of the sets.
_TUPLES: Final = frozenset(("items", "additionalItems"))
DRAFT_4: Final = Dialect(
    "draft 4",
    4,
    "http://json-schema.org/draft-04/schema",
    engine.Draft4Validator,
    _ONE | _TUPLES,
    _LIST | {"items"},
    _MAP | {"dependencies"},
    "id",
    is_old=True,
)
DRAFT_6: Final = Dialect(
    "draft 6",
    6,
    "http://json-schema.org/draft-06/schema",
    engine.Draft6Validator,
    _ONE_SINCE_6 | _TUPLES,
    _LIST | {"items"},
    _MAP | {"dependencies"},
    is_old=True,
)
DRAFT_7: Final = Dialect(
    "draft 7",
    7,
    "http://json-schema.org/draft-07/schema",
    engine.Draft7Validator,
    _ONE_SINCE_7 | _TUPLES,
    _LIST | {"items"},
    _MAP | {"dependencies"},
    is_old=True,
)
DRAFT_2019: Final = Dialect(
    "2019-09",
    2019,
    "https://json-schema.org/draft/2019-09/schema",
    engine.Draft201909Validator,
    _ONE_SINCE_2019 | _TUPLES,
    _LIST | {"items"},
    _MAP_SINCE_2019,
)
DRAFT_2020: Final = Dialect(
    "2020-12",
    2020,
    "https://json-schema.org/draft/2020-12/schema",
    engine.Draft202012Validator,
    _ONE_SINCE_2019 | {"items"},
    _LIST | {"prefixItems"},
    _MAP_SINCE_2019,
)
DIALECTS: Final = (DRAFT_4, DRAFT_6, DRAFT_7, DRAFT_2019, DRAFT_2020)

_BY_ADDRESS: Final = {dialect.uri.partition("://")[2]: dialect for dialect in DIALECTS}


def find_dialect(address: object) -> Dialect | None:
    """Return the dialect that ``$schema`` names; None for one of which nothing is known."""
    if not isinstance(address, str):
        return None
    scheme, _, rest = address.removesuffix("#").partition("://")
    return _BY_ADDRESS.get(rest) if scheme in ("http", "https") else None


def refuse_dialect(address: object) -> str:
    """Return the words for a ``$schema`` of which nothing is known."""
    shown = repr(address)[:80]
    return (
        f"the dialect {shown} is not supported, and nothing is fetched; name a draft from 4 to 2020-12, such as"
        f" '{DRAFT_7.uri}#' or '{DRAFT_2020.uri}', or leave '$schema' out"
    )


def is_metaschema(uri: str, dialect: Dialect) -> bool:
    """Return whether the engine knows the document of this address by itself, in a schema of this dialect."""
    if uri == dialect.uri:
        return True
    vocabularies, _, name = uri.rpartition("/")
    return not dialect.is_old and vocabularies == f"{dialect.uri.removesuffix('/schema')}/meta" and bool(name)
