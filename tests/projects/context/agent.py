from dataclasses import dataclass
from typing import TypedDict

from gate import wait_here
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime


@dataclass
class Context:
    greeting: str = "hello"
    name: str = "nobody"


class State(TypedDict, total=False):
    text: str
    steps: list[str]


def first(state: State, runtime: Runtime[Context]) -> State:
    return {"steps": [f"{runtime.context.greeting} {runtime.context.name}"]}


def second(state: State, runtime: Runtime[Context]) -> State:
    wait_here()
    return {"steps": [*state["steps"], f"goodbye {runtime.context.name}"]}


builder = StateGraph(State, context_schema=Context).add_node(first).add_node(second)
graph = builder.add_edge(START, "first").add_edge("first", "second").compile()
