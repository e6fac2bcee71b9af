"""Instants that others wrote: read and moved without ever running out of the calendar.

Whoever writes an object chooses its times, and Python's end at the year 9999. Here the first and the last instant stand
for all before and after them, so that a decision over a foreign time is at worst a wrong one, never an exception that
keeps all other decisions over the object from being made.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
LATEST: Final = datetime.max.replace(tzinfo=UTC)
# Clocks of a cluster's machines are seconds apart. A time further ahead than this is no time that anything happened at.
CLOCK_TOLERANCE: Final = timedelta(minutes=5)

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2199
# What the API server takes as a time of a status: years that a clock may show by mistake, and none that overflow.
TIME_PATTERN: Final = (
    r"^(19[7-9]|2[01][0-9])[0-9]-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}"
    r"(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)


def in_utc(at: datetime) -> datetime:
    """Return the same instant in UTC; one without a zone is taken for UTC already."""
    if at.tzinfo is None:
        return at.replace(tzinfo=UTC)
    try:
        return at.astimezone(UTC)
    except OverflowError:
        # A zone moves an instant by less than a day: only the two ends of the calendar are near enough.
        return EARLIEST if at.year == 1 else LATEST


def add(at: datetime, delta: timedelta) -> datetime:
    """Return ``at + delta``, or the end of the calendar that lies before it."""
    try:
        return at + delta
    except OverflowError:
        return LATEST if delta > timedelta(0) else EARLIEST


def add_seconds(at: datetime, seconds: float) -> datetime:
    """Return the instant so many seconds after ``at``, however many they are."""
    try:
        delta = timedelta(seconds=seconds)
    except OverflowError:
        return LATEST if seconds > 0 else EARLIEST
    return add(at, delta)


def seconds_until(at: datetime, now: datetime) -> float:
    """Return the remaining seconds, at least 0."""
    return max(0.0, (at - now).total_seconds())


def parse_time(text: object) -> datetime | None:
    """Return the instant that an RFC 3339 text names, None for anything else; never raises."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
        return in_utc(at) if at.tzinfo is not None else None
    except ValueError:
        # Go's calendar has a year 0, and so have Kubernetes' own objects.
        return EARLIEST if text.startswith("0000-") else None


def is_believable(at: datetime, *, since: datetime | None, now: datetime) -> bool:
    """Return whether something may have happened at ``at``: after ``since``, and not in the future."""
    return (since is None or at >= add(since, -CLOCK_TOLERANCE)) and at <= add(now, CLOCK_TOLERANCE)


def _seconds_only(at: datetime) -> str:
    # strftime() writes years before 1000 with fewer digits.
    return in_utc(at).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def _within_bounds(at: datetime) -> datetime:
    """Refuse what the API server would not take back: a status that holds it could never be written again."""
    at = in_utc(at)
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise ValueError(f"write a time of the years {FIRST_YEAR} to {LAST_YEAR}")
    return at


# metav1.Time: whole seconds, UTC.
Time = Annotated[
    datetime,
    BeforeValidator(lambda value: value if (read := parse_time(value)) is None else read),
    AfterValidator(_within_bounds),
    PlainSerializer(_seconds_only, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "maxLength": 64, "pattern": TIME_PATTERN}),
]
