"""LangChain's requests to decide about calls: what is asked, and which answers the graph can go on with."""

from collections.abc import Mapping
from typing import Any

import pytest

from agentic_core.questions import read_question
from agentic_core.reviews import Form, build_decision, move_schema, read_review
from agentic_core.schema.schema import check_instance, check_schema

ALL = {"allow_accept": True, "allow_edit": True, "allow_respond": True, "allow_ignore": True}


def human_interrupt(action: str = "send", **allowed: bool) -> dict[str, Any]:
    config = {**dict.fromkeys(ALL, False), **allowed}
    return {"action_request": {"action": action, "args": {"to": "ann"}}, "config": config, "description": "Mail to ann"}


ONE = [human_interrupt("send", **ALL)]
TWO = [human_interrupt("send", allow_accept=True, allow_ignore=True), human_interrupt("drop", allow_respond=True)]


def faults(value: Any, answer: Any) -> list[str]:
    question = read_question(value)
    assert check_schema(question.schema) == ()
    return sorted({each.pointer for each in check_instance(question.schema, answer)})


def test_a_human_interrupt_becomes_words_options_and_calls() -> None:
    question = read_question(ONE)
    assert question.prompt == 'may send({"to": "ann"}) run?'
    assert [(each.label, each.value) for each in question.options] == [
        ("accept", [{"type": "accept", "args": None}]),
        ("ignore", [{"type": "ignore", "args": None}]),
    ]
    assert question.review is not None
    (action,) = question.review.actions
    assert (action.description, action.decisions) == ("Mail to ann", ("accept", "edit", "response", "ignore"))


@pytest.mark.parametrize(
    ("answer", "pointers"),
    [
        ([{"type": "accept", "args": None}], []),
        ([{"type": "accept"}], []),
        ([{"type": "accept", "args": {"action": "send", "args": {"to": "ann"}}}], []),
        ([{"type": "ignore", "args": None}], []),
        ([{"type": "response", "args": "use euros"}], []),
        ([{"type": "edit", "args": {"action": "send", "args": {"to": "bob"}}}], []),
        ([{"type": "edit", "args": {"to": "bob"}}], ["/0/args"]),
        ([{"type": "edit"}], ["/0"]),
        ([{"type": "edit", "args": {"action": "send", "args": "x"}}], ["/0/args/args"]),
        ([{"type": "response"}], ["/0"]),
        ([{"type": "response", "args": None}], ["/0/args"]),
        ([{"type": "approve"}], ["/0/type"]),
        ([], [""]),
        ([{"type": "accept"}, {"type": "accept"}], [""]),
        ({"type": "accept"}, [""]),
        ("accept", [""]),
        (["accept"], ["/0"]),
    ],
)
def test_an_answer_to_a_human_interrupt_is_a_list_of_one_response_each(answer: Any, pointers: list[str]) -> None:
    assert faults(ONE, answer) == pointers


@pytest.mark.parametrize(
    ("answer", "pointers"),
    [
        ([{"type": "accept"}, {"type": "response", "args": "no"}], []),
        ([{"type": "response", "args": "no"}, {"type": "accept"}], ["/0/type", "/1/type"]),
        ([{"type": "accept"}], [""]),
    ],
)
def test_several_requests_are_answered_in_their_order(answer: Any, pointers: list[str]) -> None:
    assert faults(TWO, answer) == pointers


def test_what_all_calls_allow_is_offered_for_all_of_them() -> None:
    asked = read_question([human_interrupt("a", allow_accept=True), human_interrupt("b", **ALL)])
    assert [(each.label, each.value) for each in asked.options] == [
        ("accept all", [{"type": "accept", "args": None}] * 2)
    ]
    assert read_question(TWO).options == ()


@pytest.mark.parametrize("answer", [{"type": "accept"}, [{"type": "accept"}]])
def test_a_request_that_is_no_list_takes_one_response_or_a_list_of_it(answer: Any) -> None:
    assert faults(ONE[0], answer) == []
    assert faults(ONE[0], {"type": "edit"}) == [""]
    assert faults(ONE[0], "accept") == [""]


@pytest.mark.parametrize(
    "value",
    [
        [],
        [human_interrupt()],
        [human_interrupt("send", **ALL), "more"],
        [{"action_request": {"action": 5}, "config": ALL}],
        [{"action_request": {"action": "x", "args": {}}}],
        {"action_request": "send", "config": ALL},
        {"action_requests": []},
        {"action_requests": [{"name": "a", "args": {}}, "b"]},
        {"action_requests": [{"args": {}}]},
        {"type": "tool_approval"},
    ],
)
def test_what_does_not_fit_is_shown_and_takes_any_answer(value: Any) -> None:
    assert read_review(value) is None
    question = read_question(value)
    assert question.prompt
    assert question.schema is None


def test_the_arguments_of_an_edited_call_are_held_against_the_tools_schema() -> None:
    tool = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.com/tool",
        "type": "object",
        "required": ["to"],
        "properties": {"to": {"$ref": "#/$defs/Name"}, "$ref": {"const": {"$ref": "#/kept"}}},
        "$defs": {"Name": {"type": "string"}},
    }
    requests = [{"name": "send", "args": {}}, {"name": "drop", "args": {}}]
    configs = [
        {"action_name": "send", "allowed_decisions": ["edit", "approve"], "args_schema": tool},
        {"action_name": "drop", "allowed_decisions": ["edit"], "args_schema": {"type": "nonsense"}},
    ]
    value = {"action_requests": requests, "review_configs": configs}

    def edited(name: str, args: Any) -> dict[str, Any]:
        return {"type": "edit", "edited_action": {"name": name, "args": args}}

    assert faults(value, {"decisions": [edited("send", {"to": "bob"}), edited("drop", {})]}) == []
    assert faults(value, {"decisions": [edited("send", {"to": 5}), edited("drop", {})]}) == [
        "/decisions/0/edited_action/args/to"
    ]
    # A schema that cannot be used takes no other check along.
    assert faults(value, {"decisions": [edited("send", {"to": "bob"}), {"type": "approve"}]}) == ["/decisions/1/type"]
    inbox = [{**human_interrupt(allow_edit=True), "config": {**ALL, "args_schema": tool}}]
    assert faults(inbox, [{"type": "edit", "args": {"action": "send", "args": {}}}]) == ["/0/args/args"]


def test_a_schema_that_is_moved_keeps_its_references_and_its_data() -> None:
    schema = {"properties": {"default": {"$ref": "#"}, "x": {"$ref": "other"}}, "enum": [{"$ref": "#/x"}], "$id": "y"}
    assert move_schema(schema, "#/$defs/a") == {
        "properties": {"default": {"$ref": "#/$defs/a"}, "x": {"$ref": "other"}},
        "enum": [{"$ref": "#/x"}],
    }


@pytest.mark.parametrize("flags", range(1, 16))
def test_whatever_is_allowed_every_decision_that_is_built_is_an_answer(flags: int) -> None:
    allowed = {name: bool(flags >> place & 1) for place, name in enumerate(ALL)}
    question = read_question([human_interrupt("send", **allowed)])
    assert question.review is not None
    assert question.schema is not None
    (action,) = question.review.actions
    for decision in action.decisions:
        made = build_decision(Form.INBOX, action, decision, message="x", arguments=action.arguments)
        assert check_instance(question.schema, question.review.build_answer([made])) == ()
    for option in question.options:
        assert check_instance(question.schema, option.value) == ()


def test_a_call_whose_decisions_nobody_told_takes_all_that_the_library_knows() -> None:
    request = {"action_requests": [{"name": "send", "arguments": {"to": "ann"}}]}
    assert read_question(request).prompt == 'may send({"to": "ann"}) run?'
    for kind in ("approve", "reject"):
        assert faults(request, {"decisions": [{"type": kind}]}) == []
    call: Mapping[str, Any] = {"type": "tool_approval", "name": "send", "args": {}}
    assert read_question(call).schema is None
