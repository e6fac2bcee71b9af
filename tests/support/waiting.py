"""Waiting for a condition, bounded, with the last thing seen in the complaint."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE_SECONDS: Final = 240.0
"""How long a condition is waited for that comes within seconds on a free machine. A condition that comes costs nothing
of it, and the machine may be busy: a test names less only where that is what it claims."""


def wait_for(
    read: Callable[[], T],
    holds: Callable[[T], object],
    *,
    what: str,
    timeout_seconds: float = PATIENCE_SECONDS,
    every: float = 0.25,
) -> T:
    """Return the first value of ``read`` for which ``holds``; fail the test after ``timeout_seconds``."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        value = read()
        if holds(value):
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_seconds:.0f} s; last seen: {str(value)[:3000]}")
        time.sleep(every)
