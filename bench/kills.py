"""Runners killed without warning at random moments: what ran again, by a counter outside of the system.

Every node writes a row before and after its work; the row notes which super-step was saved at that moment. Sessions ask
in their middle and are answered at once, so runners die while they ask and while they take the answer, too.

    python -m bench.kills [--kills 200] [--seed 1]
"""

import argparse
import asyncio
import sys

from tests.faults.bed import seeded
from tests.faults.counter import define_counted
from tests.faults.kills import Figures, kill_runners
from tests.faults.standalone import open_standalone_bed


async def run(kills: int, seed: int) -> Figures:
    """Kill, and return what came of it."""
    async with open_standalone_bed() as bed:
        await bed.operator()
        await define_counted(bed)
        return await kill_runners(bed, seeded(seed), kills)


def main() -> int:
    """Print the figures; return 1 where something that was saved ran again, or a session has not one result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    figures = asyncio.run(run(options.kills, options.seed))
    print("\n".join(figures.lines()))
    is_right = not figures.saved_again and figures.worst_of_a_session <= 0 and figures.results[1] == figures.sessions
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
