"""How an interrupt's value is read as a question."""

from typing import Any

import pytest

from agentic_core.questions import (
    MAX_PROMPT_CHARACTERS,
    Option,
    Question,
    describe_open,
    read_question,
    summarize,
)
from agentic_core.resources import Interrupt
from agentic_core.schema.schema import check_instance, check_schema


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("go on?", Question("go on?"), id="plain text"),
        pytest.param("", Question("an answer is wanted"), id="empty text"),
        pytest.param(None, Question("null"), id="nothing"),
        pytest.param([1, {"a": True}], Question('[1, {"a": true}]'), id="a list is shown as JSON"),
        pytest.param({"question": "go on?"}, Question("go on?"), id="another word for prompt"),
        pytest.param({"a": 1}, Question("an answer is wanted", details={"a": 1}), id="an object without a prompt"),
        pytest.param(
            {"prompt": "which?", "options": ["a", 2, None, {"value": {"x": 1}, "label": "ex"}], "text": "more"},
            Question(
                "which?",
                (Option("a", "a"), Option(2, "2"), Option(None, "null"), Option({"x": 1}, "ex")),
                {"enum": ["a", 2, None, {"x": 1}]},
                details={"text": "more"},
            ),
            id="options alone are the schema",
        ),
        pytest.param(
            {"prompt": "how many?", "schema": {"type": "integer"}, "options": [1, 2], "default": 1},
            Question("how many?", (Option(1, "1"), Option(2, "2")), {"type": "integer"}, default=1),
            id="a schema counts before options",
        ),
        pytest.param({"prompt": "x", "options": "ab", "schema": [1]}, Question("x"), id="nonsense is left out"),
        pytest.param({"prompt": "x", "options": []}, Question("x"), id="no options"),
    ],
)
def test_values_are_read(value: Any, expected: Question) -> None:
    assert read_question(value) == expected


def test_the_librarys_schema_counts_before_the_values_own() -> None:
    question = read_question({"prompt": "x", "schema": {"type": "string"}}, schema={"type": "integer"})
    assert question.schema == {"type": "integer"}


def test_a_stop_at_a_node_takes_any_answer() -> None:
    question = read_question({"before": ["send", "log"]}, id_="breakpoint-1f0")
    assert (question.prompt, question.schema) == ("stopped before send, log; any answer goes on", None)


def test_a_long_prompt_is_bounded() -> None:
    assert len(read_question("x" * 10_000).prompt) == MAX_PROMPT_CHARACTERS


REQUEST = {
    "action_requests": [
        {"name": "send", "args": {"to": "ann"}, "description": "Tool execution requires approval"},
        {"name": "drop", "args": {}},
    ],
    "review_configs": [
        {"action_name": "send", "allowed_decisions": ["approve", "edit", "reject"]},
        {"action_name": "drop", "allowed_decisions": ["reject", "respond"]},
    ],
}


@pytest.mark.parametrize(
    ("decisions", "pointers"),
    [
        ([{"type": "approve"}, {"type": "reject", "message": "no"}], []),
        ([{"type": "edit", "edited_action": {"name": "send", "args": {}}}, {"type": "respond", "message": "x"}], []),
        ([{"type": "approve"}], ["/decisions"]),
        ([{"type": "approve"}, {"type": "approve"}], ["/decisions/1/type"]),
        ([{"type": "edit"}, {"type": "reject"}], ["/decisions/0"]),
        ([{"type": "edit", "edited_action": {"name": "send"}}, {"type": "reject"}], ["/decisions/0/edited_action"]),
        (["approve", {"type": "reject"}], ["/decisions/0"]),
        ([{"type": "approve"}, {"type": "respond"}], ["/decisions/1"]),
    ],
)
def test_a_request_of_the_middleware_gives_the_schema_of_its_decisions(decisions: Any, pointers: list[str]) -> None:
    question = read_question(REQUEST)
    assert question.review is not None
    assert question.prompt == 'may these 2 calls run? send({"to": "ann"}); drop({})'
    assert [action.decisions for action in question.review.actions] == [
        ("approve", "edit", "reject"),
        ("reject", "respond"),
    ]
    assert check_schema(question.schema) == ()
    assert sorted({each.pointer for each in check_instance(question.schema, {"decisions": decisions})}) == pointers


@pytest.mark.parametrize("kinds", [["approve"], ["approve", "reject"], ["edit"], ["respond"], [], None])
def test_whatever_the_middleware_allows_gives_a_schema_that_can_be_used(kinds: Any) -> None:
    request = {
        "action_requests": [{"name": "send", "args": {}}],
        "review_configs": [{"action_name": "send", "allowed_decisions": kinds}],
    }
    assert check_schema(read_question(request).schema) == ()


def test_a_request_for_a_single_call_offers_what_its_schema_allows() -> None:
    value = {"type": "tool_approval", "tool_call_id": "1", "name": "send", "args": {"to": "ann"}, "description": "?"}
    schema = {
        "$defs": {
            "A": {"properties": {"type": {"const": "approve"}}},
            "R": {"properties": {"type": {"enum": ["respond"]}}},
        },
        "anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/R"}],
    }
    question = read_question(value, schema=schema)
    assert question.prompt == 'may send({"to": "ann"}) run?'
    assert question.options == (Option({"type": "approve"}, "approve"),)
    assert question.schema == schema


@pytest.mark.parametrize(
    ("questions", "line"),
    [
        ([], ""),
        ([Question("go\n on?")], "go on?"),
        ([Question("go on?", (Option(1, "yes"), Option(2, "no")))], "go on? (yes / no)"),
        ([Question("a?"), Question("b?")], "2 questions: a? | b?"),
    ],
)
def test_questions_in_one_line(questions: list[Question], line: str) -> None:
    assert summarize(questions) == line


def test_a_line_is_bounded() -> None:
    assert len(summarize([Question("x" * 500)])) == 120


def test_only_open_interrupts_are_described() -> None:
    answered = Interrupt.model_validate({"id": "a", "prompt": "a?", "answeredAt": "2026-01-01T00:00:00Z"})
    asked = Interrupt.model_validate({"id": "b", "value": {"x": 1}})
    assert describe_open([answered, asked]) == '{"x": 1}'
    assert describe_open([answered]) is None
