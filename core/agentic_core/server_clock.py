"""The API server's clock: times in statuses do not depend on the node's.

Deadlines, times to live and people compare the times of a status with those that others wrote, and the clock of one
node may be wrong by an hour. Every answer of the API server says what time it is there; between two answers counts a
clock that nobody sets.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

# An answer names whole seconds, rounded down: what differs by less is the same clock.
_ROUNDING: Final = timedelta(seconds=2)


class ServerClock:
    """Tells the API server's time; the node's until the first answer."""

    def __init__(
        self,
        *,
        ticks: Callable[[], float] = time.monotonic,
        fallback: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ticks = ticks
        self._fallback = fallback
        self._zero: datetime | None = None

    def now(self) -> datetime:
        """Return the time by the last answers."""
        if self._zero is None:
            return self._fallback()
        return self._zero + timedelta(seconds=self._ticks())

    def see(self, date: str) -> None:
        """Use the ``Date`` of a response; an unreadable one is ignored."""
        try:
            at = parsedate_to_datetime(date)
        except (TypeError, ValueError):
            return
        if at.tzinfo is None:
            return
        zero = at.astimezone(UTC) - timedelta(seconds=self._ticks())
        # Rounded down and on its way for a while: the latest of them is the nearest to the truth.
        if self._zero is None or not timedelta(0) <= self._zero - zero < _ROUNDING:
            self._zero = zero
