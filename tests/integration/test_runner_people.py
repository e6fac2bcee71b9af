"""The runner and people: it asks, leaves or stays warm, and goes on with accepted answers, killed at any point."""

import signal
import time

import pytest

from agentic_core.names import notify_channel
from tests.support.runner import RunnerBench, Session

TWO = """
class State(TypedDict, total=False):
    said: Annotated[list[str], operator.add]

def first(state):
    note("first")
    return {}

def left(state):
    note("left?")
    said = interrupt({"prompt": "left or not?", "options": ["l", "no"]})
    note("left")
    return {"said": [said]}

def right(state):
    note("right?")
    said = interrupt({"prompt": "right or not?", "schema": {"type": "string"}})
    note("right")
    return {"said": [said]}

def plain(state):
    note("plain")
    return {}

def last(state):
    note("last")
    return {}

builder = StateGraph(State)
for node in (first, left, right, plain, last):
    builder.add_node(node)
builder.add_edge(START, "first")
for node in ("left", "right", "plain"):
    builder.add_edge("first", node)
builder.add_edge(["left", "right", "plain"], "last")
graph = builder.compile()
"""

NESTED = """
class State(TypedDict, total=False):
    said: Annotated[list[str], operator.add]

def before(state):
    note("before")
    return {}

def ask(state):
    return {"said": [interrupt("inside?")]}

def after(state):
    note("after")
    return {}

inner = StateGraph(State)
inner.add_node(before)
inner.add_node(ask)
inner.add_edge(START, "before")
inner.add_edge("before", "ask")
builder = StateGraph(State)
builder.add_node("sub", inner.compile())
builder.add_node(after)
builder.add_edge(START, "sub")
builder.add_edge("sub", "after")
graph = builder.compile()
"""

STOPS = """
class State(TypedDict, total=False):
    done: Annotated[list[str], operator.add]

def one(state):
    note("one")
    return {"done": ["one"]}

def two(state):
    note("two")
    return {"done": ["two"]}

builder = StateGraph(State)
builder.add_node(one)
builder.add_node(two)
builder.add_edge(START, "one")
builder.add_edge("one", "two")
graph = builder.compile(WHERE)
"""

SLOW = """
class State(TypedDict, total=False):
    said: Annotated[list[str], operator.add]

def before(state):
    note("before")
    return {}

def ask(state):
    said = interrupt("go on?")
    note("took-" + said)
    hold("taken")
    return {"said": [said]}

builder = StateGraph(State)
builder.add_node(before)
builder.add_node(ask)
builder.add_edge(START, "before")
builder.add_edge("before", "ask")
graph = builder.compile()
"""


def ask(runners: RunnerBench, code: str) -> Session:
    session = runners.session(code, {})
    assert session.run() == 0
    assert session.status["phase"] == "WaitingForInput"
    return session


def test_the_status_shows_what_is_asked_in_words_options_and_schema(runners: RunnerBench) -> None:
    status = ask(runners, TWO).status
    left, right = sorted(status["interrupts"], key=lambda each: str(each["node"]))
    assert (left["prompt"], left["schema"]) == ("left or not?", {"enum": ["l", "no"]})
    assert left["options"] == [{"value": "l", "label": "l"}, {"value": "no", "label": "no"}]
    assert (right["prompt"], right["schema"]) == ("right or not?", {"type": "string"})
    assert status["question"].startswith("2 questions: ")


def test_two_questions_are_answered_one_by_one_and_no_answered_branch_runs_again(runners: RunnerBench) -> None:
    session = ask(runners, TWO)
    session.answer(run=2, right="r")
    assert session.run(2) == 0
    status = session.status
    assert (status["phase"], status["question"]) == ("WaitingForInput", "left or not? (l / no)")
    session.answer(run=3, left="l")
    assert session.run(3) == 0
    status = session.status
    assert status["phase"] == "Completed"
    assert sorted(status["result"]["said"]) == ["l", "r"]
    assert "question" not in status
    assert [session.ran.count(name) for name in ("first", "plain", "left", "right", "last")] == [1] * 5


def test_two_questions_are_answered_at_once(runners: RunnerBench) -> None:
    session = ask(runners, TWO)
    session.answer(run=2, left="l", right="r")
    assert session.run(2) == 0
    assert session.status["phase"] == "Completed"
    assert [session.ran.count(name) for name in ("first", "plain", "left", "right", "last")] == [1] * 5


def test_an_answer_that_nobody_accepted_is_not_taken(runners: RunnerBench) -> None:
    session = ask(runners, SLOW)
    id_ = session.status["interrupts"][0]["id"]
    session.patch({"spec": {"responses": [{"interruptId": id_, "value": "wrong"}]}})
    session.set_status(phase="Creating", run=2)
    assert session.run(2) == 0
    assert session.status["phase"] == "WaitingForInput"
    assert session.ran == ["before"]


def test_a_question_in_a_subgraph_goes_on_inside(runners: RunnerBench) -> None:
    session = ask(runners, NESTED)
    (asked,) = session.status["interrupts"]
    assert asked["prompt"] == "inside?"
    session.answer(run=2, **{asked["node"]: "yes"})
    assert session.run(2) == 0
    assert session.status["result"] == {"said": ["yes"]}
    assert session.ran == ["before", "after"]


@pytest.mark.parametrize("where", ['interrupt_before=["two"]', 'interrupt_after=["one"]'])
def test_a_stop_before_or_after_a_node_goes_on_with_any_answer(runners: RunnerBench, where: str) -> None:
    session = ask(runners, STOPS.replace("WHERE", where))
    (asked,) = session.status["interrupts"]
    assert asked["prompt"] == "stopped before two; any answer goes on"
    session.answer(run=2, two=True)
    assert session.run(2) == 0
    assert session.status["result"] == {"done": ["one", "two"]}
    assert session.ran == ["one", "two"]


def test_a_warm_runner_takes_the_answer_in_the_same_process(runners: RunnerBench) -> None:
    session = runners.session(TWO, {}, KEEP_WARM_SECONDS="60")
    runner = session.start()
    session.wait_for_status(lambda status: status.get("phase") == "WaitingForInput", what="the questions")
    session.answer(right="r")
    session.wait_for_status(lambda status: status.get("question") == "left or not? (l / no)", what="one question less")
    session.answer(left="l")
    assert runner.wait() == 0, runner.output
    status = session.status
    assert (status["phase"], status["run"]) == ("Completed", 1)
    assert [session.ran.count(name) for name in ("first", "plain", "left", "right", "last")] == [1] * 5
    assert runners.row(session)[0] == "completed"


def test_a_warm_runner_takes_an_answer_when_it_is_told_of_it(runners: RunnerBench) -> None:
    session = runners.session(SLOW, {}, KEEP_WARM_SECONDS="120")
    channel = notify_channel(session.uid)
    runner = session.start(NOTIFY_CHANNEL=channel)
    session.wait_for_status(lambda status: status.get("phase") == "WaitingForInput", what="the question")
    # It has looked, and would look again in 15 s.
    time.sleep(1.0)
    session.let_go("taken")
    began = time.monotonic()
    session.answer(ask="yes")
    runners.database.execute("SELECT pg_notify(%s, '')", [channel])
    assert runner.wait() == 0, runner.output
    assert time.monotonic() - began < 12
    assert session.status["result"] == {"said": ["yes"]}


def test_a_warm_runner_leaves_when_its_time_is_over_or_its_pod_is_drained(runners: RunnerBench) -> None:
    session = runners.session(SLOW, {}, KEEP_WARM_SECONDS="1")
    assert session.run() == 0
    assert session.status["phase"] == "WaitingForInput"
    drained = runners.session(SLOW, {}, KEEP_WARM_SECONDS="600")
    runner = drained.start()
    drained.wait_for_status(lambda status: status.get("phase") == "WaitingForInput", what="the question")
    runner.signal(signal.SIGTERM)
    assert runner.wait() == 0, runner.output
    assert drained.status["phase"] == "WaitingForInput"


def test_an_answer_accepted_while_the_run_is_still_on_is_taken_without_leaving(runners: RunnerBench) -> None:
    code = TWO.replace('note("right")\n', 'note("right")\n    hold("right")\n')
    session = ask(runners, code)
    session.answer(run=2, right="r")
    runner = session.start(2)
    session.wait_until_reached("right")
    session.answer(left="l")
    session.let_go("right")
    assert runner.wait() == 0, runner.output
    assert session.status["phase"] == "Completed"
    assert [session.ran.count(name) for name in ("left", "right", "last")] == [1] * 3


def test_killed_with_the_answer_in_hand_it_acts_once_more_from_the_question_only(runners: RunnerBench) -> None:
    session = ask(runners, SLOW)
    session.answer(run=2, ask="yes")
    runner = session.start(2)
    session.wait_until_reached("taken")
    runner.signal(signal.SIGKILL)
    runner.wait()
    session.let_go("taken")
    # The Job's next pod: same run, the answer stands in the status.
    assert session.run(2) == 0
    assert session.status["result"] == {"said": ["yes"]}
    assert session.ran == ["before", "took-yes", "took-yes"]


def test_killed_between_the_checkpoint_and_the_status_it_asks_the_same_question(runners: RunnerBench) -> None:
    session = runners.session(SLOW, {})
    killed = session.start()
    session.wait_for_status(lambda status: status.get("phase") in ("Running", "WaitingForInput"), what="the run")
    killed.signal(signal.SIGKILL)
    killed.wait()
    first = session.run()
    assert first == 0
    asked = session.status["interrupts"]
    # As if the status had never been written: the checkpoint alone knows the question.
    session.set_status(phase="Running", interrupts=None, question=None)
    assert session.run() == 0
    again = session.status["interrupts"]
    assert [each["id"] for each in again] == [each["id"] for each in asked]
    assert session.status["phase"] == "WaitingForInput"


def test_killed_while_warm_the_next_pod_finds_the_answer(runners: RunnerBench) -> None:
    session = runners.session(SLOW, {}, KEEP_WARM_SECONDS="600")
    runner = session.start()
    session.wait_for_status(lambda status: status.get("phase") == "WaitingForInput", what="the question")
    runner.signal(signal.SIGKILL)
    runner.wait()
    session.answer(ask="yes")
    session.let_go("taken")
    assert session.run() == 0
    assert session.status["result"] == {"said": ["yes"]}
    assert session.ran == ["before", "took-yes"]


def test_a_session_made_again_under_its_name_knows_no_old_question(runners: RunnerBench) -> None:
    old = ask(runners, SLOW)
    runners.plane.request("DELETE", old.path)
    new = runners.session(SLOW, {}, name=old.name)
    assert new.run() == 0
    assert new.ran == ["before"]
    (asked,) = new.status["interrupts"]
    assert "answeredAt" not in asked
