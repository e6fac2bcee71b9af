"""What an operator may rely on of any runner: the same tests on the base image's and on one in plain Python.

The rules are those of ``docs/runner-contract.md``. Each test sets the status as the operator does and reads what the
runner made of it.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import ROOT
from tests.support.runner import Json, RunnerBench, Session
from tests.support.waiting import wait_for

PLAIN = (sys.executable, "-I", str(ROOT / "tests/e2e/foreign/run.py"))
# The same task as that of the plain runner, as a graph.
WORDS = """
import collections

class State(TypedDict, total=False):
    text: Any
    ask: str
    hold: bool

def count(state):
    is_wanted = interrupt({"prompt": state["ask"], "schema": {"enum": ["yes", "no"]}}) if "ask" in state else "yes"
    while state.get("hold") and not pathlib.Path(os.environ["WORKSPACE_DIR"], "go").exists():
        time.sleep(0.05)
    return {"words": dict(collections.Counter(state["text"].split())) if is_wanted == "yes" else {}}

class Result(TypedDict, total=False):
    words: dict[str, int]

class Whole(State, Result):
    pass

builder = StateGraph(Whole, input_schema=State, output_schema=Result)
builder.add_node(count)
builder.add_edge(START, "count")
graph = builder.compile()
"""

Start = Callable[..., Session]


@pytest.fixture(params=["the base image's", "in plain Python"])
def start(request: pytest.FixtureRequest, runners: RunnerBench, tmp_path: Path) -> Start:
    """Make sessions whose runners are of one kind, with a workspace."""

    def make(**inputs: object) -> Session:
        session = runners.session(WORDS, inputs)
        session.environment["WORKSPACE_DIR"] = str(tmp_path)
        session.program = PLAIN if request.param == "in plain Python" else ()
        return session

    return make


def read_words(status: Json) -> Json:
    """Return the result; a graph's has the name of its channel."""
    words: Json = status["result"].get("words", status["result"])
    return words


def ask(start: Start) -> tuple[Session, Json]:
    session = start(text="a b", ask="count?")
    assert session.run() == 0
    (question,) = session.status["interrupts"]
    return session, question


def test_a_run_ends_with_its_result_and_exit_code_0(start: Start) -> None:
    session = start(text="to be or not to be")
    assert session.run() == 0
    status = session.status
    assert (status["phase"], status["reason"]) == ("Completed", "Completed")
    assert read_words(status) == {"to": 2, "be": 2, "or": 1, "not": 1}
    assert status["startTime"] <= status["completionTime"]


@pytest.mark.parametrize("why", ["a later run", "another session of the name", "a session that has ended"])
def test_what_is_not_its_run_is_left_alone_with_exit_code_8(start: Start, why: str) -> None:
    session = start(text="a")
    if why == "a later run":
        session.set_status(run=2)
    elif why == "a session that has ended":
        session.set_status(phase="Stopped")
    else:
        session.uid = "00000000-0000-0000-0000-000000000000"
    before = session.read()["metadata"]["resourceVersion"]
    assert session.run(1) == 8
    assert session.read()["metadata"]["resourceVersion"] == before


def test_a_run_that_is_superseded_while_it_works_writes_nothing_more(start: Start, tmp_path: Path) -> None:
    session = start(text="a", hold=True)
    runner = session.start()
    wait_for(lambda: session.status["phase"], "Running".__eq__, what="the run at work", every=0.05)
    successor = session.start(2)
    session.set_status(run=2, phase="Creating", jobName="s-r2")
    assert runner.process.poll() is None
    (tmp_path / "go").touch()
    assert (runner.wait(), successor.wait()) == (8, 0), runner.output + successor.output
    assert (session.status["phase"], session.status["run"]) == ("Completed", 2)


def test_a_question_is_told_whole_and_its_run_ends_with_exit_code_0(start: Start) -> None:
    session, question = ask(start)
    status = session.status
    assert (status["phase"], "result" in status) == ("WaitingForInput", False)
    assert (question["prompt"], question["schema"]) == ("count?", {"enum": ["yes", "no"]})
    assert question["id"]
    assert question["askedAt"]
    assert "answeredAt" not in question


@pytest.mark.parametrize(("answer", "words"), [("yes", {"a": 1, "b": 1}), ("no", {})])
def test_the_next_run_goes_on_with_the_answer_that_was_accepted(start: Start, answer: str, words: Json) -> None:
    session, question = ask(start)
    # What stands in the spec alone was accepted by nobody.
    other = "no" if answer == "yes" else "yes"
    session.patch({"spec": {"responses": [{"interruptId": question["id"], "value": other}]}})
    session.answer(run=2, **{question["node"]: answer})
    assert session.run(2) == 0
    status = session.status
    assert (status["phase"], read_words(status)) == ("Completed", words)
    (answered,) = status["interrupts"]
    assert answered["resumedAt"]
    assert [each["value"] for each in status["answers"]] == [answer]


def test_a_failure_for_good_is_told_with_its_place_and_exit_code_3(start: Start) -> None:
    session = start(text=7)
    assert session.run(RETRIES="0") == 3
    status = session.status
    assert (status["phase"], status["reason"]) == ("Failed", "GraphError")
    assert (status["error"]["type"], status["error"]["node"]) == ("AttributeError", "count")
    assert status["completionTime"]


def test_a_failure_with_retries_left_ends_with_exit_code_1_and_no_verdict(start: Start) -> None:
    session = start(text=7)
    assert session.run(RETRIES="1") == 1
    assert session.status["phase"] == "Running"
