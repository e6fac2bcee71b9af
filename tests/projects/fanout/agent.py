import operator
from typing import Annotated, TypedDict

from gate import wait_here
from langgraph.graph import START, StateGraph
from langgraph.types import Send


class State(TypedDict, total=False):
    text: str
    steps: Annotated[list[str], operator.add]


def plan(state: State) -> list[Send]:
    return [Send("work", {"text": str(number)}) for number in range(3)]


def work(state: State) -> State:
    return {"steps": [f"part {state['text']}"]}


def second(state: State) -> State:
    wait_here()
    return {"steps": ["joined"]}


builder = StateGraph(State).add_node(work).add_node(second).add_conditional_edges(START, plan, ["work"])
graph = builder.add_edge("work", "second").compile()
