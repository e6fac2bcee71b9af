"""What a durable super-step costs here beside LangGraph's own saver on its own tables.

``python -m bench super_step`` runs the same graph with the same durability (``sync``) in turn, on one PostgreSQL server
with durable commits: by the bare saver, as its documentation opens it, on the tables that its ``setup()`` makes; and by
ours, on migrated tables, with the fence carried and the rows under row-level security of a project's own role; and by
the library's saver under the same fence and rules, which is what ours has to be worth. Printed is the median over the
rounds of the ratio of two neighbours: the machine's weather hits both.

The loads: a number that one node counts up; a fan-out of as many branches, which is two super-steps a round, the
branches and the node that joins them; and 1 MB of text that every super-step rewrites.
"""

import asyncio
import base64
import operator
import os
import random
import statistics
import string
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from agentic_runner.checkpoints.factory import build_saver
from agentic_runner.keyring import Keyring, parse_keyring
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
from tests.support.postgres_server import PostgresServer, start_server

Saver = BaseCheckpointSaver[Any]
Opener = Callable[[str], AbstractAsyncContextManager[Saver]]


class State(TypedDict, total=False):
    """What a super-step changes."""

    count: int
    text: str
    done: Annotated[int, operator.add]


@dataclass(frozen=True)
class Load:
    """One kind of graph and size of state."""

    name: str
    rounds: int
    steps: int
    """How often the graph goes round."""
    text_bytes: int = 0
    branches: int = 0


LOADS = (
    Load("one node", 15, 200),
    Load("1 branch", 9, 60, branches=1),
    Load("8 branches", 9, 40, branches=8),
    Load("32 branches", 9, 15, branches=32),
    Load("1 MB rewritten", 5, 20, text_bytes=1_000_000),
)


def make_texts(size: int) -> list[str]:
    """Return different texts that compress about as words do, not to nothing."""
    words = ["".join(random.choices(string.ascii_lowercase, k=random.randint(2, 9))) for _ in range(5_000)]
    return [" ".join(random.choices(words, k=size // 5))[:size] for _ in range(4)] if size else []


def build_loop(load: Load, texts: list[str]) -> StateGraph[State, None, State, State]:
    """Return a graph of one node that runs again and again."""

    async def step(state: State) -> State:
        count = state["count"] + 1
        return {"count": count, "text": texts[count % len(texts)]} if texts else {"count": count}

    graph = StateGraph(State)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda state: "step" if state["count"] < load.steps else END)
    return graph


def build_fan_out(load: Load) -> StateGraph[State, None, State, State]:
    """Return a graph of branches that end together and a node that joins them, again and again."""

    async def branch(state: State) -> State:
        return {"done": 1 + 0 * state["count"]}

    async def join(state: State) -> State:
        return {"count": state["count"] + 1}

    def fan_out(state: State) -> str | list[Send]:
        if state["count"] == load.steps:
            return END
        return [Send("branch", {"count": number}) for number in range(load.branches)]

    graph = StateGraph(State)
    graph.add_node("branch", branch)
    graph.add_node("join", join)
    graph.add_edge(START, "join")
    graph.add_conditional_edges("join", fan_out, ["branch", END])
    graph.add_edge("branch", "join")
    return graph


async def measure_round(saver: Saver, thread: str, load: Load, texts: list[str]) -> float:
    """Return milliseconds a round of the graph."""
    graph = build_fan_out(load) if load.branches else build_loop(load, texts)
    config: RunnableConfig = {"configurable": {"thread_id": thread}, "recursion_limit": 2 * load.steps + 5}
    started = time.perf_counter()
    # The fan-out goes round once before there are branches.
    start = -1 if load.branches else 0
    await graph.compile(checkpointer=saver).ainvoke({"count": start}, config, durability="sync")
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
    return open_fenced(dsn, lambda database: build_saver(database, keyring))


def open_fenced(dsn: Dsn, build: Callable[[Database], Saver]) -> Opener:
    """Return how a saver is opened on our tables, with the thread's fence."""

    @asynccontextmanager
    async def opened(thread: str) -> AsyncIterator[Saver]:
        async with open_database(dsn, application_name="bench") as database:
            await database.carry(await database.fences.take(thread, thread, 1, "bench"))
            yield build(database)

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
    library = open_fenced(dsn, lambda database: AsyncPostgresSaver(database.pool))
    variants = {"library's, fenced": library, "ours": open_ours(dsn), "ours, encrypted": open_ours(dsn, keyring)}
    bare = open_bare(server)
    print(f"{'load':<16}{'saver':<28}{'bare ms':>9}{'ms':>9}{'ratio':>8}")
    for load in LOADS:
        texts = make_texts(load.text_bytes)
        for index, (name, opener) in enumerate(variants.items()):
            pairs = []
            for number in range(load.rounds):
                thread = f"project-bench:session-{index}-{load.name.replace(' ', '-')}-{number}"
                times = []
                for open_saver in (bare, opener) if number % 2 else (opener, bare):
                    async with open_saver(thread) as saver:
                        times.append(await measure_round(saver, thread, load, texts))
                pairs.append(times if number % 2 else times[::-1])
            medians = [statistics.median(pair[side] for pair in pairs) for side in (0, 1)]
            ratio = statistics.median(mine / theirs for theirs, mine in pairs)
            print(f"{load.name:<16}{name:<28}{medians[0]:>9.2f}{medians[1]:>9.2f}{ratio:>8.2f}", flush=True)


if __name__ == "__main__":
    with start_server(fsync="on") as started_server:
        asyncio.run(main(started_server))
