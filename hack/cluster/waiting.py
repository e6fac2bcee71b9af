"""Waits for conditions with a bound, so that nothing in the tool sleeps blindly or hangs."""

import time
from collections.abc import Callable

from hack.cluster.errors import NotReady


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str, poll: float = 0.02) -> float:
    """Wait until the condition holds and say how many seconds that took.

    Raises NotReady, naming `what`, when the time is over.
    """
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > seconds:
            raise NotReady(f"{what} did not happen within {seconds:g} s")
        time.sleep(poll)
    return time.monotonic() - begun
