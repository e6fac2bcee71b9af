"""The slow round: what events may have missed, and what the database still holds of sessions that are gone.

It reads pages and forgets them. On a cluster where all is well it changes nothing anywhere.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from pydantic import ValidationError

from agentic_core.errors import AgenticError, TransientError
from agentic_core.lifecycle import Phase
from agentic_core.names import MANAGED_BY, MANAGED_BY_LABEL
from agentic_core.resources import AgenticSession
from agentic_operator.kube import JOBS, PODS, SESSIONS, Json, Kind, Kube
from agentic_operator.observed import definition_of, session_of
from agentic_operator.recorder import build_record, keep_results
from agentic_operator.registry import DefinitionKey, Key, Registry, SessionKey
from agentic_operator.workqueue import WorkQueue
from agentic_store.protocols import Sessions
from agentic_store.records import SessionRecord

INTERVAL_SECONDS: Final = 600.0
FIRST_SECONDS: Final = 15.0

logger: Final = logging.getLogger(__name__)


def owner_of(raw: Json) -> Key | None:
    """Return the session or definition that a Job or pod belongs to."""
    namespace = raw["metadata"].get("namespace", "")
    if (session := session_of(raw)) is not None:
        return SessionKey(namespace, session)
    if (definition := definition_of(raw)) is not None:
        kind, name = definition
        return DefinitionKey(kind, "" if kind == "ClusterWorkflowDefinition" else namespace, name)
    return None


def _settled_record(raw: Json) -> list[SessionRecord]:
    """Return the row of a session, unless its runner writes that itself at the moment."""
    try:
        session = AgenticSession.model_validate({**raw, "kind": "AgenticSession"})
    except ValidationError as error:
        logger.warning("a session cannot be read: %s", error, extra={"session": raw["metadata"]["name"]})
        return []
    if session.status.phase in (Phase.RUNNING, Phase.WAITING_FOR_INPUT):
        return []
    return [build_record(session)]


class Sweep:
    """Goes round every ten minutes."""

    def __init__(
        self,
        kube: Kube,
        registry: Registry,
        queue: WorkQueue[Key],
        namespaces: tuple[str, ...],
        rows: Sessions | None,
        remove_results: Callable[[str], Awaitable[None]] = keep_results,
    ) -> None:
        self._kube = kube
        self._registry = registry
        self._queue = queue
        self._namespaces = namespaces or ("",)
        self._rows = rows
        self._remove_results = remove_results

    async def run(self) -> None:
        """Go round for ever."""
        delay = FIRST_SECONDS
        while True:
            await asyncio.sleep(delay)
            delay = INTERVAL_SECONDS
            try:
                await self.go_round()
            except AgenticError as error:
                logger.warning("a sweep was cut short: %s", error)

    async def go_round(self) -> None:
        """Compare memory and database with the API server, once."""
        uids = await self._compare_sessions()
        await self._compare_children()
        if self._rows is None or self._namespaces != ("",):
            # An operator of some namespaces cannot know which sessions exist in the others.
            return
        for uid in await self._rows.find_orphans(uids):
            try:
                await self._remove_results(uid)
            except TransientError as error:
                # Its row is what the next round finds them by; the others need not wait.
                logger.warning("%s", error)
                continue
            if await self._rows.delete_session(uid):
                logger.info("purged the rows of a session that is gone", extra={"uid": uid})

    async def _compare_sessions(self) -> set[str]:
        before = set(self._registry.keys())
        uids: set[str] = set()
        async for page in self._pages(SESSIONS):
            records: list[SessionRecord] = []
            for raw in page:
                key = SessionKey(raw["metadata"]["namespace"], raw["metadata"]["name"])
                before.discard(key)
                uids.add(raw["metadata"]["uid"])
                if self._registry.see_session(raw):
                    self._queue.add(key, urgent=False)
                if self._rows is not None:
                    records += _settled_record(raw)
            if self._rows is not None and records:
                await self._rows.record_sessions(records)
        for key in before:
            # Their pass finds out whether they are gone or only newer than the list.
            self._queue.add(key, urgent=False)
        return uids

    async def _compare_children(self) -> None:
        owners = self._registry.child_owners()
        jobs = {(owner, name) for owner in owners for name in self._registry.job_names(owner)}
        pods = {(owner, pod.name) for owner in owners for pod in self._registry.pods_of(owner)}
        for kind, known in ((JOBS, jobs), (PODS, pods)):
            async for page in self._pages(kind):
                for raw in page:
                    if (owner := owner_of(raw)) is not None:
                        known.discard((owner, raw["metadata"]["name"]))
        # Listed after they were remembered and not found: their deletion was missed, or they have lost our labels.
        for owner, name in jobs:
            if isinstance(owner, DefinitionKey) or not self._registry.doubt(owner, name):
                self._registry.forget_job(owner, name)
            self._queue.add(owner, urgent=False)
        for owner, name in pods:
            if isinstance(owner, DefinitionKey) or not self._registry.doubt(owner, name):
                self._registry.forget_pod(owner, name)
            self._queue.add(owner, urgent=False)

    async def _pages(self, kind: Kind) -> AsyncIterator[list[Json]]:
        selector = "" if kind is SESSIONS else f"{MANAGED_BY_LABEL}={MANAGED_BY}"
        for namespace in self._namespaces:
            async for page in self._kube.list_pages(kind, namespace, selector=selector):
                yield page
