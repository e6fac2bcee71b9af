"""How long a runner takes from its start to its first durable step, and from its last checkpoint to a visible end.

The floor is what every LangGraph process on PostgreSQL pays: importing ``StateGraph`` and ``AsyncPostgresSaver``. Both
are timed in turn on one machine, so that the ratio means something while the figures do not. "Durable" is the commit
timestamp that PostgreSQL itself gives to the checkpoint of the first node; "visible" is when another client reads it.

    python -m bench.runner_start [--pairs 10]
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from agentic_core.names import RUNNER_SERVICE_ACCOUNT
from agentic_store import migrate
from agentic_store.dsn import Dsn
from hack.cluster.controlplane import ControlPlane
from tests.support.flows import TWO_NODES
from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import start_server
from tests.support.runner import NAMESPACE, RunnerBench, Session, prepare_plane

FLOOR = "from langgraph.graph import StateGraph; from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver"
TARGET_START = 0.9
TARGET_VISIBLE_MS = 100.0

_COMMITTED = """
SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM checkpoints
WHERE thread_id = %s AND checkpoint_ns = '' AND (metadata->>'step')::int = %s
"""


def time_floor() -> float:
    """Return the seconds that the floor takes."""
    started = time.time()
    subprocess.run([sys.executable, "-c", FLOOR], check=True)
    return time.time() - started


def committed_at(bench: RunnerBench, session: Session, step: int) -> float:
    """Return when the checkpoint of a step became durable."""
    ((at,),) = bench.database.execute(_COMMITTED, [session.thread_id, step])
    return float(at)


def time_runner(bench: RunnerBench) -> tuple[float, float]:
    """Return the seconds to the first durable node, and from the last checkpoint to the visible end."""
    session = bench.session(TWO_NODES, {"x": 1})
    started = time.time()
    runner = session.start()
    while runner.process.poll() is None:
        if bench.database.execute(_COMMITTED, [session.thread_id, 0]):
            break
        time.sleep(0.02)
    while session.status["phase"] != "Completed":
        if runner.process.poll():
            raise SystemExit(runner.output)
    visible = time.time()
    runner.wait()
    return committed_at(bench, session, 1) - started, visible - committed_at(bench, session, 2)


def main() -> int:
    """Print the figures; return 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    pairs: int = parser.parse_args().pairs
    with (
        tempfile.TemporaryDirectory() as name,
        start_server(track_commit_timestamp="on") as server,
        ControlPlane(Path(name) / "plane") as plane,
    ):
        asyncio.run(migrate.up(Dsn.parse(server.dsn("postgres"))))
        prepare_plane(plane)
        folder = Path(name)
        (folder / "token").write_text(plane.service_account_token(NAMESPACE, RUNNER_SERVICE_ACCOUNT))
        (folder / "dsn").write_text(server.dsn("postgres"))
        database = PostgresDatabase(server, "postgres")
        bench = RunnerBench(plane, database, folder, folder / "token", folder / "dsn")
        time_floor()
        time_runner(bench)
        floors: list[float] = []
        runs: list[tuple[float, float]] = []
        for pair in range(pairs):
            # In turn, and each first as often as the other: a machine gets slower and faster as it likes.
            if pair % 2:
                runs.append(time_runner(bench))
                floors.append(time_floor())
            else:
                floors.append(time_floor())
                runs.append(time_runner(bench))
    ratio = statistics.median(run[0] / floor for run, floor in zip(runs, floors, strict=True))
    visible_ms = 1000 * statistics.median(run[1] for run in runs)
    worst_ms = 1000 * max(run[1] for run in runs)
    starts = [run[0] for run in runs]
    rows = [
        ("import floor", 1000 * statistics.median(floors), f"min {1000 * min(floors):.0f}", "ms"),
        ("start to first durable step", 1000 * statistics.median(starts), f"min {1000 * min(starts):.0f}", "ms"),
        ("ratio, median of pairs", ratio, f"target {TARGET_START}", ""),
        ("ratio, fastest of each", min(starts) / min(floors), f"target {TARGET_START}", ""),
        ("last checkpoint to visible end", visible_ms, f"max {worst_ms:.0f}, target {TARGET_VISIBLE_MS:.0f}", "ms"),
    ]
    for what, value, remark, unit in rows:
        print(f"{what:32} {value:9.{1 if unit else 2}f} {unit:3} {remark}")
    return 0 if ratio <= TARGET_START and visible_ms <= TARGET_VISIBLE_MS else 1


if __name__ == "__main__":
    sys.exit(main())
