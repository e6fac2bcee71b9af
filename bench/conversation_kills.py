"""Runners of conversations killed without warning: inputs given twice, lost or answered twice, by a counter outside.

Turns come one by one and in queues, to pods that start and to warm ones; the kills fall at random between a turn's
arrival, its first checkpoint, its end and its status.

    python -m bench.conversation_kills [--kills 200] [--seed 1]
"""

import sys

from bench._kills import KillFigures, kill_under_operator, report_kills
from tests.faults.bed import seeded
from tests.faults.conversation_kills import kill_conversations


def kill(kills: int, seed: int) -> KillFigures:
    """Kill, and return what came of it."""
    return kill_under_operator(lambda bed: kill_conversations(bed, seeded(seed), kills))


if __name__ == "__main__":
    sys.exit(report_kills(__doc__, kill))
