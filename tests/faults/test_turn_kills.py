"""Runners of conversations are killed between any two of a turn's marks: each input acts, and is answered, once."""

import pytest

from tests.faults.bed import LONG, seeds
from tests.faults.turn_kills import kill_turns
from tests.support.runner import RunnerBench

KILLS = 200 if LONG else 20


@pytest.mark.parametrize("seed", seeds(short=1, long=1))
def test_runners_of_conversations_are_killed_at_any_point_of_a_turn(runners: RunnerBench, seed: int) -> None:
    figures = kill_turns(runners, seed, KILLS)
    print("\n".join(figures.lines()))
    assert figures.is_right, figures
    assert figures.kills.total() == KILLS
