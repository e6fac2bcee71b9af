"""What interrupts ask, and what words mean as their answers."""

from typing import Any

import pytest

from agentic_cli.commands.respond import split_words
from agentic_cli.inputs.questions import check_answer, choose_question, read_answer, read_question
from agentic_cli.model.sessions import Interrupt, parse_session
from agentic_core.errors import InvalidResource, PermanentError
from tests.support.raw_sessions import a_raw_session, a_waiting_session, an_interrupt

CHOICE = {"prompt": "Approve?", "options": ["approve", "reject"], "rows": 3}
FORM = {
    "prompt": "Approve outlier removal?",
    "schema": {
        "type": "object",
        "required": ["decision"],
        "properties": {"decision": {"enum": ["approve", "reject"]}, "reason": {"type": "string"}},
    },
}
SEVERAL = {"prompt": "Which?", "options": ["a", "b"], "multiple": True}
INBOX = [
    {
        "action_request": {"action": "send", "args": {}},
        "config": {"allow_accept": True, "allow_respond": True, "allow_edit": False, "allow_ignore": False},
    }
]
TOOLS = {
    "action_requests": [{"name": "send", "args": {"to": "ann"}, "description": "Mail"}, {"name": "drop", "args": {}}],
    "review_configs": [
        {"action_name": "send", "allowed_decisions": ["approve", "edit", "reject"]},
        {"action_name": "drop", "allowed_decisions": ["approve", "reject"]},
    ],
}


def ask(value: Any, schema: dict[str, Any] | None = None, id_: str = "i1") -> Any:
    return read_question(Interrupt(id_, "ask", value, schema=schema))


def test_plain_text_is_the_prompt() -> None:
    assert ask("Go on?").prompt == "Go on?"


def test_an_object_says_prompt_options_and_more() -> None:
    question = ask(CHOICE)
    assert question.prompt == "Approve?"
    assert [option.label for option in question.options] == ["approve", "reject"]
    assert question.details == {"rows": 3}


@pytest.mark.parametrize("key", ["question", "message", "description"])
def test_other_names_for_the_prompt(key: str) -> None:
    assert ask({key: "Really?"}).prompt == "Really?"


@pytest.mark.parametrize("value", [None, 5, [1, 2], {}, {"prompt": 5}, {"options": "abc"}, {"schema": []}])
def test_whatever_is_asked_can_be_shown(value: Any) -> None:
    question = ask(value)
    assert question.prompt
    assert question.options == ()
    assert question.schema is None


def test_options_may_have_labels() -> None:
    question = ask({"prompt": "Size?", "options": [{"value": 1, "label": "small"}, {"value": 2}]})
    assert [(option.value, option.label) for option in question.options] == [(1, "small"), (2, "2")]
    assert read_answer(question, "small") == 1
    assert read_answer(question, "2") == 2


def test_the_schema_of_the_interrupt_goes_before_the_one_in_its_value() -> None:
    assert ask(FORM).schema == FORM["schema"]
    assert ask(FORM, {"type": "integer"}).schema == {"type": "integer"}


def test_a_breakpoint_takes_any_answer() -> None:
    question = ask({"before": ["detect"]}, id_="breakpoint-1f0")
    assert question.prompt == "stopped before detect; any answer goes on"
    check_answer(question, read_answer(question, "go"))


def test_tool_calls_are_decided_one_by_one_or_all_at_once() -> None:
    question = ask(TOOLS)
    assert [action.decisions for action in question.review.actions] == [
        ("approve", "edit", "reject"),
        ("approve", "reject"),
    ]
    answer = read_answer(question, "approve")
    assert answer == {"decisions": [{"type": "approve"}, {"type": "approve"}]}
    check_answer(question, answer)
    check_answer(question, {"decisions": [{"type": "reject", "message": "no"}, {"type": "approve"}]})


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        pytest.param("Go on?", "yes", "yes", id="text"),
        pytest.param("Go on?", "true", True, id="JSON where nothing is said"),
        pytest.param("Go on?", '{"a": 1}', {"a": 1}, id="an object"),
        pytest.param(CHOICE, "reject", "reject", id="an option"),
        pytest.param({"prompt": "?", "options": [True, False]}, "true", True, id="an option that is no text"),
        pytest.param({"prompt": "?", "schema": {"type": "string"}}, "5", "5", id="text by its schema"),
        pytest.param({"prompt": "?", "schema": {"type": "boolean"}}, "yes", True, id="a word for true"),
        pytest.param(FORM, '{"decision": "approve"}', {"decision": "approve"}, id="a form as JSON"),
        pytest.param(SEVERAL, "b, a", ["b", "a"], id="several between commas"),
        pytest.param(SEVERAL, '["a"]', ["a"], id="several as JSON"),
        pytest.param(INBOX, "accept", [{"type": "accept", "args": None}], id="a word for a call"),
        pytest.param(
            INBOX, '[{"type": "response", "args": "x"}]', [{"type": "response", "args": "x"}], id="a response as JSON"
        ),
    ],
)
def test_words_mean_answers(value: Any, text: str, expected: Any) -> None:
    question = ask(value)
    answer = read_answer(question, text)
    assert answer == expected
    check_answer(question, answer)


@pytest.mark.parametrize(
    ("value", "answer", "complaint"),
    [
        pytest.param(CHOICE, "maybe", '"maybe" is not among the options: approve, reject', id="no option"),
        pytest.param({"prompt": "?", "options": [1]}, True, "true is not among the options: 1", id="true is not 1"),
        pytest.param(FORM, {"decision": "x"}, '/decision: "x" is not one of', id="against the schema"),
        pytest.param(FORM, {}, '"decision" is a required property', id="a field is missing"),
        pytest.param(TOOLS, "yes", "give one decision a call, 2 in all", id="no decisions"),
        pytest.param(TOOLS, {"decisions": [{"type": "approve"}]}, "2 in all", id="too few decisions"),
        pytest.param(
            TOOLS,
            {"decisions": [{"type": "approve"}, {"type": "edit"}]},
            "/decisions/1/type: 'drop' takes approve, reject",
            id="a decision that is not allowed",
        ),
        pytest.param(
            INBOX, [{"type": "ignore"}], "/0/type: 'send' takes accept, response", id="a response not allowed"
        ),
        pytest.param(INBOX, "yes", "1 in all: accept, or [{", id="no response"),
        pytest.param(SEVERAL, "a", "/: ", id="one where several are wanted"),
        pytest.param("?", "\ud800", "lone surrogate", id="what nobody can store"),
        pytest.param("?", "x" * 40_000, "over the limit of 32768", id="too much"),
    ],
)
def test_answers_that_are_not_taken(value: Any, answer: Any, complaint: str) -> None:
    with pytest.raises(InvalidResource) as refused:
        check_answer(ask(value), answer)
    assert complaint in str(refused.value)


def test_the_only_open_question_needs_no_id() -> None:
    answered = an_interrupt("old", answeredAt="2026-05-01T10:02:00Z", answeredBy="bob")
    session = parse_session(a_waiting_session(answered, an_interrupt("new")))
    assert choose_question(session, None).id == "new"


RESPONDED = [{"interruptId": "i1", "value": 1}]


@pytest.mark.parametrize(
    ("raw", "wanted", "complaint"),
    [
        pytest.param(
            a_waiting_session(an_interrupt("a"), an_interrupt("b")), None, r"asks 2 questions.*a \(Approve", id="two"
        ),
        pytest.param(a_waiting_session(), "x", "asks no question 'x'; open are: i1", id="an unknown id"),
        pytest.param(a_raw_session(status={"phase": "Running"}), None, "asks nothing: it is Running", id="none"),
        pytest.param(
            a_raw_session(status={"phase": "Completed"}), None, "is Completed: it takes no more", id="it has ended"
        ),
        pytest.param(
            a_waiting_session(an_interrupt(answeredAt="T", answeredBy="bob")),
            "i1",
            "was answered by bob at T",
            id="late",
        ),
        pytest.param(a_waiting_session(responses=RESPONDED), "i1", "has an answer already", id="doubled"),
        pytest.param(
            a_waiting_session(responses=RESPONDED), None, "has been answered and has not gone on", id="doubled, no id"
        ),
    ],
)
def test_a_question_that_cannot_be_answered(raw: dict[str, Any], wanted: str | None, complaint: str) -> None:
    with pytest.raises(PermanentError, match=complaint):
        choose_question(parse_session(raw), wanted)


def test_what_the_status_says_of_a_question_goes_before_its_value() -> None:
    options = [{"value": True, "label": "go on"}, {"value": False, "label": "end"}]
    raw = an_interrupt(
        "q", {"text": "raw", "rows": 3}, prompt="Go on?", options=options, schema={"enum": [True, False]}
    )
    question = read_question(parse_session(a_waiting_session(raw)).interrupts[0])
    assert question.prompt == "Go on?"
    assert read_answer(question, "end") is False
    check_answer(question, False)
    with pytest.raises(InvalidResource, match="not among the options"):
        check_answer(question, "later")


@pytest.mark.parametrize(
    ("generation", "is_open"),
    [pytest.param(2, True, id="looked at and refused"), pytest.param(3, False, id="given since then")],
)
def test_an_answer_that_was_refused_leaves_the_question_open(generation: int, is_open: bool) -> None:
    raw = a_waiting_session(responses=RESPONDED)
    raw["metadata"]["generation"] = generation
    raw["status"]["conditions"] = [{"type": "InputAccepted", "status": "False", "observedGeneration": 2}]
    session = parse_session(raw)
    assert bool(session.open_interrupts) is is_open
    assert session.interrupts[0].is_refused is is_open
    if is_open:
        assert choose_question(session, None).id == "i1"


def test_an_answer_that_was_not_taken_yet_can_be_replaced() -> None:
    session = parse_session(a_waiting_session(responses=RESPONDED))
    assert choose_question(session, "i1", may_replace=True).id == "i1"


def test_a_schema_that_cannot_be_used_keeps_nobody_from_answering() -> None:
    question = ask({"prompt": "Go on?", "schema": {"type": "nothing that JSON knows"}})
    check_answer(question, {"yes": True})
    with pytest.raises(InvalidResource):
        check_answer(question, {"yes": "x" * 40_000})


IDS = ("6f1e2a00", "6f1e9900", "97b63d11")


def asking(*answered: str) -> Any:
    """Return a session with a question for each id; some are answered."""
    return parse_session(
        a_waiting_session(
            *(an_interrupt(id_, **({"answeredAt": "2026-05-01T10:02:00Z"} if id_ in answered else {})) for id_ in IDS)
        )
    )


def test_a_question_is_named_by_the_beginning_of_its_id() -> None:
    assert choose_question(asking(), "97").id == "97b63d11"
    with pytest.raises(PermanentError, match="'6f1e' is the beginning of 2 questions: 6f1e2a00, 6f1e9900"):
        choose_question(asking(), "6f1e")
    with pytest.raises(PermanentError, match="asks no question '12'"):
        choose_question(asking(), "12")


def test_an_answered_question_does_not_hide_an_open_one() -> None:
    assert choose_question(asking("6f1e9900"), "6f1e").id == "6f1e2a00"
    with pytest.raises(PermanentError, match="the question '6f1e9900' was answered"):
        choose_question(asking("6f1e9900"), "6f1e99")


@pytest.mark.parametrize(
    ("words", "id_", "has_file", "expected"),
    [
        pytest.param(("yes",), None, False, (None, "yes"), id="a value"),
        pytest.param(("97b63d",), None, False, ("97b63d", None), id="six characters of an id"),
        pytest.param(("97b63",), None, False, (None, "97b63"), id="five may be a value"),
        pytest.param(("97",), None, True, ("97", None), id="beside a file any beginning"),
        pytest.param(("97", "yes"), None, False, ("97", "yes"), id="an id and a value"),
        pytest.param(("yes",), "97", False, ("97", "yes"), id="the id as an option"),
        pytest.param(("97b63d11",), "6f1e2a", False, ("6f1e2a", "97b63d11"), id="beside --id a word is the value"),
        pytest.param((), "97", True, ("97", None), id="the id as an option and a file"),
    ],
)
def test_words_are_an_id_a_value_or_both(
    words: tuple[str, ...], id_: str | None, has_file: bool, expected: tuple[str | None, str | None]
) -> None:
    assert split_words(words, asking(), id_, has_file=has_file) == expected


OBJECTS: dict[str, Any] = {
    "prompt": "Approve?",
    "options": [{"decision": "approve"}, {"decision": "reject"}],
    "schema": {"type": "object", "properties": {"decision": {"type": "string"}, "reason": {"type": "string"}}},
}


@pytest.mark.parametrize(
    ("value", "text", "answer"),
    [
        pytest.param(OBJECTS, "approve", {"decision": "approve"}, id="the only word of an option"),
        pytest.param(OBJECTS, "Approve", {"decision": "approve"}, id="its only word in another case"),
        pytest.param(OBJECTS, '{"decision": "reject"}', {"decision": "reject"}, id="as JSON"),
        pytest.param(OBJECTS, '{"reason": "late"}', {"reason": "late"}, id="an answer of one's own"),
        pytest.param(CHOICE, "APPROVE", "approve", id="a label in another case"),
        pytest.param({"prompt": "?", "options": ["a", "A"]}, "a", "a", id="the exact one of two"),
    ],
)
def test_an_option_is_named_by_its_word(value: dict[str, Any], text: str, answer: Any) -> None:
    assert read_answer(ask(value, value.get("schema")), text) == answer


def test_a_word_that_names_no_option_is_told_the_options() -> None:
    with pytest.raises(PermanentError, match="'maybe' is none of the options: "):
        read_answer(ask(OBJECTS, OBJECTS["schema"]), "maybe")
