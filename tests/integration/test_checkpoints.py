"""How checkpoints of LangGraph's unmodified saver, and of a runner's, lie in the database as we migrate it."""

import asyncio
import operator
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypedDict

import psycopg
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from psycopg import AsyncConnection

from agentic_runner.checkpoints.factory import build_saver
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
from tests.support.postgres import PostgresDatabase

MIB = 1 << 20


class State(TypedDict, total=False):
    big: bytes
    count: int
    name: str
    flag: bool
    items: Annotated[list[int], operator.add]


Build = Callable[[Database], AsyncPostgresSaver]


@pytest.fixture(params=["library", "runner"])
def build(request: pytest.FixtureRequest) -> Build:
    """Make the library's own saver, or the one that a runner gives to its graph."""
    return build_saver if request.param == "runner" else lambda db: AsyncPostgresSaver(db.pool)


@asynccontextmanager
async def opened(
    database: PostgresDatabase, build: Build, *, max_size: int = 4
) -> AsyncIterator[tuple[Database, AsyncPostgresSaver]]:
    async with open_database(Dsn.parse(database.dsn), application_name="test", max_size=max_size) as db:
        yield db, build(db)


def on(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}


def count_up(state: State) -> dict[str, Any]:
    return {"count": state.get("count", 0) + 1, "name": "n", "flag": True}


def build_loop(steps: int) -> StateGraph[State, None, State, State]:
    """A graph of ``steps`` super-steps, each of which changes small values only."""

    def more(state: State) -> str:
        return "count_up" if state["count"] < steps else END

    graph = StateGraph(State)
    graph.add_node("count_up", count_up)
    graph.add_edge(START, "count_up")
    graph.add_conditional_edges("count_up", more, ["count_up", END])
    return graph


async def test_one_checkpoint_a_super_step_without_any_code_of_the_user(
    database: PostgresDatabase, build: Build
) -> None:
    async with opened(database, build) as (_, saver):
        await build_loop(3).compile(checkpointer=saver).ainvoke({"count": 0}, on("t"))
    steps = database.execute("SELECT (metadata->>'step')::int FROM checkpoints ORDER BY 1")
    assert [step for (step,) in steps] == [-1, 0, 1, 2, 3]


async def test_the_parents_of_a_checkpoint_lead_to_the_root(database: PostgresDatabase, build: Build) -> None:
    async with opened(database, build) as (_, saver):
        graph = build_loop(5).compile(checkpointer=saver)
        await graph.ainvoke({"count": 0}, on("t"))
        history = [snapshot async for snapshot in graph.aget_state_history(on("t"))]
    parents = dict(database.execute("SELECT checkpoint_id, parent_checkpoint_id FROM checkpoints"))
    (walk,) = {id_ for id_ in parents if id_ not in parents.values()}
    length = 0
    while walk is not None:
        walk, length = parents[walk], length + 1
    assert length == len(history) == 7


async def test_small_values_are_inline_and_large_ones_in_blobs_alone(database: PostgresDatabase, build: Build) -> None:
    async with opened(database, build) as (_, saver):
        graph = build_loop(1).compile(checkpointer=saver)
        await graph.ainvoke({"count": 0, "big": b"x" * (20 * MIB)}, on("t"))
    ((inline,),) = database.execute(
        "SELECT checkpoint->'channel_values' FROM checkpoints ORDER BY checkpoint_id DESC LIMIT 1"
    )
    assert inline.items() >= {"count": 1, "name": "n", "flag": True}.items()
    blobs = database.execute("SELECT channel, max(octet_length(blob)) FROM checkpoint_blobs GROUP BY channel")
    assert dict(blobs)["big"] >= 20 * MIB
    assert not {"count", "name", "flag"} & set(dict(blobs))
    ((largest,),) = database.execute("SELECT max(octet_length(checkpoint::text)) FROM checkpoints")
    assert largest < 100_000


async def test_only_what_changed_is_stored_again(database: PostgresDatabase, build: Build) -> None:
    class Wide(TypedDict):
        c0: list[int]
        c1: list[int]
        c2: list[int]
        c3: list[int]

    def change_one(state: Wide) -> dict[str, Any]:
        return {"c0": [*state["c0"], 1]}

    graph = StateGraph(Wide)
    graph.add_node("change_one", change_one)
    graph.add_edge(START, "change_one")
    graph.add_conditional_edges(
        "change_one", lambda s: END if len(s["c0"]) == 50 else "change_one", ["change_one", END]
    )
    async with opened(database, build) as (_, saver):
        config: RunnableConfig = {**on("t"), "recursion_limit": 100}
        start: Wide = {"c0": [], "c1": [1], "c2": [2], "c3": [3]}
        await graph.compile(checkpointer=saver).ainvoke(start, config)
    rows = dict(database.execute("SELECT channel, count(*) FROM checkpoint_blobs WHERE channel LIKE 'c_' GROUP BY 1"))
    assert rows == {"c0": 51, "c1": 1, "c2": 1, "c3": 1}


async def test_of_two_parallel_nodes_the_one_that_succeeded_does_not_run_again(
    database: PostgresDatabase, build: Build
) -> None:
    calls: list[str] = []

    def good(state: State) -> dict[str, Any]:
        calls.append("good")
        return {"items": [1]}

    def bad(state: State) -> dict[str, Any]:
        calls.append("bad")
        if calls.count("bad") == 1:
            raise ConnectionError("once")
        return {"items": [2]}

    graph = StateGraph(State)
    for name, node in (("good", good), ("bad", bad)):
        graph.add_node(name, node)
        graph.add_edge(START, name)
        graph.add_edge(name, END)
    async with opened(database, build) as (_, saver):
        compiled = graph.compile(checkpointer=saver)
        with pytest.raises(ConnectionError, match="once"):
            await compiled.ainvoke({"items": []}, on("t"), durability="sync")
        result = await compiled.ainvoke(None, on("t"))
    assert (calls.count("good"), calls.count("bad")) == (1, 2)
    assert sorted(result["items"]) == [1, 2]


async def test_a_database_of_an_older_library_is_migrated_and_its_thread_goes_on(
    empty_database: PostgresDatabase, build: Build
) -> None:
    """Make the tables by the library alone, as its eighth version had them, with a thread amid its graph."""
    newest = len(AsyncPostgresSaver.MIGRATIONS) - 1
    async with open_database(Dsn.parse(empty_database.dsn), application_name="test") as db:
        saver = AsyncPostgresSaver(db.pool)
        await saver.setup()
        graph = build_loop(2).compile(checkpointer=saver, interrupt_after=["count_up"])
        await graph.ainvoke({"count": 0}, on("t"))
    empty_database.execute("DELETE FROM checkpoint_migrations WHERE v = %s", [newest])
    empty_database.execute("ALTER TABLE checkpoint_writes DROP COLUMN task_path")

    await migrate.up(Dsn.parse(empty_database.dsn))

    assert empty_database.execute("SELECT max(v) FROM checkpoint_migrations") == [(newest,)]
    async with opened(empty_database, build) as (_, saver):
        graph = build_loop(2).compile(checkpointer=saver)
        assert (await graph.ainvoke(None, on("t")))["count"] == 2
    steps = empty_database.execute("SELECT (metadata->>'step')::int FROM checkpoints ORDER BY 1")
    assert [step for (step,) in steps] == [-1, 0, 1, 2]


async def test_one_saver_serves_twenty_threads_at_once_without_mixing_them(
    database: PostgresDatabase, build: Build
) -> None:
    async with opened(database, build) as (_, saver):
        graph = build_loop(5).compile(checkpointer=saver)
        results = await asyncio.gather(
            *(graph.ainvoke({"count": 0, "items": [n]}, on(f"thread-{n}")) for n in range(20))
        )
    assert [result["items"] for result in results] == [[n] for n in range(20)]
    rows = database.execute("SELECT thread_id, count(*) FROM checkpoints GROUP BY thread_id")
    assert {count for _, count in rows} == {7}
    assert len(rows) == 20


async def test_a_hundred_sessions_share_the_connections_of_their_pool(database: PostgresDatabase, build: Build) -> None:
    seen: list[int] = []
    async with opened(database, build, max_size=10) as (_, saver):
        graph = build_loop(3).compile(checkpointer=saver)

        async def count_backends() -> None:
            async with await AsyncConnection.connect(database.dsn, autocommit=True) as connection:
                while True:
                    cursor = await connection.execute(
                        "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name = 'test'",
                        [database.name],
                    )
                    row = await cursor.fetchone()
                    assert row is not None
                    seen.append(row[0])
                    await asyncio.sleep(0)

        watcher = asyncio.create_task(count_backends())
        await asyncio.gather(*(graph.ainvoke({"count": 0}, on(f"thread-{n}")) for n in range(100)))
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
    assert max(seen) <= 10


async def test_while_the_database_holds_up_every_session_the_event_loop_goes_on(
    database: PostgresDatabase, build: Build
) -> None:
    """Lock the table that a hundred sessions write, and count the turns of the loop that they wait in.

    The lock goes after 30 seconds at the latest, so that a loop that was blocked is found.
    """
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'test' AND wait_event_type = 'Lock'"
    )
    async with (
        opened(database, build, max_size=4) as (_, saver),
        await AsyncConnection.connect(database.dsn) as holder,
        await AsyncConnection.connect(database.dsn, autocommit=True) as observer,
    ):
        await holder.execute("SET idle_in_transaction_session_timeout = '30s'")
        await holder.execute("LOCK TABLE checkpoints")
        graph = build_loop(3).compile(checkpointer=saver)
        sessions = [asyncio.create_task(graph.ainvoke({"count": 0}, on(f"thread-{n}"))) for n in range(100)]

        async def count_waiting() -> int:
            row = await (await observer.execute(waiting)).fetchone()
            return int(row[0]) if row is not None else 0

        while not await count_waiting():
            pass
        for _ in range(1000):
            await asyncio.sleep(0)
        assert await count_waiting()
        assert not any(session.done() for session in sessions)
        await holder.commit()
        results = await asyncio.gather(*sessions)
    assert [result["count"] for result in results] == [3] * 100


def test_a_checkpoint_that_names_code_is_not_run() -> None:
    """A crafted value that would call ``builtins.eval`` when it is read, as any writer of the table could plant."""
    import ormsgpack
    from langgraph.checkpoint.serde.jsonplus import EXT_CONSTRUCTOR_SINGLE_ARG, JsonPlusSerializer

    payload = ormsgpack.packb(
        ormsgpack.Ext(
            EXT_CONSTRUCTOR_SINGLE_ARG,
            ormsgpack.packb(("builtins", "eval", "__import__('builtins').print('planted')")),
        )
    )
    strict = JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None)
    loaded = strict.loads_typed(("msgpack", payload))
    assert loaded == "__import__('builtins').print('planted')"
    with pytest.raises(NotImplementedError, match="pickle"):
        strict.loads_typed(("pickle", b"cos\nsystem\n."))


def test_the_password_may_hold_every_special_character(database: PostgresDatabase) -> None:
    from urllib.parse import quote

    password = "p@ss/w%rd#?:&"
    database.execute("DROP ROLE IF EXISTS special")
    database.execute(f"CREATE ROLE special LOGIN PASSWORD '{password}'")
    port = database.server.port
    with psycopg.connect(
        f"postgresql://special:{quote(password, safe='')}@127.0.0.1:{port}/{database.name}"
    ) as connection:
        row = connection.execute("SELECT current_user").fetchone()
    database.execute("DROP ROLE special")
    assert row == ("special",)
