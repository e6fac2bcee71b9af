"""How long a runner takes from its start to its first durable step, and from its last checkpoint to a visible end.

The floor is what every LangGraph process on PostgreSQL pays: importing ``StateGraph`` and ``AsyncPostgresSaver``. Both
are timed in turn on one machine, so that the ratio means something while the figures do not. "Durable" is the commit
timestamp that PostgreSQL itself gives to the checkpoint of the first node; "visible" is when another client reads it.

    python -m bench.runner_start [--pairs 10]
"""

import argparse
import asyncio
import json
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentic_core.names import RUNNER_SERVICE_ACCOUNT
from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
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


def cpu_of_children() -> float:
    """Return the CPU seconds of all ended processes of ours."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def time_floor() -> tuple[float, float]:
    """Return the seconds that the floor takes, on the clock and of CPU."""
    started, used = time.time(), cpu_of_children()
    subprocess.run([sys.executable, "-c", FLOOR], check=True)
    return time.time() - started, cpu_of_children() - used


def committed_at(bench: RunnerBench, session: Session, step: int) -> float:
    """Return when the checkpoint of a step became durable."""
    ((at,),) = bench.database.execute(_COMMITTED, [session.thread_id, step])
    return float(at)


@dataclass(frozen=True)
class Timed:
    """One run's seconds: to the first durable node, from the last checkpoint to the visible end, and of CPU."""

    start: float
    visible: float
    cpu: float


def time_runner(bench: RunnerBench) -> Timed:
    """Time one run. Its end is watched, not asked for: asking would compete with it for the machine."""
    session = bench.session(TWO_NODES, {"x": 1})
    used = cpu_of_children()
    with watch(bench.plane, session) as events:
        started = time.time()
        runner = session.start()
        for event in events:
            if event["object"]["status"].get("phase") == "Completed":
                break
        visible = time.time()
    if runner.wait():
        raise SystemExit(runner.output)
    cpu = cpu_of_children() - used
    return Timed(committed_at(bench, session, 1) - started, visible - committed_at(bench, session, 2), cpu)


@contextmanager
def watch(plane: ControlPlane, session: Session) -> Iterator[Iterator[dict[str, Any]]]:
    """Open a watch on one session, as another client would."""
    context = ssl.create_default_context(cafile=str(plane.ca_file))
    context.load_cert_chain(plane.admin.certificate, plane.admin.key)
    path = f"{session.path.rpartition('/')[0]}?watch=1&fieldSelector=metadata.name%3D{session.name}"
    with urllib.request.urlopen(plane.server + path, context=context, timeout=120) as answer:  # noqa: S310  (ours)
        yield (json.loads(line) for line in answer)


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
        floors: list[tuple[float, float]] = []
        runs: list[Timed] = []
        for pair in range(pairs):
            # In turn, and each first as often as the other: a machine gets slower and faster as it likes.
            if pair % 2:
                runs.append(time_runner(bench))
                floors.append(time_floor())
            else:
                floors.append(time_floor())
                runs.append(time_runner(bench))
    ratio = statistics.median(run.start / floor[0] for run, floor in zip(runs, floors, strict=True))
    cpu_ratio = statistics.median(run.cpu for run in runs) / statistics.median(floor[1] for floor in floors)
    visible = [1000 * run.visible for run in runs]
    starts, clocks = [1000 * run.start for run in runs], [1000 * floor[0] for floor in floors]
    rows = [
        ("import floor", statistics.median(clocks), "ms", f"min {min(clocks):.0f}"),
        ("start to first durable step", statistics.median(starts), "ms", f"min {min(starts):.0f}"),
        ("ratio, median of pairs", ratio, "", f"target {TARGET_START}"),
        ("ratio, fastest of each", min(starts) / min(clocks), "", f"target {TARGET_START}"),
        ("ratio of CPU, whole process", cpu_ratio, "", ""),
        ("last checkpoint to visible end", statistics.median(visible), "ms", f"max {max(visible):.0f}, target 100"),
    ]
    for what, value, unit, remark in rows:
        print(f"{what:32} {value:9.{1 if unit else 2}f} {unit:3} {remark}")
    return 0 if ratio <= TARGET_START and statistics.median(visible) <= TARGET_VISIBLE_MS else 1


if __name__ == "__main__":
    sys.exit(main())
