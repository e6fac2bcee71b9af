"""Converts ``key=value`` of a command line to typed JSON, by the schema.

Pure. Without a schema, a value that can be read as JSON is JSON, and anything else is text.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from agentic_core.choices import find_item_choices
from agentic_core.errors import PermanentError
from agentic_core.strict_json import JsonRefused, parse_strict_json

Schema = Mapping[str, Any]
_MAX_REFERENCES: Final = 32
_WORDS: Final = {
    "true": True,
    "yes": True,
    "y": True,
    "on": True,
    "false": False,
    "no": False,
    "n": False,
    "off": False,
}
_TYPES: Final = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def build_inputs(base: Any, pairs: Iterable[str], schema: Schema | None, *, is_strict: bool = True) -> Any:
    """Return ``base`` (the value of a file, None without one) with each ``key=value`` inserted.

    A dotted key goes into nested objects; ``\\.`` is a dot in a name. Raises ``PermanentError``, also for a text that
    is invalid under a schema that ``is_strict``; a schema that only describes is ignored for such a text.
    """
    inputs = base
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise PermanentError(f"{pair!r} is not key=value")
        if inputs is None:
            inputs = {}
        path = split_key(key)
        try:
            value = read_value(text, find_schema(schema, path), key, schema)
        except PermanentError:
            if is_strict:
                raise
            value = _guess(text, key)
        put(inputs, path, value)
    return inputs


def split_key(key: str) -> tuple[str, ...]:
    r"""Return the parts of a dotted key: ``a.b`` is two, ``a\.b`` one."""
    parts, current, is_escaped = [], "", False
    for character in key:
        if is_escaped:
            current += character if character in ".\\" else f"\\{character}"
            is_escaped = False
        elif character == "\\":
            is_escaped = True
        elif character == ".":
            parts.append(current)
            current = ""
        else:
            current += character
    parts.append(current + ("\\" if is_escaped else ""))
    if not all(parts):
        raise PermanentError(f"the key {key!r} has an empty part")
    return tuple(parts)


def put(target: Any, path: tuple[str, ...], value: Any) -> None:
    """Set ``path`` in a tree of objects, making those that are missing."""
    for depth, part in enumerate(path):
        if not isinstance(target, dict):
            place = ".".join(path[:depth]) or "the inputs"
            raise PermanentError(f"{place}: is {_name(target)}, so {'.'.join(path)!r} cannot be set in it")
        if depth == len(path) - 1:
            target[part] = value
        else:
            target = target.setdefault(part, {})


def get(source: Any, path: tuple[str, ...]) -> tuple[bool, Any]:
    """Return whether ``path`` is set, and its value."""
    for part in path:
        if not isinstance(source, dict) or part not in source:
            return False, None
        source = source[part]
    return True, source


def find_schema(schema: Schema | None, path: Iterable[str]) -> Schema | None:
    """Return the schema of the property at ``path``, resolved; None if the schema does not define it."""
    root = schema
    current = resolve(schema, root)
    for part in path:
        if current is None:
            return None
        found = next(
            (each["properties"][part] for each in variants(current, root) if part in (each.get("properties") or {})),
            None,
        )
        if found is None:
            additional = current.get("additionalProperties")
            found = additional if isinstance(additional, dict) else None
        current = resolve(found, root)
    return current


def resolve(schema: Any, root: Schema | None) -> Schema | None:
    """Follow local ``$ref``s and keep the other members (a description, a default); None if it is not an object."""
    for _ in range(_MAX_REFERENCES):
        if not isinstance(schema, Mapping):
            return None
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        if reference != "#" and not reference.startswith("#/"):
            return None
        target: Any = root
        for part in reference[2:].split("/") if len(reference) > 2 else ():
            name = part.replace("~1", "/").replace("~0", "~")
            target = target.get(name) if isinstance(target, Mapping) else None
        if not isinstance(target, Mapping):
            return None
        schema = {**target, **{name: value for name, value in schema.items() if name != "$ref"}}
    return None


def variants(schema: Schema | None, root: Schema | None, depth: int = 4) -> Iterator[Schema]:
    """Yield a schema and its alternatives or parts."""
    if schema is None or depth == 0:
        return
    yield schema
    for keyword in ("anyOf", "oneOf", "allOf"):
        for each in schema.get(keyword) or ():
            yield from variants(resolve(each, root), root, depth - 1)


def find_types(schema: Schema | None, root: Schema | None = None) -> frozenset[str]:
    """Return the JSON types that a schema names at its top level; empty if it names none."""
    types: set[str] = set()
    for each in variants(schema, root if root is not None else schema):
        named = each.get("type")
        types.update([named] if isinstance(named, str) else named or ())
        types.update(_type(choice) for choice in find_choices(each))
    return frozenset(types)


def find_choices(schema: Schema | None) -> tuple[Any, ...]:
    """Return the values that ``enum`` or ``const`` allow; empty if any is."""
    if schema is None:
        return ()
    if "const" in schema:
        return (schema["const"],)
    choices = schema.get("enum")
    return tuple(choices) if isinstance(choices, list) else ()


def read_value(text: str, schema: Schema | None, name: str = "the value", root: Schema | None = None) -> Any:
    """Return the value of ``text`` under ``schema``; raise ``PermanentError`` with ``name`` if it has none.

    Whether the value is allowed is another question: ``find_problems`` answers it.
    """
    types = find_types(schema, root)
    if not types:
        return _guess(text, name)
    if types == {"array"} and text.lstrip()[:1] != "[" and find_item_choices(schema):
        return read_several(text, schema, name)
    if types == {"string"}:
        return text
    is_json, value = _try_json(text, name)
    if is_json and _fits(value, types):
        return value
    if "boolean" in types and text.strip().lower() in _WORDS and "string" not in types:
        return _WORDS[text.strip().lower()]
    if "string" in types:
        return text
    wanted = " or ".join(sorted(types - {"null"}) or ["null"])
    hint = "; write it as JSON" if types & {"array", "object"} else ""
    raise PermanentError(f"{name}: {_short(text)} is not {_article(wanted)} {wanted}{hint}")


def read_several(text: str, schema: Schema | None, name: str, *, by_number: bool = False) -> list[Any]:
    """Return the items that ``text`` names: a JSON array, or values or labels of the schema's choices between commas.

    ``by_number`` is for who sees the list: a number is the place in it.
    """
    if text.lstrip()[:1] == "[":
        found = _try_json(text, name)[1]
        if isinstance(found, list):
            return found
    choices = find_item_choices(schema)
    items: list[Any] = []
    for part in (each.strip() for each in text.split(",")) if text.strip() else ():
        known = [each.value for each in choices if part in (each.value, each.label, json.dumps(each.value))]
        if not known and by_number and part.isascii() and part.isdigit() and 1 <= int(part) <= len(choices):
            known = [choices[int(part) - 1].value]
        items.append(known[0] if known else part)
    return items


def _guess(text: str, name: str) -> Any:
    is_json, value = _try_json(text, name)
    return value if is_json else text


def _try_json(text: str, name: str) -> tuple[bool, Any]:
    try:
        return True, parse_strict_json(text)
    except JsonRefused as refused:
        is_meant_so = text.lstrip()[:1] in ("{", "[")
        if is_meant_so and not refused.message.startswith("not JSON"):
            raise PermanentError(f"{name}{refused.pointer}: {refused.message}") from None
        return False, None


def _fits(value: Any, types: frozenset[str]) -> bool:
    kind = _type(value)
    if kind in types or (kind == "integer" and "number" in types):
        return True
    return kind == "number" and "integer" in types and float(value).is_integer()


def _type(value: Any) -> str:
    return "null" if value is None else _TYPES[type(value)]


def _name(value: Any) -> str:
    kind = _type(value)
    return kind if kind == "null" else f"{_article(kind)} {kind}"


def _article(word: str) -> str:
    return "an" if word[0] in "aio" else "a"


def _short(text: str) -> str:
    return json.dumps(text if len(text) <= 60 else text[:59] + "…", ensure_ascii=False)
