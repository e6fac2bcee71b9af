"""Checkpoint ids that follow those of a clock that was ahead."""

import pytest
from langgraph.checkpoint.base import id as ids

from agentic_runner.checkpoints.checkpoint_ids import follow


def test_checkpoints_follow_one_that_a_clock_an_hour_ahead_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "_last_v6_timestamp", None)
    here = ids.uuid6(clock_seq=1).time
    monkeypatch.setattr(ids, "_last_v6_timestamp", here + 3600 * 10**7)
    ahead = str(ids.uuid6(clock_seq=7))
    monkeypatch.setattr(ids, "_last_v6_timestamp", None)
    assert str(ids.uuid6(clock_seq=1)) < ahead
    follow(ahead)
    made = [str(ids.uuid6(clock_seq=step)) for step in (-2, -1, 0, 1)]
    assert ahead < made[0]
    assert made == sorted(made)


def test_an_id_that_is_not_ordered_by_time_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "_last_v6_timestamp", None)
    follow("9b2f0a54-7c1e-4d2c-9d35-0c8f3b6f7a11")
    assert ids._last_v6_timestamp is None
