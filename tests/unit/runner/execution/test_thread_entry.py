"""How a run enters its thread, for every state that a checkpoint can be in."""

from typing import Any

import pytest

from agentic_runner.execution.thread_entry import EntryAction, PendingInterrupt, ThreadState, decide_entry

ASKS = PendingInterrupt("q1", "review", "ok?")
ALSO = PendingInterrupt("q2", "other", "and this?")


def _thread(**fields: Any) -> ThreadState:
    return ThreadState(**{"exists": True, "next": ("b",), "checkpoint_id": "c1", **fields})


@pytest.mark.parametrize(
    ("thread", "responses", "action", "answers"),
    [
        pytest.param(ThreadState(), {}, EntryAction.START, {}, id="a fresh thread starts"),
        pytest.param(_thread(), {}, EntryAction.CONTINUE, {}, id="a crash is continued"),
        pytest.param(_thread(next=()), {}, EntryAction.REPORT, {}, id="a finished thread is reported"),
        pytest.param(_thread(questions=(ASKS,)), {}, EntryAction.WAIT, {}, id="without an answer it waits"),
        pytest.param(_thread(questions=(ASKS,)), {"q1": 1}, EntryAction.RESUME, {"q1": 1}, id="an answer resumes"),
        pytest.param(
            _thread(questions=(ASKS,)), {"q1": None}, EntryAction.RESUME, {"q1": None}, id="null is an answer"
        ),
        pytest.param(
            _thread(questions=(ASKS, ALSO)), {"q2": 2}, EntryAction.RESUME, {"q2": 2}, id="one of two answers resumes"
        ),
        pytest.param(_thread(questions=(ASKS,)), {"old": 1}, EntryAction.WAIT, {}, id="an old answer is not taken"),
        pytest.param(_thread(), {"q1": 1}, EntryAction.CONTINUE, {}, id="an answer that acted does not act again"),
        pytest.param(
            _thread(questions=(ASKS,), has_unfinished=True),
            {},
            EntryAction.CONTINUE,
            {},
            id="beside a question one died",
        ),
    ],
)
def test_the_entry_follows_from_checkpoint_and_answers(
    thread: ThreadState, responses: dict[str, Any], action: EntryAction, answers: dict[str, Any]
) -> None:
    entry = decide_entry(thread, responses)
    assert (entry.action, dict(entry.answers)) == (action, answers)


def test_only_a_run_that_hands_over_inputs_can_have_them_refused() -> None:
    assert decide_entry(ThreadState(), {}).takes_inputs
    assert decide_entry(_thread(is_input=True), {}).takes_inputs
    assert not decide_entry(_thread(), {}).takes_inputs


@pytest.mark.parametrize("breakpoints", [["b"], ["*"]])
def test_a_breakpoint_is_not_passed_without_an_answer(breakpoints: list[str]) -> None:
    entry = decide_entry(_thread(), {}, breakpoints=breakpoints)
    assert entry.action is EntryAction.WAIT
    (stop,) = entry.questions
    assert stop.is_breakpoint
    assert stop.id == "breakpoint-c1"
    passed = decide_entry(_thread(), {"breakpoint-c1": "go"}, breakpoints=breakpoints)
    assert passed.action is EntryAction.CONTINUE


def test_a_stop_that_was_shown_is_not_passed_without_an_answer() -> None:
    assert decide_entry(_thread(), {}, asked=["breakpoint-c1"]).action is EntryAction.WAIT
    assert decide_entry(_thread(), {}, asked=["breakpoint-c0"]).action is EntryAction.CONTINUE
