"""Turns of conversations: how long they take warm and cold, what the 300th costs beside the first, what idle ones hold.

The first event of a turn is its node at work, which writes a row outside; it is timed from the patch of
``spec.turns``. A cold turn is measured beside a runner's cold start, from its process's start to its node, in the same
run. Processes start from nothing, with all their imports; there is a real API server, Job controller and PostgreSQL,
but no container runtime.

    python -m bench.conversations [--count 30] [--turns 300] [--idle 2000] [--seed 1]

A number of 0 leaves its part out.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from agentic_core.contract import KEPT_TURNS
from agentic_core.names import SESSION_LABEL
from bench.answers import percentile
from bench.waiting import AT_ONCE, count_connections, list_left, memory
from tests.faults.bed import Bed, seeded, until
from tests.faults.counter import define_counted
from tests.faults.standalone import open_standalone_bed
from tests.faults.talks import ONE_STEP, count_acts, open_conversation, say, wait_idle, wait_turn
from tests.support.apiclient import Json, jobs_path

WARM_SECONDS = 3600
HOURS = 3600.0
COMPARED = 10
SPOKEN = 20


@dataclass
class Times:
    """Seconds from the write of a turn to its node at work; of ``start`` from the start of the process."""

    warm: list[float] = field(default_factory=list)
    cold: list[float] = field(default_factory=list)
    start: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Cost:
    """What one turn cost: seconds from write to end, bytes of write-ahead log, bytes of the resource after it."""

    seconds: float
    wal: int
    resource: int


async def take_turn(bed: Bed, name: str, number: int) -> tuple[float, float]:
    """Give a turn; return when it was written and when its node was at work, by the wall clock."""
    at = time.time()
    await say(bed, name, f"t{number}", ONE_STEP)
    await wait_turn(bed, name, f"t{number}", seconds=HOURS)
    thread = f"project-{bed.namespace}:session-{name}"
    rows = bed.database.execute(
        "SELECT extract(epoch FROM at)::float8 FROM effects WHERE thread_id = %s AND what = 'start'"
        " ORDER BY n DESC LIMIT 1",
        [thread],
    )
    return at, float(rows[0][0])


async def wait_no_job(bed: Bed, name: str) -> None:
    async def is_gone() -> bool:
        jobs = await bed.client.list(jobs_path(bed.namespace))
        return not any((job["metadata"].get("labels") or {}).get(SESSION_LABEL) == name for job in jobs)

    await until(is_gone, what=f"no Job of {name}", seconds=60)


async def measure_times(bed: Bed, count: int, dice: random.Random) -> Times:
    """Take turns one at a time, warm and cold in turns, so that whatever else the machine does meets both alike."""
    times = Times()
    bed.kubelet.starts_cold = True
    await open_conversation(bed, "counted", "warm", keepWarmSeconds=WARM_SECONDS)
    await open_conversation(bed, "counted", "cold")
    await take_turn(bed, "warm", 0)
    for number in range(1, count + 1):
        await asyncio.sleep(dice.random())
        at, acted = await take_turn(bed, "warm", number)
        times.warm.append(acted - at)
        at, acted = await take_turn(bed, "cold", number)
        times.cold.append(acted - at)
        process = [p for p in bed.kubelet.processes if p.session == "cold"][-1]
        times.start.append(acted - (process.started_at + time.time() - time.monotonic()))
        await wait_no_job(bed, "cold")
    if len([p for p in bed.kubelet.processes if p.session == "warm"]) != 1:
        raise SystemExit("warm turns were served by more than one pod")
    bed.kubelet.starts_cold = False
    return times


def print_times(times: Times) -> None:
    print(f"{'of ' + str(len(times.warm)):36} {'p50':>9} {'p99':>9}   beside the cold start")
    starts = [percentile(times.start, share) for share in (50, 99)]
    for what, values in (
        ("a runner's cold start to its node", times.start),
        ("turn to its node, cold", times.cold),
        ("turn to its node, warm", times.warm),
    ):
        found = [percentile(values, share) for share in (50, 99)]
        ratios = " ".join(f"{value / start:5.2f}" for value, start in zip(found, starts, strict=True))
        print(f"{what:36} {found[0]:6.0f} ms {found[1]:6.0f} ms   {ratios}")


async def measure_growth(bed: Bed, turns: int) -> list[Cost]:
    """Take so many turns in one warm conversation; return what each cost."""

    def position() -> int:
        return int(bed.database.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")[0][0])

    await open_conversation(bed, "counted", "long", keepWarmSeconds=WARM_SECONDS)
    # Full images of pages after a checkpoint of the server would be counted at random.
    bed.database.execute("CHECKPOINT")
    costs = []
    for number in range(1, turns + 1):
        wal, began = position(), time.monotonic()
        await take_turn(bed, "long", number)
        seconds = time.monotonic() - began
        await until(lambda: is_told(bed, "long"), what="an idle conversation", seconds=60)
        costs.append(Cost(seconds, position() - wal, len(json.dumps(await bed.session("long")))))
    acts = count_acts(bed, "long")
    if acts != list(range(1, turns + 1)):
        raise SystemExit(f"{turns} turns acted {len(acts)} times, {len(set(acts))} of them different")
    return costs


async def is_told(bed: Bed, name: str) -> bool:
    return not (await bed.status(name)).get("turn")


def print_growth(costs: list[Cost]) -> None:
    """Compare the first turns, those after which a resource is full of ended turns, and the last.

    The very first turn also starts the pod.
    """
    few = min(COMPARED, max(1, len(costs) // 3))
    full = min(KEPT_TURNS, len(costs) - 2 * few)
    parts = [costs[1 : few + 1], costs[full : full + few], costs[-few:]]
    print(f"{len(costs)} turns in a row in one warm pod, medians of {few}")
    print(f"{'':28}{'first':>12}{f'after {full}':>12}{'last':>12}   last beside first, beside after {full}")
    readers: dict[str, Callable[[Cost], float]] = {
        "ms from write to end": lambda cost: cost.seconds * 1000,
        "bytes of write-ahead log": lambda cost: cost.wal,
        "bytes of the resource": lambda cost: cost.resource,
    }
    for what, read in readers.items():
        first, middle, last = (statistics.median(read(cost) for cost in part) for part in parts)
        print(f"{what:28}{first:12,.0f}{middle:12,.0f}{last:12,.0f}   {last / first:.2f} {last / middle:.2f}")
    print(f"largest resource on the way: {max(cost.resource for cost in costs):,} bytes")


async def measure_idle(bed: Bed, count: int, pid: int) -> int:
    """Let so many conversations take a turn each and rest; print what they hold; return 1 where that is anything."""
    idle, _ = memory(pid)
    names = [f"i-{number}" for number in range(count)]
    pending = iter(names)
    began = time.monotonic()

    async def work() -> None:
        for name in pending:
            await open_conversation(bed, "counted", name)
            await say(bed, name, "t1", ONE_STEP)
            await wait_turn(bed, name, "t1", seconds=HOURS)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(work())

    async def is_empty() -> bool:
        return not any((await list_left(bed)).values())

    await until(is_empty, what="no Job and no pod", seconds=120, every=1)
    seconds = time.monotonic() - began
    left: Json = {what: len(found) for what, found in (await list_left(bed)).items()}
    connections = count_connections(bed)
    held, peak = memory(pid)
    print(f"{count} conversations are idle, each after a turn, after {seconds:.0f} s ({count / seconds:.1f} a second)")
    print(f"Jobs: {left['Jobs']}, pods: {left['pods']}")
    others = ", ".join(f"{name}: {number}" for name, number in sorted(connections.items()))
    print(f"database connections of runners: {connections.get('agentic-runner', 0)} (all: {others})")
    print(f"operator's memory: {idle:.1f} MiB before, {held:.1f} with all of them idle, {peak:.1f} at most")
    step = max(1, count // SPOKEN)
    for name in names[::step]:
        await say(bed, name, "t2", ONE_STEP)
        await wait_idle(bed, name, turns=2)
        if count_acts(bed, name) != [1, 2]:
            raise SystemExit(f"{name} acted otherwise than once a turn")
    print(f"{len(names[::step])} of them took a second turn")
    return int(any(left.values()) or "agentic-runner" in connections)


async def run(options: argparse.Namespace) -> int:
    """Measure each part that is wanted, on one bed."""
    async with open_standalone_bed() as bed:
        operator = await bed.operator()
        await define_counted(bed)
        if options.count:
            print_times(await measure_times(bed, options.count, seeded(options.seed)))
        if options.turns:
            print_growth(await measure_growth(bed, options.turns))
        if options.idle:
            for name in ("warm", "long"):
                if bed.life(name):
                    await bed.stop(name)
            return await measure_idle(bed, options.idle, operator.pid)
    return 0


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=30, help="turns of each kind that are timed")
    parser.add_argument("--turns", type=int, default=300, help="turns in a row of one conversation")
    parser.add_argument("--idle", type=int, default=2000, help="conversations that are idle at the same time")
    parser.add_argument("--seed", type=int, default=1)
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
