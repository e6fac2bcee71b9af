"""Runners killed without warning at random moments: what ran again, by a counter outside of the system.

Every node writes a row before and after its work; the row notes which super-step was saved at that moment. Sessions ask
in their middle and are answered at once, so runners die while they ask and while they take the answer, too.

    python -m bench.kills [--kills 200] [--seed 1]
"""

import sys

from bench._kills import KillFigures, kill_under_operator, report_kills
from tests.faults.bed import seeded
from tests.faults.kills import kill_runners


def kill(kills: int, seed: int) -> KillFigures:
    """Kill, and return what came of it."""
    return kill_under_operator(lambda bed: kill_runners(bed, seeded(seed), kills))


if __name__ == "__main__":
    sys.exit(report_kills(__doc__, kill))
