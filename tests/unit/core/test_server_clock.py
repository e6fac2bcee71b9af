"""The API server's time, by its answers."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from agentic_core.server_clock import ServerClock

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
