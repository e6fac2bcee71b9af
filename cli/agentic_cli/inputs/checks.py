"""Checks values by a schema as the operator does, before anything is sent."""

from collections.abc import Mapping
from typing import Any

from agentic_core.contract import MAX_INPUT_BYTES, MAX_TURN_INPUT_BYTES
from agentic_core.errors import InvalidResource, Problem
from agentic_core.input_rules import InputRules
from agentic_core.strict_json import JsonRefused, encode_json, parse_strict_json


def find_problems(
    value: Any, schema: Mapping[str, Any] | None, *, max_bytes: int = MAX_INPUT_BYTES
) -> tuple[Problem, ...]:
    """Return the problems of ``value``: first for the API, then for ``schema`` if there is one."""
    try:
        parse_strict_json(encode_json(value), max_bytes=max_bytes, as_stored=True)
    except JsonRefused as refused:
        return (Problem(refused.pointer, refused.message),)
    if schema is None:
        return ()
    # Compiled code that only a check needs.
    from agentic_core.schema.schema import check_instance

    return tuple(Problem(each.pointer, each.message) for each in check_instance(schema, value))


def require_acceptable(inputs: Any, rules: InputRules) -> None:
    """Raise ``InvalidResource`` if the operator would refuse these inputs."""
    schema = rules.judging
    problems = find_problems(inputs, schema)
    if problems and schema is not None and not rules.is_declared:
        problems = find_form_problems(inputs, schema)
    if problems:
        raise InvalidResource(problems)


def require_small(value: Any) -> None:
    """Raise ``InvalidResource`` for an input that no turn may have."""
    if problems := find_problems(value, None, max_bytes=MAX_TURN_INPUT_BYTES):
        raise InvalidResource([Problem(f"/input{each.pointer}", each.message) for each in problems])


def find_form_problems(value: Any, schema: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Return the problems of a typed value; an unusable schema is ignored."""
    problems = find_problems(value, schema)
    return find_problems(value, None) if problems and _is_refused(schema) else problems


def _is_refused(schema: Mapping[str, Any]) -> bool:
    from agentic_core.schema.schema import check_schema

    return bool(check_schema(schema))
