from typing import TypedDict

from gate import wait_here
from langgraph.graph import START, StateGraph

from .words import WORD


class State(TypedDict, total=False):
    text: str
    steps: list[str]


def first(state: State) -> State:
    return {"steps": ["first"]}


def second(state: State) -> State:
    wait_here()
    return {"steps": [*state["steps"], WORD]}


builder = StateGraph(State).add_node(first).add_node(second).add_edge(START, "first").add_edge("first", "second")
graph = builder.compile()
