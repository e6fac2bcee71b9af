"""Many streams in one process, which say the time of each token: ``python -m bench._gateway.producers KIND …``.

- ``writer``: LangGraph graphs whose node calls ``get_stream_writer()``, by a runner's tracker and event queue
- ``model``: graphs whose node streams a chat model, by the same
- ``bare``: INSERT, NOTIFY and COMMIT in one statement, by a queue with the same window, and no graph

Sessions (name and uid) come as JSON on standard input. The count of tokens goes to standard output.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, TypedDict

import uvloop
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from psycopg_pool import AsyncConnectionPool

from agentic_runner.execution.tracking import MESSAGES, STREAM_MODES, Tracker
from agentic_runner.session.event_queue import EventQueue
from agentic_runner.session.run_events import RunEvents
from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from bench._gateway.floors import CHANNEL, build_text

CONNECTIONS: Final = 8
# As in the runner's queue.
WINDOW_SECONDS: Final = 0.1
BATCH: Final = 200
_INSERT: Final = (
    b"WITH added AS (INSERT INTO bench_floor (session, texts) VALUES (%s, %s) RETURNING 1)"
    b" SELECT pg_notify(%s, %s) FROM added"
)

Flush = Callable[[Sequence[str]], Awaitable[None]]


class State(TypedDict):
    """Nothing."""

    said: str


def build_token() -> str:
    """Return a token that says when it was made."""
    return f"@{time.time():.6f}@"


async def tick(count: int, rate: float) -> AsyncIterator[str]:
    """Yield tokens at a rate."""
    begun = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
        yield build_token()


class TalkingModel(BaseChatModel):
    """A chat model that says tokens at a rate."""

    count: int
    rate: float

    @property
    def _llm_type(self) -> str:
        return "talking"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError

    def _stream(self, *arguments: Any, **options: Any) -> Iterator[ChatGenerationChunk]:
        raise NotImplementedError

    async def _astream(
        self,
        messages: list[BaseMessage],  # noqa: ARG002
        stop: list[str] | None = None,  # noqa: ARG002
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for token in tick(self.count, self.rate):
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=token))
            if run_manager is not None:
                await run_manager.on_llm_new_token(token, chunk=chunk)
            yield chunk


def build_graph(kind: str, count: int, rate: float) -> Any:
    """Return the graph of one stream."""

    async def write(state: State) -> State:
        writer = get_stream_writer()
        async for token in tick(count, rate):
            writer({"token": token})
        return state

    async def ask(state: State) -> State:
        await TalkingModel(count=count, rate=rate).ainvoke("say something")
        return state

    graph = StateGraph(State)
    graph.add_node("talk", write if kind == "writer" else ask)
    graph.add_edge(START, "talk")
    graph.add_edge("talk", END)
    return graph.compile()


async def run_graphs(kind: str, dsn: str, sessions: dict[str, str], count: int, rate: float) -> None:
    """Run a graph a session, as a runner does."""
    async with open_database(Dsn.parse(dsn), application_name="bench", max_size=CONNECTIONS) as store:

        async def run_one(uid: str) -> None:
            queue = EventQueue(RunEvents(store.events, uid, 1))
            queue.start()
            tracker = Tracker()
            graph = build_graph(kind, count, rate)
            async for namespace, mode, data in graph.astream(
                {"said": ""}, stream_mode=[*STREAM_MODES, MESSAGES], subgraphs=True
            ):
                for event in tracker.see(namespace, mode, data):
                    await queue.put(event)
            await queue.close(30)

        await asyncio.gather(*(run_one(uid) for uid in sessions.values()))


async def run_bare(dsn: str, sessions: dict[str, str], count: int, rate: float) -> None:
    """Write rows, a window at a time."""
    async with AsyncConnectionPool(dsn, min_size=1, max_size=CONNECTIONS, kwargs={"autocommit": True}) as pool:

        async def run_one(name: str) -> None:
            waiting: list[str] = []
            filled, done = asyncio.Event(), False

            async def say() -> None:
                nonlocal done
                seq = 0
                async for token in tick(count, rate):
                    seq += 1
                    waiting.append(build_text(seq, token))
                    filled.set()
                done = True
                filled.set()

            saying = asyncio.create_task(say())
            while not (done and not waiting):
                await filled.wait()
                filled.clear()
                while waiting:
                    texts = "\n".join(waiting[:BATCH])
                    del waiting[:BATCH]
                    async with pool.connection() as conn:
                        await conn.execute(_INSERT, (name, texts, CHANNEL, f"{name} {texts}"))
                    if not done:
                        await asyncio.sleep(WINDOW_SECONDS)
            await saying

        await asyncio.gather(*(run_one(name) for name in sessions))


def main() -> None:
    """Run the streams of one kind to their end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["writer", "model", "bare"])
    parser.add_argument("dsn")
    parser.add_argument("count", type=int)
    parser.add_argument("rate", type=float)
    options = parser.parse_args()
    sessions = json.load(sys.stdin)
    if options.kind == "bare":
        uvloop.run(run_bare(options.dsn, sessions, options.count, options.rate))
    else:
        uvloop.run(run_graphs(options.kind, options.dsn, sessions, options.count, options.rate))
    print(options.count * len(sessions))


if __name__ == "__main__":
    main()
