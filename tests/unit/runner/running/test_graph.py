"""What the exits of an author's factory change about a run: nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from agentic_core.errors import GraphLoadError
from agentic_runner.running.graph import use_graph


@asynccontextmanager
async def swallowing(graph: Any = "graph") -> AsyncIterator[Any]:
    with suppress(BaseException):
        yield graph


@asynccontextmanager
async def raising(graph: Any = "graph") -> AsyncIterator[Any]:
    try:
        yield graph
    finally:
        raise RuntimeError("closing")


@asynccontextmanager
async def unopened() -> AsyncIterator[Any]:
    raise GraphLoadError("no graph")
    yield


async def succeed(graph: Any) -> str:
    return f"used {graph}"


@pytest.mark.parametrize("opening", [swallowing, raising])
async def test_a_factory_cannot_change_what_came_of_its_graph(opening: Any) -> None:
    assert await use_graph(opening(), succeed) == "used graph"


@pytest.mark.parametrize("opening", [swallowing, raising])
@pytest.mark.parametrize("error", [ValueError("boom"), SystemExit(0)])
async def test_a_factory_cannot_change_what_was_raised(opening: Any, error: BaseException) -> None:
    async def fail(graph: Any) -> str:
        raise error

    with pytest.raises(type(error)) as raised:
        await use_graph(opening(), fail)
    assert raised.value is error


async def test_a_graph_that_cannot_be_opened_is_not_used() -> None:
    with pytest.raises(GraphLoadError, match="no graph"):
        await use_graph(unopened(), succeed)
