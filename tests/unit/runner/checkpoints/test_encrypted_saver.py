"""What is found by metadata that the database cannot read, as PostgreSQL would find it."""

from typing import Any

import pytest

from agentic_runner.checkpoints.encrypted_saver import contains


@pytest.mark.parametrize(
    ("value", "wanted", "expected"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {"b": 1}, False),
        ({"a": 1}, {}, True),
        ({"a": {"b": [1, {"c": "d", "e": 1}]}}, {"a": {"b": [{"c": "d"}]}}, True),
        ({"a": [1, 2, 3]}, {"a": [3, 1]}, True),
        ({"a": [1, 2]}, {"a": [3]}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": None}, {"a": None}, True),
        ({}, {"a": None}, False),
        ({"a": "text"}, {"a": {"b": 1}}, False),
        ({"a": "text"}, {"a": ["t"]}, False),
    ],
)
def test_json_contains_json_as_it_does_in_postgresql(value: Any, wanted: Any, expected: bool) -> None:
    assert contains(value, wanted) is expected
