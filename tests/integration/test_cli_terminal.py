"""The command on a terminal: a form for missing inputs, a live view, questions answered where they appear."""

import pytest

from tests.support.kube import Space
from tests.support.person import Person
from tests.support.screen import read_screen
from tests.support.waiting import wait_for

SCHEMA = {
    "type": "object",
    "required": ["dataset"],
    "properties": {
        "dataset": {"enum": ["cars", "weather"], "description": "Which data"},
        "threshold": {"type": "number", "exclusiveMinimum": 0, "default": 1.5},
        "note": {"type": "string"},
    },
}
CHOICE = {"id": "q1", "node": "ask", "value": {"prompt": "Approve removal?", "options": ["approve", "reject"]}}
FORM = {
    "id": "q2",
    "node": "why",
    "value": {
        "prompt": "Why?",
        "schema": {
            "type": "object",
            "required": ["ok"],
            "properties": {"ok": {"type": "boolean"}, "reason": {"type": "string"}},
        },
    },
}


@pytest.fixture
def person(space: Space) -> Person:
    """An administrator whose context names the test's namespace."""
    return Person.using(
        space.plane.kubeconfig_for_user(f"admin-of-{space.name}", groups=["system:masters"], namespace=space.name)
    )


def wait_answer(space: Space, count: int = 1) -> list[dict[str, object]]:
    """Return ids and values of the answers once there are ``count``, each by who sits at the terminal."""
    found: list[dict[str, object]] = wait_for(
        lambda: space.session("s")["spec"].get("responses") or [],
        lambda responses: len(responses) == count,
        what="an answer",
        every=0.05,
    )
    assert {each.pop("by") for each in found} == {f"admin-of-{space.name}"}
    # Of the question as it was shown.
    assert all(each.pop("digest") for each in found)
    return found


def test_missing_inputs_are_asked_for_field_by_field(space: Space, person: Person) -> None:
    space.define("report", inputSchema=SCHEMA)
    with person.terminal("run", "report", "--name", "s") as terminal:
        terminal.expect("dataset: Which data")
        terminal.expect("2) weather")
        terminal.type("bikes")
        terminal.expect('"bikes" is not one of')
        terminal.type("2")
        # The API server keeps no order: after the required fields the names are sorted.
        terminal.expect("note (string, optional):")
        terminal.type("")
        terminal.expect("threshold (number, optional) [1.5]:")
        terminal.type("-1")
        terminal.expect("less than or equal to the minimum")
        terminal.type("")
        terminal.expect("agenticsession/s created")
        assert terminal.end() == 0
    assert space.session("s")["spec"]["inputs"] == {"dataset": "weather", "threshold": 1.5}


def test_who_ends_the_form_starts_nothing(space: Space, person: Person) -> None:
    space.define("report", inputSchema=SCHEMA)
    for key, status, words in (("d", 1, "nothing was started"), ("c", 130, "interrupted")):
        with person.terminal("run", "report") as terminal:
            terminal.expect("dataset")
            terminal.expect(":")
            terminal.press(key)
            terminal.expect(words)
            assert terminal.end() == status
    assert person.out("list", "-o", "name") == ""


def test_nothing_is_asked_where_nothing_is_missing_or_asking_is_unwanted(space: Space, person: Person) -> None:
    space.define("report", inputSchema=SCHEMA)
    with person.terminal("run", "report", "-p", "dataset=cars", "--name", "s") as terminal:
        terminal.expect("agenticsession/s created")
        assert terminal.end() == 0
    with person.terminal("run", "report", "--no-prompt") as terminal:
        terminal.expect("required inputs are missing")
        assert terminal.end() == 1


def test_a_live_view_asks_in_place_and_ends_with_the_session(space: Space, person: Person) -> None:
    space.define("report", status={"graph": {"nodes": ["__start__", "load", "detect", "ask"]}})
    space.start("s")
    with person.terminal("watch", "s") as terminal:
        terminal.expect("s  Pending")
        space.report("s", phase="Running", reason="Running", currentNode="load", steps=1, progress="25%")
        terminal.expect("● load · detect · ask")
        terminal.expect("25%")
        space.report(
            "s", phase="WaitingForInput", reason="WaitingForInput", currentNode="ask", interrupts=[CHOICE, FORM]
        )
        terminal.expect("? Approve removal?")
        terminal.expect("1) approve")
        terminal.expect("answer:")
        terminal.type("maybe")
        terminal.expect("is not among the options")
        terminal.expect("answer:")
        terminal.type("1")
        terminal.expect("answered q1")
        terminal.expect("? Why?")
        terminal.expect("ok (yes/no):")
        terminal.type("yes")
        terminal.expect("reason (string, optional):")
        terminal.type("because")
        terminal.expect("answered q2")
        responses = wait_answer(space, 2)
        space.report("s", phase="Running", reason="Running")
        space.report("s", phase="Completed", reason="Completed", steps=4, progress="100%")
        terminal.expect("s Completed step 4 100%")
        terminal.expect(f"its result: agentic result s -n {space.name}")
        assert terminal.end() == 0
        screen = read_screen(terminal.raw)
    # The drawing is gone, and what was said stays.
    for line in (
        "? Approve removal?",
        "  1) approve",
        "answer: maybe",
        "answer: 1",
        "  answered q1",
        "ok (yes/no): yes",
    ):
        assert line in screen, screen
    assert "reason (string, optional): because" in screen
    assert not any("load · detect" in line for line in screen)
    assert responses == [
        {"interruptId": "q1", "value": "approve"},
        {"interruptId": "q2", "value": {"ok": True, "reason": "because"}},
    ]


def test_a_question_can_be_left_to_somebody_else(space: Space, person: Person) -> None:
    space.start("s")
    space.report("s", phase="WaitingForInput", interrupts=[CHOICE])
    with person.terminal("watch", "s") as terminal:
        terminal.expect("answer:")
        terminal.press("d")
        terminal.expect("left open: agentic respond s q1")
        person.out("respond", "s", "reject")
        space.report("s", phase="Stopped")
        assert terminal.end() == 3
    assert wait_answer(space) == [{"interruptId": "q1", "value": "reject"}]


def test_who_answers_after_somebody_else_is_told(space: Space, person: Person) -> None:
    space.start("s")
    space.report("s", phase="WaitingForInput", interrupts=[CHOICE])
    with person.terminal("watch", "s") as terminal:
        terminal.expect("answer:")
        person.out("respond", "s", "reject")
        terminal.type("approve")
        terminal.expect("has an answer already")
        space.report("s", phase="Stopped")
        assert terminal.end() == 3
    assert wait_answer(space) == [{"interruptId": "q1", "value": "reject"}]


def test_ctrl_c_at_a_question_ends_the_watching_alone(space: Space, person: Person) -> None:
    space.start("s")
    space.report("s", phase="WaitingForInput", interrupts=[CHOICE])
    with person.terminal("watch", "s") as terminal:
        terminal.expect("answer:")
        terminal.press("c")
        terminal.expect("the session goes on: agentic watch s")
        assert terminal.end() == 130
        assert "Traceback" not in terminal.text
    assert "responses" not in space.session("s")["spec"]


def test_asking_can_be_unwanted(space: Space, person: Person) -> None:
    space.start("s")
    space.report("s", phase="WaitingForInput", interrupts=[CHOICE])
    with person.terminal("watch", "s", "--no-answer") as terminal:
        assert terminal.end() == 4
        assert "answer:" not in terminal.text


def test_respond_asks_where_no_value_is_given(space: Space, person: Person) -> None:
    space.start("s")
    space.report("s", phase="WaitingForInput", interrupts=[CHOICE, FORM])
    with person.terminal("respond", "s", "q2") as terminal:
        terminal.expect("? Why?")
        terminal.expect("ok (yes/no):")
        terminal.type("no")
        terminal.expect("reason")
        terminal.type("")
        terminal.expect("agenticsession/s answered q2")
        assert terminal.end() == 0
    assert wait_answer(space) == [{"interruptId": "q2", "value": {"ok": False}}]


def test_colours_are_for_terminals_that_want_them(space: Space, person: Person) -> None:
    space.start("s")
    with person.terminal("list") as terminal:
        assert terminal.end() == 0
        assert "\x1b[1m" in terminal.raw
    with person.terminal("list", NO_COLOR="1") as terminal:
        assert terminal.end() == 0
        assert "\x1b" not in terminal.raw
    with person.terminal("watch", "s", NO_COLOR="1") as terminal:
        terminal.expect("s  Pending")
        space.report("s", phase="Completed")
        assert terminal.end() == 0
        assert "\x1b[3" not in terminal.raw
    assert "\x1b" not in person.out("list")


def test_a_session_that_was_made_since_the_question_is_not_deleted(space: Space, person: Person) -> None:
    for name in ("a", "again", "gone", "z"):
        space.start(name)
    with person.terminal("delete", "a", "again", "gone", "a", "agenticsession/z", "nope") as terminal:
        terminal.expect("delete a, again, gone, z with checkpoints and results?")
        space.delete("gone")
        space.delete("again")
        space.start("again")
        terminal.type("y")
        terminal.expect("agenticsession/a deleted")
        terminal.expect("agenticsession/again is gone already")
        terminal.expect("agenticsession/gone is gone already")
        terminal.expect("agenticsession/z deleted")
        terminal.expect("no session 'nope'")
        assert terminal.end() == 1
    assert [each["metadata"]["name"] for each in space.sessions()] == ["again"]


def test_many_sessions_are_listed_before_it_is_asked_whether_to_delete_them(space: Space, person: Person) -> None:
    for number in range(11):
        space.start(f"s{number:02}")
    with person.terminal("delete", "--workflow", "report", COLUMNS="80") as terminal:
        terminal.expect("  s00")
        terminal.expect("  s10")
        terminal.expect("delete these 11 sessions with checkpoints and results?")
        terminal.press("c")
        assert terminal.end() == 130
    assert len(space.sessions()) == 11
