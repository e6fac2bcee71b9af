"""The runner in a conversation: one turn after another on one thread, warm or in a new pod, and each input once."""

import signal
import time
from typing import Any

import psycopg
import pytest

from agentic_core.names import notify_channel
from tests.support.runner import RunnerBench
from tests.support.turns import Talk, converse
from tests.support.waiting import wait_for

CHAT = """
class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    mode: str

def first(state):
    note("first")
    if state.get("mode") == "raise at first":
        raise ValueError("the first node raises")
    return {"log": ["first"]}

def second(state):
    note("second")
    mode = state.get("mode", "")
    if mode == "hold":
        hold("second")
    if mode == "raise":
        raise ValueError("this turn fails")
    if mode == "ask":
        return {"log": ["answer " + interrupt("well?")]}
    return {"log": ["second"]}

builder = StateGraph(State)
for node in (first, second):
    builder.add_node(node)
builder.add_edge(START, "first")
builder.add_edge("first", "second")
graph = builder.compile()
"""


def say(number: int, mode: str = "") -> dict[str, Any]:
    return {"input": {"log": [f"in {number}"], "mode": mode}}


def inputs_of(talk: Talk) -> list[str]:
    """Return the inputs in the last result."""
    return [each for each in talk.session.status["result"]["log"] if each.startswith("in ")]


def test_turns_go_on_from_each_other_in_pods_of_their_own(runners: RunnerBench) -> None:
    talk = converse(runners, CHAT)
    for number in (1, 2):
        talk.begin(run=number, **say(number))
        assert talk.session.run(number) == 0
        end = talk.wait_end(number)
        assert (end["name"], end["phase"]) == (f"t000{number}", "Completed")
        assert end["checkpointId"] == talk.session.status["checkpointId"]
        assert end["firstSeq"] <= end["lastSeq"]
        talk.settle()
    status = talk.session.status
    assert status["result"]["log"] == ["in 1", "first", "second", "in 2", "first", "second"]
    assert "completionTime" not in status
    assert {each["type"]: each["status"] for each in status["conditions"]} == {"Running": "False"}
    assert runners.row(talk.session)[0] == "idle"
    assert [(number, phase) for number, phase, _ in talk.rows()] == [(1, "completed"), (2, "completed")]
    assert talk.rows()[0][2]["log"] == ["in 1", "first", "second"]
    assert talk.labels() == [("1", 1), ("2", 1)]
    turns = "SELECT DISTINCT turn FROM session_events WHERE session_uid = %s ORDER BY 1"
    assert runners.database.execute(turns, [talk.session.uid]) == [(1,), (2,)]


def test_a_warm_runner_takes_the_next_turn_when_it_is_told_of_it(runners: RunnerBench) -> None:
    talk = converse(runners, CHAT, KEEP_WARM_SECONDS="60")
    channel = notify_channel(talk.session.uid)
    talk.begin(run=1, **say(1))
    runner = talk.session.start(1, NOTIFY_CHANNEL=channel)
    talk.wait_end(1)
    talk.settle()
    took = []
    for number in (2, 3, 4):
        # Longer than a first look and the pause after it: from now on it only looks when it is told to.
        time.sleep(0.5)
        began = time.monotonic()
        talk.begin(**say(number))
        runners.database.execute("SELECT pg_notify(%s, %s)", [channel, str(number)])
        talk.wait_end(number)
        took.append(time.monotonic() - began)
        talk.settle()
    assert max(took) < 12, took  # without a hint it looks every 15 s
    assert inputs_of(talk) == ["in 1", "in 2", "in 3", "in 4"]
    assert talk.session.status["run"] == 1
    runner.signal(signal.SIGTERM)
    assert runner.wait() == 0, runner.output


def test_a_warm_runner_that_nobody_tells_looks_for_itself(runners: RunnerBench) -> None:
    talk = converse(runners, CHAT, KEEP_WARM_SECONDS="60")
    talk.begin(run=1, **say(1))
    runner = talk.session.start(1)
    talk.wait_end(1)
    talk.settle()
    talk.begin(**say(2))
    talk.wait_end(2)
    talk.settle()
    talk.session.set_status(phase="Completed")
    assert runner.wait() == 0, runner.output
    assert talk.labels() == [("1", 1), ("2", 1)]


def test_a_runner_that_waited_long_enough_leaves(runners: RunnerBench) -> None:
    talk = converse(runners, CHAT, KEEP_WARM_SECONDS="1")
    talk.begin(run=1, **say(1))
    assert talk.session.run(1) == 0
    talk.settle()
    assert talk.session.status["phase"] == "Idle"


@pytest.mark.parametrize("retries", ["0", "1"])
def test_a_turn_that_fails_does_not_fail_the_conversation(runners: RunnerBench, retries: str) -> None:
    talk = converse(runners, CHAT, KEEP_WARM_SECONDS="60", RETRIES=retries)
    talk.begin(run=1, **say(1, "raise"))
    if retries == "1":
        assert talk.session.run(1) == 1
        assert talk.session.status["reason"] == "Retrying"
    # It leaves: its Job has fewer retries left than the next turn is to have.
    assert talk.session.run(1) == 0
    end = talk.wait_end(1)
    assert (end["phase"], end["error"]["type"], end["error"]["node"]) == ("Failed", "ValueError", "second")
    status = talk.session.status
    assert (status["phase"], status["reason"]) == ("Idle", "TurnFailed")
    assert "t0001" in status["message"]
    assert talk.rows() == [(1, "failed", None)]
    assert runners.row(talk.session)[0] == "idle"
    talk.settle()
    talk.begin(run=2, **say(2))
    assert talk.session.run(2, KEEP_WARM_SECONDS="0") == 0
    assert talk.wait_end(2)["phase"] == "Completed"
    assert inputs_of(talk) == ["in 1", "in 2"]
    assert "error" not in talk.session.status


def test_a_question_of_a_turn_is_answered_in_it_and_gone_with_the_next(runners: RunnerBench) -> None:
    talk = converse(runners, CHAT)
    talk.begin(run=1, **say(1, "ask"))
    assert talk.session.run(1) == 0
    assert talk.session.status["phase"] == "WaitingForInput"
    talk.session.answer(run=2, second="yes")
    assert talk.session.run(2) == 0
    assert talk.wait_end(1)["phase"] == "Completed"
    assert talk.session.status["result"]["log"] == ["in 1", "first", "answer yes"]
    talk.settle()
    talk.begin(run=3, **say(2, "ask"))
    assert talk.session.run(3) == 0
    (question,) = talk.session.status["interrupts"]
    assert "answeredAt" not in question
    # The operator cancels the turn that waits; the next one is not asked about it.
    talk.session.set_status(phase="Idle")
    talk.settle()
    talk.begin(run=4, **say(3))
    assert talk.session.run(4) == 0
    talk.wait_end(3)
    assert inputs_of(talk) == ["in 1", "in 2", "in 3"]
    assert talk.session.status.get("interrupts", []) == []


def test_a_command_goes_to_a_node_with_an_update(runners: RunnerBench) -> None:
    talk = converse(runners, CHAT)
    talk.begin(run=1, **say(1))
    assert talk.session.run(1) == 0
    talk.settle()
    talk.begin(run=2, command={"goto": "second", "update": {"log": ["in 2"]}})
    assert talk.session.run(2) == 0
    talk.wait_end(2)
    assert talk.session.status["result"]["log"] == ["in 1", "first", "second", "in 2", "second"]
    talk.settle()
    talk.begin(run=3, command={"goto": "third"})
    assert talk.session.run(3) == 0
    end = talk.wait_end(3)
    assert end["phase"] == "Failed"
    assert "/spec/turns/0/command/goto: the graph has no node 'third'" in end["error"]["message"]


def test_a_turn_branches_from_a_checkpoint_or_begins_the_thread_anew(runners: RunnerBench) -> None:
    talk = converse(runners, CHAT)
    for number in (1, 2):
        talk.begin(run=number, **say(number))
        assert talk.session.run(number) == 0
        talk.settle()
    first = next(each["id"] for each in talk.session.status["history"] if each["step"] == 2)
    talk.begin(run=3, **say(3), fromCheckpoint=first)
    assert talk.session.run(3) == 0
    talk.wait_end(3)
    assert inputs_of(talk) == ["in 1", "in 3"]
    talk.settle()
    # Rolled back to before its first turn, by the operator.
    talk.put_on(talk.add(**say(4)), run=4, fromCheckpoint="")
    assert talk.session.run(4) == 0
    talk.wait_end(4)
    assert inputs_of(talk) == ["in 4"]
    assert "CheckpointsLost" not in [each["type"] for each in talk.session.status["conditions"]]
    talk.settle()
    talk.begin(run=5, **say(5), fromCheckpoint="1f000000-0000-6000-8000-000000000000")
    assert talk.session.run(5) == 0
    assert "has no checkpoint" in talk.wait_end(5)["error"]["message"]


def test_a_turn_has_config_and_context_of_its_own(runners: RunnerBench) -> None:
    code = """
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

class Context(TypedDict, total=False):
    tone: str

class State(TypedDict, total=False):
    said: str

def only(state, config: RunnableConfig, runtime: Runtime[Context]):
    given = (config["configurable"].get("model"), (runtime.context or {}).get("tone"), config.get("recursion_limit"))
    return {"said": repr(given)}

builder = StateGraph(State, context_schema=Context)
builder.add_node(only)
builder.add_edge(START, "only")
graph = builder.compile()
"""
    talk = converse(runners, code)
    turns: list[dict[str, Any]] = [
        {
            "input": {"said": ""},
            "config": {"configurable": {"model": "large"}, "recursion_limit": 7},
            "context": {"tone": "kind"},
        },
        {"input": {"said": ""}},
    ]
    said = []
    for number, turn in enumerate(turns, start=1):
        talk.begin(run=number, **turn)
        assert talk.session.run(number) == 0
        assert "error" not in talk.wait_end(number)
        said.append(talk.session.status["result"]["said"])
        talk.settle()
    assert said[0] == "('large', 'kind', 7)"
    assert said[1].startswith("(None, None, ")
    assert not said[1].endswith(", 7)")


def test_killed_in_a_turn_the_next_pod_goes_on_and_gives_nothing_again(runners: RunnerBench) -> None:
    talk = converse(runners, CHAT)
    talk.begin(run=1, **say(1, "hold"))
    runner = talk.session.start(1)
    talk.session.wait_until_reached("second")
    runner.signal(signal.SIGKILL)
    runner.wait()
    talk.session.let_go("second")
    assert talk.session.run(1) == 0
    talk.wait_end(1)
    assert talk.session.ran == ["first", "second", "second"]
    assert inputs_of(talk) == ["in 1"]


def test_an_end_that_was_stored_is_reported_and_no_node_runs(runners: RunnerBench) -> None:
    talk = converse(runners, CHAT)
    for number, mode in ((1, ""), (2, "raise")):
        talk.begin(run=number, **say(number, mode))
        assert talk.session.run(number, RETRIES="0") == 0
        before = talk.wait_end(number)
        ran = talk.session.ran
        # As if it had been killed between the row and the status.
        talk.session.set_status(phase="Creating", turnEnd=None, result=None, error=None)
        assert talk.session.run(number) == 0
        after = talk.wait_end(number)
        assert {**after, "finishedAt": ""} == {
            key: "" if key == "finishedAt" else value
            for key, value in before.items()
            if key not in ("firstSeq", "lastSeq")
        }
        assert talk.session.ran == ran
        talk.settle()


def test_a_turn_that_is_not_on_any_more_is_not_reported(runners: RunnerBench) -> None:
    talk = converse(runners, CHAT)
    talk.begin(run=1, **say(1, "hold"))
    runner = talk.session.start(1)
    talk.session.wait_until_reached("second")
    talk.session.set_status(phase="Idle", turn=None)
    talk.session.let_go("second")
    assert runner.wait() == 8, runner.output
    status = talk.session.status
    assert status["phase"] == "Idle"
    assert "turnEnd" not in status
    assert "result" not in status


def test_without_a_turn_there_is_nothing_to_do(runners: RunnerBench) -> None:
    talk = converse(runners, CHAT)
    talk.session.set_status(run=1)
    assert talk.session.run(1) == 0
    assert talk.session.ran == []


def test_a_project_that_cannot_be_loaded_fails_the_turn(runners: RunnerBench) -> None:
    talk = converse(runners, "raise RuntimeError('no graph here')")
    talk.begin(run=1, **say(1))
    assert talk.session.run(1) == 0
    end = talk.wait_end(1)
    assert (end["phase"], end["error"]["type"]) == ("Failed", "GraphLoadError")


ENTRYPOINT = """
from langgraph.func import entrypoint

@entrypoint()
def graph(given):
    note("first")
    hold("first")
    raise ValueError("this turn fails")
"""
IN_THE_BACKGROUND = """
class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    mode: str

def first(state):
    note("first")
    hold("first")
    raise ValueError("this turn fails")

builder = StateGraph(State)
builder.add_node(first)
builder.add_edge(START, "first")
graph = builder.compile()
"""


@pytest.mark.parametrize(
    ("code", "durability"),
    [
        # The first node of such a graph runs while its input is saved.
        pytest.param(ENTRYPOINT, "sync", id="an entrypoint"),
        pytest.param(IN_THE_BACKGROUND, "async", id="saved in the background"),
    ],
)
def test_a_turn_that_raises_while_its_input_is_lost_is_given_it_again(
    runners: RunnerBench, code: str, durability: str
) -> None:
    talk = converse(runners, code, RETRIES="0", DURABILITY=durability)
    talk.begin(run=1, **say(1))
    with psycopg.connect(runners.database.dsn) as blocker:
        # Everybody may read, and nobody can save.
        blocker.execute("LOCK TABLE checkpoints IN EXCLUSIVE MODE")
        runner = talk.session.start(1)
        talk.session.wait_until_reached("first")
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'checkpoints'::regclass"
        wait_for(lambda: runners.database.execute(waiting)[0][0], bool, what="the input being saved", every=0.05)
        others = "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        blocker.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity {others}")
    assert talk.labels() == []
    talk.session.let_go("first")
    assert runner.wait() == 0, runner.output
    end = talk.wait_end(1)
    assert (end["phase"], end["error"]["type"]) == ("Failed", "ValueError")
    assert talk.session.ran == ["first", "first"]
    assert talk.labels() == [("1", 1)]
    saved = {row[0] for row in runners.database.execute("SELECT checkpoint_id FROM checkpoints")}
    assert end["checkpointId"] in saved
