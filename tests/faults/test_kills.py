"""Runners are killed at random moments, while they run, ask and take answers: nothing that was saved runs again."""

import pytest

from tests.faults.bed import LONG, Bed, seeded, seeds
from tests.faults.conversation_kills import kill_conversations
from tests.faults.counter import define_counted
from tests.faults.kills import kill_runners

KILLS = 200 if LONG else 10


@pytest.mark.parametrize("seed", seeds(short=1, long=1))
async def test_runners_are_killed_at_random_moments(bed: Bed, seed: int) -> None:
    await bed.operator()
    await define_counted(bed)
    figures = await kill_runners(bed, seeded(seed), KILLS)
    print("\n".join(figures.lines()))
    assert figures.is_right, figures


@pytest.mark.parametrize("seed", seeds(short=1, long=1))
async def test_runners_of_conversations_are_killed_at_random_moments(bed: Bed, seed: int) -> None:
    await bed.operator()
    await define_counted(bed)
    figures = await kill_conversations(bed, seeded(seed), max(6, KILLS // 2))
    print("\n".join(figures.lines()))
    assert figures.is_right, figures
