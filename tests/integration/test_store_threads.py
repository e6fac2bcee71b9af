"""Threads listed and copied on a real PostgreSQL, as LangGraph's own saver wrote them."""

import asyncio
import contextlib
import itertools
import operator
import sys
from collections.abc import AsyncIterator
from typing import Annotated, Any, NotRequired, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from agentic_core.errors import PermanentError, Superseded
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.threads import CheckpointNotFound
from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import wait_until

SOURCE = "project-team:session-source"
TARGET = "project-team:session-fork"
TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")


def config_of(thread_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id}}


@contextlib.asynccontextmanager
async def a_store(database: PostgresDatabase) -> AsyncIterator[tuple[Database, AsyncPostgresSaver]]:
    async with open_database(Dsn.parse(database.dsn), application_name="test") as store:
        yield store, AsyncPostgresSaver(store.pool)


def rows_of(database: PostgresDatabase, thread_id: str) -> list[list[tuple[Any, ...]]]:
    """Return everything that the three tables hold of a thread, without the thread's name and the mark of a fork."""
    return [
        database.execute(
            f"SELECT to_jsonb(t) - 'thread_id' #- '{{metadata,agentic_fork}}' FROM {table} AS t WHERE thread_id = %s"
            " ORDER BY 1",
            [thread_id],
        )
        for table in TABLES
    ]


class State(TypedDict):
    items: Annotated[list[str], operator.add]
    big: NotRequired[dict[str, str]]
    factor: NotRequired[int]


def build_line(saver: AsyncPostgresSaver) -> Any:
    """Three nodes after another; `big` is written once, so that later checkpoints refer to an old blob."""
    graph = StateGraph(State)
    graph.add_node("one", lambda _: {"items": ["one"], "big": {"text": "x" * 10_000}})
    graph.add_node("two", lambda state: {"items": [f"two x {state.get('factor', 1)}"]})
    graph.add_node("three", lambda _: {"items": ["three"]})
    graph.add_edge(START, "one")
    graph.add_edge("one", "two")
    graph.add_edge("two", "three")
    graph.add_edge("three", END)
    return graph.compile(checkpointer=saver)


async def test_the_list_says_step_node_time_and_what_is_next(database: PostgresDatabase) -> None:
    async with a_store(database) as (store, saver):
        await build_line(saver).ainvoke({"items": []}, config_of(SOURCE), durability="sync")
        rows = await store.threads.list_checkpoints(SOURCE)
        assert [(row.step, row.source, list(row.nodes), list(row.next)) for row in rows] == [
            (3, "loop", ["three"], []),
            (2, "loop", ["two"], ["three"]),
            (1, "loop", ["one"], ["two"]),
            (0, "loop", [], ["one"]),
            (-1, "input", [], ["__start__"]),
        ]
        assert [row.parent_checkpoint_id for row in rows] == [*(row.checkpoint_id for row in rows[1:]), None]
        assert [row.at for row in rows] == sorted((row.at for row in rows), reverse=True)
        assert not any(row.is_interrupted or row.forked_from for row in rows)
        page = await store.threads.list_checkpoints(SOURCE, limit=2, before=rows[1].checkpoint_id)
        assert page == rows[2:4]
        assert await store.threads.list_checkpoints("project-team:session-other") == []


async def test_a_copy_of_the_whole_thread_is_that_thread(database: PostgresDatabase) -> None:
    async with a_store(database) as (store, saver):
        graph = build_line(saver)
        await graph.ainvoke({"items": []}, config_of(SOURCE), durability="sync")
        point = await store.threads.copy_thread(SOURCE, TARGET)
        assert rows_of(database, TARGET) == rows_of(database, SOURCE)
        assert (point.source, point.is_past) == (SOURCE, False)
        newest, *others = await store.threads.list_checkpoints(TARGET)
        assert (newest.checkpoint_id, newest.forked_from) == (point.checkpoint_id, SOURCE)
        assert not any(row.forked_from for row in others)
        state = await graph.aget_state(config_of(TARGET))
        assert state.values["items"] == ["one", "two x 1", "three"]


async def test_a_fork_from_the_middle_has_the_ancestors_and_the_blobs_they_refer_to(database: PostgresDatabase) -> None:
    async with a_store(database) as (store, saver):
        graph = build_line(saver)
        await graph.ainvoke({"items": []}, config_of(SOURCE), durability="sync")
        before = rows_of(database, SOURCE)
        middle = (await store.threads.list_checkpoints(SOURCE))[2]
        point = await store.threads.copy_thread(SOURCE, TARGET, checkpoint_id=middle.checkpoint_id)
        assert (point.checkpoint_id, point.is_past) == (middle.checkpoint_id, True)
        assert [row.step for row in await store.threads.list_checkpoints(TARGET)] == [1, 0, -1]
        versions = database.execute(
            "SELECT channel, count(*) FROM checkpoint_blobs WHERE thread_id = %s AND channel = ANY(%s)"
            " GROUP BY channel ORDER BY channel",
            [TARGET, ["items", "big"]],
        )
        assert versions == [("big", 1), ("items", 2)]
        # `two` is to run again: what it wrote in the source stays there.
        written = "SELECT count(*) FROM checkpoint_writes WHERE thread_id = %s AND checkpoint_id = %s"
        assert database.execute(written, [TARGET, middle.checkpoint_id]) == [(0,)]

        changed = await graph.aupdate_state(config_of(TARGET), {"factor": 7})
        result = await graph.ainvoke(None, config_of(TARGET), durability="sync")
        assert result["items"] == ["one", "two x 7", "three"]
        assert rows_of(database, SOURCE) == before
        history = [each async for each in graph.aget_state_history(config_of(TARGET))]
        assert history[0].values["items"] == ["one", "two x 7", "three"]
        assert changed["configurable"]["thread_id"] == TARGET


async def test_neither_history_touches_the_other(database: PostgresDatabase) -> None:
    async with a_store(database) as (store, saver):
        graph = build_line(saver)
        await graph.ainvoke({"items": []}, config_of(SOURCE), durability="sync")
        middle = (await store.threads.list_checkpoints(SOURCE))[2].checkpoint_id
        await store.threads.copy_thread(SOURCE, TARGET, checkpoint_id=middle)
        fork = rows_of(database, TARGET)
        await graph.aupdate_state(config_of(SOURCE), {"items": ["later"]})
        assert rows_of(database, TARGET) == fork
        await saver.adelete_thread(SOURCE)
        assert rows_of(database, TARGET) == fork
        result = await graph.ainvoke(None, config_of(TARGET), durability="sync")
        assert result["items"] == ["one", "two x 1", "three"]
        assert rows_of(database, SOURCE) == [[], [], []]


async def test_a_fork_of_a_fork_names_its_own_source(database: PostgresDatabase) -> None:
    async with a_store(database) as (store, saver):
        await build_line(saver).ainvoke({"items": []}, config_of(SOURCE), durability="sync")
        await store.threads.copy_thread(SOURCE, TARGET)
        await store.threads.copy_thread(TARGET, "project-team:session-third")
        rows = await store.threads.list_checkpoints("project-team:session-third")
        assert [row.forked_from for row in rows] == [TARGET, None, None, None, None]


def build_asking(saver: AsyncPostgresSaver, ran: list[str]) -> Any:
    """Two branches at once, one of which asks; the question comes from a subgraph."""

    def work(state: State) -> State:
        ran.append("work")
        return {"items": ["work"]}

    def ask(state: State) -> State:
        return {"items": [interrupt("which?")]}

    inner = StateGraph(State)
    inner.add_node("prepare", lambda _: {"items": ["prepared"]})
    inner.add_node("ask", ask)
    inner.add_edge(START, "prepare")
    inner.add_edge("prepare", "ask")
    graph = StateGraph(State)
    graph.add_node("work", work)
    graph.add_node("sub", inner.compile())
    graph.add_node("last", lambda _: {"items": ["last"]})
    graph.add_edge(START, "work")
    graph.add_edge(START, "sub")
    graph.add_edge("work", "last")
    graph.add_edge("sub", "last")
    return graph.compile(checkpointer=saver)


async def test_a_fork_of_a_waiting_thread_keeps_finished_branches_and_the_question(database: PostgresDatabase) -> None:
    ran: list[str] = []
    async with a_store(database) as (store, saver):
        graph = build_asking(saver, ran)
        await graph.ainvoke({"items": []}, config_of(SOURCE), durability="sync")
        asked = (await graph.aget_state(config_of(SOURCE))).interrupts
        newest = (await store.threads.list_checkpoints(SOURCE))[0]
        assert (newest.is_interrupted, set(newest.next)) == (True, {"sub", "work"})
        await store.threads.copy_thread(SOURCE, TARGET)
        assert rows_of(database, TARGET) == rows_of(database, SOURCE)
        assert (await graph.aget_state(config_of(TARGET))).interrupts == asked

        result = await graph.ainvoke(Command(resume={asked[0].id: "fork"}), config_of(TARGET), durability="sync")
        assert sorted(result["items"]) == ["fork", "last", "prepared", "work"]
        assert (await graph.aget_state(config_of(SOURCE))).interrupts == asked
        result = await graph.ainvoke(Command(resume={asked[0].id: "source"}), config_of(SOURCE), durability="sync")
        assert sorted(result["items"]) == ["last", "prepared", "source", "work"]
        assert ran == ["work"]


@pytest.mark.parametrize("changes", [True, False], ids=["with changed values", "from a checkpoint in the past"])
async def test_what_is_done_again_leaves_the_subgraphs_state_behind(database: PostgresDatabase, changes: bool) -> None:
    async with a_store(database) as (store, saver):
        graph = build_asking(saver, [])
        await graph.ainvoke({"items": []}, config_of(SOURCE), durability="sync")
        head = (await store.threads.list_checkpoints(SOURCE))[0].checkpoint_id
        if not changes:
            await graph.ainvoke(Command(resume="on"), config_of(SOURCE), durability="sync")
        await store.threads.copy_thread(SOURCE, TARGET, checkpoint_id=head, changes_values=changes)
        below = "SELECT count(*) FROM checkpoints WHERE thread_id = %s AND checkpoint_ns <> ''"
        assert database.execute(below, [TARGET]) == [(0,)]
        assert (await graph.aget_state(config_of(TARGET))).interrupts == ()
        result = await graph.ainvoke(None, config_of(TARGET), durability="sync")
        assert len(result["__interrupt__"]) == 1
        # From the last checkpoint on, what the subgraphs of earlier super-steps saved is there.
        if not changes:
            await store.threads.copy_thread(SOURCE, "project-team:session-whole")
            assert database.execute(below, ["project-team:session-whole"]) == database.execute(below, [SOURCE])


async def test_a_subgraph_with_a_memory_of_its_own_remembers_as_much_as_the_fork_does(
    database: PostgresDatabase,
) -> None:
    inner = StateGraph(State)
    inner.add_node("count", lambda _: {"items": ["call"]})
    inner.add_edge(START, "count")
    remembering = inner.compile(checkpointer=True)
    calls: list[int] = []

    def call(state: State) -> State:
        calls.append(len(remembering.invoke({"items": []})["items"]))
        return {"items": []}

    graph = StateGraph(State)
    graph.add_node("first", call)
    graph.add_node("second", call)
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    async with a_store(database) as (store, saver):
        compiled = graph.compile(checkpointer=saver)
        await compiled.ainvoke({"items": []}, config_of(SOURCE), durability="sync")
        first = list(calls)
        middle = (await store.threads.list_checkpoints(SOURCE))[1]
        assert list(middle.nodes) == ["first"]
        await store.threads.copy_thread(SOURCE, TARGET, checkpoint_id=middle.checkpoint_id)
        calls.clear()
        await compiled.ainvoke(None, config_of(TARGET), durability="sync")
        assert calls == first[1:]


class Deltas(TypedDict):
    log: Annotated[list[str], DeltaChannel(lambda state, writes: [*state, *(x for w in writes for x in w)])]


async def test_delta_channels_are_rebuilt_from_the_copied_writes(database: PostgresDatabase) -> None:
    graph = StateGraph(Deltas)
    names = [f"n{number}" for number in range(6)]
    for name in names:
        graph.add_node(name, lambda state, name=name: {"log": [f"{name} after {len(state['log'])}"]})
    graph.add_edge(START, names[0])
    for one, following in itertools.pairwise(names):
        graph.add_edge(one, following)
    async with a_store(database) as (store, saver):
        compiled = graph.compile(checkpointer=saver)
        whole = await compiled.ainvoke({"log": ["begin"]}, config_of(SOURCE), durability="sync")
        middle = (await store.threads.list_checkpoints(SOURCE))[3]
        await store.threads.copy_thread(SOURCE, TARGET, checkpoint_id=middle.checkpoint_id)
        state = await compiled.aget_state(config_of(TARGET))
        assert state.values["log"] == whole["log"][:-3]
        # As the runner begins a super-step anew, under new task ids.
        await compiled.aupdate_state(config_of(TARGET), None, as_node="__copy__")
        assert await compiled.ainvoke(None, config_of(TARGET), durability="sync") == whole
        other = "project-team:session-changed"
        await store.threads.copy_thread(SOURCE, other, checkpoint_id=middle.checkpoint_id, changes_values=True)
        await compiled.aupdate_state(config_of(other), {"log": ["more"]})
        changed = await compiled.ainvoke(None, config_of(other), durability="sync")
        assert changed["log"][:-3] == [*whole["log"][:-3], "more"]


async def test_copying_again_changes_nothing_also_when_the_source_went_on_or_is_gone(
    database: PostgresDatabase,
) -> None:
    async with a_store(database) as (store, saver):
        graph = build_line(saver)
        await graph.ainvoke({"items": []}, config_of(SOURCE), durability="sync")
        point = await store.threads.copy_thread(SOURCE, TARGET)
        await graph.aupdate_state(config_of(SOURCE), {"items": ["later"]})
        assert await store.threads.copy_thread(SOURCE, TARGET) == point
        await graph.aupdate_state(config_of(TARGET), {"items": ["own"]})
        before = rows_of(database, TARGET)
        await saver.adelete_thread(SOURCE)
        assert await store.threads.copy_thread(SOURCE, TARGET) == point
        assert rows_of(database, TARGET) == before


async def test_unknown_checkpoints_and_threads_in_use_are_refused(database: PostgresDatabase) -> None:
    async with a_store(database) as (store, saver):
        graph = build_line(saver)
        with pytest.raises(CheckpointNotFound, match=r"thread 'project-team:session-source' has no checkpoint$"):
            await store.threads.copy_thread(SOURCE, TARGET)
        await graph.ainvoke({"items": []}, config_of(SOURCE), durability="sync")
        with pytest.raises(CheckpointNotFound, match="has no checkpoint '1f0'"):
            await store.threads.copy_thread(SOURCE, TARGET, checkpoint_id="1f0")
        await graph.ainvoke({"items": []}, config_of("own"), durability="sync")
        with pytest.raises(PermanentError, match="'own' has checkpoints of its own"):
            await store.threads.copy_thread(SOURCE, "own")
        await store.threads.copy_thread(SOURCE, TARGET)
        with pytest.raises(PermanentError, match="is a fork of 'project-team:session-source' already, not of 'own'"):
            await store.threads.copy_thread("own", TARGET)


COPIER = """
import asyncio, sys
from agentic_store.database import open_database
from agentic_store.dsn import Dsn
async def main():
    async with open_database(Dsn.parse(sys.argv[1]), application_name="copier") as store:
        await store.threads.copy_thread(sys.argv[2], sys.argv[3])
asyncio.run(main())
"""


async def until_backends(database: PostgresDatabase, condition: str, count: int) -> None:
    copiers = "datname = current_database() AND application_name = 'copier'"
    statement = f"SELECT count(*) FROM pg_stat_activity WHERE {copiers} AND {condition}"
    await asyncio.to_thread(
        wait_until,
        lambda: database.execute(statement)[0][0] == count,
        what=f"{count} copiers where {condition}",
    )


async def test_a_copier_that_is_killed_in_the_middle_leaves_nothing_and_the_next_one_copies(
    database: PostgresDatabase,
) -> None:
    async with a_store(database) as (store, saver):
        await build_line(saver).ainvoke({"items": []}, config_of(SOURCE), durability="sync")
        # Somebody is about to write one of the last rows of the copy, so that it waits with most of its work done.
        async with store.pool.connection() as holder, holder.transaction(force_rollback=True):
            await holder.execute(
                "INSERT INTO checkpoint_writes SELECT %s, checkpoint_ns, checkpoint_id, task_id, idx, channel, type,"
                " blob, task_path FROM checkpoint_writes WHERE thread_id = %s ORDER BY checkpoint_id LIMIT 1",
                [TARGET, SOURCE],
            )
            copier = await asyncio.create_subprocess_exec(sys.executable, "-c", COPIER, database.dsn, SOURCE, TARGET)
            await until_backends(database, "wait_event = 'transactionid'", 1)
            copier.kill()
            await copier.wait()
        await until_backends(database, "true", 0)
        assert rows_of(database, TARGET) == [[], [], []]
        await store.threads.copy_thread(SOURCE, TARGET)
        assert rows_of(database, TARGET) == rows_of(database, SOURCE)


async def test_a_superseded_run_cannot_copy_into_its_thread(database: PostgresDatabase) -> None:
    async with a_store(database) as (store, saver), a_store(database) as (other, _):
        await build_line(saver).ainvoke({"items": []}, config_of(SOURCE), durability="sync")
        fence = await store.fences.take(TARGET, "uid", 1, "old")
        await store.carry(fence)
        await other.fences.take(TARGET, "uid", 2, "new")
        with pytest.raises(Superseded):
            await store.threads.copy_thread(SOURCE, TARGET)
        assert rows_of(database, TARGET) == [[], [], []]
