"""Retention: removes checkpoints of finished sessions, in small steps with pauses.

It has no state of its own: a round lists the due rows, compares every session with its resource in the index, and
removes step by step. It can end, or be killed, between any two steps (decision 13).
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from agentic_core.errors import DatabaseUnavailable, TransientError
from agentic_operator.cache.index import Index
from agentic_operator.database.removal_steps import Done, Progress, Take, pause, take_steps
from agentic_operator.database.retention_policy import (
    MAX_CLOCK_DIFFERENCE,
    InvalidDays,
    Keep,
    find_owner,
    is_due,
    pack,
    read_keep,
)
from agentic_operator.faults import Faults, Outage, repeat
from agentic_operator.kube.client import NAMESPACES, Json, Kube
from agentic_operator.kube.errors import Forbidden
from agentic_operator.kube.events import Event
from agentic_operator.sessions.keys import DefinitionKey, SessionKey
from agentic_store.protocols import Trails
from agentic_store.retention import Ended, KeptCheckpoints, PostgresRetention, Step

INTERVAL_SECONDS: Final = 3600.0
# LangGraph's own default. Runners return no item that has expired, unless the project asks for those.
EXPIRY_SECONDS: Final = 300.0
FIRST_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 60.0
# Threads without an owner are rare, and finding them goes through all there are.
OWNERLESS_SECONDS: Final = 86_400.0
# Of each table, in one step. Sessions of up to a quarter of that are removed whole, in pieces of a tenth.
ROWS: Final = 4000
SMALL: Final = 4
PIECES: Final = 10
# The database rests that long after each piece, which takes a few milliseconds: others get the processor meanwhile. It
# waits for whole milliseconds, and for another where the first was over a little early.
PIECE_REST: Final = 0.0009
SESSIONS: Final = 100
THREADS: Final = 200
logger: Final = logging.getLogger(__name__)


class Announce(Protocol):
    """Posts a note about an object as an Event."""

    def announce_about(self, raw: Json, note: Event) -> None:
        """Queue the note."""
        ...


class Retention:
    """Goes round every hour."""

    def __init__(
        self,
        store: PostgresRetention,
        kube: Kube,
        index: Index,
        event_recorder: Announce,
        namespaces: tuple[str, ...],
        keep: Keep,
        *,
        rows: int = ROWS,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        faults: Faults | None = None,
        trails: Trails | None = None,
        trail_days: int = 0,
    ) -> None:
        self._store = store
        self._trails = trails
        self._trail_days = trail_days
        self._kube = kube
        self._index = index
        self._event_recorder = event_recorder
        self._namespaces = namespaces
        self._keep = keep
        self._rows = rows
        self._clock = clock
        self._monotonic = monotonic
        self._ownerless_from = 0.0
        self._faults = faults or Faults()
        self.progress = Progress()

    async def run(self) -> None:
        """Go round for ever."""
        await repeat(
            "retention",
            self._count_failure(self.run_once),
            self._faults,
            first_seconds=FIRST_SECONDS,
            seconds=INTERVAL_SECONDS,
            after_fault_seconds=RETRY_SECONDS,
        )

    async def run_expiry(self) -> None:
        """Delete expired items of the long-term store, without end."""
        await repeat(
            "expiry",
            self._count_failure(self.expire_items),
            self._faults,
            first_seconds=EXPIRY_SECONDS,
            seconds=EXPIRY_SECONDS,
        )

    def _count_failure(self, run_once: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[object]]:
        async def counted() -> None:
            try:
                await run_once()
            except Exception:
                self.progress.failures += 1
                raise

        return counted

    async def expire_items(self) -> int:
        """Delete the expired items of the long-term store once; return their number.

        Their times are the database's own, and no other clock is asked.
        """
        expired = 0
        while True:
            began = time.monotonic()
            gone = await self._store.expire_items(self._namespaces or None, rows=self._rows // SMALL)
            expired += gone
            if gone < self._rows // SMALL:
                break
            await pause(began)
        if expired:
            self.progress.expired += expired
            logger.info("deleted %d expired items of the long-term store", expired)
        return expired

    async def run_once(self) -> None:
        """Remove, once, whatever is due."""
        began = time.monotonic()
        self.progress.is_running = True
        try:
            now = await self._agree_on_time()
            if now is None:
                return
            # First: to look for the next thread among millions of rows that went a moment ago takes seconds.
            await self._look_for_ownerless(now)
            await self._remove_trails()
            projects = await self._store.list_projects()
            outage, failures = Outage(), self._faults.counts["retention"]
            for project, keep in (await self._read_keeps(projects)).items():
                # A fault in one project's rows must not stop the retention of others.
                with self._faults.apart("retention", outage, namespace=project):
                    await self._serve(project, keep, now)
            self.progress.failures += self._faults.counts["retention"] - failures
        finally:
            self.progress.is_running = False
        self.progress.rounds += 1
        self.progress.ended_at = self._clock().timestamp()
        self.progress.seconds = time.monotonic() - began

    async def _agree_on_time(self) -> datetime | None:
        """Return the earlier of the database's and the API server's time; None if they are far apart."""
        theirs, ours = await self._store.fetch_clock(), self._clock()
        if abs(theirs - ours) > MAX_CLOCK_DIFFERENCE:
            self.progress.failures += 1
            logger.error(
                "retention stopped: the database's clock is at %s and the API server's at %s; correct the wrong one",
                theirs.isoformat(),
                ours.isoformat(),
            )
            return None
        return min(theirs, ours)

    async def _read_keeps(self, projects: list[str]) -> dict[str, tuple[Json, Keep]]:
        """Return the retention of these projects' namespaces; omit projects that are not ours."""
        wanted = {project for project in projects if not self._namespaces or project in self._namespaces}
        found: dict[str, Json] = {}
        try:
            if wanted and not self._namespaces:
                async for page in self._kube.list_pages(NAMESPACES):
                    found |= {raw["metadata"]["name"]: raw for raw in page if raw["metadata"]["name"] in wanted}
            else:
                outage = Outage()
                for name in sorted(wanted):
                    # A namespace that may not be read keeps its checkpoints; continue with the others.
                    with self._faults.apart("retention", outage, namespace=name):
                        if (raw := await self._kube.find(NAMESPACES, "", name)) is not None:
                            found[name] = raw
        except Forbidden as error:
            raise TransientError(f"may not read namespaces, where retention is set: {error}") from error
        keeps: dict[str, tuple[Json, Keep]] = {}
        for project in sorted(wanted):
            if (raw := found.get(project)) is None:
                continue
            try:
                # Objects of a list lack kind and apiVersion.
                raw = {**raw, "apiVersion": "v1", "kind": "Namespace"}
                keeps[project] = raw, read_keep(raw["metadata"].get("annotations") or {}, self._keep)
            except InvalidDays as error:
                logger.warning("%s", error, extra={"namespace": project})
                self._event_recorder.announce_about(raw, Event("InvalidRetention", str(error), "Warning", "Retain"))
        return keeps

    async def _serve(self, project: str, namespace: tuple[Json, Keep], now: datetime) -> None:
        raw, keep = namespace
        terms = [
            _Term(KeptCheckpoints.NONE, timedelta(days=keep.days), f"{keep.days} days"),
            _Term(KeptCheckpoints.NEEDED, timedelta(days=keep.prune_days), f"{keep.prune_days} days"),
            *self._read_terms(project),
        ]
        for term in terms:
            if not term.age:
                continue
            if term.leaves is KeptCheckpoints.NONE:
                name, verb = "CheckpointsRemoved", "removed the checkpoints and events"
                done = await self._remove(project, term, now)
            else:
                name, verb = "CheckpointsPruned", "pruned the checkpoints"
                done = await self._prune(project, term, now)
            if done.sessions:
                message = (
                    f"{verb} of {done.sessions} sessions that were idle for more than {term.said}:"
                    f" {done.gone.total} rows, {done.gone.bytes} bytes"
                )
                logger.info("%s", message, extra={"namespace": project})
                self._event_recorder.announce_about(raw, Event(name, message, action="Retain"))

    def _read_terms(self, project: str) -> "list[_Term]":
        """Return the own retention of the workflows of a project's sessions: ``checkpointer.ttl``."""
        terms = []
        for key, ttl in self._index.list_checkpoint_ttls(project):
            leaves = KeptCheckpoints.NONE if ttl.strategy == "delete" else KeptCheckpoints.NEEDED
            said = f"{ttl.seconds / 60:g} minutes, as langgraph.json of {key.name!r} says"
            terms.append(_Term(leaves, timedelta(seconds=ttl.seconds), said, key))
        return terms

    async def _remove(self, project: str, term: "_Term", now: datetime) -> Done:
        done, limit = Done(), self._rows // SMALL
        for kept in (KeptCheckpoints.ALL, KeptCheckpoints.NEEDED):
            async for batch in self._find_due(project, kept, term, now):
                began = time.monotonic()
                sizes = await self._store.measure(batch, limit=limit + 1)
                self.progress.busy_seconds += time.monotonic() - began
                small = [uid for uid in batch if sizes.get(uid, 0) <= limit]
                for uids in pack(small, sizes, self._rows):
                    pieces = pack(uids, sizes, self._rows // PIECES)
                    done += await take_steps("removed", uids, self._emptying(pieces), self.progress)
                for uid in batch:
                    if uid not in small:
                        done += await take_steps("removed", [uid], self._removing, self.progress)
        return done

    def _removing(self, uids: Sequence[str]) -> Awaitable[Step]:
        return self._store.remove(uids, rows=self._rows)

    def _emptying(self, pieces: Sequence[Sequence[str]]) -> Take:
        return lambda _: self._store.empty(pieces, rest=PIECE_REST)

    def _pruning(self, uids: Sequence[str]) -> Awaitable[Step]:
        return self._store.prune(uids[0], rows=self._rows)

    async def _prune(self, project: str, term: "_Term", now: datetime) -> Done:
        done = Done()
        async for batch in self._find_due(project, KeptCheckpoints.ALL, term, now):
            for uid in batch:
                done += await take_steps("pruned", [uid], self._pruning, self.progress)
        return done

    async def _find_due(
        self, project: str, kept: KeptCheckpoints, term: "_Term", now: datetime
    ) -> AsyncIterator[list[str]]:
        """Yield the due sessions of a project in batches, oldest first."""
        before, last = now - term.age, None
        workflow = term.of.name if term.of is not None else None
        while True:
            page = await self._store.list_ended(
                project, before=before, kept=kept, workflow=workflow, after=last, limit=SESSIONS
            )
            if due := [ended.session_uid for ended in page if self._is_due(ended, term, now)]:
                yield due
            if len(page) < SESSIONS:
                return
            last = page[-1]

    def _is_due(self, ended: Ended, term: "_Term", now: datetime) -> bool:
        entry = self._index.find(SessionKey(ended.project_name, ended.session_name))
        # Definitions of a namespace and of the cluster may have one name.
        is_meant = term.of is None or (entry is not None and entry.workflow == term.of)
        return is_meant and is_due(ended, entry, age=term.age, now=now)

    async def _remove_trails(self) -> None:
        """Remove the trails of sessions that have been gone for long enough, by the database's clock and whole."""
        if self._trails is None or not self._trail_days:
            return
        total = 0
        try:
            while removed := await self._trails.remove_old(self._trail_days, self._namespaces or None, limit=SESSIONS):
                total += removed
                if removed < SESSIONS:
                    break
        except DatabaseUnavailable:
            raise
        except TransientError as error:
            self.progress.failures += 1
            logger.warning("removes the trails of sessions that are gone in the next round: %s", error)
        if total:
            message = "removed the trails of %d sessions that had been gone for more than %d days"
            logger.info(message, total, self._trail_days)

    async def _look_for_ownerless(self, now: datetime) -> None:
        """Remove, once a day, the threads without an owner; what keeps from it keeps from nothing else."""
        if self._namespaces or self._monotonic() < self._ownerless_from:
            return
        try:
            await self._remove_ownerless(now)
        except DatabaseUnavailable:
            raise
        except TransientError as error:
            self.progress.failures += 1
            logger.warning("search for orphaned threads failed, repeating it in the next round: %s", error)
        else:
            self._ownerless_from = self._monotonic() + OWNERLESS_SECONDS

    async def _remove_ownerless(self, now: datetime) -> None:
        """Remove the threads without a session and without a fence: nothing else removes them."""
        last = ""
        while True:
            page = await self._store.list_threads(after=last, limit=THREADS)
            owners = {
                thread.thread_id: owner
                for thread in page
                if (owner := find_owner(thread, days=self._keep.days, now=now)) is not None
            }
            if owners:
                done = await take_steps("ownerless", list(owners), self._removing_ownerless(owners), self.progress)
                if done.sessions:
                    logger.info("removed %d orphaned threads, %d rows", done.sessions, done.gone.total)
            if len(page) < THREADS:
                return
            last = page[-1].thread_id
            await asyncio.sleep(0)

    def _removing_ownerless(self, owners: Mapping[str, tuple[str, str]]) -> Take:
        def take(threads: Sequence[str]) -> Awaitable[Step]:
            return self._store.remove_ownerless({thread: owners[thread] for thread in threads}, rows=self._rows)

        return take


@dataclass(frozen=True)
class _Term:
    """The age at which checkpoints of a session are removed, and which of them stay; an age of zero means never."""

    leaves: KeptCheckpoints
    age: timedelta
    said: str
    of: DefinitionKey | None = None
    """The workflow that it applies to; None for all of a project."""
