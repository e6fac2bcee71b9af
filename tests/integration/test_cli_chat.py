"""Talking on a terminal: lines that are never lost, questions in place, Ctrl-C for the turn and not the session."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.test_cli_conversations import MESSAGES, TWO_FIELDS, turns_of, user_of, words_of
from tests.support.kube import Space
from tests.support.person import Person, Terminal
from tests.support.played_operator import QUESTION, PlayedOperator, play_operator


@pytest.fixture
def person(space: Space) -> Person:
    """An administrator whose context names the test's namespace."""
    return Person.using(
        space.plane.kubeconfig_for_user(user_of(space), groups=["system:masters"], namespace=space.name)
    )


@pytest.fixture
def played(space: Space) -> Iterator[PlayedOperator]:
    """Operator and runner."""
    with play_operator(space) as made:
        yield made


@pytest.fixture
def support(space: Space) -> str:
    """A workflow of messages."""
    space.define("support", inputSchema=MESSAGES)
    return "support"


def wait_prompt(terminal: Terminal) -> None:
    terminal.expect("> ")


def test_the_first_message_makes_the_session_and_the_next_goes_on(
    space: Space, person: Person, support: str, played: PlayedOperator
) -> None:
    with person.terminal("chat", support, "--name", "c") as terminal:
        terminal.expect("type a message; /help shows")
        wait_prompt(terminal)
        assert space.find("c") is None
        terminal.type("hi")
        terminal.expect("session/c created")
        terminal.expect("you said hi")
        wait_prompt(terminal)
        terminal.type("more")
        terminal.expect("you said more")
        wait_prompt(terminal)
        terminal.press("d")
        terminal.expect(f"the conversation goes on: agentic chat c -n {space.name}")
        assert terminal.end() == 0
    with person.terminal("chat", "c") as terminal:
        terminal.expect("> hi")
        terminal.expect("you said hi")
        terminal.expect("> more")
        terminal.expect("you said more")
        wait_prompt(terminal)
        terminal.type("/quit")
        assert terminal.end() == 0
    assert words_of(turns_of(space)) == ["hi", "more"]


def test_a_question_is_answered_in_place(space: Space, person: Person, support: str, played: PlayedOperator) -> None:
    with person.terminal("chat", support, "--name", "c") as terminal:
        wait_prompt(terminal)
        terminal.type("ask me")
        terminal.expect("? Really?")
        terminal.expect("2) no")
        terminal.expect("answer:")
        terminal.type("yes")
        terminal.expect("answered q1")
        terminal.expect("you said ask me (yes)")
        wait_prompt(terminal)
        terminal.press("d")
        assert terminal.end() == 0


def test_ctrl_c_cancels_the_turn_and_a_second_one_at_the_prompt_leaves(
    space: Space, person: Person, support: str, played: PlayedOperator
) -> None:
    with person.terminal("chat", support, "--name", "c") as terminal:
        wait_prompt(terminal)
        terminal.type("slow")
        terminal.expect("Running")
        terminal.press("c")
        terminal.expect("canceling t0001")
        terminal.expect("t0001 Canceled")
        wait_prompt(terminal)
        terminal.type("still there?")
        terminal.expect("you said still there?")
        wait_prompt(terminal)
        terminal.press("c")
        terminal.expect("Ctrl-C once more, or Ctrl-D, leaves")
        wait_prompt(terminal)
        terminal.press("c")
        terminal.expect("the conversation goes on")
        assert terminal.end() == 130
        assert "Traceback" not in terminal.text
    first = turns_of(space)[0]
    assert (first["cancel"], first["cancelledBy"]) == (True, user_of(space))
    assert "stop" not in space.session("c")["spec"]


def test_a_question_of_somebody_else_is_shown_and_not_asked(
    space: Space, person: Person, support: str, played: PlayedOperator
) -> None:
    rule = {"identity": "Required", "notCreator": True}
    question = {**QUESTION, "approval": rule}
    with person.terminal("chat", support, "--name", "c", "--graph-context", "user=ann") as terminal:
        wait_prompt(terminal)
        terminal.type("slow")
        terminal.expect("Running · ")
        recorded = {"interruptId": "q1", "digest": "a" * 64, "rule": rule}
        space.report("c", phase="WaitingForInput", interrupts=[question], approvals=[recorded])
        terminal.expect("? Really?")
        terminal.expect("you cannot answer it; it needs an answer")
        terminal.expect(f"agentic respond c q1 -n {space.name}")
        terminal.press("c")
        terminal.expect("t0001 Canceled")
        wait_prompt(terminal)
        terminal.press("d")
        assert terminal.end() == 3
    assert "answer:" not in terminal.text
    assert space.session("c")["spec"]["context"] == {"user": "ann"}


def test_ctrl_c_at_a_question_cancels_the_turn_that_asks(
    space: Space, person: Person, support: str, played: PlayedOperator
) -> None:
    with person.terminal("chat", support, "--name", "c") as terminal:
        wait_prompt(terminal)
        terminal.type("ask me")
        terminal.expect("answer:")
        terminal.press("c")
        terminal.expect("t0001 Canceled")
        wait_prompt(terminal)
        terminal.press("d")
        assert terminal.end() == 3


def test_what_cannot_be_sent_is_at_the_prompt_again(
    space: Space, person: Person, support: str, played: PlayedOperator
) -> None:
    space.start("c", support, mode="Conversation")
    with person.terminal("chat", "c") as terminal:
        wait_prompt(terminal)
        terminal.type("x" * 33_000)
        terminal.expect("error: /input")
        wait_prompt(terminal)
        terminal.expect("xxx")
        # Delete to the start of the line.
        terminal.write("\x15")
        terminal.type("short")
        terminal.expect("you said short")
        wait_prompt(terminal)
        terminal.press("d")
        assert terminal.end() == 0
    assert words_of(turns_of(space)) == ["short"]


def test_long_lines_pastes_and_typing_ahead_arrive_whole(
    space: Space, person: Person, support: str, played: PlayedOperator
) -> None:
    long = "y" * 9_000
    with person.terminal("chat", support, "--name", "c") as terminal:
        wait_prompt(terminal)
        terminal.type(long)
        terminal.expect("you said yyy")
        wait_prompt(terminal)
        terminal.type("\x1b[200~two\nlines\x1b[201~")
        terminal.expect("you said two")
        wait_prompt(terminal)
        terminal.type("one \\")
        terminal.type("more")
        terminal.expect("you said one")
        wait_prompt(terminal)
        # While a turn is on.
        terminal.type("first")
        terminal.type("second")
        terminal.expect("you said first")
        terminal.expect("you said second")
        wait_prompt(terminal)
        terminal.press("d")
        assert terminal.end() == 0
    assert words_of(turns_of(space)) == [long, "two\nlines", "one \nmore", "first", "second"]


def test_what_was_typed_before_ctrl_c_can_be_had_again(
    space: Space, person: Person, support: str, played: PlayedOperator
) -> None:
    with person.terminal("chat", support, "--name", "c") as terminal:
        wait_prompt(terminal)
        terminal.write("precious")
        terminal.expect("precious")
        terminal.press("c")
        wait_prompt(terminal)
        # Arrow up.
        terminal.write("\x1b[A")
        terminal.expect("precious")
        terminal.type("")
        terminal.expect("you said precious")
        wait_prompt(terminal)
        terminal.press("d")
        assert terminal.end() == 0


def test_slashes_are_commands_and_a_double_one_is_a_message(
    space: Space, person: Person, support: str, played: PlayedOperator
) -> None:
    with person.terminal("chat", support, "--name", "c") as terminal:
        wait_prompt(terminal)
        terminal.type("/history")
        terminal.expect("nothing was said yet")
        terminal.type("/help")
        terminal.expect("/cancel [TURN]")
        terminal.type("/nonsense")
        terminal.expect("there is no /nonsense")
        terminal.type("//hi")
        terminal.expect("you said /hi")
        wait_prompt(terminal)
        terminal.type("/session")
        terminal.expect("Conversation, 1 turn")
        terminal.type("/history")
        terminal.expect("> /hi")
        wait_prompt(terminal)
        terminal.type("/cancel")
        terminal.expect("no turn is on")
        terminal.type("/close")
        terminal.expect("closing c")
        assert terminal.end() == 0
    space.wait_status("c", "Completed")


def test_who_comes_back_sees_the_turn_that_is_on_and_leaves_another_persons_alone(
    space: Space, person: Person, support: str, played: PlayedOperator
) -> None:
    space.start("c", support, mode="Conversation")
    other = Person.using(space.plane.kubeconfig_for_user("bob", groups=["system:masters"], namespace=space.name))
    other.out("turn", "c", "-m", "slow of bob")
    space.wait_status("c", "Running")
    with person.terminal("chat", "c") as terminal:
        terminal.expect("> slow of bob")
        terminal.expect("Running · ")
        terminal.press("c")
        terminal.expect("t0001 is somebody else's and goes on; /cancel t0001 would end it")
        wait_prompt(terminal)
        terminal.type("hi")
        terminal.expect("waits behind t0001 by bob")
        other.out("cancel", "c")
        terminal.expect("you said hi")
        wait_prompt(terminal)
        terminal.press("d")
        assert terminal.end() == 0
    assert turns_of(space)[0]["cancelledBy"] == "bob"


def test_a_conversation_that_ends_ends_the_chat(
    space: Space, person: Person, support: str, played: PlayedOperator
) -> None:
    with person.terminal("chat", support, "--name", "c") as terminal:
        wait_prompt(terminal)
        terminal.type("slow")
        terminal.expect("Running")
        space.report("c", phase="Stopped", reason="StoppedByUser")
        terminal.expect("the conversation is Stopped")
        assert terminal.end() == 3


def test_a_workflow_of_several_inputs_asks_for_them(space: Space, person: Person, played: PlayedOperator) -> None:
    space.define("counts", inputSchema=TWO_FIELDS)
    with person.terminal("chat", "counts", "--name", "c") as terminal:
        terminal.expect("press Enter to be asked for them, or type JSON")
        wait_prompt(terminal)
        terminal.type("")
        # In the order in which the schema requires them.
        terminal.expect("question (string):")
        terminal.type("why?")
        terminal.expect("count (integer):")
        terminal.type("2")
        terminal.expect("you said")
        wait_prompt(terminal)
        terminal.type('{"question": "how?", "count": 1}')
        terminal.expect("you said")
        wait_prompt(terminal)
        terminal.press("d")
        assert terminal.end() == 0
    inputs: list[dict[str, Any]] = [turn["input"] for turn in turns_of(space)]
    assert inputs == [{"question": "why?", "count": 2}, {"question": "how?", "count": 1}]


@pytest.mark.parametrize("columns", ["80", "200"])
def test_the_line_of_progress_stays_one_line(
    space: Space, person: Person, support: str, played: PlayedOperator, columns: str
) -> None:
    node = "n" * 150
    with person.terminal("chat", support, "--name", "c", COLUMNS=columns) as terminal:
        wait_prompt(terminal)
        terminal.type("slow")
        terminal.expect("Running")
        space.report("c", currentNode=node, steps=7)
        # To its end: a terminal drops what it has not shown yet when Ctrl-C is pressed.
        terminal.expect("step 7" if columns == "200" else "n…")
        terminal.press("c")
        terminal.expect("t0001 Canceled")
        wait_prompt(terminal)
        terminal.press("d")
        assert terminal.end() == 3
    shown = max(line.count("n") for line in re.split(r"[\r\n]", terminal.raw) if "nnn" in line)
    assert (shown == 150) if columns == "200" else (50 < shown < 80)


def test_without_colours_nothing_is_coloured(
    space: Space, person: Person, support: str, played: PlayedOperator
) -> None:
    with person.terminal("chat", support, "--name", "c", NO_COLOR="1") as terminal:
        wait_prompt(terminal)
        terminal.type("fail")
        terminal.expect("t0001 Failed: ValueError: fail")
        wait_prompt(terminal)
        terminal.press("d")
        assert terminal.end() == 1
    assert "\x1b[3" not in terminal.raw
