"""A task's id as the key of its effects outside: the same however often the task is begun, another for every other."""

import json
import signal
from collections import Counter

from tests.support.runner import RunnerBench, Session

# Every payment notes its key before it is held or fails, as a request that was sent and never answered.
PAYING = """
import json
from langgraph.runtime import Runtime, get_runtime
from langgraph.types import RetryPolicy

class State(TypedDict, total=False):
    rounds: int
    paid: Annotated[list, operator.add]

def key_of(what, info):
    with (HERE / "keys").open("a") as file:
        line = {"what": what, "key": info.task_id, "thread": info.thread_id, "attempt": info.node_attempt}
        file.write(json.dumps(line) + "\\n")

def pay(state, runtime: Runtime):
    round = state.get("rounds", 0) + 1
    key_of(f"round {round}", runtime.execution_info)
    if round == 2:
        hold("paying")
    return {"rounds": round}

def more(state):
    return "pay" if state["rounds"] < 2 else [Send("tip", name) for name in ("ann", "bob")]

def tip(name):
    key_of(f"tip for {name}", get_runtime().execution_info)
    return {"paid": [name]}

def inner(state, runtime: Runtime):
    key_of("in a subgraph", runtime.execution_info)
    if runtime.execution_info.node_attempt == 1:
        raise ConnectionError("the first time")
    return {}

def last(state, runtime: Runtime):
    key_of("last", runtime.execution_info)
    if (HERE / "broken").exists():
        raise RuntimeError("broken")
    return {}

below = (
    StateGraph(State).add_node(inner, retry_policy=RetryPolicy(initial_interval=0.01, max_attempts=2))
    .add_edge(START, "inner").add_edge("inner", END).compile()
)
graph = (
    StateGraph(State).add_node(pay).add_node(tip).add_node("below", below).add_node(last)
    .add_edge(START, "pay").add_conditional_edges("pay", more, ["pay", "tip"]).add_edge("tip", "below")
    .add_edge("below", "last").add_edge("last", END).compile()
)
"""


def keys_of(session: Session) -> list[tuple[str, str]]:
    """Return what was done under which key, in the order of the file."""
    lines = [json.loads(line) for line in (session.project / "keys").read_text().splitlines()]
    assert {line["thread"] for line in lines} == {session.thread_id}
    return [(line["what"], line["key"]) for line in lines]


def test_a_task_keeps_its_key_over_pods_and_forks_that_continue_it_and_shares_it_with_no_other(
    runners: RunnerBench,
) -> None:
    session = runners.session(PAYING)
    (session.project / "broken").touch()
    killed = session.start()
    session.wait_until_reached("paying")
    killed.signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    session.let_go("paying")
    assert session.run(2) == 3

    done = keys_of(session)
    # Begun twice: the round that was killed, in two pods, and the subgraph's node, by LangGraph's retry policy.
    begun = Counter(what for what, _ in done)
    assert begun == {
        "round 1": 1,
        "round 2": 2,
        "tip for ann": 1,
        "tip for bob": 1,
        "in a subgraph": 2,
        "last": 1,
    }
    assert len(set(done)) == len({what for what, _ in done}) == len({key for _, key in done}) == 6

    # A fork that continues the failed super-step goes on under its key; one that does a past step again does not.
    keys = dict(done)
    retried = runners.session(PAYING, spec={"forkFrom": {"session": session.name}})
    assert retried.run() == 0
    assert keys_of(retried) == [("last", keys["last"])]
    middle = next(each["id"] for each in session.status["history"] if each.get("next") == "below")
    again = runners.session(PAYING, spec={"forkFrom": {"session": session.name, "checkpointId": middle}})
    assert again.run() == 0
    assert {what for what, _ in keys_of(again)} == {"in a subgraph", "last"}
    assert not set(keys_of(again)) & set(done)
