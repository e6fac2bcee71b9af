"""Filters of the long-term store, compared as PostgreSQL compares them.

For values that the database cannot look into. Texts are ordered by their code points, whatever its collation is.
"""

import json
import operator
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

_ORDERS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def matches(value: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether an item's value matches a filter; raise ``ValueError`` for an unknown operator."""
    return all(
        _has(value, key, name, operand)
        for key, expected in wanted.items()
        for name, operand in (expected.items() if isinstance(expected, dict) else [("$eq", expected)])
    )


def _has(value: Mapping[str, Any], key: str, name: str, operand: Any) -> bool:
    if name not in ("$eq", "$ne", *_ORDERS):
        raise ValueError(f"Unsupported operator: {name}")
    # What is not there is neither equal nor unequal to anything.
    if key not in value:
        return False
    found = value[key]
    if name in _ORDERS:
        text = _as_text(found)
        return text is not None and _ORDERS[name](text, str(operand))
    return _is_same(found, operand) is (name == "$eq")


def _is_same(one: Any, other: Any) -> bool:
    """Compare as JSON: ``1`` is ``1.0`` and not ``true``."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in one)
    return bool(one == other)


def _as_text(value: Any) -> str | None:
    """Return what ``->>`` makes of a value."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return json.dumps(value, ensure_ascii=False)
