"""Where a turn enters its thread, for every end that a thread can have."""

from typing import Any

import pytest

from agentic_runner.execution.thread_entry import EntryAction, PendingInterrupt, ThreadState
from agentic_runner.execution.turn_entry import Base, Gift, Turn, TurnEntry, decide_turn_entry

ASKS = PendingInterrupt("q1", "review", "ok?")
EMPTY = ThreadState()


def _thread(turn: str | None = "2", **fields: Any) -> ThreadState:
    return ThreadState(**{"exists": True, "next": (), "checkpoint_id": "c9", "turn": turn, **fields})


def _turn(gift: Gift = Gift.INPUT, **fields: Any) -> Turn:
    return Turn(3, gift, **fields)


def _decide(turn: Turn, newest: ThreadState, base: ThreadState | None = None, **answers: Any) -> TurnEntry:
    return decide_turn_entry(turn, newest, base, answers)


@pytest.mark.parametrize(
    ("turn", "newest", "action", "gift", "base"),
    [
        pytest.param(_turn(), EMPTY, "start", "input", "newest", id="a first input"),
        pytest.param(_turn(), _thread(), "start", "input", "newest", id="an input after a turn that ended"),
        pytest.param(_turn(), _thread(next=("b",)), "start", "input", "newest", id="an input after one that failed"),
        pytest.param(
            _turn(), _thread(next=("b",), questions=(ASKS,)), "start", "input", "newest", id="an input over a question"
        ),
        pytest.param(_turn(), _thread(turn=None), "start", "input", "newest", id="an input after a fork"),
        pytest.param(
            _turn(), _thread("3", next=("b",)), "continue", "nothing", "newest", id="an input that was given continues"
        ),
        pytest.param(_turn(), _thread("3"), "report", "nothing", "newest", id="one whose turn ended is reported"),
        pytest.param(
            _turn(), _thread("3", next=("b",), questions=(ASKS,)), "wait", "nothing", "newest", id="one that asks waits"
        ),
        pytest.param(
            _turn(from_checkpoint="c1"),
            _thread("3", next=("b",)),
            "continue",
            "nothing",
            "newest",
            id="a branch goes on",
        ),
        pytest.param(_turn(from_checkpoint="c1"), _thread(), "continue", "input", "checkpoint", id="a branch"),
        pytest.param(_turn(from_checkpoint="c9"), _thread(), "start", "input", "newest", id="a branch at the end"),
        pytest.param(_turn(from_checkpoint=""), _thread(), "start", "input", "empty", id="an empty thread beside it"),
        pytest.param(_turn(Gift.COMMAND), _thread(), "continue", "command", "checkpoint", id="a command branches"),
        pytest.param(_turn(Gift.NOTHING), _thread(), "report", "nothing", "newest", id="nothing, after an end"),
        pytest.param(
            _turn(Gift.NOTHING), _thread(next=("b",)), "continue", "nothing", "newest", id="nothing, after a failure"
        ),
        pytest.param(
            _turn(Gift.NOTHING, from_checkpoint="c1"),
            _thread(),
            "continue",
            "nothing",
            "checkpoint",
            id="nothing, there",
        ),
    ],
)
def test_a_turn_enters_its_thread(turn: Turn, newest: ThreadState, action: str, gift: str, base: str) -> None:
    made = _decide(turn, newest, _thread(checkpoint_id="c1"))
    assert (made.entry.action, made.gift, made.base) == (EntryAction(action), Gift(gift), Base(base))
    assert made.checkpoint_id == (None if base != "checkpoint" else turn.from_checkpoint or "c9")


@pytest.mark.parametrize("is_branch", [True, False])
def test_a_command_on_what_a_branch_made_copies_it_first(is_branch: bool) -> None:
    assert _decide(_turn(Gift.COMMAND), _thread(is_branch=is_branch)).copies_first is is_branch


def test_a_command_that_was_given_is_not_copied_for_again() -> None:
    made = _decide(_turn(Gift.COMMAND), _thread("3", next=("b",), is_branch=True))
    assert not made.copies_first
    assert made.gift is Gift.NOTHING


def test_an_answer_resumes_the_turn_that_asked() -> None:
    made = _decide(_turn(), _thread("3", next=("b",), questions=(ASKS,)), q1="yes")
    assert (made.entry.action, made.entry.answers) == (EntryAction.RESUME, {"q1": "yes"})
    assert made.action == "resume"


@pytest.mark.parametrize("gift", [Gift.INPUT, Gift.COMMAND])
def test_an_answer_to_a_turn_before_does_not_act_in_the_next(gift: Gift) -> None:
    assert not _decide(_turn(gift), _thread(next=("b",), questions=(ASKS,)), q1="yes").entry.answers


def test_an_error_before_a_node_ran_is_about_the_input_alone() -> None:
    assert _decide(_turn(), _thread()).entry.takes_inputs
    assert _decide(_turn(from_checkpoint="c1"), _thread(), _thread()).entry.takes_inputs
    assert not _decide(_turn(Gift.COMMAND), _thread()).entry.takes_inputs
