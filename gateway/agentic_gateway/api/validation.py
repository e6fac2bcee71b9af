"""What is wrong with a request, in the words of JSON Schema and JSON pointer, as for every other refusal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from agentic_core.strict_json import json_pointer
from agentic_gateway.problems import FieldProblem, Refused

# What pydantic calls a fault, as the keyword of JSON Schema that refuses the same.
_KEYWORDS: Final[Mapping[str, str]] = {
    "missing": "required",
    "extra_forbidden": "additionalProperties",
    "string_pattern_mismatch": "pattern",
    "string_too_short": "minLength",
    "string_too_long": "maxLength",
    "too_short": "minItems",
    "too_long": "maxItems",
    "greater_than": "exclusiveMinimum",
    "greater_than_equal": "minimum",
    "less_than": "exclusiveMaximum",
    "less_than_equal": "maximum",
    "literal_error": "enum",
    "enum": "enum",
}
MAX_LISTED: Final = 100


def refuse_request(faults: Sequence[Mapping[str, Any]]) -> Refused:
    """Return the refusal of a request by pydantic's faults: those of the body with their place in it."""
    errors = [_describe(fault) for fault in faults[:MAX_LISTED]]
    more = f" ({len(faults) - MAX_LISTED} more faults are not listed)" if len(faults) > MAX_LISTED else ""
    return Refused("bad-request", f"the request is not what this path takes{more}", errors)


def _describe(fault: Mapping[str, Any]) -> FieldProblem:
    place: tuple[str | int, ...] = tuple(fault["loc"])
    kind = str(fault["type"])
    keyword = _KEYWORDS.get(kind, "type" if kind.endswith(("_type", "_parsing")) else "")
    if place[:1] == ("body",):
        return FieldProblem(pointer=json_pointer(place[1:]), message=str(fault["msg"]), keyword=keyword)
    return FieldProblem(pointer="", message=f"{place[0]} {_join(place[1:])}: {fault['msg']}", keyword=keyword)


def _join(parts: Iterable[str | int]) -> str:
    return ".".join(map(str, parts))
