"""The choices that a question offers, and how they and the schema of its answer agree.

Graph authors write ``options`` or ``choices``: a list of values, of objects with ``value`` (or ``id``, ``key``) and
``label``, or an object of labels by value. They may be the whole answer, items of a list (``multiple``), the values of
one field of an object, or suggestions beside free text. ``fit_choices`` returns those that are complete answers, and a
schema that takes them and holds the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

Json = Mapping[str, Any]

_LISTS: Final = ("options", "choices")
_MULTIPLE: Final = (
    "multiple",
    "multi",
    "multi_select",
    "multiSelect",
    "multiselect",
    "allow_multiple",
    "allowMultiple",
    "is_multiple",
)
_FREE: Final = (
    "allow_free_text",
    "allow_freeform",
    "allow_custom",
    "allow_other",
    "allow_text",
    "free_text",
    "freeform",
    "allowFreeText",
    "allowCustom",
    "allowOther",
)
_SEVERAL_TYPES: Final = frozenset({"multi_select", "multi-select", "multiselect", "checkbox", "checkboxes"})
_VALUES: Final = ("value", "id", "key")
_LABELS: Final = ("label", "title", "name", "text", "description")
_MAX_CHOICES: Final = 1024


@dataclass(frozen=True)
class Choice:
    """One value to choose; an empty label means the value itself."""

    value: Any
    label: str = ""


@dataclass(frozen=True)
class Offer:
    """The choices of a question's value."""

    choices: tuple[Choice, ...] = ()
    also: tuple[Any, ...] = ()
    """Values that are taken as well: the objects that name a choice, if they do not say which part is the answer."""
    is_multiple: bool = False
    is_free: bool = False
    read: frozenset[str] = frozenset()
    """The members of the value that were read."""


def read_choices(value: Json) -> Offer:
    """Return the choices of an interrupt's value; none if they are not a list, or too many."""
    key = next((name for name in _LISTS if _list_raw(value.get(name))), None)
    if key is None:
        return Offer(read=frozenset(_LISTS[:1]))
    listed = _list_raw(value[key])
    if len(listed) > _MAX_CHOICES:
        return Offer(read=frozenset({key}))
    choices: list[Choice] = []
    also: list[Any] = []
    for each in listed:
        choice = _read_choice(each)
        if any(is_same_json(choice.value, known.value) for known in choices):
            continue
        choices.append(choice)
        if isinstance(each, Mapping) and "value" not in each and not is_same_json(each, choice.value):
            also.append(each)
    flags = {name for name in (*_MULTIPLE, *_FREE) if isinstance(value.get(name), bool)}
    is_several = value.get("type") in _SEVERAL_TYPES if isinstance(value.get("type"), str) else False
    return Offer(
        choices=tuple(choices),
        also=tuple(also),
        is_multiple=is_several or any(value[name] for name in flags & set(_MULTIPLE)),
        is_free=any(value[name] for name in flags & set(_FREE)),
        read=frozenset({key, *flags}),
    )


def fit_choices(offer: Offer, schema: Json | None) -> tuple[tuple[Choice, ...], Json | None]:
    """Return the choices that are complete answers, and the schema of the answer."""
    if not offer.choices:
        return (), schema
    if schema is None:
        return _build_schema(offer)
    from agentic_core.schema.schema import check_instance, check_schema

    if check_schema(schema):
        # It refuses nothing: the choices are all that is known.
        return offer.choices, schema
    complete = [_complete(choice, schema) for choice in offer.choices]
    fitting = tuple(each for each in complete if each is not None and not check_instance(schema, each.value))
    if len(fitting) == len(offer.choices):
        return fitting, schema
    items = schema.get("items")
    if (
        schema.get("type") == "array"
        and not find_item_choices(schema)
        and (items is None or isinstance(items, Mapping))
    ):
        return (), {**schema, "items": {**(items or {}), "examples": [each.value for each in offer.choices]}}
    return (), schema


def find_item_choices(schema: Json | None) -> tuple[Choice, ...]:
    """Return the choices for the items of a list; none if the schema is not a list of choices."""
    if not isinstance(schema, Mapping) or schema.get("type") != "array":
        return ()
    items = _resolve(schema.get("items"), schema)
    if items is None:
        return ()
    for keyword in ("enum", "examples"):
        if values := items.get(keyword):
            return tuple(Choice(each) for each in _list_raw(values))
    branches = items.get("anyOf") or items.get("oneOf")
    if not isinstance(branches, list):
        return ()
    return tuple(
        choice
        for each in branches
        if isinstance(each, Mapping)
        for choice in (
            [Choice(each["const"], str(each.get("title") or ""))]
            if "const" in each
            else [Choice(one) for one in _list_raw(each.get("enum"))]
        )
    )


def is_same_json(left: Any, right: Any) -> bool:
    """Return whether two JSON values are the same; in JSON, unlike in Python, ``true`` is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(is_same_json(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(is_same_json, left, right))
    return bool(left == right)


def _list_raw(options: Any) -> list[Any]:
    if isinstance(options, list):
        return options
    if isinstance(options, Mapping) and options and all(isinstance(each, str) for each in options.values()):
        return [{"value": value, "label": label} for value, label in options.items()]
    return []


def _read_choice(each: Any) -> Choice:
    if not isinstance(each, Mapping):
        return Choice(each)
    label = next((each[name] for name in _LABELS if isinstance(each.get(name), str) and each[name]), "")
    if not label and "label" in each:
        label = str(each["label"] or "")
    key = next((name for name in _VALUES if name in each), None)
    if key is None or (isinstance(each[key], Mapping | list) and key != "value"):
        return Choice(each, label)
    return Choice(each[key], label)


def _build_schema(offer: Offer) -> tuple[tuple[Choice, ...], Json]:
    values = [*(each.value for each in offer.choices), *offer.also]
    one: dict[str, Any] = {"enum": values}
    if offer.is_multiple and not offer.also and any(each.label for each in offer.choices):
        one = {"anyOf": [_name(each) for each in offer.choices]}
    if offer.is_free:
        one = {"anyOf": [*one.get("anyOf", [one]), {"type": "string"}]}
    if offer.is_multiple:
        return (), {"type": "array", "items": one, "uniqueItems": True}
    return offer.choices, one


def _name(choice: Choice) -> dict[str, Any]:
    return {"const": choice.value, **({"title": choice.label} if choice.label else {})}


def _complete(choice: Choice, schema: Json) -> Choice | None:
    """Return the choice as a whole answer: as it is, or as the one field that is chosen from values like it."""
    from agentic_core.schema.schema import check_instance

    if not check_instance(schema, choice.value):
        return choice
    if (field := _find_field(choice.value, schema)) is None:
        return None
    return replace(choice, value={field: choice.value}, label=choice.label or _show(choice.value))


def _find_field(value: Any, schema: Json) -> str | None:
    """Return the only property that may have this value by name; where none is chosen from values, the required one."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return None
    named = [
        name for name, each in properties.items() if any(is_same_json(value, one) for one in _values(each, schema))
    ]
    if len(named) == 1:
        return str(named[0])
    required: Sequence[Any] = schema.get("required") or ()
    return str(required[0]) if not named and len(required) == 1 else None


def _values(schema: Any, root: Json) -> list[Any]:
    """Return the values that a property names."""
    found = _resolve(schema, root)
    if found is None:
        return []
    if "const" in found:
        return [found["const"]]
    values = found.get("enum")
    return values if isinstance(values, list) else []


def _resolve(schema: Any, root: Json) -> Json | None:
    """Return a schema, or the target of its reference into the root's definitions; None if that is not an object."""
    if isinstance(schema, Mapping) and isinstance(reference := schema.get("$ref"), str):
        _, _, place = reference.partition("#/")
        section, _, name = place.partition("/")
        definitions = root.get(section)
        schema = definitions.get(name) if isinstance(definitions, Mapping) else None
    return schema if isinstance(schema, Mapping) else None


def _show(value: Any) -> str:
    return value if isinstance(value, str) else ""
