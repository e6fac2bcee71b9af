from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

from gate import wait_here
from langgraph.graph import START, StateGraph
from pydantic import BaseModel


class Color(Enum):
    RED = "red"


@dataclass
class Point:
    x: int


class Inner(BaseModel):
    point: Point
    color: Color


class State(BaseModel):
    text: str = ""
    inner: Inner | None = None
    anything: Annotated[Any, "of any type"] = None
    steps: list[str] = []


def first(state: State) -> dict[str, Any]:
    return {"inner": Inner(point=Point(3), color=Color.RED), "steps": ["first"]}


def second(state: State) -> dict[str, Any]:
    wait_here()
    assert isinstance(state.inner, Inner)
    assert isinstance(state.inner.point, Point)
    return {"steps": [*state.steps, f"{state.inner.color.value} {state.inner.point.x}"]}


graph = (
    StateGraph(State).add_node(first).add_node(second).add_edge(START, "first").add_edge("first", "second").compile()
)
