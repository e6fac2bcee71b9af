import operator
from typing import Annotated, Any, TypedDict

from gate import wait_here
from langgraph.graph import START, StateGraph
from pydantic import BaseModel


class State(TypedDict, total=False):
    text: str
    steps: Annotated[list[str], operator.add]


class Note(BaseModel):
    """A type that no state of the parent names."""

    words: str


class Branch(TypedDict, total=False):
    text: str
    note: Note
    steps: Annotated[list[str], operator.add]


class Written(TypedDict):
    steps: Annotated[list[str], operator.add]


def build_branch(name: str) -> Any:
    def write(state: Branch) -> Branch:
        return {"note": Note(words=f"{name} {state['text']}")}

    def read(state: Branch) -> Branch:
        assert isinstance(state["note"], Note)
        return {"steps": [state["note"].words]}

    builder = StateGraph(Branch, output_schema=Written).add_node("write", write).add_node("read", read)
    return builder.add_edge(START, "write").add_edge("write", "read").compile()


def second(state: State) -> State:
    wait_here()
    return {"steps": ["joined"]}


builder = StateGraph(State).add_node(second)
for name in ("one", "two", "three"):
    builder.add_node(name, build_branch(name)).add_edge(START, name)
graph = builder.add_edge(["one", "two", "three"], "second").compile()
