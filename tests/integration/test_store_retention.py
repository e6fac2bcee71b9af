"""What retention removes and leaves, on a real PostgreSQL."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from agentic_core.errors import DatabaseUnavailable, Superseded, TransientError
from agentic_core.lifecycle import Phase
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.errors import translated
from agentic_store.pool import Connection, Connections
from agentic_store.retention import KeptCheckpoints, PostgresRetention
from agentic_store.thread_values import ThreadValues
from agentic_store.threads import CheckpointNotFound
from tests.integration.test_store_fences import CONFIG, THREAD, build_graph
from tests.integration.test_store_threads import TARGET, build_line, config_of
from tests.support.postgres import PostgresDatabase
from tests.support.retention_conformance import RetentionConformance
from tests.support.store_conformance import a_record
from tests.support.threads import count, days_ago, plant


@pytest.fixture
async def store(database: PostgresDatabase) -> AsyncIterator[Database]:
    async with open_database(Dsn.parse(database.dsn), application_name="test") as store:
        yield store


@dataclass
class PostgresPlot:
    """A database, in which threads are planted."""

    database: PostgresDatabase
    retention: PostgresRetention

    def plant(self, name: str, **planted: Any) -> str:
        return plant(self.database, name, **planted)

    def count(self, thread: str) -> int:
        return count(self.database, thread)[0]


class TestPostgresRetention(RetentionConformance):
    @pytest.fixture
    def plot(self, store: Database, database: PostgresDatabase) -> PostgresPlot:
        return PostgresPlot(database, store.retention)


def translating(store: Database) -> Connections:
    """Return the store's connections with its errors, for a retention with limits of its own."""

    @contextlib.asynccontextmanager
    async def connection() -> AsyncIterator[Connection]:
        with translated():
            async with store.pool.connection() as conn:
                yield conn

    return connection


async def names(
    store: Database, days: float = 30, kept: KeptCheckpoints = KeptCheckpoints.ALL, **options: Any
) -> list[str]:
    listed = await store.retention.list_ended("team", before=days_ago(days), kept=kept, **options)
    return [ended.session_name for ended in listed]


async def test_listed_are_ended_sessions_of_which_something_is_left_oldest_first(
    store: Database, database: PostgresDatabase
) -> None:
    plant(database, "young", ended=days_ago(29))
    plant(database, "old", ended=days_ago(31))
    plant(database, "older", ended=days_ago(32), status=Phase.FAILED)
    plant(database, "twin", ended=days_ago(50), project="other")
    for phase in Phase:
        if not phase.is_final:
            plant(database, phase.wire.replace("_", "-"), ended=None, status=phase)
    assert await names(store) == ["older", "old"]
    assert await names(store, kept=KeptCheckpoints.NEEDED) == []
    first = (await store.retention.list_ended("team", before=days_ago(30), kept=KeptCheckpoints.ALL, limit=1))[0]
    assert await names(store, after=first) == ["old"]
    assert await store.retention.list_projects() == ["other", "team"]

    step = await store.retention.remove(["uid-team-old", "uid-team-older"])
    assert sorted(step.finished) == ["uid-team-old", "uid-team-older"]
    assert await names(store) == []
    assert await store.retention.list_projects() == ["other", "team"]


async def test_removed_with_a_thread_are_its_blobs_writes_events_and_fence_and_the_row_stays(
    store: Database, database: PostgresDatabase
) -> None:
    gone, kept = plant(database, "old", ended=days_ago(31)), plant(database, "young", ended=days_ago(29))
    step = await store.retention.remove(["uid-team-old"])
    assert step.gone.rows == {"checkpoints": 3, "writes": 3, "blobs": 3, "events": 1}
    assert step.gone.bytes > 3 * 64
    assert (count(database, gone), count(database, kept)) == ((0, 0, 0), (3, 3, 3))
    row = await store.sessions.find("team", "old")
    assert row is not None
    assert row.status is Phase.COMPLETED
    assert await store.events.read("uid-team-old") == []
    assert len(await store.events.read("uid-team-young")) == 1
    assert database.execute("SELECT session_uid FROM thread_fences") == [("uid-team-young",)]
    assert (await store.retention.remove(["uid-team-old"])).finished == ()


@pytest.mark.parametrize("is_small", [True, False], ids=["with others", "alone"])
async def test_what_was_shown_of_a_state_goes_with_its_checkpoints(
    store: Database, database: PostgresDatabase, is_small: bool
) -> None:
    for name, days in (("old", 31), ("young", 29)):
        plant(database, name, ended=days_ago(days))
        await store.thread_values.write(f"uid-team-{name}", ThreadValues(run=1, state="1"), ["x"])
    if is_small:
        await store.retention.empty([["uid-team-old"]])
    else:
        await store.retention.remove(["uid-team-old"])
    assert database.execute("SELECT session_uid FROM thread_values") == [("uid-team-young",)]


@pytest.mark.parametrize("phase", [phase for phase in Phase if not phase.is_final])
async def test_a_session_that_has_not_ended_is_never_touched(
    store: Database, database: PostgresDatabase, phase: Phase
) -> None:
    thread = plant(database, "s", ended=None, status=phase)
    for step in (await store.retention.remove(["uid-team-s"]), await store.retention.prune("uid-team-s")):
        assert (step.gone.total, step.finished, step.left) == (0, (), ())
    assert count(database, thread) == (3, 3, 3)
    assert database.execute("SELECT holder FROM thread_fences") == [("pod",)]


async def test_a_thread_that_another_session_has_taken_is_left_alone(
    store: Database, database: PostgresDatabase
) -> None:
    thread = plant(database, "s", ended=days_ago(31))
    database.execute("UPDATE thread_fences SET session_uid = 'the one made again'")
    assert (await store.retention.remove(["uid-team-s"])).finished == ()
    assert count(database, thread) == (3, 3, 3)


async def test_steps_are_bounded_and_a_large_thread_goes_over_many(store: Database, database: PostgresDatabase) -> None:
    threads = [plant(database, name, ended=days_ago(31), steps=25) for name in ("a", "b", "c")]
    left: tuple[str, ...] = ("uid-team-a", "uid-team-b", "uid-team-c")
    steps = 0
    while left:
        step = await store.retention.remove(left, rows=20)
        assert max(step.gone.rows.values()) <= 20
        left, steps = step.left, steps + 1
    assert steps == 3 * 25 // 20 + 1
    assert {count(database, thread) for thread in threads} == {(0, 0, 0)}


async def test_small_sessions_are_measured_and_then_emptied_in_pieces(
    store: Database, database: PostgresDatabase
) -> None:
    small = [plant(database, name, ended=days_ago(31), steps=5) for name in ("a", "b")]
    plant(database, "large", ended=days_ago(31), steps=30)
    other = plant(database, "taken", ended=days_ago(31))
    database.execute("UPDATE thread_fences SET session_uid = 'the one made again' WHERE thread_id = %s", [other])
    uids = ["uid-team-a", "uid-team-b", "uid-team-taken"]
    sizes = await store.retention.measure([*uids, "uid-team-large"], limit=21)
    assert sizes == {"uid-team-a": 5, "uid-team-b": 5, "uid-team-taken": 3, "uid-team-large": 21}
    step = await store.retention.empty([uids[1:], uids[:1]], rest=0.01)
    assert sorted(step.finished) == uids[:2]
    assert step.gone.rows == {"checkpoints": 10, "writes": 10, "blobs": 10, "events": 2}
    assert step.gone.bytes > 10 * 64
    assert step.rested == 0.02
    assert {count(database, thread) for thread in small} == {(0, 0, 0)}
    assert count(database, other) == (3, 3, 3)
    assert sorted(await names(store)) == ["large", "taken"]
    fences = database.execute("SELECT session_uid FROM thread_fences ORDER BY 1")
    assert fences == [("the one made again",), ("uid-team-large",)]


async def test_a_thread_that_is_half_gone_cannot_be_forked_or_written_and_is_still_listed(
    store: Database, database: PostgresDatabase
) -> None:
    plant(database, "s", ended=days_ago(31), steps=10)
    async with open_database(Dsn.parse(database.dsn), application_name="frozen") as frozen:
        fence = await frozen.fences.take("project-team:session-s", "uid-team-s", 1, "pod")
        await frozen.carry(fence)
        step = await store.retention.remove(["uid-team-s"], rows=4)
        assert step.left == ("uid-team-s",)
        with pytest.raises(Superseded):
            await frozen.fences.verify(fence)
        with pytest.raises(CheckpointNotFound):
            await store.threads.copy_thread("project-team:session-s", TARGET)
        assert await names(store) == ["s"]
        assert (await store.retention.remove(["uid-team-s"])).finished == ("uid-team-s",)
        with pytest.raises(Superseded):
            await frozen.fences.verify(fence)


async def test_a_session_made_again_under_the_name_of_one_half_gone_starts_empty(
    store: Database, database: PostgresDatabase
) -> None:
    thread = plant(database, "s", ended=days_ago(31), steps=10)
    await store.retention.remove(["uid-team-s"], rows=4)
    await store.fences.take(thread, "new", 1, "pod")
    assert count(database, thread) == (0, 0, 0)
    assert (await store.retention.remove(["uid-team-s"])).finished == ()


async def test_a_lock_of_somebody_else_is_waited_for_in_bounded_time(
    store: Database, database: PostgresDatabase
) -> None:
    thread = plant(database, "s", ended=days_ago(31))
    retention = PostgresRetention(translating(store), lock_seconds=0.2)
    with psycopg.connect(database.dsn) as holder:
        holder.execute("SELECT 1 FROM thread_fences FOR UPDATE")
        with pytest.raises(TransientError):
            await retention.remove(["uid-team-s"])
        assert count(database, thread) == (3, 3, 3)
    assert (await retention.remove(["uid-team-s"])).finished == ("uid-team-s",)


async def test_killed_in_the_middle_of_a_step_nothing_of_it_has_happened(
    store: Database, database: PostgresDatabase
) -> None:
    thread = plant(database, "s", ended=days_ago(31), steps=50)
    database.execute(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$"
    )
    database.execute("CREATE TRIGGER die AFTER DELETE ON checkpoint_blobs EXECUTE FUNCTION die()")
    with pytest.raises(DatabaseUnavailable):
        await store.retention.remove(["uid-team-s"])
    assert count(database, thread) == (50, 50, 50)
    database.execute("DROP TRIGGER die ON checkpoint_blobs")
    assert (await store.retention.remove(["uid-team-s"])).finished == ("uid-team-s",)
    assert count(database, thread) == (0, 0, 0)


async def test_threads_without_session_and_fence_are_found_and_removed_and_no_others(
    store: Database, database: PostgresDatabase
) -> None:
    lost = plant(database, "lost", ended=days_ago(40), has_row=False, has_fence=False)
    orphaned = plant(database, "half", ended=days_ago(40), has_row=False, has_fence=False)
    database.execute("DELETE FROM checkpoints WHERE thread_id = %s", [orphaned])
    running = plant(database, "running", ended=None, status=Phase.RUNNING, has_row=False)
    unfenced = plant(database, "unfenced", ended=days_ago(40), has_fence=False)
    listed = await store.retention.list_threads()
    assert [(each.thread_id, each.is_fenced) for each in listed] == [
        (orphaned, False),
        (lost, False),
        (running, True),
        (unfenced, False),
    ]
    assert [each.thread_id for each in await store.retention.list_threads(after=lost, limit=1)] == [running]
    owners = {thread: ("team", thread.rpartition("-")[2]) for thread in (lost, orphaned, running, unfenced)}
    step = await store.retention.remove_ownerless(owners)
    assert sorted(step.finished) == [orphaned, lost]
    assert [count(database, thread) for thread in owners] == [(0, 0, 0), (0, 0, 0), (3, 3, 3), (3, 3, 3)]
    assert database.execute("SELECT session_uid FROM thread_fences") == [("uid-team-running",)]


async def test_what_a_pruned_thread_keeps_is_enough_to_read_it_and_to_fork_it(
    store: Database, database: PostgresDatabase
) -> None:
    saver = AsyncPostgresSaver(store.pool)
    graph, thread = build_line(saver), "project-team:session-s"
    await graph.ainvoke({"items": []}, config_of(thread), durability="sync")
    whole = (await graph.aget_state(config_of(thread))).values
    older = (await store.threads.list_checkpoints(thread))[2].checkpoint_id
    await store.sessions.record_session(a_record("s", thread_id=thread, status=Phase.COMPLETED, run=1))
    assert (await store.retention.prune("uid-team-s", rows=3)).left == ("uid-team-s",)
    step = await store.retention.prune("uid-team-s")
    assert step.finished == ("uid-team-s",)
    assert (await graph.aget_state(config_of(thread))).values == whole
    assert len(await store.threads.list_checkpoints(thread)) == 1
    assert await names(store, days=-1) == []
    assert await names(store, days=-1, kept=KeptCheckpoints.NEEDED) == ["s"]
    with pytest.raises(CheckpointNotFound):
        await store.threads.copy_thread(thread, TARGET, checkpoint_id=older)
    await store.threads.copy_thread(thread, TARGET)
    assert (await graph.aget_state(config_of(TARGET))).values == whole
    channels = database.execute("SELECT channel FROM checkpoint_blobs WHERE thread_id = %s ORDER BY 1", [thread])
    assert {"big", "items"} <= {channel for (channel,) in channels}
    assert (await store.retention.remove(["uid-team-s"])).finished == ("uid-team-s",)
    assert count(database, thread) == (0, 0, 0)


async def test_pruning_keeps_exactly_what_the_library_would(store: Database, database: PostgresDatabase) -> None:
    saver = AsyncPostgresSaver(store.pool)
    await build_graph(saver).ainvoke({"steps": []}, CONFIG, durability="sync")
    twin = f"{THREAD}-twin"
    await store.threads.copy_thread(THREAD, twin)
    await store.sessions.record_session(a_record("s", thread_id=THREAD, status=Phase.STOPPED, run=1))
    await store.retention.prune("uid-team-s")
    await saver.aprune([twin])
    ours, theirs = (
        [
            database.execute(
                f"SELECT to_jsonb(t) - 'thread_id' #- '{{metadata,agentic_fork}}' FROM {table} AS t"
                " WHERE thread_id = %s ORDER BY 1",
                [thread],
            )
            for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
        ]
        for thread in (THREAD, twin)
    )
    assert ours == theirs


@pytest.mark.parametrize("has_statistics", [True, False], ids=["with statistics", "as after a restore"])
async def test_no_statement_reads_a_table_from_end_to_end(
    store: Database, database: PostgresDatabase, has_statistics: bool
) -> None:
    """The plans as they were executed."""
    for number in range(200):
        plant(database, f"s{number}", ended=days_ago(31 if number % 2 else 10), steps=20)
    if has_statistics:
        database.execute("VACUUM ANALYZE")
    for name, value in (
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "0"),
        ("auto_explain.log_format", "json"),
        ("auto_explain.log_level", "notice"),
    ):
        database.execute(f"ALTER DATABASE {database.name} SET {name} = '{value}'")
    plans: list[str] = []
    async with open_database(Dsn.parse(database.dsn), application_name="explained", max_size=1) as explained:
        async with explained.pool.connection() as watched:
            watched.add_notice_handler(lambda notice: plans.append(notice.message_primary or ""))
        await explained.retention.list_projects()
        await explained.retention.list_ended("team", before=days_ago(30), kept=KeptCheckpoints.ALL, limit=10)
        await explained.retention.list_threads(limit=10)
        await explained.retention.remove(["uid-team-s1", "uid-team-s3"], rows=30)
        await explained.retention.measure(["uid-team-s7", "uid-team-s9"], limit=30)
        await explained.retention.empty([["uid-team-s7"], ["uid-team-s9"]])
        await explained.retention.prune("uid-team-s5", rows=30)
        await explained.retention.remove_ownerless({"project-team:session-x": ("team", "x")})
        await explained.retention.expire_items()
    seen = [json.loads(plan[plan.index("{") :]) for plan in plans if "{" in plan]
    assert len(seen) > 12
    for plan in seen:
        for node in _nodes(plan["Plan"]):
            assert node["Node Type"] != "Seq Scan", plan["Query Text"]
    if has_statistics:
        used = {node.get("Index Name") for plan in seen for node in _nodes(plan["Plan"])}
        assert "workflow_sessions_ended_idx" in used, used


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in _nodes(child))]
