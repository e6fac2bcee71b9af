"""A session runs from its inputs to its result, in the real runner's process."""

from tests.support.runner import RunnerBench

TWO_NODES = """
class State(TypedDict):
    x: int
    y: int

def a(state):
    note("a")
    get_stream_writer()({"progress": 0.5, "message": "half way"})
    return {"x": state["x"] + 1}

def b(state):
    note("b")
    return {"y": state["x"] * 2}

graph = (
    StateGraph(State).add_node(a).add_node(b)
    .add_edge(START, "a").add_edge("a", "b").add_edge("b", END).compile()
)
"""


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
