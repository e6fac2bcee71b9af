"""How often a run tries again after it lost the database."""

import pytest

from agentic_runner.running.durable import AttemptCounter


def test_without_progress_the_attempts_are_over_soon() -> None:
    counter = AttemptCounter(3)
    assert [counter.count(0) for _ in range(4)] == [True, True, True, False]


def test_each_new_super_step_begins_a_new_count() -> None:
    counter = AttemptCounter(3)
    assert [counter.count(steps) for steps in (0, 0, 0, 1, 1, 1, 1)] == [True, True, True, True, True, True, False]


@pytest.mark.parametrize("steps", [2, 1])
def test_a_super_step_that_was_made_before_is_no_progress(steps: int) -> None:
    counter = AttemptCounter(1)
    assert counter.count(2)
    assert not counter.count(steps)
