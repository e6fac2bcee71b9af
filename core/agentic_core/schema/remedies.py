"""What in a schema is of another version of JSON Schema, or of none, and what to write instead.

A metaschema says only that something is wrong; engines ignore many of these words, or obey some of them. Whoever writes
``nullable`` or a list in ``items`` means something by it, so it is refused with what means the same here.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from agentic_core.schema.dialects import DRAFT_4, DRAFT_2020, Dialect

_TYPES: Final = {
    "int": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "decimal": "number",
    "str": "string",
    "text": "string",
    "date": "string",
    "file": "string",
    "bool": "boolean",
    "list": "array",
    "tuple": "array",
    "dict": "object",
    "map": "object",
    "None": "null",
    "none": "null",
}
# Keywords that other dialects have, with what took their place; some engines obey them and others ignore them.
_RENAMED: Final = {
    "dependencies": (2019, "use 'dependentRequired' or 'dependentSchemas'"),
    "additionalItems": (2020, "use 'items' beside 'prefixItems'"),
    "$recursiveRef": (2020, "use '$dynamicRef'"),
    "$recursiveAnchor": (2020, "use '$dynamicAnchor'"),
}
# Of draft 3 and before: every later dialect ignores them.
_GONE: Final = {
    "divisibleBy": "use 'multipleOf'",
    "disallow": "use 'not'",
    "extends": "use 'allOf'",
}
_LIMITING: Final = ("enum", "const", "$ref", "anyOf", "oneOf", "allOf")


def find_remedies(schema: dict[str, Any], dialect: Dialect, *, is_named: bool) -> Iterator[tuple[str, str]]:
    """Yield the keywords of one subschema that mean nothing in its dialect, each with what to write instead.

    A document that names its dialect is judged by the rules of that dialect, which ignore unknown words; one that names
    none is 2020-12, and what looks like an older draft may also be made right by naming it.
    """
    other = "" if is_named else ", or name the draft in '$schema'"
    for keyword, (since, remedy) in _RENAMED.items():
        if keyword in schema and dialect.year >= since:
            yield keyword, f"'{keyword}' is no keyword of JSON Schema {dialect.name}; {remedy}{other}"
    if dialect is DRAFT_2020 and isinstance(schema.get("items"), list):
        yield "items", f"a list in 'items' is of drafts before 2020-12; use 'prefixItems'{other}"
    yield from _find_bounds(schema, dialect, other)
    if isinstance(schema.get("required"), bool):
        yield (
            "required",
            "'required' is a list of names beside 'properties', such as [\"a\"]; true and false are of draft 3",
        )
    yield from _find_types(schema)
    if not is_named:
        yield from _find_unnamed(schema)


def _find_bounds(schema: dict[str, Any], dialect: Dialect, other: str) -> Iterator[tuple[str, str]]:
    for keyword, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        value = schema.get(keyword)
        if isinstance(value, bool) and dialect is not DRAFT_4:
            limit = json.dumps(schema.get(bound, 0), default=str)[:20]
            instead = f"use \"{keyword}\": {limit} instead of '{bound}'" if value else "leave it out"
            yield keyword, f"true and false in '{keyword}' are of draft 4; {instead}{other}"
        elif isinstance(value, int | float) and not isinstance(value, bool) and dialect is DRAFT_4:
            yield (
                keyword,
                f"in draft 4 '{keyword}' is true or false beside '{bound}'; use '{bound}', or a later '$schema'",
            )


def _find_types(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    types = schema.get("type")
    for each in types if isinstance(types, list) else [types]:
        if each == "any":
            yield "type", "'any' is no type of JSON Schema; leave 'type' out where any value is allowed"
        elif isinstance(each, dict):
            yield "type", "schemas in 'type' are of draft 3; use 'anyOf'"
        elif isinstance(each, str) and each in _TYPES:
            yield "type", f"{each!r} is no type of JSON Schema; use '{_TYPES[each]}'"


def _find_unnamed(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for keyword, remedy in _GONE.items():
        if keyword in schema:
            yield keyword, f"'{keyword}' is of draft 3 and checks nothing; {remedy}"
    if schema.get("nullable") is True and (remedy := _replace_nullable(schema)):
        yield "nullable", f"'nullable' is OpenAPI's and allows nothing here; {remedy}"
    name = schema.get("id")
    if isinstance(name, str) and any(mark in name for mark in ":/#"):
        yield "id", "'id' is of draft 4; use '$id', or name the draft in '$schema'"


def _replace_nullable(schema: dict[str, Any]) -> str:
    types = schema.get("type")
    if isinstance(types, str):
        return "" if types == "null" else f'use "type": ["{types[:40]}", "null"]'
    if isinstance(types, list):
        return "" if "null" in types else "add \"null\" to 'type'"
    if any(keyword in schema for keyword in _LIMITING):
        return 'use "anyOf": [{…}, {"type": "null"}]'
    return ""
