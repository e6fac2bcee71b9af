"""Runners of conversations killed without warning between any two marks of a turn: each input acts once.

A node counts outside, under its turn's key and without; what the thread, the rows and the counter hold is compared with
what was asked. The operator's part is played by the benchmark.

    python -m bench.turn_kills [--kills 200] [--seed 1]
"""

import sys

from bench._kills import KillFigures, report_kills
from tests.faults.turn_kills import kill_turns
from tests.support.runner import open_standalone_bench


def kill(kills: int, seed: int) -> KillFigures:
    """Kill, and return what came of it."""
    with open_standalone_bench() as bench:
        return kill_turns(bench, seed, kills)


if __name__ == "__main__":
    sys.exit(report_kills(__doc__, kill))
