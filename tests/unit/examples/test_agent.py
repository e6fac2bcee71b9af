"""The agent example against a server that speaks the model's protocol."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from tests.support.examples import load_example, read_manifest
from tests.support.openai_stub import KEY, OpenAIStub, serve_openai_stub

QUESTION = read_manifest("agent", "session.yaml")["spec"]["inputs"]


@pytest.fixture
def stub() -> Iterator[OpenAIStub]:
    with serve_openai_stub() as server:
        yield server


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, stub: OpenAIStub) -> pytest.MonkeyPatch:
    monkeypatch.setenv("OPENAI_BASE_URL", stub.url)
    monkeypatch.setenv("OPENAI_MODEL", "stub-model")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY_FILE", raising=False)
    return monkeypatch


@pytest.fixture
async def example(environment: pytest.MonkeyPatch) -> AsyncIterator[ModuleType]:
    with load_example("agent") as module:
        yield module
        await module.model.root_async_client.close()


async def test_answers_with_the_help_of_its_tools(
    example: ModuleType, environment: pytest.MonkeyPatch, stub: OpenAIStub
) -> None:
    environment.setenv("OPENAI_API_KEY", KEY)
    graph = example.builder.compile(checkpointer=InMemorySaver())
    result = await graph.ainvoke(QUESTION, {"configurable": {"thread_id": "1"}}, durability="sync")
    assert result == {
        "answer": "29 days; squared, that is 841.",
        "tool_calls": [
            {"name": "days_between", "arguments": {"start": "2024-02-01", "end": "2024-03-01"}, "result": "29"},
            {"name": "calculate", "arguments": {"expression": "29 ** 2"}, "result": "841"},
        ],
    }
    assert [request["model"] for request in stub.requests] == ["stub-model"] * 3
    assert {tool["function"]["name"] for tool in stub.requests[0]["tools"]} == {"calculate", "days_between"}


async def test_streams_its_answer(example: ModuleType, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OPENAI_API_KEY", KEY)
    tokens = [
        message.text
        async for _, (message, _) in example.graph.astream(QUESTION, stream_mode="messages", subgraphs=True)
        if message.type == "AIMessageChunk"
    ]
    assert "".join(tokens) == "29 days; squared, that is 841."


async def test_reads_the_key_from_a_file(example: ModuleType, environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "api-key"
    file.write_text(f"{KEY}\n")
    environment.setenv("OPENAI_API_KEY_FILE", str(file))
    result = await example.graph.ainvoke(QUESTION)
    assert result["answer"].startswith("29 days")


async def test_says_what_is_missing_without_a_key(example: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="set OPENAI_API_KEY_FILE or OPENAI_API_KEY from a Secret"):
        await example.graph.ainvoke(QUESTION)


async def test_bears_an_endpoint_that_is_busy(
    example: ModuleType, environment: pytest.MonkeyPatch, stub: OpenAIStub
) -> None:
    environment.setenv("OPENAI_API_KEY", KEY)
    stub.failures_left = 1
    result = await example.graph.ainvoke(QUESTION)
    assert result["answer"].startswith("29 days")


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("1 + 2 * 3", "7"),
        ("-(2 ** 3) // 3", "-3"),
        ("10 / 4", "2.5"),
        ("1 / 0", "error: division by zero"),
        ("9 ** 9 ** 9", "error: that power is too large"),
        ("__import__('os')", "error: only numbers, + - * / // % ** and parentheses"),
        ("1 +", "error: invalid syntax (<unknown>, line 1)"),
        ("(" * 250, "error: '(' was never closed (<unknown>, line 1)"),
    ],
)
def test_calculates(example: ModuleType, expression: str, result: str) -> None:
    assert example.calculate.invoke({"expression": expression}).startswith(result[:20])


def test_counts_days(example: ModuleType) -> None:
    assert example.days_between.invoke({"start": "2024-02-01", "end": "2024-03-01"}) == "29"
    assert example.days_between.invoke({"start": "2024-02-30", "end": "x"}).startswith("error")
