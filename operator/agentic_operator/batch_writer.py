"""Writes rows in batches beside the reconciling, and retries what may pass.

What the API server holds is the truth; rows follow it. A database that is away delays rows, not sessions.

Invariant: of each key, what was put last is written last, and stays pending until it is written, refused for good or
dropped. One that fails keeps none of the others from being written.
"""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

from agentic_core.errors import TransientError
from agentic_operator.backoff import compute_delay, jitter
from agentic_operator.faults import Faults, Outage

MAX_PENDING: Final = 10_000
BATCH: Final = 200
LONGEST_PAUSE: Final = 5.0

logger: Final = logging.getLogger(__name__)

T = TypeVar("T")


async def write_apart(
    items: Sequence[T],
    write: Callable[[Sequence[T]], Awaitable[object]],
    settle: Callable[[T, Exception | None], None],
    outage: Outage,
) -> None:
    """Write items at once, or each by itself where one of them fails; report each to ``settle``, with its error.

    Raises ``TransientError`` once several in a row fail with one: then it is the service's, and the rest would only
    wait for the same.
    """
    try:
        await write(items)
    except Exception as error:  # noqa: BLE001  (reported below, with the item that it is about)
        logger.info("batch of rows failed, writing them one by one: %s", type(error).__name__)
    else:
        for item in items:
            settle(item, None)
        return
    for item in items:
        try:
            await write([item])
        except TransientError as error:
            settle(item, error)
            if outage.fail():
                raise
        except Exception as error:  # noqa: BLE001  (of one item)
            settle(item, error)
        else:
            outage.succeed()
            settle(item, None)


class BatchWriter(Generic[T]):
    """Collects items by key, the newest of each, and writes them in batches."""

    def __init__(
        self,
        loop: str,
        write: Callable[[Sequence[T]], Awaitable[object]],
        describe: Callable[[T], Mapping[str, str]],
        faults: Faults | None = None,
        *,
        size: int = BATCH,
        most: float = MAX_PENDING,
        on_refused: Callable[[T], None] = lambda _: None,
    ) -> None:
        """``loop`` names the writer in logs and metrics, ``describe`` an item; at most ``most`` are pending.

        ``write`` may be given again what it has written already. ``on_refused`` is told of an item that failed for good
        and is not pending any more.
        """
        self._loop = loop
        self._write_items = write
        self._describe = describe
        self._faults = faults or Faults()
        self._size = size
        self._most = most
        self._on_refused = on_refused
        self._pending: dict[str, T] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._pending)

    def find(self, key: str) -> T | None:
        """Return what is pending under a key; None if nothing is."""
        return self._pending.get(key)

    def list_pending(self) -> list[T]:
        """Return all that is pending, in the order in which it is written."""
        return list(self._pending.values())

    def put(self, key: str, item: T) -> bool:
        """Have an item written soon; return False if it is dropped because too many are pending."""
        if key not in self._pending and len(self._pending) >= self._most:
            return False
        self._pending[key] = item
        self._changed.set()
        return True

    def drop(self, key: str) -> None:
        """Forget what is pending under a key; a batch that is on its way may still hold it."""
        self._pending.pop(key, None)

    async def run(self) -> None:
        """Write the pending rows, without end."""
        failures = 0
        while True:
            await self._changed.wait()
            if not self._pending:
                self._changed.clear()
                continue
            error = TransientError("some rows of the batch are left")
            try:
                failures = 0 if await self.write_batch() else failures + 1
            except TransientError as caught:
                failures, error = failures + 1, caught
                if failures == 1:
                    logger.warning("writing in %s failed, retrying: %s", self._loop, error)
            if failures:
                await asyncio.sleep(min(compute_delay(error, failures, jitter()), LONGEST_PAUSE))

    async def write_batch(self) -> bool:
        """Write the first batch of what is pending; return whether nothing of it is to be tried again.

        Raises ``TransientError`` where the database is away.
        """
        batch = list(itertools.islice(self._pending.items(), self._size))
        left = 0

        def settle(entry: tuple[str, T], error: Exception | None) -> None:
            nonlocal left
            key, item = entry
            is_left = isinstance(error, TransientError)
            left += is_left
            if self._pending.get(key) is item:
                del self._pending[key]
                if is_left:
                    # Those behind it go first the next time.
                    self._pending[key] = item
            if error is not None:
                self._faults.report(self._loop, error, **self._describe(item))
                if not is_left:
                    self._on_refused(item)

        await write_apart(batch, lambda entries: self._write_items([item for _, item in entries]), settle, Outage())
        return not left
