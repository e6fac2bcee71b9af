"""What a real runner gives to its graph beside the inputs: config and context, the same in every run of a session."""

import json
import signal
from typing import Any

import pytest

from agentic_core.run_settings import RESERVED_CONFIGURABLE, RESERVED_CONFIGURABLE_PREFIXES
from tests.support.runner import RunnerBench, Session

# Each node notes what it was given.
TELLING = """
import dataclasses, json
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime
from pydantic import BaseModel

class State(TypedDict, total=False):
    x: int
    said: str

@dataclasses.dataclass
class Context:
    model: str = "small"
    options: list = dataclasses.field(default_factory=list)

def tell(name, config, runtime):
    mine = {key: value for key, value in config["configurable"].items() if not key.startswith(("__", "checkpoint_"))}
    said = {
        "node": name,
        "configurable": mine,
        "limit": config.get("recursion_limit"),
        "tags": [tag for tag in config.get("tags") or () if not tag.startswith(("seq:", "graph:"))],
        "metadata": {key: config["metadata"].get(key) for key in ("team", "agentic_run")},
        "context": dataclasses.asdict(runtime.context) if isinstance(runtime.context, Context) else runtime.context,
    }
    with (HERE / "told").open("a") as file:
        file.write(json.dumps(said, default=str) + "\\n")
"""

ASKING = (
    TELLING
    + """
def first(state, config: RunnableConfig, runtime: Runtime[Context]):
    tell("first", config, runtime)
    # No other run may see what a node does to what it was given.
    runtime.context.options.append("spoilt")
    config["configurable"]["nested"]["a"] = "spoilt"
    return {"x": 1}

def inner(state, config: RunnableConfig, runtime: Runtime[Context]):
    tell("inner", config, runtime)
    return {"said": interrupt("go on?")}

def last(state, config: RunnableConfig, runtime: Runtime[Context]):
    tell("last", config, runtime)
    hold("last")
    return {}

below = StateGraph(State).add_node(inner).add_edge(START, "inner").compile()
builder = StateGraph(State, context_schema=Context).add_node(first).add_node("below", below).add_node(last)
graph = builder.add_edge(START, "first").add_edge("first", "below").add_edge("below", "last").compile()
"""
)

DEFAULTS = {
    "config": {"configurable": {"nested": {"a": 1}, "tone": "dry"}, "tags": ["ours"], "metadata": {"team": "red"}},
    "context": {"options": ["deep"]},
}


def told(session: Session) -> list[dict[str, Any]]:
    file = session.project / "told"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def pin(session: Session, defaults: dict[str, Any] | None = None, **limits: int) -> None:
    """Write what the operator pins when a session starts."""
    session.set_status(
        workflow={"image": "i", "spec": {"image": "i", "defaults": defaults or {}}},
        **({"limits": limits} if limits else {}),
    )


def test_config_and_context_are_the_same_after_an_answer_and_after_a_kill(runners: RunnerBench) -> None:
    own = {
        "config": {"configurable": {"tone": "warm"}, "tags": ["mine"], "recursion_limit": 50},
        "context": {"model": "big"},
    }
    session = runners.session(ASKING, {}, spec=own)
    pin(session, DEFAULTS, recursionLimit=50)
    assert session.run() == 0
    session.answer(run=2, below="yes")
    killed = session.start(2)
    session.wait_until_reached("last")
    killed.signal(signal.SIGKILL)
    killed.wait()
    session.let_go("last")
    assert session.run(2) == 0

    assert [each["node"] for each in told(session)] == ["first", "inner", "inner", "last", "last"]
    # As LangGraph has it, later nodes of the same run see what the first one did to its config and context.
    clean = [said for index, said in enumerate(told(session)) if index != 1]
    for each in clean:
        assert each["configurable"] == {"nested": {"a": 1}, "tone": "warm", "thread_id": session.thread_id}
        assert each["context"] == {"model": "big", "options": ["deep"]}
        assert each["tags"] == ["ours", "mine"]
        assert each["metadata"]["team"] == "red"
        assert each["limit"] == 50


def test_config_and_context_are_the_same_in_a_warm_round(runners: RunnerBench) -> None:
    own = {"config": {"configurable": {"tone": "warm"}}, "context": {"model": "big"}}
    session = runners.session(ASKING, {}, spec=own, KEEP_WARM_SECONDS="60")
    pin(session, DEFAULTS)
    session.let_go("last")
    runner = session.start()
    session.wait_for_status(lambda status: status.get("phase") == "WaitingForInput", what="the question")
    session.answer(below="yes")
    assert runner.wait() == 0, runner.output
    status = session.status
    assert (status["phase"], status["run"]) == ("Completed", 1)
    # What the first round's nodes did to theirs is gone.
    _, _, again, last = told(session)
    for each in (again, last):
        assert each["configurable"] == {"nested": {"a": 1}, "tone": "warm", "thread_id": session.thread_id}
        assert each["context"] == {"model": "big", "options": ["deep"]}


ONE_NODE = (
    TELLING
    + """
def only(state, config: RunnableConfig, runtime: Runtime):
    tell("only", config, runtime)
    return {}

builder = StateGraph(State, SCHEMA).add_node(only).add_edge(START, "only")
graph = builder.compile()
"""
)


@pytest.mark.parametrize(
    ("schema", "context", "expected"),
    [
        pytest.param("context_schema=Context", None, {"model": "small", "options": []}, id="its defaults"),
        pytest.param("context_schema=Context", {"model": "big"}, {"model": "big", "options": []}, id="one of two"),
        pytest.param("config_schema=Context", None, {"model": "small", "options": []}, id="a schema of the old name"),
        pytest.param("context_schema=State", {"x": 1}, {"x": 1}, id="a TypedDict"),
        pytest.param(
            "context_schema=type('Wants', (BaseModel,), {'__annotations__': {'user': str}})", None, None,
            id="nothing where the schema cannot be made of nothing",
        ),
        pytest.param("context_schema=None", None, None, id="no schema"),
    ],
)  # fmt: skip
def test_a_context_has_the_defaults_of_its_schema(
    runners: RunnerBench, schema: str, context: dict[str, Any] | None, expected: Any
) -> None:
    spec = {"context": context} if context is not None else {}
    session = runners.session(ONE_NODE.replace("SCHEMA", schema), {}, spec=spec)
    assert session.run() == 0, session.status
    (said,) = told(session)
    assert said["context"] == expected


def test_a_context_that_the_schema_refuses_fails_the_session_before_a_node_runs(runners: RunnerBench) -> None:
    code = ONE_NODE.replace("SCHEMA", "context_schema=Context")
    session = runners.session(code, {}, spec={"context": {"modle": "big"}}, RETRIES="3")
    assert session.run() == 6
    status = session.status
    assert (status["phase"], status["reason"]) == ("Failed", "InvalidConfig")
    assert "/spec/context: the graph's Context refuses it" in status["message"]
    assert "modle" in status["message"]
    assert told(session) == []


FACTORY = (
    ONE_NODE.replace("SCHEMA", "context_schema=None")
    + """
def make(config: RunnableConfig):
    mine = {key: value for key, value in config["configurable"].items() if not key.startswith("__")}
    (HERE / "made").write_text(json.dumps(mine))
    return builder.compile()
graph = make
"""
)


def test_a_factory_and_a_fork_get_the_merged_config(runners: RunnerBench) -> None:
    session = runners.session(FACTORY, {}, spec={"config": {"configurable": {"b": 2}}})
    pin(session, {"config": {"configurable": {"a": 1, "b": 1}}})
    assert session.run() == 0
    made = json.loads((session.project / "made").read_text())
    assert made == {"a": 1, "b": 2, "thread_id": session.thread_id}
    fork = runners.session(
        FACTORY,
        None,
        spec={"forkFrom": {"session": session.name, "values": {"x": 2}}, "config": {"configurable": {"b": 3}}},
    )
    assert fork.run() == 0, fork.status
    assert json.loads((fork.project / "made").read_text()) == {"b": 3, "thread_id": fork.thread_id}


@pytest.mark.parametrize("key", ["checkpoint_ns", "__pregel_checkpointer"])
def test_a_key_of_the_system_never_reaches_a_graph(runners: RunnerBench, key: str) -> None:
    """The operator and the API server refuse it before; a runner does not count on that."""
    assert key in RESERVED_CONFIGURABLE or key.startswith(tuple(RESERVED_CONFIGURABLE_PREFIXES))
    session = runners.session(
        ONE_NODE.replace("SCHEMA", "context_schema=None"), {}, spec={"config": {"configurable": {key: "x"}}}
    )
    assert session.run() == 6
    status = session.status
    assert (status["phase"], status["reason"]) == ("Failed", "InvalidConfig")
    assert f"/spec/config/configurable/{key}" in status["message"]
    assert told(session) == []


def test_a_run_waits_for_what_the_operator_pins(runners: RunnerBench) -> None:
    """The Job is made before the status is written."""
    session = runners.session(ONE_NODE.replace("SCHEMA", "context_schema=Context"), {}, phase=None)
    runner = session.start()
    pattern = "the operator has not written yet"
    session.wait_for_status(lambda _: pattern in runner.output, what="the runner waiting")
    assert told(session) == []
    pin(session, DEFAULTS)
    session.set_status(phase="Creating", run=1, jobName="j", threadId=session.thread_id)
    assert runner.wait() == 0, runner.output
    assert told(session)[0]["context"] == {"model": "small", "options": ["deep"]}


ENDLESS = """
class State(TypedDict):
    x: int
def n(state):
    note("n")
    return {"x": state["x"] + 1}
graph = StateGraph(State).add_node(n).add_edge(START, "n").add_edge("n", "n").compile()OWN
"""


@pytest.mark.parametrize(
    ("own", "said", "default", "steps"),
    [
        pytest.param("", None, 4, 4, id="by default"),
        pytest.param(".with_config(recursion_limit=3)", None, 9, 3, id="by the graph's author"),
        pytest.param(".with_config(recursion_limit=3)", 6, 6, 6, id="by the session"),
    ],
)
def test_an_endless_graph_ends_by_its_limit(
    runners: RunnerBench, own: str, said: int | None, default: int, steps: int
) -> None:
    spec = {"config": {"recursion_limit": said}} if said else {}
    session = runners.session(ENDLESS.replace("OWN", own), {"x": 0}, spec=spec, RETRIES="3")
    pin(session, recursionLimit=default)
    assert session.run() == 3
    status = session.status
    assert (status["phase"], status["reason"]) == ("Failed", "RecursionLimitReached")
    assert status["error"]["retriable"] is False
    assert "spec.config.recursion_limit" in status["message"]
    assert status["limits"]["recursionLimit"] == steps
    assert len(session.ran) == steps
