"""What sessions cost that wait for people: pods, Jobs, processes and connections of theirs, and the operator's memory.

Every session really runs, asks and ends its runner. A few are answered at the end, and go on.

    python -m bench.waiting [--sessions 2000]
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path

from agentic_core.lifecycle import Phase
from agentic_core.names import SESSION_LABEL
from tests.faults.bed import Bed, until
from tests.faults.standalone import open_standalone_bed
from tests.support.apiclient import Json, core_path, jobs_path, sessions_path

AT_ONCE = 16
ANSWERED = 20
HOURS = 3600.0
MIB = 1024


def memory(pid: int) -> tuple[float, float]:
    """Return what a process holds now and held at most, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["VmRSS"].split()[0]) / MIB, int(fields["VmHWM"].split()[0]) / MIB


async def list_left(bed: Bed) -> dict[str, list[str]]:
    """Return the Jobs and pods of sessions, ended ones included."""

    def ours(items: list[Json]) -> list[str]:
        return [i["metadata"]["name"] for i in items if SESSION_LABEL in (i["metadata"].get("labels") or {})]

    return {
        "Jobs": ours(await bed.client.list(jobs_path(bed.namespace))),
        "pods": ours(await bed.client.list(core_path(bed.namespace, "pods"))),
    }


def count_connections(bed: Bed) -> dict[str, int]:
    """Return the connections to PostgreSQL by who holds them."""
    rows = bed.database.execute(
        "SELECT split_part(application_name, ' ', 1), count(*) FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY 1"
    )
    return {str(name): int(count) for name, count in rows}


async def fill(bed: Bed, names: list[str]) -> None:
    """Make the sessions, as fast as the node runs them, and wait until all of them wait."""
    pending = iter(names)

    async def work() -> None:
        for name in pending:
            await bed.start("asks", name, inputs={})
            await bed.wait_phase(name, Phase.WAITING_FOR_INPUT, seconds=HOURS)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(work())

    async def is_empty() -> bool:
        return not any((await list_left(bed)).values())

    await until(is_empty, what="no Job and no pod", seconds=120, every=1)


async def answer(bed: Bed, name: str) -> None:
    (question,) = (await bed.status(name))["interrupts"]
    given = {"spec": {"responses": [{"interruptId": question["id"], "value": "yes"}]}}
    await bed.client.patch(sessions_path(bed.namespace, name), given)
    await bed.wait_phase(name, Phase.COMPLETED, seconds=120)


async def run(count: int) -> int:
    """Fill, look, answer some; return 1 where waiting sessions hold anything."""
    async with open_standalone_bed() as bed:
        operator = await bed.operator()
        await bed.define("asks")
        idle, _ = memory(operator.pid)
        began = time.monotonic()
        await fill(bed, [f"w-{number}" for number in range(count)])
        seconds = time.monotonic() - began
        left = {what: len(found) for what, found in (await list_left(bed)).items()}
        processes = sum(process.is_alive for process in bed.kubelet.processes)
        connections = count_connections(bed)
        held, peak = memory(operator.pid)
        print(f"{count} sessions wait, after {seconds:.0f} s ({count / seconds:.1f} a second)")
        print(f"Jobs: {left['Jobs']}, pods: {left['pods']}, processes of runners: {processes}")
        others = ", ".join(f"{name}: {number}" for name, number in sorted(connections.items()))
        print(f"database connections of runners: {connections.get('agentic-runner', 0)} (all: {others})")
        print(f"operator's memory: {idle:.1f} MiB idle, {held:.1f} with all of them waiting, {peak:.1f} at most")
        step = max(1, count // ANSWERED)
        for number in range(0, count, step):
            await answer(bed, f"w-{number}")
        print(f"{len(range(0, count, step))} were answered and went on to their end")
        return int(any(left.values()) or processes > 0 or "agentic-runner" in connections)


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=2000)
    return asyncio.run(run(parser.parse_args().sessions))


if __name__ == "__main__":
    sys.exit(main())
