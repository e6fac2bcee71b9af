"""Which alternative of a union was meant: by its tag, by OpenAPI's ``discriminator``, or by the type of the value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jsonschema_rs as engine

Branch = Sequence[engine.ValidationError]
Document = Mapping[str, Any] | bool
_UNIONS: Final = (engine.ValidationErrorKind.AnyOf, engine.ValidationErrorKind.OneOfNotValid)
_MAX_OPTIONS: Final = 50


@dataclass(frozen=True)
class WrongTag:
    """A tag of no alternative."""

    name: str
    options: tuple[Any, ...]


@dataclass(frozen=True)
class Union:
    """The alternatives that a value may have meant without matching, with their names."""

    branches: tuple[Branch, ...] = ()
    names: tuple[str, ...] = ()
    meant: Branch | None = None
    """The faults of the one alternative that was meant."""
    wrong_tag: WrongTag | None = None


def read_union(error: engine.ValidationError, document: Document) -> Union | None:
    """Return how to read the fault of a union; None for every other fault."""
    kind = error.kind
    if not isinstance(kind, _UNIONS):
        return None
    branches = tuple(kind.context)
    if not branches or not all(branches):
        return Union(branches, ("",) * len(branches))
    parent = _look_up(document, error.schema_path[:-1])
    schemas = parent.get(str(error.schema_path[-1])) if isinstance(parent, Mapping) else None
    names = tuple(_name(schemas, index) for index in range(len(branches)))
    value = error.instance
    if isinstance(value, dict) and isinstance(parent, Mapping):
        chosen = _discriminate(parent.get("discriminator"), schemas, value)
        if chosen is not None and chosen < len(branches):
            return Union(branches, names, meant=branches[chosen])
    if not isinstance(value, dict | list):
        return Union(branches, names)
    return _narrow(branches, names, len(error.instance_path), value)


def _narrow(branches: tuple[Branch, ...], names: tuple[str, ...], depth: int, value: Any) -> Union:
    """Leave the alternatives of the value's type, then those that have the tags that it has."""
    fitting = [index for index, branch in enumerate(branches) if not _is_of_other_type(branch, depth)]
    wrong: WrongTag | None = None
    if not fitting:
        return Union(branches, names)
    tags = {index: _find_tags(branches[index], depth) for index in fitting}
    for name in sorted({each for found in tags.values() for each in found}):
        remaining = [index for index in fitting if name not in tags[index]]
        if remaining:
            fitting = remaining
        elif len(fitting) > 1 and isinstance(value, dict):
            options = [option for index in fitting for option in tags[index][name]]
            distinct = tuple(each for at, each in enumerate(options) if each not in options[:at])
            wrong = WrongTag(name, distinct[:_MAX_OPTIONS])
            break
    if wrong is not None:
        return Union(wrong_tag=wrong)
    if len(fitting) == 1:
        return Union(branches, names, meant=branches[fitting[0]])
    return Union(tuple(branches[index] for index in fitting), tuple(names[index] for index in fitting))


def _is_of_other_type(branch: Branch, depth: int) -> bool:
    return any(error.kind.name == "type" and len(error.instance_path) == depth for error in branch)


def _find_tags(branch: Branch, depth: int) -> dict[str, list[Any]]:
    """Return the properties whose value is not the one that an alternative wants, with what it wants."""
    found: dict[str, list[Any]] = {}
    for error in branch:
        kind, path = error.kind, error.instance_path
        if len(path) != depth + 1 or not isinstance(path[-1], str):
            continue
        if isinstance(kind, engine.ValidationErrorKind.Constant):
            found[path[-1]] = [kind.expected_value]
        elif isinstance(kind, engine.ValidationErrorKind.Enum):
            found[path[-1]] = list(kind.options)
    return found


def _discriminate(discriminator: Any, schemas: Any, value: Mapping[str, Any]) -> int | None:
    """Return the place of the alternative that OpenAPI's keyword names."""
    if not isinstance(discriminator, Mapping) or not isinstance(schemas, list):
        return None
    name = discriminator.get("propertyName")
    tag = value.get(name) if isinstance(name, str) else None
    mapping = discriminator.get("mapping")
    wanted = mapping.get(tag, tag) if isinstance(mapping, Mapping) and isinstance(tag, str) else tag
    for index, schema in enumerate(schemas):
        reference = schema.get("$ref") if isinstance(schema, Mapping) else None
        if isinstance(reference, str) and wanted in (reference, reference.rpartition("/")[2]):
            return index
    return None


def _name(schemas: Any, index: int) -> str:
    """Return the name of an alternative; empty without one."""
    schema = schemas[index] if isinstance(schemas, list) and index < len(schemas) else None
    if not isinstance(schema, Mapping):
        return ""
    title, reference = schema.get("title"), schema.get("$ref")
    if isinstance(title, str) and title:
        return title[:40]
    return reference.rpartition("/")[2].lstrip("#")[:40] if isinstance(reference, str) else ""


def _look_up(document: Any, path: Sequence[str | int]) -> Any:
    for part in path:
        if isinstance(document, Mapping) and part in document:
            document = document[str(part)]
        elif isinstance(document, list) and isinstance(part, int) and part < len(document):
            document = document[part]
        else:
            return None
    return document
