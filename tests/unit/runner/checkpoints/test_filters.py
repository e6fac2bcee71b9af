"""Filters of encrypted items, compared with what PostgreSQL says in ``test_long_term_store``."""

from typing import Any

import pytest

from agentic_runner.checkpoints.filters import matches


@pytest.mark.parametrize(
    ("value", "wanted", "expected"),
    [
        ({"a": 1}, {}, True),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": True}, {"a": 1}, False),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2.0}]}, True),
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
        ({"a": None}, {"a": None}, True),
        ({}, {"a": None}, False),
        ({}, {"a": {"$ne": 1}}, False),
        ({"a": 2}, {"a": {"$ne": 1}}, True),
        ({"a": 4.5}, {"a": {"$gt": 3.2}}, True),
        # As texts, like LangGraph's own store.
        ({"a": 10}, {"a": {"$gt": 9}}, False),
        ({"a": "b"}, {"a": {"$gte": "b", "$lt": "c"}}, True),
        ({"a": None}, {"a": {"$lte": "z"}}, False),
        ({"a": 1e16}, {"a": {"$lte": 10000000000000000}}, True),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, False),
    ],
)
def test_values_are_compared_as_json(value: dict[str, Any], wanted: dict[str, Any], expected: bool) -> None:
    assert matches(value, wanted) is expected


def test_an_operator_there_is_not_is_refused_as_langgraph_does() -> None:
    with pytest.raises(ValueError, match=r"Unsupported operator: \$in"):
        matches({"a": 1}, {"a": {"$in": [1]}})
