"""How much one person may ask of one replica: requests by a token bucket, streams by a count."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Final

from agentic_gateway.problems import Refused

MAX_REMEMBERED: Final = 10_000


@dataclass(frozen=True)
class Bucket:
    """Tokens that were left at a time."""

    left: float
    at: float

    def take(self, now: float, *, per_second: float, burst: int) -> tuple["Bucket", float]:
        """Return the bucket without one token and 0, or as it is and the seconds until there is one."""
        left = min(float(burst), self.left + max(0.0, now - self.at) * per_second)
        if left >= 1:
            return Bucket(left - 1, now), 0.0
        return Bucket(left, now), (1 - left) / per_second


class Rates:
    """The buckets of all persons; the one that asked longest ago is forgotten first, as its bucket is full by then."""

    def __init__(self, per_second: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, person: str) -> None:
        """Count one request; raises ``Refused`` (429, with Retry-After) if there were too many."""
        now = self._clock()
        bucket = self._buckets.get(person, Bucket(float(self._burst), now))
        self._buckets[person], seconds = bucket.take(now, per_second=self._per_second, burst=self._burst)
        self._buckets.move_to_end(person)
        while len(self._buckets) > MAX_REMEMBERED:
            self._buckets.popitem(last=False)
        if seconds:
            raise Refused(
                "too-many-requests",
                f"more than {self._per_second:g} requests a second: ask more slowly",
                retry_after_seconds=ceil(seconds),
            )


class StreamSlots:
    """How many streams each person has open."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: dict[str, int] = {}

    @contextmanager
    def hold(self, person: str) -> Iterator[None]:
        """Count a stream as open inside the block; raises ``Refused`` (429) if the person has too many."""
        if self._open.get(person, 0) >= self._limit:
            raise Refused(
                "too-many-requests", f"{self._limit} streams are open already: close one", retry_after_seconds=5
            )
        self._open[person] = self._open.get(person, 0) + 1
        try:
            yield
        finally:
            self._open[person] -= 1
            if not self._open[person]:
                del self._open[person]
