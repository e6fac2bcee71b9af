from typing import TypedDict

from gate import wait_here
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph


class Configuration(TypedDict, total=False):
    model: str


class State(TypedDict, total=False):
    text: str
    steps: list[str]


def first(state: State, config: RunnableConfig) -> State:
    return {"steps": [config["configurable"].get("model", "a small model")]}


def second(state: State, config: RunnableConfig) -> State:
    wait_here()
    assert config["configurable"]["thread_id"]
    return {"steps": [*state["steps"], *config["tags"], str(config["metadata"]["team"])]}


builder = StateGraph(State, context_schema=Configuration).add_node(first).add_node(second)
graph = builder.add_edge(START, "first").add_edge("first", "second").compile()
