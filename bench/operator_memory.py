"""The operator's memory in an environment that holds its own lock and nothing else.

``python -m bench.operator_memory`` makes that environment below ``.venv`` (a minute, once) and runs the operator in it,
with a real API server and PostgreSQL: without a session, then started anew over ``--sessions`` settled ones.
``--beside kubernetes-asyncio`` adds packages to a second environment, to see what their mere presence costs: Kopf
imports the Kubernetes clients that it finds. The figures are of resident memory, which a busy
machine does not change.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench._environment import make_operator_environment
from bench.operator_latency import Bench, opened, started
from hack.cluster.endpoints import find_free_ports
from tests.support.postgres import migrated_server

READY_SECONDS = 180
FILL_SECONDS = 600
SETTLE_SECONDS = 10
KIBIBYTES = 1024


@dataclass(frozen=True)
class Memory:
    """What a process and its children hold, in MiB."""

    resident: float
    """Of the operator's process: its RSS, as `ps` shows it."""
    proportional: float
    """Of the operator's process: its PSS, pages that it shares counted in part."""
    unique: float
    """Of the process and its children together: pages that nobody else has."""

    def __str__(self) -> str:
        return (
            f"RSS {self.resident:6.1f} MiB, PSS {self.proportional:6.1f} MiB, "
            f"with its children's own pages {self.unique:6.1f} MiB"
        )


def read_memory(pid: int) -> Memory:
    """Read what the kernel counts."""
    family = [pid, *_find_children(pid)]
    counted = [_read_rollup(each) for each in family]
    unique = sum(each["Private_Clean"] + each["Private_Dirty"] for each in counted)
    return Memory(counted[0]["Rss"], counted[0]["Pss"], unique)


def _find_children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    direct = [int(child) for task in tasks for child in task.read_text(encoding="ascii").split()]
    return [each for child in direct for each in (child, *_find_children(child))]


def _read_rollup(pid: int) -> dict[str, float]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    return {name: int(value.split()[0]) / KIBIBYTES for name, _, value in (line.partition(":") for line in lines)}


@asynccontextmanager
async def running(bench: Bench, python: Path, folder: Path, sessions: int) -> AsyncIterator[int]:
    """Run the operator, serving one namespace; yields its process id once its index holds so many sessions."""
    (port,) = find_free_ports(1)
    variables = {
        "WATCH_NAMESPACES": "ours",
        "LIVENESS_PORT": str(port),
        "POSTGRES_CONNECTION_STRING_FILE": str(folder / "operator.dsn"),
    }
    command = ["-m", "agentic_operator"]
    async with (
        started(bench.plane, command, folder, python=python, **variables) as pid,
        aiohttp.ClientSession() as http,
    ):
        deadline = time.monotonic() + READY_SECONDS
        while await count_sessions(http, port) < sessions:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the operator did not list {sessions} sessions within {READY_SECONDS} s")
            await asyncio.sleep(0.2)
        await asyncio.sleep(SETTLE_SECONDS)
        yield pid


async def count_sessions(http: aiohttp.ClientSession, port: int) -> int:
    """Return how many sessions the operator's metrics count, -1 where it does not answer yet."""
    try:
        async with http.get(f"http://127.0.0.1:{port}/metrics") as answer:
            lines = (await answer.text()).splitlines()
    except aiohttp.ClientError:
        return -1
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith("agentic_sessions{"))


async def measure(bench: Bench, python: Path, folder: Path, sessions: int, rounds: int) -> Memory:
    """Return the medians over so many starts."""
    found = []
    for _ in range(rounds):
        async with running(bench, python, folder, sessions) as pid:
            found.append(read_memory(pid))
    return Memory(
        statistics.median(each.resident for each in found),
        statistics.median(each.proportional for each in found),
        statistics.median(each.unique for each in found),
    )


async def run(options: argparse.Namespace, folder: Path) -> None:
    """Measure in the environments; the folder has the file with the connection string."""
    own = make_operator_environment()
    more = make_operator_environment(options.beside) if options.beside else None
    async with opened(folder) as bench:
        await bench.prepare("ours")
        bare = await measure(bench, own, folder, 0, options.rounds)
        print(f"its own lock, no session: {bare}", flush=True)
        if more is not None:
            beside = await measure(bench, more, folder, 0, options.rounds)
            print(f"beside {', '.join(options.beside)}, no session: {beside}")
            cost = beside.resident - bare.resident
            print(f"what they cost the operator, which calls none of them: {cost:.1f} MiB", flush=True)
        before, made = bare, 0
        for wanted in options.sessions:
            async with running(bench, own, folder, made):
                await bench.burst("ours", wanted - made, f"s{wanted}", FILL_SECONDS)
                await bench.finish("ours", f"s{wanted}")
            full = await measure(bench, own, folder, wanted, options.rounds)
            grown = (full.resident - before.resident) / (wanted - made) * 1000
            print(f"{wanted:,} settled sessions, started anew: {full}; {grown:.1f} MiB for 1,000 more", flush=True)
            before, made = full, wanted


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.operator_memory", description=__doc__)
    sizes = "settled ones in its index, one measurement after another [default: 1000 3000]"
    parser.add_argument("--sessions", type=int, nargs="*", default=(1000, 3000), help=sizes)
    parser.add_argument("--rounds", type=int, default=3, help="starts, of which the median counts [default: 3]")
    parser.add_argument("--beside", nargs="*", default=(), metavar="PACKAGE", help="packages that are there, too")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bench-memory-", ignore_cleanup_errors=True) as folder,
        migrated_server() as server,
    ):
        (Path(folder) / "operator.dsn").write_text(server.dsn(), encoding="utf-8")
        asyncio.run(run(options, Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
