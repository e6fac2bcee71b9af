"""Values of a fork are held against the graph where they are written, and not by every later turn."""

from typing import Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph

from agentic_core.resources.session import ForkFrom
from agentic_runner.execution.fork import ForkRefused, _change
from agentic_store.threads import ForkPoint


class State(TypedDict, total=False):
    topic: str


async def test_a_key_that_the_state_lost_since_keeps_no_later_turn_from_running() -> None:
    builder: Any = StateGraph(State)
    builder.add_node("node", lambda _state: {"topic": "b"})
    builder.add_edge(START, "node")
    graph = builder.compile(InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke({"topic": "a"}, config)
    newest = (await graph.aget_state(config)).config["configurable"]["checkpoint_id"]
    fork = ForkFrom(session="first", values={"subject": "c"})
    # The thread went on after the copied checkpoint: the values were written then.
    await _change(graph, config, ForkPoint("0", "first", is_past=True), fork, is_changed=True)
    with pytest.raises(ForkRefused, match="/spec/forkFrom/values/subject"):
        await _change(graph, config, ForkPoint(newest, "first", is_past=True), fork, is_changed=True)
