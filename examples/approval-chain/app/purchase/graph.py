"""The workflow: prepare → two people are asked side by side → a third one is, if both agree → the order.

Every question stands alone in its node: what stands before ``interrupt()`` in a node runs again with the answer, what
other nodes did does not.
"""

import operator
from typing import Annotated, Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict


class Inputs(TypedDict, total=False):
    """What is to be bought."""

    item: str
    amount: float


class Verdict(TypedDict, total=False):
    """What one person said."""

    by: str
    approved: bool
    reason: str


class State(Inputs, total=False):
    """What the nodes hand on."""

    request: str
    verdicts: Annotated[list[Verdict], operator.add]
    order: dict[str, Any]


class Output(TypedDict):
    """The result of the session."""

    order: dict[str, Any]
    verdicts: list[Verdict]


ANSWER = {
    "type": "object",
    "additionalProperties": False,
    "required": ["approved"],
    "properties": {
        "approved": {"title": "Approved", "type": "boolean"},
        "reason": {"title": "Reason", "type": "string", "maxLength": 500},
    },
}
OPTIONS = [{"label": "yes", "value": {"approved": True}}, {"label": "no", "value": {"approved": False}}]


def prepare(state: State) -> State:
    """Word the request."""
    return {"request": f"{state.get('item', 'a laptop')} for {state.get('amount', 1500):.2f}"}


def ask(state: State, by: str, prompt: str) -> State:
    """Ask one person."""
    answer = interrupt({"prompt": prompt, "options": OPTIONS, "schema": ANSWER, "request": state["request"]})
    return {"verdicts": [{"by": by, **answer}]}


def ask_budget(state: State) -> State:
    """Ask whoever holds the money."""
    return ask(state, "budget", f"Budget: is there money for {state['request']}?")


def ask_security(state: State) -> State:
    """Ask whoever looks after the data."""
    return ask(state, "security", f"Security: may we use {state['request']}?")


def join(_: State) -> State:
    """Wait for both."""
    return {}


def is_agreed(state: State) -> Literal["ask_director", "refuse"]:
    """Go on only where everybody so far agrees."""
    return "ask_director" if all(verdict["approved"] for verdict in state["verdicts"]) else "refuse"


def ask_director(state: State) -> State:
    """Ask for the last word."""
    return ask(state, "director", f"Director: buy {state['request']}?")


def has_last_word(state: State) -> Literal["place_order", "refuse"]:
    """Buy or not."""
    return "place_order" if state["verdicts"][-1]["approved"] else "refuse"


def place_order(state: State) -> State:
    """Order it."""
    return {"order": {"request": state["request"], "placed": True}}


def refuse(state: State) -> State:
    """Do not order it."""
    return {"order": {"request": state["request"], "placed": False}}


builder = StateGraph(State, input_schema=Inputs, output_schema=Output)
builder.add_node(prepare)
builder.add_node(ask_budget)
builder.add_node(ask_security)
builder.add_node(join)
builder.add_node(ask_director)
builder.add_node(place_order)
builder.add_node(refuse)
builder.add_edge(START, "prepare")
builder.add_edge("prepare", "ask_budget")
builder.add_edge("prepare", "ask_security")
builder.add_edge(["ask_budget", "ask_security"], "join")
builder.add_conditional_edges("join", is_agreed)
builder.add_conditional_edges("ask_director", has_last_word)
builder.add_edge("place_order", END)
builder.add_edge("refuse", END)

graph = builder.compile(name="approval_chain")
