"""What a line means as a turn's input, and what of a result is the reply."""

from typing import Any

import pytest

from agentic_cli.inputs.messages import (
    Form,
    InputForm,
    add_message,
    build_input,
    find_form,
    find_reply,
    read_messages,
    read_said,
    show_result,
)
from agentic_core.errors import PermanentError

MESSAGES = {
    "type": "object",
    "properties": {"messages": {"anyOf": [{"type": "array"}, {"type": "object"}]}, "user_id": {"type": "string"}},
}
TEXT = {"type": "string"}
HUMAN = {"type": "human", "content": "hi", "id": "1"}
AI = {"type": "ai", "content": "hello", "tool_calls": []}
CALL = {"type": "ai", "content": "", "tool_calls": [{"name": "look_up", "args": {}}]}
TOOL = {"type": "tool", "content": "found", "tool_call_id": "1"}


def an_object(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


@pytest.mark.parametrize(
    ("schema", "form"),
    [
        pytest.param(None, InputForm(Form.MESSAGES), id="of which nothing is known"),
        pytest.param(MESSAGES, InputForm(Form.MESSAGES), id="messages"),
        pytest.param(TEXT, InputForm(Form.WHOLE), id="one text"),
        pytest.param(an_object(question=TEXT), InputForm(Form.FIELD, ("question",)), id="an object with one text"),
        pytest.param(
            an_object(question=TEXT, documents={"type": "array"}),
            InputForm(Form.FIELD, ("question",)),
            id="one text beside lists, nothing required",
        ),
        pytest.param(
            an_object("question", question=TEXT, language=TEXT),
            InputForm(Form.FIELD, ("question",)),
            id="one required text",
        ),
        pytest.param(an_object(question=TEXT, answer=TEXT), InputForm(Form.OBJECT), id="two texts"),
        pytest.param(
            an_object("question", "count", question=TEXT, count={"type": "integer"}),
            InputForm(Form.OBJECT),
            id="a text and a number, both required",
        ),
        pytest.param(an_object(kind={"enum": ["a", "b"]}), InputForm(Form.OBJECT), id="a choice"),
        pytest.param(an_object(), InputForm(Form.OBJECT), id="no fields"),
    ],
)
def test_the_schema_says_where_a_line_goes(schema: dict[str, Any] | None, form: InputForm) -> None:
    assert find_form(schema, {}) == form


def test_a_field_that_is_given_is_not_where_lines_go() -> None:
    assert find_form(an_object(question=TEXT, answer=TEXT), {"answer": ""}) == InputForm(Form.FIELD, ("question",))


def test_a_persons_own_word_counts() -> None:
    assert find_form(MESSAGES, {}, "deep.text") == InputForm(Form.FIELD, ("deep", "text"))
    assert find_form(None, {}, "messages") == InputForm(Form.MESSAGES)


@pytest.mark.parametrize(
    ("form", "text", "built"),
    [
        (InputForm(Form.MESSAGES), "hi", {"user": 1, "messages": [{"role": "user", "content": "hi"}]}),
        (InputForm(Form.FIELD, ("a", "b")), "5", {"user": 1, "a": {"b": "5"}}),
        (InputForm(Form.WHOLE), '{"a": 1}', '{"a": 1}'),
        (InputForm(Form.OBJECT), '{"a": 1}', {"user": 1, "a": 1}),
    ],
)
def test_a_line_becomes_an_input(form: InputForm, text: str, built: Any) -> None:
    given = {"user": 1}
    assert build_input(form, text, given) == built
    assert given == {"user": 1}


def test_a_line_that_is_no_object_is_refused() -> None:
    with pytest.raises(PermanentError, match='the input: "hello" is not an object; write it as JSON'):
        build_input(InputForm(Form.OBJECT), "hello", {})


def test_a_message_is_added_to_other_inputs_or_refused_with_the_place() -> None:
    assert add_message(MESSAGES, {"user_id": "ann"}, "hi") == {
        "user_id": "ann",
        "messages": [{"role": "user", "content": "hi"}],
    }
    assert add_message(TEXT, None, "hi") == "hi"
    with pytest.raises(PermanentError, match="-p NAME=TEXT"):
        add_message(an_object(question=TEXT, answer=TEXT), None, "hi")
    with pytest.raises(PermanentError, match="no object"):
        add_message(MESSAGES, [1], "hi")


@pytest.mark.parametrize(
    ("result", "reply"),
    [
        ({"messages": [HUMAN, AI]}, "hello"),
        ({"messages": [HUMAN, CALL, TOOL, AI]}, "hello"),
        ([HUMAN, AI], "hello"),
        ({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]}, "yes"),
        (
            {"messages": [HUMAN, {"type": "ai", "content": [{"type": "text", "text": "a"}, {"type": "image"}, "b"]}]},
            "ab",
        ),
        ({"messages": [HUMAN, AI, {**HUMAN, "content": "more"}]}, None),
        ({"messages": [HUMAN, CALL]}, None),
        ({"messages": "hi"}, None),
        ({"answer": "x"}, None),
        ("x", None),
        (None, None),
        ({"messages": [1, None, {"content": "x"}, {"type": ["ai"], "content": "x"}, ["user"]]}, None),
    ],
)
def test_the_reply_is_the_last_message_of_the_model(result: Any, reply: str | None) -> None:
    assert find_reply(result) == reply


def test_only_what_people_and_models_say_is_shown() -> None:
    shown = read_messages({"messages": [{"type": "system", "content": "be kind"}, HUMAN, CALL, TOOL, AI]})
    assert [(message.is_ai, message.text) for message in shown] == [(False, "hi"), (True, "hello")]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("hi", "hi"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "hi"),
        ({"messages": "hi"}, "hi"),
        ({"messages": ["hi", ["user", "there"]], "user_id": "ann"}, "hi\nthere"),
        ({"question": "why?"}, "why?"),
        ({"a": 1, "b": "ö"}, '{"a": 1, "b": "ö"}'),
        (None, "null"),
    ],
)
def test_what_was_said_is_read_from_an_input(value: Any, said: str) -> None:
    assert read_said(value) == said


def test_another_result_is_json_on_one_line_where_a_program_reads_it() -> None:
    result = {"rows": list(range(40)), "name": "ö"}
    assert "\n" not in show_result(result, is_terminal=False)
    assert show_result(result, is_terminal=True).startswith('{\n  "rows"')
    assert show_result({"answer": "yes"}, is_terminal=False) == "yes"
    assert show_result({"n": 1}, is_terminal=True) == '{"n": 1}'
    assert show_result(None, is_terminal=False) == "null"
