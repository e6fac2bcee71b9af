"""What a durable super-step costs here beside LangGraph's own saver on its own tables.

``python -m bench.super_step`` runs the same graph with the same durability (``sync``) in turn, on one PostgreSQL server
with durable commits: by the bare saver, as its documentation opens it, on the tables that its ``setup()`` makes; and by
ours, on migrated tables, with the fence carried and the rows under row-level security of a project's own role. Printed
is the median over the rounds of the ratio of two neighbours: the machine's weather hits both.

The small state is a number; the large one 1 MB of text that every super-step rewrites.
"""

import asyncio
import base64
import os
import random
import statistics
import string
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypedDict

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph

from agentic_runner.checkpoints import build_saver
from agentic_runner.encryption import Keyring, parse_keyring
from agentic_store import migrate
from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from tests.support.postgres_server import PostgresServer, start_server

Saver = BaseCheckpointSaver[Any]
Opener = Callable[[str], AbstractAsyncContextManager[Saver]]


class State(TypedDict, total=False):
    """What a super-step changes."""

    count: int
    text: str


@dataclass(frozen=True)
class Load:
    """One size of state."""

    name: str
    text_bytes: int
    steps: int
    rounds: int


LOADS = (Load("a number", 0, 200, 15), Load("1 MB rewritten", 1_000_000, 20, 5))


def make_texts(size: int) -> list[str]:
    """Return different texts that compress about as words do, not to nothing."""
    words = ["".join(random.choices(string.ascii_lowercase, k=random.randint(2, 9))) for _ in range(5_000)]
    return [" ".join(random.choices(words, k=size // 5))[:size] for _ in range(4)] if size else []


async def measure_step(saver: Saver, thread: str, load: Load, texts: list[str]) -> float:
    """Return milliseconds a super-step."""

    async def step(state: State) -> State:
        count = state["count"] + 1
        return {"count": count, "text": texts[count % len(texts)]} if texts else {"count": count}

    graph = StateGraph(State)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda state: "step" if state["count"] < load.steps else END)
    config: RunnableConfig = {"configurable": {"thread_id": thread}, "recursion_limit": load.steps + 5}
    started = time.perf_counter()
    await graph.compile(checkpointer=saver).ainvoke({"count": 0}, config, durability="sync")
    return (time.perf_counter() - started) / load.steps * 1000


def open_bare(server: PostgresServer) -> Opener:
    """Return how the library's documentation opens its saver."""

    @asynccontextmanager
    async def opened(_thread: str) -> AsyncIterator[Saver]:
        async with AsyncPostgresSaver.from_conn_string(server.dsn("bare")) as saver:
            yield saver

    return opened


def open_ours(dsn: Dsn, keyring: Keyring | None = None) -> Opener:
    """Return how a runner opens its saver."""

    @asynccontextmanager
    async def opened(thread: str) -> AsyncIterator[Saver]:
        async with open_database(dsn, application_name="bench") as database:
            await database.carry(await database.fences.take(thread, thread, 1, "bench"))
            yield build_saver(database, keyring)

    return opened


async def prepare(server: PostgresServer) -> Dsn:
    """Make the two databases; return how a runner of the namespace ``bench`` gets into ours."""
    with psycopg.connect(server.dsn(), autocommit=True) as conn:
        conn.execute("CREATE DATABASE bare")
        conn.execute("CREATE DATABASE ours")
    async with AsyncPostgresSaver.from_conn_string(server.dsn("bare")) as saver:
        await saver.setup()
    owner = Dsn.parse(server.dsn("ours"))
    await migrate.up(owner)
    async with open_database(owner, application_name="bench") as database:
        tenant = await database.tenants.make_role("bench")
    return Dsn.parse(server.dsn("ours", user=tenant.role_name, password=tenant.password))


async def main(server: PostgresServer) -> None:
    """Run every load with every saver in turn."""
    dsn = await prepare(server)
    keyring = parse_keyring(base64.b64encode(os.urandom(32)).decode())
    variants = {"ours": open_ours(dsn), "ours, encrypted": open_ours(dsn, keyring)}
    bare = open_bare(server)
    print(f"{'state':<16}{'saver':<28}{'bare ms':>9}{'ms':>9}{'ratio':>8}")
    for load in LOADS:
        texts = make_texts(load.text_bytes)
        for name, opener in variants.items():
            pairs = []
            for number in range(load.rounds):
                thread = f"project-bench:session-{name.replace(', ', '-')}-{load.text_bytes}-{number}"
                times = []
                for open_saver in (bare, opener) if number % 2 else (opener, bare):
                    async with open_saver(thread) as saver:
                        times.append(await measure_step(saver, thread, load, texts))
                pairs.append(times if number % 2 else times[::-1])
            medians = [statistics.median(pair[side] for pair in pairs) for side in (0, 1)]
            ratio = statistics.median(mine / theirs for theirs, mine in pairs)
            print(f"{load.name:<16}{name:<28}{medians[0]:>9.2f}{medians[1]:>9.2f}{ratio:>8.2f}", flush=True)


if __name__ == "__main__":
    with start_server(fsync="on") as started_server:
        asyncio.run(main(started_server))
