"""The work queue: each key at most once in line, one worker a key, delays and two priorities.

Handlers only add keys; the pass that takes a key reads the state. A key that is added during its pass is handled once
more afterwards, so no event is lost and no key has two passes at a time (decision 1).
"""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """Keys in line. All methods but :meth:`get` are synchronous and belong to one event loop.

    ``clock`` gives monotonic seconds. Two lines: what creates pods goes before what only tells about them.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lines: tuple[deque[K], deque[K]] = (deque(), deque())
        self._waiting: dict[K, bool] = {}
        """Keys in line, and whether they are urgent."""
        self._running: set[K] = set()
        self._again: dict[K, bool] = {}
        """Keys added while their pass ran."""
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._numbers = itertools.count()
        self._failures: dict[K, int] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in line or being worked on; delayed keys do not count."""
        return not self._waiting and not self._running

    @property
    def has_urgent(self) -> bool:
        """Whether urgent keys are in line."""
        return bool(self._lines[0])

    def add(self, key: K, *, urgent: bool = True) -> None:
        """Put a key in line, unless it is there already."""
        if key in self._running:
            self._again[key] = urgent or self._again.get(key, False)
            return
        known = self._waiting.get(key)
        if known or (known is not None and not urgent):
            return
        if known is not None:
            self._lines[1].remove(key)
        self._waiting[key] = urgent
        self._lines[0 if urgent else 1].append(key)
        self._changed.set()

    def add_at(self, key: K, due: float) -> None:
        """Queue a key for ``due``, or earlier if it is due earlier already."""
        known = self._due.get(key)
        if known is not None and known <= due:
            return
        self._due[key] = due
        heapq.heappush(self._heap, (due, next(self._numbers), key))
        self._changed.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Queue a key after so many seconds, or earlier if it is due earlier already."""
        self.add_at(key, self._clock() + seconds)

    def forget(self, key: K) -> None:
        """Drop the state of a key whose object is gone; a running pass continues."""
        self._due.pop(key, None)
        self._failures.pop(key, None)

    def fail(self, key: K) -> int:
        """Count a failed pass; return how many failed in a row."""
        self._failures[key] = failures = self._failures.get(key, 0) + 1
        return failures

    def failures_of(self, key: K) -> int:
        """Return how many passes over a key failed in a row."""
        return self._failures.get(key, 0)

    def succeed(self, key: K) -> None:
        """Forget the failures of a key."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """Take the next key; its pass ends with :meth:`done`."""
        while True:
            self._promote()
            for line in self._lines:
                if line:
                    key = line.popleft()
                    del self._waiting[key]
                    self._running.add(key)
                    return key
            self._changed.clear()
            await self._wait()

    def done(self, key: K) -> None:
        """End the pass over a key; put it in line again if it was added meanwhile."""
        self._running.discard(key)
        urgent = self._again.pop(key, None)
        if urgent is not None:
            self.add(key, urgent=urgent)

    def _promote(self) -> None:
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)

    async def _wait(self) -> None:
        timeout = None
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        if self._heap:
            timeout = max(0.0, self._heap[0][0] - self._clock())
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            pass
