"""How long an answer takes: from the patch of ``spec.responses`` to the resumed node at work, warm and cold.

Beside it, in the same run, a runner's cold start: from its process's start to its node at work. Processes start from
nothing, with all their imports; there is a real API server, Job controller and PostgreSQL, but no container runtime.
A node is at work when its first row is in the database. One answer at a time, at any moment of a runner's second.

    python -m bench.answers [--count 30] [--seed 1]
"""

import argparse
import asyncio
import random
import statistics
import sys
import time
from dataclasses import dataclass, field

from agentic_core.lifecycle import Phase
from tests.faults.bed import Bed, seeded, until
from tests.faults.counter import define_counted
from tests.faults.standalone import open_standalone_bed
from tests.support.apiclient import jobs_path, sessions_path

# Sessions that are prepared together; warm ones hold a place on the node each.
TOGETHER = 6
WARM_SECONDS = 120
PATIENCE = 60


@dataclass
class Times:
    """Seconds."""

    warm: list[float] = field(default_factory=list)
    cold: list[float] = field(default_factory=list)
    start: list[float] = field(default_factory=list)
    """From the start of the process that took a cold answer to its node."""


async def ask(bed: Bed, names: list[str], keep_warm: int) -> None:
    """Start sessions and wait until they wait, without a pod or with a warm one."""
    for name in names:
        await bed.start("counted", name, inputs={"count": 2, "seconds": 0}, keepWarmSeconds=keep_warm)
    for name in names:
        await bed.wait_phase(name, Phase.WAITING_FOR_INPUT, seconds=PATIENCE)

    async def is_settled() -> bool:
        jobs = [job["metadata"]["name"] for job in await bed.client.list(jobs_path(bed.namespace))]
        return keep_warm > 0 or not any(f"{name}-r1" in jobs for name in names)

    await until(is_settled, what="no Job of a waiting session", seconds=PATIENCE)


async def answer(bed: Bed, name: str) -> tuple[float, float]:
    """Answer, and return when that was and when the resumed node was at work, by the wall clock."""
    (question,) = (await bed.status(name))["interrupts"]
    given = {"spec": {"responses": [{"interruptId": question["id"], "value": 1}]}}
    at = time.time()
    await bed.client.patch(sessions_path(bed.namespace, name), given)
    await bed.wait_phase(name, Phase.COMPLETED, seconds=PATIENCE)
    statement = "SELECT extract(epoch FROM at)::float8 FROM effects WHERE thread_id = %s AND what = 'answered'"
    ((acted,),) = bed.database.execute(statement, [f"project-{bed.namespace}:session-{name}"])
    return at, float(acted)


async def run(count: int, dice: random.Random) -> Times:
    """Measure."""
    times = Times()
    async with open_standalone_bed() as bed:
        await bed.operator()
        await define_counted(bed)
        bed.kubelet.starts_cold = True
        for first in range(0, count, TOGETHER):
            numbers = range(first, min(count, first + TOGETHER))
            warm, cold = [f"warm-{n}" for n in numbers], [f"cold-{n}" for n in numbers]
            await ask(bed, cold, 0)
            for name in cold:
                at, acted = await answer(bed, name)
                (process,) = (p for p in bed.kubelet.processes if p.session == name and p.run == 2)
                times.cold.append(acted - at)
                times.start.append(acted - (process.started_at + time.time() - time.monotonic()))
            await ask(bed, warm, WARM_SECONDS)
            for name in warm:
                await asyncio.sleep(dice.random())
                at, acted = await answer(bed, name)
                times.warm.append(acted - at)
                if (await bed.status(name))["run"] != 1:
                    raise SystemExit(f"{name} was answered by another pod than the one that asked")
    return times


def percentile(values: list[float], share: int) -> float:
    """Return a percentile in milliseconds."""
    return 1000 * statistics.quantiles(values, n=100, method="inclusive")[share - 1]


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=30, help="answers of each kind")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    times = asyncio.run(run(options.count, seeded(options.seed)))
    print(f"{'of ' + str(options.count):36} {'p50':>9} {'p99':>9}   beside the cold start")
    starts = [percentile(times.start, share) for share in (50, 99)]
    for what, values in (
        ("a runner's cold start to its node", times.start),
        ("answer to resumed node, cold", times.cold),
        ("answer to resumed node, warm", times.warm),
    ):
        found = [percentile(values, share) for share in (50, 99)]
        ratios = " ".join(f"{value / start:5.2f}" for value, start in zip(found, starts, strict=True))
        print(f"{what:36} {found[0]:6.0f} ms {found[1]:6.0f} ms   {ratios}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
