"""Retention by the operator: real resources, a real database, and clocks that disagree."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.request import urlopen

import psycopg
import pytest

from agentic_core.lifecycle import Phase
from agentic_operator.cache.index import Index
from agentic_operator.cache.reads import parse_definition
from agentic_operator.database import retention as module
from agentic_operator.database.retention import Retention
from agentic_operator.database.retention_policy import Keep
from agentic_operator.kube.client import open_kube
from agentic_operator.kube.connection import read_kubeconfig
from agentic_operator.kube.event_recorder import EventRecorder
from agentic_operator.sessions.keys import DefinitionKey
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from hack.cluster.endpoints import find_free_ports
from tests.support.kube import SYSTEM, Space
from tests.support.postgres import PostgresDatabase
from tests.support.threads import count, days_ago, plant
from tests.support.waiting import PATIENCE_SECONDS, wait_for

PATHS = {
    Phase.PENDING: (),
    Phase.CREATING: ("Creating",),
    Phase.RUNNING: ("Creating", "Running"),
    Phase.WAITING_FOR_INPUT: ("Creating", "Running", "WaitingForInput"),
    Phase.IDLE: ("Creating", "Running", "Idle"),
    Phase.SUSPENDED: ("Suspended",),
    Phase.COMPLETED: ("Creating", "Running", "Completed"),
    Phase.FAILED: ("Creating", "Running", "Failed"),
    Phase.STOPPED: ("Stopped",),
}


@dataclass
class Bench:
    """A namespace, a database, and what an operator knows of both."""

    space: Space
    database: PostgresDatabase
    store: Database
    registry: Index
    announcer: EventRecorder
    retention: Retention

    def session(self, name: str, phase: Phase = Phase.COMPLETED, *, workflow: str = "report", **planted: Any) -> str:
        """Make a session as a resource in ``phase`` and as a row with a thread; return the thread."""
        self.space.start(name, workflow)
        for step in ("Pending", *PATHS[phase]):
            ends = {"completionTime": "2026-01-01T00:00:00Z"} if Phase(step).is_final else {}
            self.space.report(name, phase=step, **ends)
        raw = self.space.session(name)
        self.registry.see_session(raw)
        uid = raw["metadata"]["uid"]
        return plant(self.database, name, project=self.space.name, uid=uid, workflow=workflow, **planted)

    def annotate(self, **days: str) -> None:
        annotations = {f"agentic-operator.dev/checkpoint-{name}-days": value for name, value in days.items()}
        path = f"/api/v1/namespaces/{self.space.name}"
        self.space.plane.request("PATCH", path, {"metadata": {"annotations": annotations}})


@contextlib.asynccontextmanager
async def a_bench(space: Space, database: PostgresDatabase, **options: Any) -> AsyncIterator[Bench]:
    """Retention with the rights of the operator's service account and of its database role."""
    registry = Index(lambda _: None, lambda _: None)
    name = f"{database.name}_operator"
    database.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x' IN ROLE agentic_operator")
    try:
        dsn = Dsn.parse(database.server.dsn(database.name, user=name, password="x"))
        connection = read_kubeconfig(space.plane.kubeconfig_for_service_account(SYSTEM, "agentic-operator"))
        async with open_kube(connection) as kube, open_database(dsn, application_name="operator") as store:
            announcer = EventRecorder(kube, "test", SYSTEM, now=kube.clock.now)
            posting = asyncio.create_task(announcer.run())
            keep = options.pop("keep", Keep(30))
            retention = Retention(
                store.retention, kube, registry, announcer, (), keep, **{"clock": kube.clock.now, **options}
            )
            yield Bench(space, database, store, registry, announcer, retention)
            posting.cancel()
            await asyncio.gather(posting, return_exceptions=True)
    finally:
        database.execute(f"DROP OWNED BY {name}")
        database.execute(f"DROP ROLE {name}")


@pytest.fixture
async def bench(space: Space, database: PostgresDatabase) -> AsyncIterator[Bench]:
    async with a_bench(space, database) as bench:
        yield bench


async def test_thirty_one_days_go_and_twenty_nine_stay_with_an_event_and_figures(bench: Bench) -> None:
    old, young = bench.session("old", ended=days_ago(31)), bench.session("young", ended=days_ago(29))
    failed = bench.session("failed", Phase.FAILED, ended=days_ago(31), status=Phase.FAILED)
    stopped = bench.session("stopped", Phase.STOPPED, ended=days_ago(31), status=Phase.STOPPED)
    await bench.retention.run_once()
    assert [count(bench.database, thread) for thread in (old, failed, stopped, young)] == [(0, 0, 0)] * 3 + [(3, 3, 3)]
    progress = bench.retention.progress
    assert (progress.threads["removed"], progress.rounds, progress.failures) == (3, 1, 0)
    assert progress.gone.rows == {"checkpoints": 9, "writes": 9, "blobs": 9, "events": 3}
    assert progress.gone.bytes > 0
    seen = await asyncio.to_thread(wait_for, bench.space.events, bool, what="the event", every=0.05)
    assert seen[0][0] == "CheckpointsRemoved"
    assert seen[0][1].startswith(
        "removed the checkpoints and events of 3 sessions that were idle for more than 30 days"
    )
    # What is done is not looked at again.
    assert await bench.store.retention.list_projects() == [bench.space.name]
    await bench.retention.run_once()
    assert bench.retention.progress.threads["removed"] == 3


@pytest.mark.parametrize("phase", [phase for phase in Phase if not phase.is_final])
async def test_a_living_session_is_kept_even_where_its_row_says_that_it_ended_long_ago(
    bench: Bench, phase: Phase
) -> None:
    thread = bench.session("s", phase, ended=days_ago(3000))
    await bench.retention.run_once()
    assert count(bench.database, thread) == (3, 3, 3)


@pytest.mark.parametrize("phase", [phase for phase in Phase if not phase.is_final])
async def test_a_living_row_is_kept_even_where_its_resource_says_that_it_ended(bench: Bench, phase: Phase) -> None:
    thread = bench.session("s", ended=None, status=phase, ts="2020-01-01T00:00:00+00:00")
    await bench.retention.run_once()
    assert count(bench.database, thread) == (3, 3, 3)


async def test_a_session_that_the_operator_does_not_know_is_kept(bench: Bench) -> None:
    thread = bench.session("s", ended=days_ago(31))
    bench.registry.forget_session(bench.registry.keys()[0])
    await bench.retention.run_once()
    assert count(bench.database, thread) == (3, 3, 3)


async def test_clocks_of_runners_that_were_wrong_by_hours_and_years_remove_nothing_early(bench: Bench) -> None:
    slow = bench.session("slow", ended=days_ago(29), ts="1970-01-01T00:00:00+00:00", id_time=days_ago(900))
    fast = bench.session("fast", ended=days_ago(31), ts="2199-01-01T00:00:00+00:00", id_time=days_ago(-9000))
    nonsense = bench.session("nonsense", ended=days_ago(31), ts="'; DROP TABLE checkpoints; --")
    await bench.retention.run_once()
    assert [count(bench.database, thread) for thread in (slow, fast, nonsense)] == [(3, 3, 3), (0, 0, 0), (0, 0, 0)]


@pytest.mark.parametrize("hours", [2, -2, 24 * 400])
async def test_while_the_clocks_of_operator_and_database_disagree_nothing_is_removed(
    space: Space, database: PostgresDatabase, hours: float, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_bench(space, database, clock=lambda: datetime.now(UTC) + timedelta(hours=hours)) as bench:
        thread = bench.session("s", ended=days_ago(31))
        await bench.retention.run_once()
        assert count(database, thread) == (3, 3, 3)
    assert "correct the wrong one" in caplog.text
    assert bench.retention.progress.failures == 1


async def test_a_namespace_keeps_for_longer_for_shorter_or_for_ever(bench: Bench) -> None:
    month, week = bench.session("month", ended=days_ago(31)), bench.session("week", ended=days_ago(8))
    bench.annotate(retention="0")
    await bench.retention.run_once()
    assert (count(bench.database, month), count(bench.database, week)) == ((3, 3, 3), (3, 3, 3))
    bench.annotate(retention="seven")
    await bench.retention.run_once()
    assert (count(bench.database, month), count(bench.database, week)) == ((3, 3, 3), (3, 3, 3))
    seen = await asyncio.to_thread(wait_for, bench.space.events, bool, what="the event", every=0.05)
    assert seen[0][0] == "InvalidRetention"
    assert "write a number of days" in seen[0][1]
    bench.annotate(retention="7")
    await bench.retention.run_once()
    assert (count(bench.database, month), count(bench.database, week)) == ((0, 0, 0), (0, 0, 0))


async def test_where_everything_is_kept_for_ever_a_namespace_may_still_say_otherwise(
    space: Space, database: PostgresDatabase
) -> None:
    async with a_bench(space, database, keep=Keep(0)) as bench:
        thread = bench.session("s", ended=days_ago(31))
        await bench.retention.run_once()
        assert count(database, thread) == (3, 3, 3)
        bench.annotate(retention="30")
        await bench.retention.run_once()
        assert count(database, thread) == (0, 0, 0)


async def test_finished_threads_are_pruned_where_a_namespace_wants_it_and_removed_later(bench: Bench) -> None:
    thread = bench.session("s", ended=days_ago(8))
    bench.annotate(prune="7")
    await bench.retention.run_once()
    assert count(bench.database, thread) == (1, 1, 1)
    assert bench.retention.progress.threads == {"pruned": 1}
    bench.annotate(retention="7")
    await bench.retention.run_once()
    assert count(bench.database, thread) == (0, 0, 0)


@pytest.mark.parametrize(("strategy", "left"), [("delete", (0, 0, 0)), ("keep_latest", (1, 1, 1))])
async def test_a_projects_own_ttl_acts_on_its_finished_sessions_and_on_no_others(
    bench: Bench, strategy: str, left: tuple[int, ...]
) -> None:
    hours = {"strategy": strategy, "seconds": 7200}
    made = bench.space.define("w", status={"project": {"checkpointTtl": hours}})
    key = DefinitionKey("WorkflowDefinition", bench.space.name, "w")
    bench.registry.see_definition(key, parse_definition(key, made))

    old = bench.session("old", workflow="w", ended=days_ago(0.1))
    young = bench.session("young", workflow="w", ended=days_ago(0.05))
    waits = bench.session("waits", Phase.WAITING_FOR_INPUT, workflow="w", ended=days_ago(0.1))
    other = bench.session("other", ended=days_ago(0.1))
    await bench.retention.run_once()
    assert count(bench.database, old) == left
    assert [count(bench.database, thread) for thread in (young, waits, other)] == [(3, 3, 3)] * 3
    # The operator's own days are over all.
    longer = bench.session("longer", workflow="w", ended=days_ago(31))
    await bench.retention.run_once()
    assert count(bench.database, longer) == (0, 0, 0)


async def test_threads_without_an_owner_go_and_those_of_others_stay(bench: Bench) -> None:
    gone = plant(bench.database, "gone", ended=days_ago(31), has_row=False, has_fence=False)
    young = plant(bench.database, "young", ended=days_ago(2), has_row=False, has_fence=False)
    running = plant(bench.database, "running", ended=None, status=Phase.RUNNING, has_fence=False, ts="2020-01-01")
    foreign = plant(bench.database, "foreign", ended=days_ago(31), has_row=False, has_fence=False)
    for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes"):
        bench.database.execute(f"UPDATE {table} SET thread_id = 'chat-7' WHERE thread_id = %s", [foreign])
    await bench.retention.run_once()
    threads = (gone, young, running, "chat-7")
    assert [count(bench.database, thread)[0] for thread in threads] == [0, 3, 3, 3]
    assert bench.retention.progress.threads == {"ownerless": 1}


async def test_what_keeps_from_looking_for_ownerless_threads_keeps_from_nothing_else(bench: Bench) -> None:
    old = bench.session("old", ended=days_ago(31))
    ownerless = plant(bench.database, "ownerless", ended=days_ago(31), has_row=False, has_fence=False)
    with psycopg.connect(bench.database.dsn) as holder:
        holder.execute("LOCK TABLE checkpoint_blobs IN ACCESS EXCLUSIVE MODE")
        going = asyncio.create_task(bench.retention.run_once())
        while not bench.retention.progress.failures:  # noqa: ASYNC110  (it counts, and tells nobody)
            await asyncio.sleep(0.02)
    await going
    assert (count(bench.database, old), count(bench.database, ownerless)) == ((0, 0, 0), (3, 3, 3))
    await bench.retention.run_once()
    assert count(bench.database, ownerless) == (0, 0, 0)


async def test_a_lock_of_somebody_else_costs_only_its_own_sessions(space: Space, database: PostgresDatabase) -> None:
    async with a_bench(space, database) as bench:
        locked = bench.session("locked", ended=days_ago(40))
        for number in range(module.SESSIONS):
            plant(database, f"filler{number}", ended=days_ago(39), project=space.name)
        free = bench.session("free", ended=days_ago(31))
        with psycopg.connect(database.dsn) as holder:
            holder.execute("SELECT 1 FROM thread_fences WHERE thread_id = %s FOR UPDATE", [locked])
            await bench.retention.run_once()
            assert (count(database, locked)[0], count(database, free)[0]) == (3, 0)
        assert bench.retention.progress.failures == 1
        await bench.retention.run_once()
        assert count(database, locked) == (0, 0, 0)


async def test_what_the_database_refuses_for_a_project_is_left_to_the_next_round(bench: Bench) -> None:
    thread = bench.session("s", ended=days_ago(31))
    bench.database.execute("REVOKE DELETE ON checkpoints, checkpoint_blobs, checkpoint_writes FROM agentic_operator")
    await bench.retention.run_once()
    assert bench.retention.progress.failures == 1
    assert count(bench.database, thread) == (3, 3, 3)
    bench.database.execute("GRANT DELETE ON checkpoints, checkpoint_blobs, checkpoint_writes TO agentic_operator")
    await bench.retention.run_once()
    assert count(bench.database, thread) == (0, 0, 0)


async def test_cancelled_at_any_step_it_leaves_nothing_that_the_next_round_does_not_find(
    space: Space, database: PostgresDatabase
) -> None:
    async with a_bench(space, database, rows=7) as bench:
        threads = [bench.session(name, ended=days_ago(31), steps=20) for name in ("a", "b")]
        for _ in range(20):
            before = bench.retention.progress.gone.total
            going = asyncio.create_task(bench.retention.run_once())
            while bench.retention.progress.gone.total == before and not going.done():  # noqa: ASYNC110  (steps)
                await asyncio.sleep(0)
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)
            if going.done() and not going.cancelled():
                break
        assert not bench.retention.progress.is_running
        await bench.retention.run_once()
        assert [count(database, thread) for thread in threads] == [(0, 0, 0), (0, 0, 0)]
        assert database.execute("SELECT count(*) FROM thread_fences") == [(0,)]
        assert database.execute("SELECT count(*) FROM session_events") == [(0,)]


@pytest.mark.parametrize(("days", "kept"), [("1", ()), ("30", ("young",)), ("0", ("young", "old"))])
def test_the_operators_process_keeps_checkpoints_for_as_long_as_its_variable_says(
    space: Space, database: PostgresDatabase, days: str, kept: tuple[str, ...]
) -> None:
    registry = Index(lambda _: None, lambda _: None)
    bench = Bench(space, database, None, registry, None, None)  # type: ignore[arg-type]  # only its resources are used
    threads = {name: bench.session(name, ended=days_ago(age)) for name, age in (("young", 29), ("old", 31))}
    dsn, port = space.folder / "dsn", find_free_ports(1)[0]
    dsn.write_text(database.dsn)
    space.operator(POSTGRES_CONNECTION_STRING_FILE=str(dsn), LIVENESS_PORT=str(port), CHECKPOINT_RETENTION_DAYS=days)

    def scrape() -> str:
        try:
            with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_SECONDS) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    ended = "agentic_retention_rounds_total 1.0"
    wait_for(scrape, lambda text: ended in text, what="the end of the round")
    left = {name for name, thread in threads.items() if count(database, thread) != (0, 0, 0)}
    assert left == set(kept)


def test_the_operators_process_removes_serves_metrics_ends_on_sigterm_and_goes_on_after_a_kill(
    space: Space, database: PostgresDatabase
) -> None:
    registry = Index(lambda _: None, lambda _: None)
    bench = Bench(space, database, None, registry, None, None)  # type: ignore[arg-type]  # only its resources are used
    threads = [bench.session(f"s{number}", ended=days_ago(31), steps=4000) for number in range(5)]
    database.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END $$"
    )
    database.execute("CREATE TRIGGER slow AFTER DELETE ON checkpoints EXECUTE FUNCTION slow()")
    dsn, port = space.folder / "dsn", find_free_ports(1)[0]
    dsn.write_text(database.dsn)
    operator = space.operator(POSTGRES_CONNECTION_STRING_FILE=str(dsn), LIVENESS_PORT=str(port))

    def left() -> int:
        return sum(count(database, thread)[0] for thread in threads)

    for number in (signal.SIGTERM, signal.SIGKILL):
        wait_for(left, left().__gt__, what="work", every=0.02)
        assert operator.end(number) in (0, -signal.SIGKILL)
        assert left() > 0
        operator.start()
    database.execute("DROP TRIGGER slow ON checkpoints")
    wait_for(left, lambda rows: rows == 0, what="all removed")
    assert {count(database, thread) for thread in threads} == {(0, 0, 0)}

    def scrape() -> str:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_SECONDS) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            text: str = answer.read().decode()
            return text

    text = wait_for(scrape, lambda text: "agentic_retention_rounds_total 1.0" in text, what="the end of the round")
    assert 'agentic_sessions{phase="Completed"} 5.0' in text
    assert "agentic_database_up 1.0" in text
    assert 'agentic_database_table_bytes{table="checkpoints"}' in text
    assert 'agentic_api_requests_total{code="200",method="GET"}' in text
    assert "agentic_leader 1.0" in text
    assert space.name not in text
    assert operator.end(signal.SIGTERM) == 0
