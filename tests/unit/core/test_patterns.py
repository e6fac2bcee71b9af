"""Patterns that backtrack: what they match, and that giving up is never taken for a verdict."""

import json
from typing import Any

import pytest

from agentic_core.schema.sandbox import SchemaChecker
from agentic_core.schema.schema import SchemaProblem, check_instance, check_schema

ENDLESS = "(?=a)(?:a|aa)+$(?!x)"
"""Takes 2ⁿ steps on n letters with another one behind them."""
TEXT = "a" * 60 + "b"


@pytest.mark.parametrize(
    ("pattern", "fits", "fails"),
    [
        ("^(?!x-)", "abc", "x-abc"),
        ("^(?=.*[0-9])(?=.*[a-z]).{6,}$", "abc123", "abcdef"),
        ("(?<=a)b", "ab", "b"),
        ("(?<!a)b", "b", "ab"),
        (r"^(a|b)\1$", "aa", "ab"),
        (r"^(?!\d)\w+$", "a", "٣"),
        ("^(?!.*--)[a-z-]+|x$", "a-b", "a--b"),
    ],
)
def test_look_around_and_back_references_are_checked(pattern: str, fits: str, fails: str) -> None:
    schema = {"properties": {"a": {"pattern": pattern}}}
    assert check_schema(schema) == ()
    assert check_instance(schema, {"a": fits}) == ()
    (problem,) = check_instance(schema, {"a": fails})
    message = f"{json.dumps(fails, ensure_ascii=False)} does not match {json.dumps(pattern)}"
    assert problem == SchemaProblem("/a", message, "pattern", "/properties/a/pattern")


def test_they_select_properties_and_bound_their_names() -> None:
    schema = {"patternProperties": {"^(?!x-)": {"type": "integer"}}, "propertyNames": {"pattern": "^(?!y)"}}
    assert check_instance(schema, {"a": 1, "x-b": "text"}) == ()
    assert [each.pointer for each in check_instance(schema, {"a": "text", "y": 1})] == ["", "/a"]
    closed = {"patternProperties": {"^(?!x-)": {}}, "additionalProperties": False}
    assert check_instance(closed, {"a": 1}) == ()
    assert check_instance(closed, {"x-a": 1})


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": ENDLESS},
        {"not": {"pattern": ENDLESS}},
        {"anyOf": [{"pattern": ENDLESS}, {"type": "integer"}]},
        {"oneOf": [{"pattern": ENDLESS}, True]},
        {"if": {"pattern": ENDLESS}, "then": True, "else": False},
    ],
    ids=json.dumps,
)
def test_a_pattern_that_gives_up_on_a_value_is_told_and_no_verdict(schema: dict[str, Any]) -> None:
    (problem,) = check_instance({"properties": {"a": schema}}, {"a": TEXT})
    assert problem.pointer == "/a"
    assert "takes too long" in problem.message
    assert ENDLESS in problem.message
    assert check_instance({"properties": {"a": schema}}, {"b": TEXT}) == ()


@pytest.mark.parametrize(
    "more", [{}, {"additionalProperties": False}, {"unevaluatedProperties": False}], ids=json.dumps
)
def test_a_pattern_that_gives_up_on_a_name_is_told_and_no_verdict(more: dict[str, Any]) -> None:
    schema = {"items": {"patternProperties": {ENDLESS: False}, **more}}
    (problem,) = check_instance(schema, [{}, {TEXT: 1}])
    assert problem.pointer.startswith("/1/aaa")
    assert "takes too long" in problem.message


async def test_it_is_told_in_the_process_with_the_limit_as_well() -> None:
    async with SchemaChecker(workers=1) as checker:
        schema = {"properties": {"a": {"pattern": ENDLESS}}}
        (problem,) = await checker.check_instance(schema, {"a": TEXT})
        assert "tak" in problem.message
        assert await checker.check_instance(schema, {"a": "aaa"}) == ()


def test_a_keyword_of_the_author_with_our_name_has_no_effect() -> None:
    schema = {"x-agentic-pattern": "^z", "pattern": "^(?!y)"}
    assert check_instance(schema, "a") == ()


def test_what_is_checked_is_remembered_for_one_check_alone() -> None:
    schema = {"properties": {"a": {"pattern": ENDLESS}}}
    assert check_instance(schema, {"a": TEXT})
    assert check_instance(schema, {"a": "aa"}) == ()
