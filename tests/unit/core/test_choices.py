"""Choices, schema and prompt of a question agree, however its author wrote them down."""

from typing import Any

import pytest

from agentic_core.questions import Question, read_question, summarize
from agentic_core.schema.schema import check_instance, check_schema

LABELLED = [{"value": "a", "label": "Apples"}, {"value": "b", "label": "Pears"}]
FORM = {
    "type": "object",
    "required": ["decision"],
    "properties": {"decision": {"$ref": "#/$defs/D"}, "comment": {"type": "string"}},
    "$defs": {"D": {"enum": ["approve", "reject"]}},
}


def takes(question: Question, answer: Any) -> bool:
    return question.schema is None or check_instance(question.schema, answer) == ()


@pytest.mark.parametrize(
    ("value", "options", "taken", "refused"),
    [
        pytest.param({"question": "?", "options": ["a", "b"]}, ["a", "b"], ["a"], ["c", ["a"]], id="one of a list"),
        pytest.param({"type": "approval", "choices": ["yes", "no"]}, ["yes", "no"], ["yes"], ["maybe"], id="choices"),
        pytest.param({"prompt": "?", "options": {"a": "Apples"}}, ["a"], ["a"], ["Apples"], id="labels by value"),
        pytest.param(
            {"prompt": "?", "options": [{"id": 1, "label": "small"}, {"id": 2, "label": "large"}]},
            [1, 2],
            [1, {"id": 1, "label": "small"}],
            [3, True, "small"],
            id="objects that do not say which part is the answer: both are taken",
        ),
        pytest.param(
            {"prompt": "?", "options": LABELLED, "multiple": True},
            [],
            [[], ["a"], ["b", "a"]],
            ["a", ["c"], ["a", "a"]],
            id="several",
        ),
        pytest.param(
            {"prompt": "?", "choices": ["a", "b"], "type": "multi_select"}, [], [["a"]], ["a"], id="several by type"
        ),
        pytest.param(
            {"prompt": "?", "options": ["a", "b"], "multiple": False}, ["a", "b"], ["a"], [["a"]], id="not several"
        ),
        pytest.param(
            {"prompt": "?", "options": ["a", 2], "allow_other": True},
            ["a", 2],
            ["a", 2, "other words"],
            [3],
            id="or free text",
        ),
        pytest.param(
            {"prompt": "?", "options": ["a"], "multiple": True, "free_text": True},
            [],
            [["a", "mine"]],
            [[1]],
            id="several or own",
        ),
        pytest.param(
            {"prompt": "?", "options": ["approve", "reject"], "schema": FORM},
            [{"decision": "approve"}, {"decision": "reject"}],
            [{"decision": "reject", "comment": "no"}],
            ["approve"],
            id="choices fill the field that has these values",
        ),
        pytest.param(
            {"prompt": "?", "options": ["approve"], "schema": {**FORM, "required": ["decision", "comment"]}},
            [],
            [{"decision": "approve", "comment": ""}],
            [{"decision": "approve"}],
            id="a choice that is no whole answer is left to the form",
        ),
        pytest.param(
            {
                "prompt": "?",
                "options": ["a"],
                "schema": {"type": "object", "required": ["x"], "properties": {"x": {"type": "string"}}},
            },
            [{"x": "a"}],
            [{"x": "other"}],
            ["a"],
            id="choices fill the one required field",
        ),
        pytest.param(
            {"prompt": "?", "options": ["a", "b"], "schema": {"type": "array", "items": {"type": "string"}}},
            [],
            [["a"], ["c"]],
            ["a"],
            id="choices are suggestions for a list",
        ),
        pytest.param(
            {"prompt": "?", "options": ["a"], "schema": {"type": "nonsense"}},
            ["a"],
            [],
            [],
            id="a schema that cannot be used",
        ),
        pytest.param({"prompt": "?", "options": list(range(100))}, [], [99], [100], id="too many to show are checked"),
        pytest.param({"prompt": "?", "options": ["a", "a", 1, True]}, ["a", 1, True], [True, 1], ["b"], id="doubled"),
    ],
)
def test_every_option_is_an_answer_and_what_is_none_is_refused(
    value: Any, options: list[Any], taken: list[Any], refused: list[Any]
) -> None:
    question = read_question(value)
    assert [option.value for option in question.options] == options
    if value.get("schema") != {"type": "nonsense"}:
        assert question.schema is None or check_schema(question.schema) == ()
        assert all(takes(question, answer) for answer in (*options, *taken))
    assert not any(takes(question, answer) for answer in refused)


def test_several_choices_are_told_in_the_line() -> None:
    several = read_question({"prompt": "Which?", "options": LABELLED, "multiple": True})
    assert summarize([several]) == "Which? (any of Apples, Pears)"
    assert several.details is None


def test_the_librarys_schema_and_the_values_choices_agree() -> None:
    schema = {"type": "array", "items": {"$ref": "#/$defs/C"}, "$defs": {"C": {"enum": ["a", "b"]}}}
    question = read_question({"question": "Which?", "options": ["a", "b"]}, schema=schema)
    assert question.schema == schema
    assert summarize([question]) == "Which? (any of a, b)"


@pytest.mark.parametrize("word", ["query", "instructions", "instruction", "task"])
def test_more_words_for_the_prompt(word: str) -> None:
    assert read_question({word: "Really?", "draft": 1}) == Question("Really?", details={"draft": 1})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"anyOf": [{"const": 1, "title": 2}, {"enum": 3}, 5]}},
        {"type": "array", "items": {"anyOf": 1}},
        {"type": "array", "items": {"enum": 3}},
        {"type": "array", "items": [1]},
        {"type": "array", "items": {"$ref": 5}},
        {"type": "array", "items": {"$ref": "#/$defs/x"}},
        {"properties": {"type": {"enum": 7}}},
        {"properties": 5, "required": 5},
        {"required": [5], "properties": {"5": {}}},
    ],
)
def test_a_schema_that_is_none_never_ends_the_asking(schema: Any) -> None:
    for value in ("?", {"prompt": "?", "options": ["a"]}, {"type": "tool_approval", "name": "x"}):
        question = read_question(value, schema=schema)
        assert summarize([question])
        assert question.schema is not None
