"""The fields of a schema that a person can be asked for one after the other. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agentic_cli.inputs.values import Schema, find_choices, find_types, get, resolve, variants


@dataclass(frozen=True)
class Field:
    """One value to ask for, and its ``path`` in the inputs."""

    path: tuple[str, ...]
    schema: Mapping[str, Any]
    is_required: bool
    types: frozenset[str]
    choices: tuple[Any, ...] = ()
    description: str = ""
    default: Any = None
    has_default: bool = False

    @property
    def name(self) -> str:
        return ".".join(self.path)


def list_fields(schema: Schema | None) -> tuple[Field, ...]:
    """Return the fields of an object's schema in their order, required ones first at each level.

    A required object with properties of its own is taken apart; an optional one is asked for as a whole.
    """
    resolved = resolve(schema, schema)
    return tuple(_walk(resolved, schema, ())) if resolved is not None else ()


def list_missing(schema: Schema | None, inputs: Any) -> tuple[Field, ...]:
    """Return the fields that ``inputs`` does not set."""
    return tuple(field for field in list_fields(schema) if not get(inputs, field.path)[0])


def _walk(schema: Schema, root: Schema | None, prefix: tuple[str, ...]) -> Iterator[Field]:
    properties, required = _collect(schema, root)
    for name in sorted(properties, key=lambda each: each not in required):
        found = resolve(properties[name], root)
        found = found if found is not None else {}
        path = (*prefix, name)
        nested, _ = _collect(found, root)
        is_object = find_types(found, root) <= {"object"} and bool(nested)
        if name in required and is_object and len(path) < 5:
            yield from _walk(found, root, path)
            continue
        yield Field(
            path=path,
            schema=_with_definitions(found, root),
            is_required=name in required,
            types=find_types(found, root),
            choices=_choices(found, root),
            description=str(found.get("description") or found.get("title") or ""),
            default=found.get("default"),
            has_default="default" in found,
        )


def _collect(schema: Schema, root: Schema | None) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the properties and required names of an object, those of ``allOf`` included."""
    properties: dict[str, Any] = {}
    required: set[str] = set()
    for part in (schema, *(each for each in (resolve(one, root) for one in schema.get("allOf") or ()) if each)):
        properties |= part.get("properties") or {}
        required |= set(part.get("required") or ())
    return properties, frozenset(required)


def _choices(schema: Schema, root: Schema | None) -> tuple[Any, ...]:
    """Return the allowed values if the whole schema, or its only alternative to null, lists them."""
    for each in variants(schema, root):
        if choices := find_choices(each):
            return choices
    return ()


def _with_definitions(schema: Schema, root: Schema | None) -> Schema:
    """Return a field's schema with what its references lead to, so that it can be checked on its own."""
    shared = {name: root[name] for name in ("$defs", "definitions") if root is not None and name in root}
    return {**shared, **schema}
