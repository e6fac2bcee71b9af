"""What retention costs beside plain batched DELETEs of the same rows, and how much a session beside it notices.

``python -m bench.retention [--checkpoints 1000000] [--rounds 3]`` fills a database on a PostgreSQL server with durable
commits: ended sessions of 50 checkpoints, with a blob and a write each. Every round both remove all of it, each from a
fresh copy, and the medians of the rounds are compared: such a machine's disk and processors are not the same twice.
The floor deletes a batch of threads a statement, from one table after the other, without a pause or a look at anything.
The operator's round does what it does in production, pauses included. A graph runs super-step after super-step in a
process of its own, alone and then beside each; its p99 then is compared with its p99 alone. Its nodes do nothing: the
worst that there is, for all that is measured is saving. With ``--node 20`` each waits for 20 ms first, as for a model.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypedDict, cast

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph

from agentic_operator.cache.index import Index
from agentic_operator.database.retention import Retention
from agentic_operator.database.retention_policy import Keep
from agentic_operator.kube.client import Kube
from agentic_runner.checkpoints.factory import build_saver
from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
from tests.support.postgres_server import PostgresServer, start_server

STEPS = 50
BATCH = 20
PROJECT = "bench"
SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "shared_buffers": "256MB",
    # The log's files are there already, as on a server that has run for a while: making one costs more than using it.
    "min_wal_size": "6GB",
    "max_wal_size": "8GB",
    "autovacuum": "on",
    "checkpoint_timeout": "1h",
}

FILL = """
INSERT INTO workflow_sessions (
    session_uid, project_name, session_name, workflow_name, status, thread_id, run, created_at, updated_at, completed_at
)
SELECT 'uid-' || n, 'bench', 's' || n, 'w', 'completed', 'project-bench:session-s' || n, 1, at, at, at
FROM (SELECT n, now() - make_interval(days => 60, secs => n) AS at FROM generate_series(1, %(sessions)s) AS n) AS made;

INSERT INTO thread_fences (thread_id, session_uid, epoch, run, holder)
SELECT 'project-bench:session-s' || n, 'uid-' || n, n, 1, 'pod' FROM generate_series(1, %(sessions)s) AS n;

INSERT INTO session_events (session_uid, seq, run, type)
SELECT 'uid-' || n, e, 1, 'progress' FROM generate_series(1, %(sessions)s) AS n, generate_series(1, 5) AS e;

CREATE TEMPORARY TABLE made AS
SELECT n, step, 'project-bench:session-s' || n AS thread,
    '1f0a0000-0000-6000-8000-' || lpad(step::text, 12, '0') AS id,
    '1f0a0000-0000-6000-8000-' || lpad(nullif(step - 1, 0)::text, 12, '0') AS parent
FROM generate_series(1, %(sessions)s) AS n, generate_series(1, %(steps)s) AS step;

INSERT INTO checkpoints (thread_id, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
SELECT thread, id, parent,
    jsonb_build_object(
        'v', 4, 'ts', '2025-01-01T00:00:00+00:00', 'versions_seen', '{}'::jsonb,
        'channel_values', jsonb_build_object('text', repeat(md5((n * step)::text), 16)),
        'channel_versions', jsonb_build_object('big', step::text)
    ),
    jsonb_build_object('step', step, 'source', 'loop')
FROM made;

INSERT INTO checkpoint_blobs (thread_id, channel, version, type, blob)
SELECT thread, 'big', step::text, 'msgpack', decode(repeat(md5((n + step)::text), 64), 'hex') FROM made;

INSERT INTO checkpoint_writes (thread_id, checkpoint_id, task_id, idx, channel, type, blob)
SELECT thread, id, 'task', 0, 'big', 'msgpack', '\\x00' FROM made;
"""


class State(TypedDict, total=False):
    """A small state."""

    count: int


async def run_steps(dsn: str, node: float) -> None:
    """Run super-steps for ever, each with a node of so many seconds, and print the milliseconds of each."""
    times: list[float] = []

    async def step(state: State) -> State:
        times.append(time.perf_counter())
        if len(times) > 1:
            print(f"{time.time():.6f} {(times[-1] - times[-2]) * 1000:.3f}", flush=True)
        if node:
            await asyncio.sleep(node)
        return {"count": state["count"] + 1}

    graph = StateGraph(State)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_edge("step", "step")
    async with open_database(Dsn.parse(dsn), application_name="session") as database:
        fence = await database.fences.take("project-bench:session-live", "live", 1, "pod")
        await database.carry(fence)
        compiled = graph.compile(checkpointer=build_saver(database))
        config: RunnableConfig = {"configurable": {"thread_id": fence.thread_id}, "recursion_limit": 10_000_000}
        await compiled.ainvoke({"count": 0}, config, durability="sync")


@dataclass
class Session:
    """The running session beside the deletes."""

    lines: list[tuple[float, float]]

    def p99(self, began: float, ended: float) -> float:
        """Return the p99 of the steps that ended in between, in milliseconds."""
        found = sorted(duration for at, duration in self.lines if began <= at <= ended)
        if len(found) < 100:
            raise RuntimeError(f"only {len(found)} super-steps were measured: raise --checkpoints")
        return found[int(len(found) * 0.99)]


@asynccontextmanager
async def a_session(dsn: str, node: int) -> AsyncIterator[Session]:
    command = (sys.executable, "-m", "bench.retention", "--steps-of", dsn, "--node", str(node))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    session = Session([])

    async def read() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            at, duration = line.split()
            session.lines.append((float(at), float(duration)))

    reading = asyncio.create_task(read())
    try:
        async with asyncio.timeout(60):
            while len(session.lines) < 200:  # noqa: ASYNC110  (warmth)
                await asyncio.sleep(0.05)
        yield session
    finally:
        process.kill()
        await process.wait()
        await reading


class NoCluster:
    """The one namespace, without an API server."""

    async def list_pages(self, *_: Any) -> AsyncIterator[list[dict[str, Any]]]:
        yield [{"metadata": {"name": PROJECT}}]

    def announce_about(self, *_: Any) -> None:
        pass


def fill_registry(sessions: int) -> Index:
    registry = Index(lambda _: None, lambda _: None)
    for number in range(1, sessions + 1):
        meta = {"namespace": PROJECT, "name": f"s{number}", "uid": f"uid-{number}", "resourceVersion": "1"}
        registry.see_session({"metadata": meta, "status": {"phase": "Completed"}})
    return registry


def read_memory() -> float:
    """Return the resident memory of this process in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


async def delete_plainly(dsn: str, sessions: int) -> None:
    """Delete a batch of threads a statement: the floor."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        for first in range(1, sessions + 1, BATCH):
            numbers = range(first, min(first + BATCH, sessions + 1))
            threads = [f"project-bench:session-s{number}" for number in numbers]
            async with conn.transaction():
                for table in ("checkpoints", "checkpoint_writes", "checkpoint_blobs"):
                    await conn.execute(f"DELETE FROM {table} WHERE thread_id = ANY(%s)".encode(), [threads])
                uids = [f"uid-{number}" for number in numbers]
                await conn.execute("DELETE FROM session_events WHERE session_uid = ANY(%s)", [uids])


async def retain(dsn: str, registry: Index, memory: list[float]) -> float:
    """Do the operator's round; return the seconds that it was at work, without its pauses."""
    async with open_database(Dsn.parse(dsn), application_name="agentic-operator") as database:
        cluster = NoCluster()
        retention = Retention(
            database.retention, cast("Kube", cluster), registry, cluster, (), Keep(30), clock=lambda: datetime.now(UTC)
        )

        async def watch() -> None:
            while True:
                memory.append(read_memory())
                await asyncio.sleep(0.2)

        watching = asyncio.create_task(watch())
        await retention.run_once()
        watching.cancel()
        return retention.progress.busy_seconds


@dataclass(frozen=True)
class Removal:
    """One way to remove everything, once: its seconds, and the p99 of a super-step in ms, beside it and alone."""

    seconds: float
    at_work: float
    p99: float
    idle: float


async def time_removal(dsn: str, remove: Callable[[str], Awaitable[float | None]], node: int) -> Removal:
    async with a_session(dsn, node) as session:
        idle_from = time.time()
        await asyncio.sleep(8)
        began = time.time()
        at_work = await remove(dsn)
        ended = time.time()
        seconds = ended - began
        return Removal(seconds, at_work or seconds, session.p99(began, ended), session.p99(idle_from, began))


def make_template(server: PostgresServer, sessions: int) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as conn:
        conn.execute("CREATE DATABASE filled")
    asyncio.run(migrate.up(Dsn.parse(server.dsn("filled"))))
    with psycopg.connect(server.dsn("filled"), autocommit=True) as conn:
        # Without triggers and foreign keys: what is made here follows the rules.
        conn.execute("SET session_replication_role = replica")
        for statement in FILL.split(";\n"):
            if statement.strip():
                conn.execute(statement.encode(), {"sessions": sessions, "steps": STEPS}, prepare=False)
        conn.execute("VACUUM ANALYZE")


@contextmanager
def copied(server: PostgresServer) -> Iterator[str]:
    """Yield the string of a copy that is taken away again: its vacuum would run beside the next."""
    with psycopg.connect(server.dsn(), autocommit=True) as conn:
        # From PostgreSQL 15 on a copy goes through the log, unless it is told otherwise.
        strategy = b" STRATEGY FILE_COPY" if conn.info.server_version >= 150_000 else b""
        conn.execute(b"CREATE DATABASE work TEMPLATE filled" + strategy)
        conn.execute("CHECKPOINT")
    server.restart()
    yield server.dsn("work")
    with psycopg.connect(server.dsn(), autocommit=True) as conn:
        conn.execute("DROP DATABASE work")


def check_empty(dsn: str) -> None:
    with psycopg.connect(dsn) as conn:
        left = conn.execute(
            "SELECT count(*) FROM checkpoints WHERE thread_id <> 'project-bench:session-live'"
        ).fetchone()
        assert left == (0,), "not everything was removed"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.retention", description=__doc__)
    parser.add_argument("--checkpoints", type=int, default=100_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--node", type=int, default=0, metavar="MS")
    parser.add_argument("--steps-of", metavar="DSN", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.steps_of:
        asyncio.run(run_steps(arguments.steps_of, arguments.node / 1000))
        return
    sessions = arguments.checkpoints // STEPS
    floors, ours, memory = list[Removal](), list[Removal](), list[float]()
    plain = partial(delete_plainly, sessions=sessions)
    retention = partial(retain, registry=fill_registry(sessions), memory=memory)
    with start_server(**SETTINGS) as server:
        make_template(server, sessions)
        for number in range(1, arguments.rounds + 1):
            for name, remove, found in (("plain batched DELETEs", plain, floors), ("retention", retention, ours)):
                with copied(server) as dsn:
                    found.append(asyncio.run(time_removal(dsn, remove, arguments.node)))
                    check_empty(dsn)
                print(f"round {number}: {name} {found[-1].seconds:.1f} s", file=sys.stderr)
    print_result(sessions, floors, ours, memory)


def print_result(sessions: int, floors: list[Removal], ours: list[Removal], memory: list[float]) -> None:
    rows = sessions * (3 * STEPS + 5)
    floor = median(found.seconds for found in floors)
    print(f"{sessions * STEPS:,} checkpoints of {sessions:,} sessions, {rows:,} rows; median of {len(ours)} rounds")
    for name, taken in (
        ("plain batched DELETEs", [found.seconds for found in floors]),
        ("retention, with its pauses", [found.seconds for found in ours]),
        ("retention, at work", [found.at_work for found in ours]),
    ):
        seconds = median(taken)
        print(
            f"{name:28}{seconds:8.1f} s   {rows / seconds:10,.0f} rows a second   {seconds / floor:5.2f}x"
            f"   ({min(taken):.1f} to {max(taken):.1f} s)"
        )
    idle = median(found.idle for found in (*floors, *ours))
    for name, p99s in (
        ("alone", [found.idle for found in (*floors, *ours)]),
        ("beside plain DELETEs", [found.p99 for found in floors]),
        ("beside retention", [found.p99 for found in ours]),
    ):
        print(
            f"p99 of a super-step {name:21}{median(p99s):6.2f} ms   {median(p99s) / idle:5.2f}x"
            f"   ({min(p99s):.2f} to {max(p99s):.2f} ms)"
        )
    tenth = memory[len(memory) // 10]
    print(f"memory {tenth:.1f} MiB after a tenth, {max(memory):.1f} MiB at most")
    ratio = median(found.seconds for found in ours) / floor
    p99_ratio = median(found.p99 for found in ours) / idle
    print(json.dumps({"ratio": round(ratio, 3), "p99_ratio": round(p99_ratio, 3)}))


if __name__ == "__main__":
    main()
