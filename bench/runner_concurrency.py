"""How long the event loop is held up when many threads run at once in one process, on one pooled saver.

A runner runs one thread, but branches of it, and runners of other kinds, may share a loop. The pooled saver takes one
lock around each statement; this shows what waiting for it costs: the lag of a timer in the same loop.

    python -m bench.runner_concurrency [--threads 50] [--steps 20]
"""

import argparse
import asyncio
import statistics
import time
from typing import TypedDict

from langgraph.graph import START, StateGraph

from agentic_runner.checkpoints.factory import build_saver
from agentic_runner.execution.given import build_config
from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
from tests.support.postgres_server import start_server

_TICK_SECONDS = 0.005


class State(TypedDict):
    x: int


def build_graph(steps: int) -> "StateGraph[State, None, State, State]":
    """Return a line of ``steps`` nodes."""
    builder = StateGraph(State)
    before = START
    for number in range(steps):
        name = f"n{number}"
        builder.add_node(name, _add)
        builder.add_edge(before, name)
        before = name
    return builder


async def _add(state: State) -> State:
    return {"x": state["x"] + 1}


async def _measure_lag(lags: list[float]) -> None:
    while True:
        due = time.perf_counter() + _TICK_SECONDS
        await asyncio.sleep(_TICK_SECONDS)
        lags.append(max(0.0, time.perf_counter() - due))


async def run(dsn: Dsn, threads: int, steps: int) -> tuple[float, list[float]]:
    """Return the seconds that all threads took, and the lags."""
    async with open_database(dsn, application_name="bench") as database:
        saver = build_saver(database)
        graph = build_graph(steps).compile(saver)
        await graph.ainvoke({"x": 0}, build_config("warm", 1), durability="sync")
        lags: list[float] = []
        watch = asyncio.create_task(_measure_lag(lags))
        started = time.perf_counter()
        await asyncio.gather(
            *(graph.ainvoke({"x": 0}, build_config(f"t{n}", 1), durability="sync") for n in range(threads))
        )
        taken = time.perf_counter() - started
        watch.cancel()
        return taken, lags


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=50)
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    with start_server() as server:
        dsn = Dsn.parse(server.dsn("postgres"))
        asyncio.run(migrate.up(dsn))
        for threads in (1, arguments.threads):
            taken, lags = asyncio.run(run(dsn, threads, arguments.steps))
            quantiles = statistics.quantiles(lags, n=100)
            rate = threads * arguments.steps / taken
            print(
                f"{threads:3d} threads  {rate:7.0f} super-steps/s   loop lag p50 {1000 * quantiles[49]:6.1f} ms"
                f"   p99 {1000 * quantiles[98]:6.1f} ms   max {1000 * max(lags):6.1f} ms"
            )


if __name__ == "__main__":
    main()
