"""Asking a person, with the person's lines written down beforehand."""

from collections.abc import Iterable
from typing import Any

import pytest

from agentic_cli.inputs.forms import list_fields, list_missing, order_fields
from agentic_cli.inputs.questions import read_question
from agentic_cli.interaction.prompting import NoAnswer, ask_answer, fill_form
from agentic_cli.model.sessions import Interrupt

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["dataset", "target"],
    "properties": {
        "note": {"type": "string", "description": "For the record"},
        "dataset": {"enum": ["cars", "weather"]},
        "threshold": {"type": "number", "exclusiveMinimum": 0, "default": 1.5},
        "target": {"$ref": "#/$defs/Target"},
        "extra": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
    },
    "$defs": {
        "Target": {"type": "object", "required": ["bucket"], "properties": {"bucket": {"$ref": "#/$defs/Name"}}},
        "Name": {"type": "string", "minLength": 2},
    },
}


class Script:
    """A person whose lines are known; what they were told is kept."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = list(lines)
        self.told: list[str] = []

    def tell(self, text: str) -> None:
        self.told.append(text)

    def ask(self, prompt: str) -> str:
        self.told.append(prompt)
        if not self._lines:
            raise NoAnswer
        return self._lines.pop(0)

    @property
    def transcript(self) -> str:
        return "\n".join(self.told)


def test_fields_come_required_first_and_required_objects_are_taken_apart() -> None:
    fields = list_fields(SCHEMA)
    assert [(field.name, field.is_required) for field in fields] == [
        ("dataset", True),
        ("target.bucket", True),
        ("note", False),
        ("threshold", False),
        ("extra", False),
    ]
    assert [
        field.name for field in list_missing(SCHEMA, {"dataset": "cars", "target": {"bucket": "b"}, "note": None})
    ] == [
        "threshold",
        "extra",
    ]


@pytest.mark.parametrize(
    ("wanted", "order"),
    [
        ((None, None), ["c", "a", "b", "d"]),
        ((None, ["d", "b"]), ["d", "b", "c", "a"]),
        ((["b"], ["d", "c"]), ["b", "d", "c", "a"]),
        ((["*", "c"], ["d"]), ["d", "a", "b", "c"]),
        ((["b", "*", "a", "b", "gone"], None), ["b", "c", "d", "a"]),
        ((["gone", 1, "a"], "b"), ["a", "c", "b", "d"]),
        (([], ["*", "a"]), ["c", "b", "d", "a"]),
    ],
)
def test_fields_are_ordered_by_what_is_wanted_then_by_what_is_required(wanted: Any, order: list[str]) -> None:
    # The console's has the same cases: console/src/form/display.test.ts.
    assert order_fields("abcd", ["c", "a"], *wanted) == order


def test_fields_come_in_the_order_that_schema_and_hints_name_at_each_level() -> None:
    pair = {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a", "b"], "x-order": ["b", "a"]}
    schema = {"type": "object", "properties": {"one": pair, "two": pair, "z": {}}, "required": ["one", "two"]}
    names = [field.name for field in list_fields({**schema, "x-order": ["z", "two"]})]
    assert names == ["z", "two.b", "two.a", "one.b", "one.a"]
    hints = {"ui:options": {"order": ["*", "one"]}, "two": {"ui:order": ["a"]}}
    assert [field.name for field in list_fields(schema, hints)] == ["two.a", "two.b", "z", "one.b", "one.a"]
    person = Script(["1", "2", "3", "4", "5"])
    assert fill_form(person, schema, {}, hints) == {"two": {"a": 1, "b": 2}, "z": 3, "one": {"b": 4, "a": 5}}


@pytest.mark.parametrize("schema", [None, {}, {"type": "array"}, {"$ref": "#"}, {"type": "string"}])
def test_a_schema_without_properties_has_no_fields(schema: Any) -> None:
    assert list_fields(schema) == ()


def test_a_form_is_filled_field_by_field() -> None:
    person = Script(["2", "my-bucket", "", "", '{"x": 3}'])
    assert fill_form(person, SCHEMA, {}) == {
        "dataset": "weather",
        "target": {"bucket": "my-bucket"},
        "threshold": 1.5,
        "extra": {"x": 3},
    }
    assert "  1) cars" in person.told
    assert "note: For the record" in person.told
    assert "threshold (number, optional) [1.5]:" in person.told


def test_what_does_not_fit_is_asked_again_with_the_reason() -> None:
    person = Script(["bikes", "", "cars", "b", "bb", "", "0", "many", "2", ""])
    assert fill_form(person, SCHEMA, {}) == {"dataset": "cars", "target": {"bucket": "bb"}, "threshold": 2}
    for complaint in (
        '"bikes" is not one of',
        "dataset is required",
        "shorter than 2",
        "minimum of 0",
        '"many" is not a number',
    ):
        assert complaint in person.transcript


def test_what_is_given_is_not_asked() -> None:
    person = Script(["", "", ""])
    given = {"dataset": "cars", "target": {"bucket": "bb"}}
    assert fill_form(person, SCHEMA, given) == {**given, "threshold": 1.5}
    assert "dataset" not in person.transcript


def test_the_end_of_input_ends_the_asking() -> None:
    with pytest.raises(NoAnswer):
        fill_form(Script(["cars"]), SCHEMA, {})


def ask(lines: list[str], value: Any, schema: Any = None) -> tuple[Any, Script]:
    person = Script(lines)
    return ask_answer(person, read_question(Interrupt("i1", "ask", value, schema=schema))), person


def test_an_option_is_chosen_by_number_or_by_name() -> None:
    value = {"prompt": "Approve?", "options": ["approve", "reject"], "rows": 3}
    assert ask(["2"], value)[0] == "reject"
    answer, person = ask(["maybe", "approve"], value)
    assert answer == "approve"
    assert '"maybe" is not among the options' in person.transcript
    assert "  rows: 3" in person.told


def test_an_answer_with_a_schema_is_a_form() -> None:
    schema = {
        "type": "object",
        "required": ["ok"],
        "properties": {"ok": {"type": "boolean"}, "why": {"type": "string"}},
    }
    assert ask(["yes", "because"], {"prompt": "?", "schema": schema})[0] == {"ok": True, "why": "because"}


def test_an_answer_of_one_value_is_typed_and_checked() -> None:
    answer, person = ask(["", "many", "0", "3"], "How many?", {"type": "integer", "minimum": 1})
    assert answer == 3
    assert "Ctrl-D leaves the question" in person.transcript
    assert "0 is less than the minimum of 1" in person.transcript


def test_empty_text_is_two_quotes() -> None:
    assert ask(['""'], "Name?")[0] == ""


def test_tool_calls_are_decided_each() -> None:
    value = {
        "action_requests": [
            {"name": "send", "args": {"to": "ann"}, "description": "Mail\nto ann"},
            {"name": "drop", "args": {}},
            {"name": "ask", "args": {}},
            {"name": "run", "args": {}},
        ],
        "review_configs": [
            {"action_name": name, "allowed_decisions": ["approve", "edit", "reject", "respond"]}
            for name in ("send", "drop", "ask", "run")
        ],
    }
    answer, person = ask(["what", "edit", '{"to": "bob"}', "reject", "too risky", "respond", "42", "approve"], value)
    assert answer == {
        "decisions": [
            {"type": "edit", "edited_action": {"name": "send", "args": {"to": "bob"}}},
            {"type": "reject", "message": "too risky"},
            {"type": "respond", "message": "42"},
            {"type": "approve"},
        ]
    }
    assert '  send({"to": "ann"})' in person.told


def test_a_human_interrupt_is_decided_in_the_words_of_agent_inbox() -> None:
    config = dict.fromkeys(("allow_accept", "allow_edit", "allow_respond", "allow_ignore"), True)
    value = [
        {"action_request": {"action": name, "args": {"to": "ann"}}, "config": config, "description": f"about {name}"}
        for name in ("send", "drop", "ask")
    ]
    answer, person = ask(["edit", "", "response", "use euros", "accept"], value)
    assert answer == [
        {"type": "edit", "args": {"action": "send", "args": {"to": "ann"}}},
        {"type": "response", "args": "use euros"},
        {"type": "accept", "args": None},
    ]
    assert "    about drop" in person.told


@pytest.mark.parametrize("typed", ["2,1", "Pears, Apples", '["b", "a"]', "b,a"])
def test_several_choices_are_typed_between_commas(typed: str) -> None:
    labelled = [{"value": "a", "label": "Apples"}, {"value": "b", "label": "Pears"}]
    answer, person = ask(["c", typed], {"prompt": "Which?", "options": labelled, "multiple": True})
    assert answer == ["b", "a"]
    assert "  2) Pears" in person.told


def test_several_choices_in_a_form_are_typed_between_commas() -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "array", "items": {"enum": [10, 20]}}}}
    assert ask(["10,2"], {"prompt": "?", "schema": schema})[0] == {"n": [10, 20]}


def test_what_a_graph_asks_cannot_steer_the_terminal() -> None:
    _, person = ask(["x"], {"prompt": "a\x1b[2Jb\r\u202ec", "evil": "\x9b31m"})
    assert "\x1b[2J" not in person.transcript
    assert "\\u001b[2J" in person.transcript
    assert "\x9b" not in person.transcript
    assert "\u202e" not in person.transcript


def test_true_or_false_is_asked_for_as_yes_or_no() -> None:
    question = read_question(Interrupt("i1", "ask", {"prompt": "Ok?", "schema": {"type": "boolean"}}))
    person = Script(["maybe", "yes"])
    assert ask_answer(person, question) is True
    assert "answer (yes/no):" in person.transcript
    schema = {"type": "object", "required": ["deep"], "properties": {"deep": {"type": "boolean"}}}
    person = Script(["n"])
    assert fill_form(person, schema, None) == {"deep": False}
    assert "deep (yes/no):" in person.transcript


def test_data_of_a_question_that_fills_more_than_a_line_is_shown_in_several() -> None:
    rows = [{"row": number, "value": "x" * 20} for number in range(5)]
    person = Script(["ok"])
    ask_answer(person, read_question(Interrupt("i1", "ask", {"prompt": "Ok?", "rows": rows, "count": 5})))
    assert "  count: 5" in person.told
    assert "  rows:" in person.told
    assert '        "row": 4,' in person.told
