"""Periodic resync: repairs missed events and purges orphaned rows.

It reads pages and forgets them. On a cluster where all is well it changes nothing anywhere.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

from agentic_core.lifecycle import Phase
from agentic_core.names import INSPECTION_NAMESPACE, MANAGED_BY, MANAGED_BY_LABEL
from agentic_core.reading import read_session
from agentic_operator.batch_writer import write_apart
from agentic_operator.cache.index import Index
from agentic_operator.cache.workqueue import WorkQueue
from agentic_operator.faults import Faults, Outage, repeat
from agentic_operator.kube.client import JOBS, PODS, SESSIONS, Json, Kind, Kube
from agentic_operator.sessions.children import owner_of
from agentic_operator.sessions.keys import DefinitionKey, Key, SessionKey
from agentic_operator.sessions.record import build_record, build_turns
from agentic_store.protocols import Sessions, Turns
from agentic_store.records import SessionRecord, TurnRecord

INTERVAL_SECONDS: Final = 600.0
FIRST_SECONDS: Final = 15.0

logger: Final = logging.getLogger(__name__)


def _settled_record(raw: Json, now: datetime) -> list[SessionRecord]:
    """Return the row of a session, unless its runner writes that itself at the moment."""
    session = read_session(raw).session
    status = session.status
    if status.phase in (Phase.RUNNING, Phase.WAITING_FOR_INPUT) or (status.phase is Phase.IDLE and status.turn):
        return []
    return [build_record(session, now)]


def describe_record(record: SessionRecord) -> dict[str, str]:
    """Return which session a row is of, as logs name it."""
    return {"namespace": record.project_name, "session": record.session_name}


async def keep_results(_uid: str) -> None:
    """Remove nothing: there is no object store."""


async def _record_nothing(_records: Sequence[SessionRecord]) -> None:
    """Write nothing: there is no database."""


class Resync:
    """Goes round every ten minutes."""

    def __init__(
        self,
        kube: Kube,
        index: Index,
        queue: WorkQueue[Key],
        namespaces: tuple[str, ...],
        rows: Sessions | None,
        remove_results: Callable[[str], Awaitable[None]] = keep_results,
        faults: Faults | None = None,
        inspections: str = INSPECTION_NAMESPACE,
        *,
        observed: tuple[str, ...] | None = None,
        record_rows: Callable[[Sequence[SessionRecord]], Awaitable[object]] | None = None,
        now: Callable[[], datetime],
        turns: Turns | None = None,
    ) -> None:
        """``record_rows`` writes rows; whoever deletes some at the same time gives one that knows of it."""
        self._kube = kube
        self._index = index
        self._queue = queue
        self._namespaces = namespaces or ("",)
        self._inspections = inspections
        with_inspections = (*namespaces, inspections) if namespaces else ()
        self._observed = (with_inspections if observed is None else observed) or ("",)
        self._rows = rows
        self._record_rows = record_rows or (rows.record_sessions if rows is not None else _record_nothing)
        self._turns = turns
        self._remove_results = remove_results
        self._faults = faults or Faults()
        self._now = now

    async def run(self) -> None:
        """Go round for ever."""
        await repeat("sweep", self.run_once, self._faults, first_seconds=FIRST_SECONDS, seconds=INTERVAL_SECONDS)

    async def run_once(self) -> None:
        """Compare memory and database with the API server, once."""
        uids = await self._compare_sessions()
        await self._compare_children()
        if self._rows is None or self._namespaces != ("",):
            # An operator of some namespaces does not see the sessions of others.
            return
        outage, removed = Outage(), set[str]()
        for uid in await self._rows.find_orphans(uids):
            # Where results stay, the row is what the next round finds them by; the others need not wait.
            with self._faults.apart("sweep", uid=uid):
                # Each namespace may have its own store: if one is unavailable, others may work.
                await self._remove_results(uid)
                removed.add(uid)
            if uid not in removed:
                continue
            with self._faults.apart("sweep", outage, uid=uid):
                if await self._rows.delete_session(uid):
                    logger.info("purged rows of a deleted session", extra={"uid": uid})

    async def _compare_sessions(self) -> set[str]:
        before = set(self._index.keys())
        uids: set[str] = set()
        outage = Outage()
        async for page in self._pages(SESSIONS):
            records: list[SessionRecord] = []
            turns: list[TurnRecord] = []
            for raw in page:
                key = SessionKey(raw["metadata"]["namespace"], raw["metadata"]["name"])
                before.discard(key)
                uids.add(raw["metadata"]["uid"])
                with self._faults.apart("sweep", namespace=key.namespace, session=key.name):
                    if self._index.see_session(raw):
                        self._queue.add(key, urgent=False)
                    if self._rows is not None:
                        records += _settled_record(raw, self._now())
                    if self._turns is not None and (raw.get("spec") or {}).get("mode") == "Conversation":
                        turns += build_turns(read_session(raw).session)
            if records:
                await self._record(records, outage)
            if self._turns is not None and turns:
                await self._record_turns(self._turns, turns, outage)
        for key in before:
            # Their pass finds out whether they are gone or only newer than the list.
            self._queue.add(key, urgent=False)
        return uids

    async def _record(self, records: list[SessionRecord], outage: Outage) -> None:
        """Write a page of rows."""

        def settle(record: SessionRecord, error: Exception | None) -> None:
            if error is not None:
                self._faults.report("sweep", error, **describe_record(record))

        await write_apart(records, self._record_rows, settle, outage)

    async def _record_turns(self, rows: Turns, turns: list[TurnRecord], outage: Outage) -> None:
        """Write the rows of a page's turns: those that are there and ended are left alone."""

        def settle(record: TurnRecord, error: Exception | None) -> None:
            if error is not None:
                self._faults.report("sweep", error, namespace=record.project_name, session=record.session_name)

        await write_apart(turns, rows.record, settle, outage)

    async def _compare_children(self) -> None:
        owners = self._index.child_owners()
        jobs = {(owner, name) for owner in owners for name in self._index.job_names(owner)}
        pods = {(owner, pod.name) for owner in owners for pod in self._index.pods_of(owner)}
        for kind, known in ((JOBS, jobs), (PODS, pods)):
            async for page in self._pages(kind):
                for raw in page:
                    with self._faults.apart("sweep", object=raw["metadata"]["name"]):
                        if (owner := owner_of(raw, self._inspections)) is not None:
                            known.discard((owner, raw["metadata"]["name"]))
        # Listed after they were remembered and not found: their deletion was missed, or they have lost our labels.
        for owner, name in jobs:
            if isinstance(owner, DefinitionKey) or not self._index.doubt(owner, name):
                self._index.forget_job(owner, name)
            self._queue.add(owner, urgent=False)
        for owner, name in pods:
            if isinstance(owner, DefinitionKey) or not self._index.doubt(owner, name):
                self._index.forget_pod(owner, name)
            self._queue.add(owner, urgent=False)

    async def _pages(self, kind: Kind) -> AsyncIterator[list[Json]]:
        selector = "" if kind is SESSIONS else f"{MANAGED_BY_LABEL}={MANAGED_BY}"
        for namespace in self._namespaces if kind is SESSIONS else self._observed:
            async for page in self._kube.list_pages(kind, namespace, selector=selector):
                yield page
