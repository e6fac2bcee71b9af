"""How much write-ahead log a super-step costs where a list grows: plain, and as a ``DeltaChannel``.

``python -m bench.wal`` lets every super-step append 1 kB of text to one list, 60 and 1,000 times, and prints the log
written for each super-step, on average and at the end, and what the thread then holds in the tables. A plain channel
stores the whole list again each time; a ``DeltaChannel`` stores what was appended and now and then a snapshot. The
bytes do not depend on how busy the machine is. The third line of each pair is the floor: the appended text itself.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import END, START, StateGraph

from agentic_runner.checkpoints.factory import build_saver
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
from bench.super_step import make_texts
from tests.support.postgres_server import start_server

COUNTS = (60, 1_000)
ITEM_BYTES = 1_000
LAST = 10


def append(state: list[str], writes: Sequence[list[str]]) -> list[str]:
    """Join what there is with what was written."""
    return [*state, *(item for write in writes for item in write)]


class PlainState(TypedDict):
    """A list that is stored whole."""

    items: Annotated[list[str], lambda old, new: [*old, *new]]


class DeltaState(TypedDict):
    """A list of which the appended part is stored."""

    items: Annotated[list[str], DeltaChannel(append, list)]


@dataclass(frozen=True)
class Found:
    """Bytes."""

    average: float
    last: float
    stored: int


def read_number(conn: psycopg.Connection[Any], statement: str, *params: object) -> int:
    """Return the one number that a statement answers."""
    row = conn.execute(statement.encode(), params or None).fetchone()
    assert row is not None
    return int(row[0])


async def measure(database: Database, conn: psycopg.Connection[Any], state: type[Any], count: int, text: str) -> Found:
    """Run the graph once."""
    positions: list[int] = []

    def step(state: Any) -> dict[str, list[str]]:
        positions.append(read_number(conn, "SELECT pg_current_wal_insert_lsn() - '0/0'"))
        start = len(state["items"]) * 997 % (len(text) - ITEM_BYTES)
        return {"items": [text[start : start + ITEM_BYTES]]}

    graph = StateGraph(state)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda state: "step" if len(state["items"]) < count else END)
    thread = f"project-bench:session-{state.__name__.lower()}-{count}"
    await database.carry(await database.fences.take(thread, thread, 1, "bench"))
    # Full images of pages after a checkpoint of the server would be counted at random.
    conn.execute("CHECKPOINT")
    config: RunnableConfig = {"configurable": {"thread_id": thread}, "recursion_limit": count + 5}
    await graph.compile(checkpointer=build_saver(database)).ainvoke({"items": []}, config, durability="sync")
    stored = read_number(
        conn,
        "SELECT (SELECT coalesce(sum(pg_column_size(blob)), 0) FROM checkpoint_blobs WHERE thread_id = %s)"
        " + (SELECT coalesce(sum(pg_column_size(blob)), 0) FROM checkpoint_writes WHERE thread_id = %s)",
        thread,
        thread,
    )
    return Found(
        average=(positions[-1] - positions[0]) / (count - 1),
        last=(positions[-1] - positions[-1 - LAST]) / LAST,
        stored=stored,
    )


async def main(dsn: str) -> None:
    """Run every combination."""
    await migrate.up(Dsn.parse(dsn))
    text = make_texts(1_000_000)[0]
    print(f"{'appends of 1 kB':<18}{'channel':<14}{'WAL a step':>14}{f'of the last {LAST}':>16}{'stored':>14}")
    with psycopg.connect(dsn, autocommit=True) as conn:
        async with open_database(Dsn.parse(dsn), application_name="bench") as database:
            for count in COUNTS:
                for name, state in (("plain", PlainState), ("DeltaChannel", DeltaState)):
                    found = await measure(database, conn, state, count, text)
                    print(
                        f"{count:<18,}{name:<14}{found.average / 1000:>11.1f} kB{found.last / 1000:>13.1f} kB"
                        f"{found.stored / 1000:>11.0f} kB",
                        flush=True,
                    )
                text_kb = count * ITEM_BYTES / 1000
                print(f"{count:<18,}{'the text':<14}{ITEM_BYTES / 1000:>11.1f} kB{'':>16}{text_kb:>11.0f} kB")


if __name__ == "__main__":
    with start_server(max_wal_size="16GB", checkpoint_timeout="1h") as server:
        asyncio.run(main(server.dsn()))
