"""The API server's time, and checkpoint ids that follow those of a clock that was ahead."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from langgraph.checkpoint.base import id as ids

from agentic_runner.checkpoints.checkpoint_ids import follow
from agentic_runner.server_clock import ServerClock

NODE = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
SERVER = datetime(2026, 1, 1, 11, 0, tzinfo=UTC)


class Ticks:
    def __init__(self) -> None:
        self.seconds = 5000.0

    def __call__(self) -> float:
        return self.seconds


def test_the_time_is_the_servers_and_goes_on_between_its_answers() -> None:
    ticks = Ticks()
    clock = ServerClock(ticks=ticks, fallback=lambda: NODE)
    assert clock.now() == NODE
    clock.see(format_datetime(SERVER, usegmt=True))
    assert clock.now() == SERVER
    ticks.seconds += 0.75
    assert clock.now() == SERVER + timedelta(seconds=0.75)


def test_whole_seconds_do_not_set_the_clock_back_and_a_server_that_was_set_is_followed() -> None:
    ticks = Ticks()
    clock = ServerClock(ticks=ticks, fallback=lambda: NODE)
    clock.see(format_datetime(SERVER, usegmt=True))
    ticks.seconds += 0.9
    clock.see(format_datetime(SERVER, usegmt=True))
    assert clock.now() == SERVER + timedelta(seconds=0.9)
    clock.see(format_datetime(SERVER + timedelta(seconds=1), usegmt=True))
    assert clock.now() == SERVER + timedelta(seconds=1)
    clock.see(format_datetime(SERVER - timedelta(minutes=5), usegmt=True))
    assert clock.now() == SERVER - timedelta(minutes=5)


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 01 Jan 2026 11:00:00"])
def test_what_is_no_date_says_nothing(date: str) -> None:
    clock = ServerClock(ticks=Ticks(), fallback=lambda: NODE)
    clock.see(date)
    assert clock.now() == NODE


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
