"""The fields of a schema that a person can be asked for one after the other. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentic_cli.inputs.values import Schema, find_choices, find_types, get, resolve, variants
from agentic_core.input_rules import FIELD_ORDER

_REST: Final = "*"


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


def list_fields(schema: Schema | None, hints: object = None) -> tuple[Field, ...]:
    """Return the fields of an object's schema in the order that it or the ``hints`` of a ``uiSchema`` name.

    Without one, required fields come first. A required object with properties of its own is taken apart; an optional
    one is asked for as a whole.
    """
    resolved = resolve(schema, schema)
    return tuple(_walk(resolved, schema, (), hints)) if resolved is not None else ()


def list_missing(schema: Schema | None, inputs: Any, hints: object = None) -> tuple[Field, ...]:
    """Return the fields that ``inputs`` does not set."""
    return tuple(field for field in list_fields(schema, hints) if not get(inputs, field.path)[0])


def order_fields(known: Iterable[str], required: Iterable[str], *wanted: object) -> list[str]:
    """Return the names of all ``known`` fields: the ``wanted`` ones first, then the required ones.

    ``*`` in the first list that is given stands for all that it does not name. The console orders its forms alike.
    """
    lists = [[each for each in names if isinstance(each, str)] for names in wanted if isinstance(names, list) and names]
    present = dict.fromkeys(known)
    first = lists[0] if lists else []
    place = first.index(_REST) if _REST in first else len(first)
    head, tail = first[:place], first[place + 1 :]
    names = [*head, *(each for names in lists[1:] for each in names), *required, *present]
    last = dict.fromkeys(each for each in tail if each in present and each not in head)
    return [*dict.fromkeys(each for each in names if each in present and each not in last), *last]


def _walk(schema: Schema, root: Schema | None, prefix: tuple[str, ...], hints: object) -> Iterator[Field]:
    properties, required, order = _collect(schema, root)
    told = hints if isinstance(hints, Mapping) else {}
    for name in order_fields(properties, required, _find_order(told), order):
        found = resolve(properties[name], root)
        found = found if found is not None else {}
        path = (*prefix, name)
        nested, _, _ = _collect(found, root)
        is_object = find_types(found, root) <= {"object"} and bool(nested)
        if name in required and is_object and len(path) < 5:
            yield from _walk(found, root, path, told.get(name))
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


def _find_order(hints: Mapping[str, Any]) -> object:
    options = hints.get("ui:options")
    return hints.get("ui:order", options.get("order") if isinstance(options, Mapping) else None)


def _collect(schema: Schema, root: Schema | None) -> tuple[dict[str, Any], list[str], list[Any] | None]:
    """Return an object's properties, its required names and the order that it names, those of ``allOf`` included."""
    properties: dict[str, Any] = {}
    required: dict[str, None] = {}
    order: list[Any] = []
    for part in (schema, *(each for each in (resolve(one, root) for one in schema.get("allOf") or ()) if each)):
        properties |= part.get("properties") or {}
        required |= dict.fromkeys(part.get("required") or ())
        named = part.get(FIELD_ORDER)
        order += named if isinstance(named, list) else ()
    return properties, list(required), order or None


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
