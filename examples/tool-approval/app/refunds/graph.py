"""The workflow: ask → an agent, whose refunds a person approves, edits or rejects → answer.

The question is LangChain's own: ``HumanInTheLoopMiddleware`` asks before a tool of its list runs. The model is any
endpoint that speaks OpenAI's chat-completions protocol, set up as in the agent example.
"""

import os
from pathlib import Path
from typing import Annotated, Any

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph, add_messages
from typing_extensions import TypedDict

ORDERS = {"A-1001": {"item": "headphones", "paid": 79.0, "delivered": False}}


class Inputs(TypedDict):
    """What a customer wants."""

    request: str


class State(Inputs):
    """The conversation, as the agent reads and writes it, and what came of it."""

    messages: Annotated[list[AnyMessage], add_messages]
    answer: str
    tools_run: list[dict[str, Any]]


class Output(TypedDict):
    """The result of the session."""

    answer: str
    tools_run: list[dict[str, Any]]


@tool
def look_up_order(order: str) -> str:
    """Look up an order by its number."""
    return str(ORDERS.get(order, "there is no such order"))


@tool
def refund(order: str, amount: float) -> str:
    """Pay back an amount for an order."""
    return f"{amount:.2f} paid back for {order}"


def read_key() -> str:
    """Return the endpoint's key, from the file or the variable that holds it."""
    if file := os.environ.get("OPENAI_API_KEY_FILE"):
        return Path(file).read_text(encoding="utf-8").strip()
    if key := os.environ.get("OPENAI_API_KEY"):
        return key
    raise RuntimeError("no key for the model: set OPENAI_API_KEY_FILE or OPENAI_API_KEY from a Secret")


def ask(state: State) -> dict[str, Any]:
    """Put the request to the agent."""
    return {"messages": [HumanMessage(state["request"])]}


def answer(state: State) -> dict[str, Any]:
    """Take the agent's last word, and which tools really ran."""
    run = [
        {"name": message.name, "result": message.text, "status": message.status}
        for message in state["messages"]
        if isinstance(message, ToolMessage)
    ]
    return {"answer": state["messages"][-1].text, "tools_run": run}


model = ChatOpenAI(
    model=os.environ.get("OPENAI_MODEL", "gpt-4o-mini"),
    base_url=os.environ.get("OPENAI_BASE_URL"),
    api_key=read_key,
    temperature=0,
    timeout=60,
    max_retries=3,
)

agent = create_agent(
    model,
    [look_up_order, refund],
    system_prompt="You handle complaints of customers. Look up the order first; pay back what is due.",
    middleware=[
        HumanInTheLoopMiddleware(interrupt_on={"refund": {"allowed_decisions": ["approve", "edit", "reject"]}})
    ],
)

builder = StateGraph(State, input_schema=Inputs, output_schema=Output)
builder.add_node(ask)
builder.add_node("agent", agent)
builder.add_node(answer)
builder.add_edge(START, "ask")
builder.add_edge("ask", "agent")
builder.add_edge("agent", "answer")
builder.add_edge("answer", END)

graph = builder.compile(name="tool_approval")
