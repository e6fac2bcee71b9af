"""Tools of the agent: look up a price, order with a second person's approval, remember and recall.

Facts and orders are in LangGraph's store, so later conversations of the same person find them.
"""

from dataclasses import dataclass
from typing import Any

from langchain_core.tools import tool
from langgraph.prebuilt import ToolRuntime
from langgraph.store.base import BaseStore
from langgraph.types import interrupt

PRICES = {"lamp": 39.0, "notebook": 4.5, "pen": 1.2}
ANSWER = {
    "type": "object",
    "additionalProperties": False,
    "required": ["decision"],
    "properties": {"decision": {"title": "Decision", "enum": ["approve", "reject"]}},
}
OPTIONS = [{"label": word, "value": {"decision": word}} for word in ("approve", "reject")]


@dataclass
class Context:
    """The session's ``spec.context``."""

    user: str = "somebody"
    """Whose memory it is."""


@tool
async def look_up_price(item: str) -> str:
    """Look up what one item costs."""
    price = PRICES.get(item)
    return f"A {item} costs {price:.2f}." if price else f"There is no {item}; there are {', '.join(PRICES)}."


@tool
async def place_order(item: str, count: int, runtime: ToolRuntime[Context, Any]) -> str:
    """Order items. Another person than the one who asks has to approve."""
    if item not in PRICES or count < 1:
        return f"I cannot order {count} x {item}; there are {', '.join(PRICES)}."
    what = f"{count} x {item} for {count * PRICES[item]:.2f}"
    # The lines before this one run again with the answer. The cluster enforces who may give it.
    answer = interrupt(
        {"prompt": f"Order {what}?", "options": OPTIONS, "schema": ANSWER, "approval": {"notCreator": True}}
    )
    if answer["decision"] != "approve":
        return f"The order of {what} was rejected."
    # The key is the id of the call: a super-step that is repeated after a crash places no second order.
    await find_store(runtime).aput(("orders", find_user(runtime)), str(runtime.tool_call_id), {"order": what})
    return f"Ordered {what}."


@tool
async def remember(fact: str, runtime: ToolRuntime[Context, Any]) -> str:
    """Remember a fact about the person, also for later conversations."""
    await find_store(runtime).aput(("memories", find_user(runtime)), str(runtime.tool_call_id), {"fact": fact})
    return f"I will remember: {fact}."


@tool
async def recall(runtime: ToolRuntime[Context, Any]) -> str:
    """Recall what is known about the person, orders included."""
    store, user = find_store(runtime), find_user(runtime)
    facts = [item.value["fact"] for item in await store.asearch(("memories", user), limit=20)]
    orders = [item.value["order"] for item in await store.asearch(("orders", user), limit=20)]
    known = [*sorted(facts), *(f"you ordered {order}" for order in sorted(orders))]
    return f"I know about you: {'; '.join(known)}." if known else "I know nothing about you yet."


def find_store(runtime: ToolRuntime[Context, Any]) -> BaseStore:
    """Return the store that the graph runs with; raise RuntimeError where there is none."""
    if runtime.store is None:
        raise RuntimeError("this graph needs a store: compile it with one where no platform gives it")
    return runtime.store


def find_user(runtime: ToolRuntime[Context, Any]) -> str:
    """Return whose memory it is; LangGraph alone gives no context where the caller gives none."""
    return (runtime.context or Context()).user


TOOLS = [look_up_price, place_order, remember, recall]
