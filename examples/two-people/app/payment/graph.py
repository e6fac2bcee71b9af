"""The workflow: prepare → one question, which two people have to answer alike → the payment, or none.

That two people are needed, and which, is no code: the definition says it, and API server and operator see to it.
"""

from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict


class Inputs(TypedDict, total=False):
    """What is to be paid."""

    payee: str
    amount: float


class State(Inputs, total=False):
    """What the nodes hand on."""

    request: str
    decision: str
    payment: dict[str, Any]


class Output(TypedDict):
    """The result of the session."""

    payment: dict[str, Any]


ANSWER = {
    "type": "object",
    "additionalProperties": False,
    "required": ["decision"],
    "properties": {"decision": {"title": "Decision", "enum": ["pay", "refuse"]}},
}
OPTIONS = [{"label": "pay", "value": {"decision": "pay"}}, {"label": "refuse", "value": {"decision": "refuse"}}]


def prepare(state: State) -> State:
    """Word the request."""
    return {"request": f"{state.get('amount', 12000):.2f} to {state.get('payee', 'ACME')}"}


def approve(state: State) -> State:
    """Ask: the answer that comes is one that two people gave."""
    answer = interrupt({"prompt": f"Pay {state['request']}?", "options": OPTIONS, "schema": ANSWER})
    return {"decision": answer["decision"]}


def is_approved(state: State) -> Literal["pay", "refuse"]:
    """Pay or not."""
    return "pay" if state["decision"] == "pay" else "refuse"


def pay(state: State) -> State:
    """Pay; here, say so."""
    return {"payment": {"request": state["request"], "paid": True}}


def refuse(state: State) -> State:
    """Do not pay."""
    return {"payment": {"request": state["request"], "paid": False}}


builder = StateGraph(State, input_schema=Inputs, output_schema=Output)
builder.add_node(prepare)
builder.add_node(approve)
builder.add_node(pay)
builder.add_node(refuse)
builder.add_edge(START, "prepare")
builder.add_edge("prepare", "approve")
builder.add_conditional_edges("approve", is_approved)
builder.add_edge("pay", END)
builder.add_edge("refuse", END)

graph = builder.compile(name="two_people")
