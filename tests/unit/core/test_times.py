"""Times that others wrote: read, moved and written without ever an exception."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from agentic_core.times import (
    EARLIEST,
    LATEST,
    TIME_PATTERN,
    Time,
    add,
    add_seconds,
    in_utc,
    is_believable,
    parse_time,
    seconds_until,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANY_ZONE = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
ANY_TIME = st.datetimes(timezones=ANY_ZONE)


@given(ANY_TIME, st.timedeltas())
def test_any_time_moves_by_any_distance_and_stays_in_order(at: datetime, delta: timedelta) -> None:
    at = in_utc(at)
    moved = add(at, delta)
    assert EARLIEST <= moved <= LATEST
    assert (moved >= at) if delta >= timedelta(0) else (moved <= at)
    if EARLIEST < moved < LATEST:
        assert moved - at == delta


@given(ANY_TIME, st.floats(allow_nan=False) | st.integers())
def test_any_number_of_seconds_is_one(at: datetime, seconds: float) -> None:
    assert EARLIEST <= add_seconds(in_utc(at), seconds) <= LATEST


@given(ANY_TIME)
def test_what_is_read_is_written_and_read_again(at: datetime) -> None:
    adapter: TypeAdapter[datetime] = TypeAdapter(Time)
    written = adapter.dump_python(at, mode="json")
    if re.fullmatch(TIME_PATTERN, written) is None:
        with pytest.raises(ValidationError):
            adapter.validate_python(at.isoformat())
    else:
        read = adapter.validate_python(at.isoformat())
        assert adapter.validate_python(written) == read.replace(microsecond=0)


@given(st.text() | st.none() | st.integers())
def test_what_is_no_time_is_none(text: object) -> None:
    assert parse_time(text) is None or isinstance(text, str)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9999-12-31T23:59:59-12:00", LATEST),
        ("0001-01-01T00:00:00+12:00", EARLIEST),
        ("0000-01-01T00:00:00Z", EARLIEST),
        ("2026-03-01T12:00:00.123456789Z", NOW.replace(microsecond=123456)),
        ("2026-03-01T12:00:00", None),
        ("2026-03-01T12:00:60Z", None),
        ("10000-01-01T00:00:00Z", None),
    ],
)
def test_the_ends_of_the_calendar(text: str, expected: datetime | None) -> None:
    assert parse_time(text) == expected


def test_only_what_may_have_happened_is_believed() -> None:
    since = NOW - timedelta(days=1)
    assert is_believable(NOW, since=since, now=NOW)
    assert is_believable(NOW + timedelta(minutes=4), since=since, now=NOW)
    assert not is_believable(NOW + timedelta(minutes=6), since=since, now=NOW)
    assert not is_believable(since - timedelta(hours=1), since=since, now=NOW)
    assert not is_believable(LATEST, since=EARLIEST, now=NOW)
    assert not is_believable(LATEST, since=None, now=NOW)


def test_no_time_is_left_of_what_is_over() -> None:
    assert (seconds_until(EARLIEST, NOW), seconds_until(NOW + timedelta(seconds=2), NOW)) == (0.0, 2.0)
