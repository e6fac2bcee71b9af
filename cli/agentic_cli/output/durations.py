"""Durations as people write and read them: ``90s``, ``5m``, ``1h30m``."""

import re
from datetime import UTC, datetime
from typing import Final

import click

_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_PLAIN: Final = re.compile(r"\d{1,12}(\.\d+)?")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def read_duration(text: str) -> float:
    """Return seconds from a plain number, or from numbers with the units s, m, h and d; raise ``ValueError``."""
    parts = _PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))
    if _PLAIN.fullmatch(text):
        return float(text)
    raise ValueError(f"{text!r} is no duration: write 90, 90s, 5m or 1h30m")


def convert_duration(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Read the value of an option."""
    try:
        return None if value is None else read_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def format_duration(seconds: float) -> str:
    """Return a duration as kubectl shows ages: two units where they matter, one where they do not."""
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return f"{minutes}m{whole % 60}s" if whole % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if days < 2:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d" if days < 730 else f"{days // 365}y"


def format_age(time: str, now: datetime) -> str:
    """Return how long ago an API object's time was; ``<unknown>`` for none."""
    if not time:
        return "<unknown>"
    try:
        return format_duration((now - datetime.fromisoformat(time)).total_seconds())
    except (ValueError, TypeError):
        return "<unknown>"


def utc_now() -> datetime:
    """Return the time now."""
    return datetime.now(UTC)
