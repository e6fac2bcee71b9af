"""The time of day, as parts of the operator are given it by default; tests give them another."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return what time it is, in UTC."""
    return datetime.now(UTC)
