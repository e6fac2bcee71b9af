"""The workflow of one turn: the model answers, or calls tools and then answers. The messages stay for the next turn.

``START → model ⇄ tools``, then ``finish``. Each call of a tool is a task of its own, so that two calls that ask a
person ask two questions.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, RemoveMessage, SystemMessage, ToolMessage
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.prebuilt import ToolNode
from langgraph.types import Send
from typing_extensions import TypedDict

from assistant.model import make_model
from assistant.tools import TOOLS, Context

INSTRUCTIONS = "Answer briefly. Use your tools for prices, orders, and for what you are to remember about the person."
KEPT = 40
"""How many messages a thread keeps: each checkpoint holds all of them, so each turn would cost more than the last."""


class Inputs(TypedDict):
    """What a turn says."""

    messages: Annotated[list[AnyMessage], add_messages]


class State(Inputs):
    """The conversation so far, and the answer of this turn."""

    answer: str


class Output(TypedDict):
    """The result of a turn: what is said now, and not the whole thread."""

    answer: str


model = make_model().bind_tools(TOOLS)


async def ask_model(state: State) -> dict[str, Any]:
    """Let the model go on from the messages."""
    asked = [SystemMessage(INSTRUCTIONS), *close_calls(state["messages"])]
    return {"messages": [await model.ainvoke(asked)]}


def route(state: State) -> list[Send] | str:
    """Run each call of a tool as a task of its own; go on to the end where there is none."""
    last = state["messages"][-1]
    calls = last.tool_calls if isinstance(last, AIMessage) else []
    return [Send("tools", [call]) for call in calls] or "finish"


def finish(state: State) -> dict[str, Any]:
    """Name the answer, and let go of the oldest messages."""
    return {
        "answer": state["messages"][-1].text,
        "messages": [RemoveMessage(id=str(each.id)) for each in choose_forgotten(state["messages"])],
    }


def close_calls(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return the messages with a result for every call of a tool.

    A turn that was canceled while its tool ran, or while its question was open, leaves a call without a result, which
    endpoints refuse.
    """
    answered = {each.tool_call_id for each in messages if isinstance(each, ToolMessage)}
    closed: list[BaseMessage] = []
    for each in messages:
        closed.append(each)
        if isinstance(each, AIMessage):
            open_calls = [call for call in each.tool_calls if call["id"] not in answered]
            closed += [ToolMessage("This call was canceled.", tool_call_id=str(call["id"])) for call in open_calls]
    return closed


def choose_forgotten(messages: Sequence[AnyMessage]) -> Sequence[AnyMessage]:
    """Return the oldest messages, up to the first of a person among the last :data:`KEPT`."""
    starts = [index for index, each in enumerate(messages) if each.type == "human"]
    first = next((index for index in starts if index >= len(messages) - KEPT), starts[-1] if starts else 0)
    return messages[:first] if len(messages) > KEPT else []


builder = StateGraph(State, input_schema=Inputs, output_schema=Output, context_schema=Context)
builder.add_node("model", ask_model)
builder.add_node("tools", ToolNode(TOOLS))
builder.add_node(finish)
builder.add_edge(START, "model")
builder.add_conditional_edges("model", route, ["tools", "finish"])
builder.add_edge("tools", "model")
builder.add_edge("finish", END)

graph = builder.compile(name="chat")
