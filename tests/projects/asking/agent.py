from typing import TypedDict

from gate import wait_here
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt


class State(TypedDict, total=False):
    text: str
    steps: list[str]


def first(state: State) -> State:
    return {"steps": ["first"]}


def second(state: State) -> State:
    wait_here()
    return {"steps": [*state["steps"], "second"]}


def review(state: State) -> State:
    request = {
        "action_request": {"action": "send", "args": {"to": state["text"]}},
        "config": {"allow_accept": True, "allow_edit": True, "allow_respond": False, "allow_ignore": False},
        "description": "Send it?",
    }
    (answer,) = interrupt([request])
    return {"steps": [*state["steps"], answer["type"]]}


builder = StateGraph(State).add_node(first).add_node(second).add_node(review)
graph = builder.add_edge(START, "first").add_edge("first", "second").add_edge("second", "review").compile()
