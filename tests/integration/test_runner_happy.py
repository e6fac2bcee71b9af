"""Sessions run from their inputs to their results, in the real runner's process."""

import pytest

from tests.support.flows import ASKING, TWO_NODES
from tests.support.runner import RunnerBench


def test_a_session_runs_from_its_inputs_to_its_result(runners: RunnerBench) -> None:
    session = runners.session(TWO_NODES, {"x": 20})
    runner = session.start()
    assert runner.wait() == 0, runner.output
    status = session.status
    assert status["phase"] == "Completed"
    assert status["reason"] == "Completed"
    assert status["result"] == {"x": 21, "y": 42}
    assert status["steps"] == 2
    assert status["progress"] == "100%"
    assert "currentNode" not in status
    assert status["startTime"]
    assert status["completionTime"]
    assert {c["type"]: c["status"] for c in status["conditions"]} == {"Running": "False", "Complete": "True"}
    assert session.ran == ["a", "b"]
    assert runners.row(session)[:2] == ("completed", {"x": 21, "y": 42})
    types = [type_ for type_, _ in runners.events(session)]
    assert types == [
        "run_started", "node_started", "progress", "node_finished", "node_started", "node_finished", "completed",
    ]  # fmt: skip
    assert runners.checkpoints(session) == 4
    assert runner.termination == ""


SLOW = """
class State(TypedDict):
    x: int
def load(state):
    return {"x": state["x"] + 1}
def think(state):
    get_stream_writer()({"progress": 0.5, "message": "half of it"})
    hold("think")
    return {"x": state["x"] + 1}
graph = (
    StateGraph(State).add_node(load).add_node(think)
    .add_edge(START, "load").add_edge("load", "think").add_edge("think", END).compile()
)
"""


def test_while_it_runs_the_status_says_where_it_is(runners: RunnerBench) -> None:
    session = runners.session(SLOW, {"x": 1})
    runner = session.start()
    session.wait_until_reached("think")
    status = session.wait_for_status(
        lambda status: status.get("currentNode") == "think" and status.get("progress") == "50%", what="where it is"
    )
    assert (status["phase"], status["steps"]) == ("Running", 1)
    assert "half of it" in status["message"]
    assert "completionTime" not in status
    session.let_go("think")
    assert runner.wait() == 0, runner.output
    assert (session.status["phase"], session.status["steps"]) == ("Completed", 2)


CHECKPOINTER = """
from langgraph.config import get_config
class State(TypedDict):
    saver: Any
    place: Any
def look(state):
    note("look")
    given = get_config()["configurable"]
    lineage = [f"{each.__module__}:{each.__name__}" for each in type(given["__pregel_checkpointer"]).__mro__]
    return {"saver": lineage}
def gate(state):
    return {"place": interrupt("go on?")}
graph = (
    StateGraph(State).add_node(look).add_node(gate)
    .add_edge(START, "look").add_edge("look", "gate").add_edge("gate", END).compile()
)
"""


def test_a_graph_is_given_a_saver_of_the_librarys_own_kind_at_the_root_of_its_thread(runners: RunnerBench) -> None:
    session = runners.session(CHECKPOINTER, {})
    assert session.run() == 0
    session.answer(run=2, gate="yes")
    assert session.run(2) == 0
    assert session.ran == ["look"]
    result = session.status["result"]
    assert "langgraph.checkpoint.postgres.aio:AsyncPostgresSaver" in result["saver"]
    assert result["place"] == "yes"
    query = "SELECT DISTINCT checkpoint_ns FROM checkpoints WHERE thread_id = %s"
    assert runners.database.execute(query, [session.thread_id]) == [("",)]


RESULT = """
import datetime
class State(TypedDict):
    out: Any
def make(state):
    return {"out": EXPRESSION}
graph = StateGraph(State).add_node(make).add_edge(START, "make").add_edge("make", END).compile()
"""


def test_a_small_result_keeps_its_nulls_and_loses_what_json_cannot_hold(runners: RunnerBench) -> None:
    value = (
        '{"none": None, "list": [{"deep": None}], "nan": float("nan"), "nul": "a\\x00b",'
        ' "day": datetime.date(2026, 1, 2), "lone": "\\ud800"}'
    )
    session = runners.session(RESULT.replace("EXPRESSION", value))
    assert session.run() == 0
    expected = {
        "out": {
            "none": None,
            "list": [{"deep": None}],
            "nan": None,
            "nul": "a\ufffdb",
            "day": "2026-01-02",
            "lone": "\ufffd",
        }
    }
    assert session.status["result"] == expected
    assert runners.row(session)[1] == expected


OUTPUT_SCHEMA = """
class State(TypedDict, total=False):
    secret: str
    answer: int
class Answer(TypedDict):
    answer: int
def think(state):
    return {"secret": "scratch", "answer": 42}
builder = StateGraph(State, output_schema=Answer).add_node(think)
graph = builder.add_edge(START, "think").add_edge("think", END).compile()
"""


def test_the_result_is_what_the_graphs_output_schema_says_and_not_its_whole_state(runners: RunnerBench) -> None:
    session = runners.session(OUTPUT_SCHEMA)
    assert session.run() == 0
    assert session.status["result"] == {"answer": 42}


def test_a_result_over_32_kib_is_kept_in_the_database_and_referred_to(runners: RunnerBench) -> None:
    session = runners.session(RESULT.replace("EXPRESSION", '"z" * 5_000_000'))
    assert session.run() == 0
    status = session.status
    assert "result" not in status
    assert status["resultRef"]["size"] == len('{"out":"') + 5_000_000 + len('"}')
    assert status["resultRef"]["url"] == f"db://workflow_sessions/runners/{session.name}"
    assert len(runners.row(session)[1]["out"]) == 5_000_000


def test_a_result_over_100_mb_fails_the_session(runners: RunnerBench) -> None:
    # 106 decimal megabytes: the limit is 100 MiB.
    session = runners.session(RESULT.replace("EXPRESSION", '["z" * 1_000_000] * 106'))
    runner = session.start()
    assert runner.wait() == 7, runner.output
    status = session.status
    assert (status["phase"], status["reason"]) == ("Failed", "OutputTooLarge")
    assert "output data exceeds 100MB limit" in status["message"]
    assert "100MB" in runner.termination
    assert runners.row(session)[0] == "failed"


def test_a_question_ends_the_pod_and_the_answer_continues_behind_it(runners: RunnerBench) -> None:
    session = runners.session(ASKING, {})
    assert session.run() == 0
    status = session.status
    assert (status["phase"], status["reason"]) == ("WaitingForInput", "WaitingForInput")
    (asked,) = status["interrupts"]
    assert asked["node"] == "review"
    assert asked["value"] == {"question": "send it?", "text": "hello", "nothing": None}
    assert asked["askedAt"]
    assert runners.row(session)[0] == "waiting_for_input"

    session.answer(run=2, review={"ok": True})
    assert session.run(2) == 0
    status = session.status
    assert status["phase"] == "Completed"
    assert status["result"] == {"text": "hello", "approved": True}
    assert status["interrupts"][0]["resumedAt"]
    assert session.ran == ["draft", "review"]


def test_a_run_without_an_answer_asks_the_same_question_again(runners: RunnerBench) -> None:
    session = runners.session(ASKING, {})
    assert session.run() == 0
    asked = session.status["interrupts"]
    session.set_status(phase="Creating", run=2)
    assert session.run(2) == 0
    assert session.status["phase"] == "WaitingForInput"
    assert session.status["interrupts"] == asked
    assert session.ran == ["draft"]


ENTRYPOINT = """
from langgraph.func import entrypoint, task
@task
def double(x):
    note("double")
    return x * 2
@entrypoint()
def graph(inputs):
    return {"twice": double(inputs["x"]).result()}
"""

FACTORY = """
import contextlib
class State(TypedDict):
    x: int
def build(config):
    assert config["configurable"]["thread_id"]
    return StateGraph(State).add_node("n", lambda s: {"x": s["x"] + 1}).add_edge(START, "n")
@contextlib.asynccontextmanager
async def graph(config):
    note("opened")
    yield build(config)
    note("closed")
"""


@pytest.mark.parametrize(
    ("code", "result", "ran"),
    [
        pytest.param(ENTRYPOINT, {"twice": 6}, ["double"], id="the functional API"),
        pytest.param(FACTORY, {"x": 4}, ["opened", "closed"], id="a factory that is a context manager"),
    ],
)
def test_other_forms_of_graphs_run(runners: RunnerBench, code: str, result: object, ran: list[str]) -> None:
    session = runners.session(code, {"x": 3})
    runner = session.start()
    assert runner.wait() == 0, runner.output
    assert session.status["result"] == result
    assert session.ran == ran


STORE = """
from langgraph.store.base import BaseStore
class State(TypedDict):
    seen: int
def remember(state, *, store: BaseStore):
    known = store.get(("facts",), "visits")
    count = (known.value["count"] if known else 0) + 1
    store.put(("facts",), "visits", {"count": count})
    return {"seen": count}
graph = StateGraph(State).add_node(remember).add_edge(START, "remember").add_edge("remember", END).compile()
"""


def test_graphs_are_offered_the_long_term_store(runners: RunnerBench) -> None:
    session = runners.session(STORE, {})
    runner = session.start()
    assert runner.wait() == 0, runner.output
    assert session.status["result"] == {"seen": 1}
