"""Upkeep of event logs, beside the passes: joins what was said in parts an hour after its turn, and keeps logs bounded.

It has no state that matters: what is to be joined is found by an index that holds nothing else, and how large a log is
by its rows. Of several operators one works on a log at a time (:mod:`agentic_store.event_upkeep`).
"""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from agentic_core.errors import AgenticError
from agentic_operator.database.removal_steps import pause
from agentic_operator.faults import Faults, Outage, repeat
from agentic_store.event_upkeep import Log, OpenTurn, PostgresEventUpkeep

JOIN_AFTER_SECONDS: Final = 3600.0
INTERVAL_SECONDS: Final = 300.0
FIRST_SECONDS: Final = 20.0
# Logs of sessions that ended grow no more; this long after the end there are none that were not looked at.
ENDED_SECONDS: Final = 7200.0
# Of a log that is too long a tenth more goes, so that the next rows do not make it too long again.
KEPT_SHARE: Final = 0.9
PAGE: Final = 500

_Of = TypeVar("_Of", OpenTurn, Log)

logger: Final = logging.getLogger(__name__)


@dataclass
class LogProgress:
    """What rounds have done since the process began, for the metrics."""

    messages: int = 0
    """Messages that were joined."""
    joined_rows: int = 0
    """Rows that went into them."""
    removed_rows: int = 0
    """Rows that logs lost because they were too long."""
    trimmed: int = 0
    """How often a log was too long."""
    rounds: int = 0
    failures: int = 0


@dataclass
class _Weight:
    """What a log weighed when it was looked at last; never less than it weighs."""

    last: int = 0
    rows: int = 0
    bytes: int = 0


class EventLogs:
    """Goes round every five minutes."""

    def __init__(
        self,
        store: PostgresEventUpkeep,
        namespaces: tuple[str, ...],
        *,
        max_rows: int,
        max_bytes: int,
        join_after_seconds: float = JOIN_AFTER_SECONDS,
        faults: Faults | None = None,
    ) -> None:
        """Serve these namespaces, () for all. A log keeps ``max_rows`` rows and ``max_bytes`` bytes; 0 for any."""
        self._store = store
        self._namespaces = frozenset(namespaces)
        self._max_rows = max_rows or 2**62
        self._max_bytes = max_bytes or 2**62
        self._join_after_seconds = join_after_seconds
        self._faults = faults or Faults()
        self._weights: dict[str, _Weight] = {}
        self.progress = LogProgress()

    async def run(self) -> None:
        """Go round for ever."""
        await repeat(
            "event logs",
            self.run_once,
            self._faults,
            first_seconds=FIRST_SECONDS,
            seconds=INTERVAL_SECONDS,
        )

    async def run_once(self) -> None:
        """Join and bound, once, whatever there is to join and to bound."""
        await self._join()
        await self._bound()
        self.progress.rounds += 1

    async def _join(self) -> None:
        after, outage = ("", -1), Outage()
        while True:
            page = await self._store.list_open(seconds=self._join_after_seconds, after=after, limit=PAGE)
            for turn in self._list_own(page):
                if turn.is_due:
                    with self._apart(outage, turn):
                        await self._join_turn(turn)
            if len(page) < PAGE:
                return
            after = (page[-1].session_uid, page[-1].turn)

    async def _join_turn(self, turn: OpenTurn) -> None:
        is_done = False
        while not is_done:
            began = time.monotonic()
            step = await self._store.compact(turn.session_uid, turn.turn)
            self.progress.messages += step.messages
            self.progress.joined_rows += step.removed
            is_done = step.is_done
            await pause(began)

    async def _bound(self) -> None:
        after, outage = "", Outage()
        seen: dict[str, _Weight] = {}
        while True:
            page = await self._store.list_logs(seconds=ENDED_SECONDS, after=after, limit=PAGE)
            for found in self._list_own(page):
                with self._apart(outage, found):
                    seen[found.session_uid] = await self._bound_log(found)
            if len(page) < PAGE:
                break
            after = page[-1].session_uid
        self._weights = seen

    async def _bound_log(self, found: Log) -> _Weight:
        known = self._weights.get(found.session_uid, _Weight())
        if known.last < found.last:
            began = time.monotonic()
            rows, size = await self._store.weigh(found.session_uid, after=known.last)
            known = _Weight(found.last, known.rows + rows, known.bytes + size)
            await pause(began)
        if known.rows <= self._max_rows and known.bytes <= self._max_bytes:
            return known
        # Exactly: rows may have been joined since they were counted.
        rows, size = await self._store.weigh(found.session_uid)
        if rows > self._max_rows or size > self._max_bytes:
            await self._trim(found)
            rows, size = await self._store.weigh(found.session_uid)
        return _Weight(found.last, rows, size)

    async def _trim(self, found: Log) -> None:
        cut = await self._store.find_cut(
            found.session_uid,
            rows=max(1, int(self._max_rows * KEPT_SHARE)),
            size=max(1, int(self._max_bytes * KEPT_SHARE)),
        )
        if cut is None:
            return
        removed, is_done = 0, False
        while not is_done:
            began = time.monotonic()
            gone, is_done = await self._store.trim(found.session_uid, cut)
            removed += gone
            await pause(began)
        if removed:
            self.progress.trimmed += 1
            self.progress.removed_rows += removed
            logger.warning(
                "the event log of a session is too long: its first events, up to number %d, are no longer kept",
                cut,
                extra={"namespace": found.project_name, "session_uid": found.session_uid},
            )

    def _list_own(self, page: Iterable[_Of]) -> list[_Of]:
        return [each for each in page if not self._namespaces or each.project_name in self._namespaces]

    @contextmanager
    def _apart(self, outage: Outage, of: OpenTurn | Log) -> Iterator[None]:
        """Do one log's share: somebody who holds its rows holds up no other."""
        with self._faults.apart("event logs", outage, namespace=of.project_name):
            try:
                yield
            except AgenticError:
                self.progress.failures += 1
                raise
