"""Runners are killed at random moments, while they run, ask and take answers: nothing that was saved runs again."""

import pytest

from tests.faults.bed import LONG, Bed, seeded, seeds
from tests.faults.counter import define_counted
from tests.faults.kills import kill_runners

KILLS = 200 if LONG else 10


@pytest.mark.parametrize("seed", seeds(short=1, long=1))
async def test_runners_are_killed_at_random_moments(bed: Bed, seed: int) -> None:
    await bed.operator()
    await define_counted(bed)
    figures = await kill_runners(bed, seeded(seed), KILLS)
    print("\n".join(figures.lines()))
    assert figures.saved_again == []
    assert figures.worst_of_a_session <= 0
    assert figures.results == {1: figures.sessions}
