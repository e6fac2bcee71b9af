"""What a fork costs beside a plain copy of the same rows, and what it costs to list a thread's checkpoints.

``python -m bench.fork`` runs a graph of 1,000 super-steps on a PostgreSQL server of its own, with a state of which each
step rewrites 1 kB and leaves 20 kB alone. Then it times the copy of the whole thread and of its first half, beside
three bare ``INSERT … SELECT`` of the whole thread: the floor. Each five times, in a database that nobody analyzed, so
that the planner knows as little of the thread as it does in production right after it grew.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import START, StateGraph

from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
from tests.support.postgres_server import start_server

STEPS = 1_000
ROUNDS = 5
SOURCE = "project-bench:session-source"
COLUMNS = {
    "checkpoints": "checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata",
    "checkpoint_blobs": "checkpoint_ns, channel, version, type, blob",
    "checkpoint_writes": "checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path",
}


class State(TypedDict, total=False):
    """What every step rewrites, what stays."""

    count: int
    note: list[str]
    table: dict[str, str]


def step(state: State) -> State:
    """Rewrite the note."""
    count = state.get("count", 0) + 1
    return {"count": count, "note": [f"{count:04}" * 250]}


async def run_graph(store: Database) -> None:
    """Make the thread."""
    graph = StateGraph(State)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda state: "step" if state["count"] < STEPS else "__end__")
    compiled = graph.compile(checkpointer=AsyncPostgresSaver(store.pool))
    config: RunnableConfig = {"configurable": {"thread_id": SOURCE}, "recursion_limit": STEPS + 10}
    await compiled.ainvoke({"table": {"rows": "y" * 20_000}}, config, durability="sync")


async def measure(name: str, act: Callable[[int], Awaitable[Any]]) -> float:
    """Print and return the median time of an action."""
    times = []
    for number in range(ROUNDS):
        started = time.perf_counter()
        await act(number)
        times.append((time.perf_counter() - started) * 1000)
    print(f"{name:<48} {statistics.median(times):8.1f} ms  (least {min(times):.1f}, most {max(times):.1f})")
    return statistics.median(times)


async def main(dsn: str) -> None:
    """Run all of it on one server."""
    await migrate.up(Dsn.parse(dsn))
    async with open_database(Dsn.parse(dsn), application_name="bench") as store:
        await run_graph(store)
        rows = await store.threads.list_checkpoints(SOURCE, limit=STEPS * 2)
        middle = rows[len(rows) // 2].checkpoint_id

        async def copy_bare(number: int) -> list[int]:
            async with store.pool.connection() as conn, conn.transaction():
                statements = (
                    f"INSERT INTO {table} SELECT %s, {columns} FROM {table} WHERE thread_id = %s"
                    for table, columns in COLUMNS.items()
                )
                target = f"bare-{number}"
                return [(await conn.execute(each.encode(), [target, SOURCE])).rowcount for each in statements]

        counts = await copy_bare(-1)
        print(f"{counts[0]:,} checkpoints, {counts[1]:,} blobs, {counts[2]:,} writes")
        bare = await measure("three bare INSERT … SELECT", copy_bare)
        whole = await measure("copy_thread", lambda n: store.threads.copy_thread(SOURCE, f"whole-{n}"))
        await measure(
            "copy_thread from the middle",
            lambda n: store.threads.copy_thread(SOURCE, f"half-{n}", checkpoint_id=middle),
        )
        await measure("list_checkpoints, 50 of them", lambda _: store.threads.list_checkpoints(SOURCE))
        print(f"copy_thread / bare: {whole / bare:.2f}")


if __name__ == "__main__":
    with start_server() as server:
        asyncio.run(main(server.dsn()))
