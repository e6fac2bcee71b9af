"""The workflow: ask → an agent that may use its tools → answer.

The model is any endpoint that speaks OpenAI's chat-completions protocol. Its address and name are variables; its key
comes from a Secret, as a file (``OPENAI_API_KEY_FILE``) or a variable (``OPENAI_API_KEY``), and is read when the model
is first asked: the graph can be loaded and drawn without it.
"""

import os
from pathlib import Path
from typing import Annotated, Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph, add_messages
from typing_extensions import TypedDict

from agent.tools import calculate, days_between

INSTRUCTIONS = "Answer briefly. Use the tools for every calculation and for every count of days."


class Inputs(TypedDict):
    """What a session asks."""

    question: str


class State(Inputs):
    """The conversation, as the agent reads and writes it, and what came of it."""

    messages: Annotated[list[AnyMessage], add_messages]
    answer: str
    tool_calls: list[dict[str, Any]]


class Output(TypedDict):
    """The result of the session."""

    answer: str
    tool_calls: list[dict[str, Any]]


def read_key() -> str:
    """Return the endpoint's key, from the file or the variable that holds it."""
    if file := os.environ.get("OPENAI_API_KEY_FILE"):
        return Path(file).read_text(encoding="utf-8").strip()
    if key := os.environ.get("OPENAI_API_KEY"):
        return key
    raise RuntimeError("no key for the model: set OPENAI_API_KEY_FILE or OPENAI_API_KEY from a Secret")


def ask(state: State) -> dict[str, Any]:
    """Put the question to the agent."""
    get_stream_writer()({"progress": 0.1, "message": "asking the model"})
    return {"messages": [HumanMessage(state["question"])]}


def answer(state: State) -> dict[str, Any]:
    """Take the last word of the agent, and how it came to it."""
    get_stream_writer()({"progress": 1.0, "message": "answered"})
    results = {message.tool_call_id: message.text for message in state["messages"] if isinstance(message, ToolMessage)}
    calls = [
        {"name": call["name"], "arguments": call["args"], "result": results.get(call["id"] or "", "")}
        for message in state["messages"]
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    ]
    return {"answer": state["messages"][-1].text, "tool_calls": calls}


model = ChatOpenAI(
    model=os.environ.get("OPENAI_MODEL", "gpt-4o-mini"),
    base_url=os.environ.get("OPENAI_BASE_URL"),
    api_key=read_key,
    temperature=0,
    timeout=60,
    max_retries=3,
)

builder = StateGraph(State, input_schema=Inputs, output_schema=Output)
builder.add_node(ask)
builder.add_node("agent", create_agent(model, [calculate, days_between], system_prompt=INSTRUCTIONS))
builder.add_node(answer)
builder.add_edge(START, "ask")
builder.add_edge("ask", "agent")
builder.add_edge("agent", "answer")
builder.add_edge("answer", END)

graph = builder.compile(name="agent")
