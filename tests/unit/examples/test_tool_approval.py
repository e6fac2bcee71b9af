"""The agent whose refunds a person decides about, against a server that speaks the model's protocol."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agentic_core.questions import read_question
from agentic_core.schema.schema import check_instance
from tests.support.examples import load_example, read_manifest
from tests.support.openai_stub import KEY, OpenAIStub, serve_openai_stub

REQUEST = read_manifest("tool-approval", "session.yaml")["spec"]["inputs"]
CONFIG: Any = {"configurable": {"thread_id": "1"}}


@pytest.fixture
def stub() -> Iterator[OpenAIStub]:
    with serve_openai_stub() as server:
        yield server


@pytest.fixture
async def graph(monkeypatch: pytest.MonkeyPatch, stub: OpenAIStub) -> AsyncIterator[Any]:
    monkeypatch.setenv("OPENAI_BASE_URL", stub.url)
    monkeypatch.setenv("OPENAI_MODEL", "stub-model")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_API_KEY_FILE", raising=False)
    with load_example("tool-approval") as module:
        yield module.builder.compile(checkpointer=InMemorySaver())
        await module.model.root_async_client.close()


async def answer(graph: Any, decision: dict[str, Any]) -> dict[str, Any]:
    """Run until it asks, decide, and return the result."""
    await graph.ainvoke(REQUEST, CONFIG)
    (asked,) = (await graph.aget_state(CONFIG)).interrupts
    question = read_question(asked.value)
    assert question.review is not None
    assert [(each.name, each.arguments) for each in question.review.actions] == [
        ("refund", {"order": "A-1001", "amount": 79.0})
    ]
    value = {"decisions": [decision]}
    assert check_instance(question.schema, value) == ()
    result: dict[str, Any] = await graph.ainvoke(Command(resume={asked.id: value}), CONFIG)
    return result


async def test_an_approved_refund_is_paid(graph: Any) -> None:
    result = await answer(graph, {"type": "approve"})
    assert [each["name"] for each in result["tools_run"]] == ["look_up_order", "refund"]
    assert result["answer"] == "Done: 79.00 paid back for A-1001"


async def test_an_edited_refund_is_paid_as_edited(graph: Any) -> None:
    edited = {"name": "refund", "args": {"order": "A-1001", "amount": 40.0}}
    result = await answer(graph, {"type": "edit", "edited_action": edited})
    assert "40.00 paid back for A-1001" in result["tools_run"][1]["result"]


async def test_a_rejected_refund_is_not_paid(graph: Any) -> None:
    result = await answer(graph, {"type": "reject", "message": "it was delivered"})
    assert "paid back" not in result["tools_run"][1]["result"]
    assert "it was delivered" in result["tools_run"][1]["result"]
