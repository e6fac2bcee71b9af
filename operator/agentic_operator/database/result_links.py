"""Download links to results in the object store, and removal of results with their session.

Who may change a session (as with answers) may ask for a link, by an annotation with the time of asking. The link is
written into the status, is good for an hour, and needs no credentials of the store (decision 10).
"""

import asyncio
import base64
import logging
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, Final

from agentic_core.contract import RESULT_STORE_SECRET
from agentic_core.errors import AgenticError, PermanentError, TransientError
from agentic_core.names import DOWNLOAD_ANNOTATION
from agentic_core.times import CLOCK_TOLERANCE, add, add_seconds, parse_time
from agentic_operator.faults import Faults
from agentic_operator.kube.client import SECRETS, SESSIONS, Json, Kube
from agentic_operator.sessions.keys import SessionKey
from agentic_store.protocols import Sessions
from agentic_store.results.objects import ObjectStore, ObjectStoreError, read_object_store

LINK_SECONDS: Final = 3600
# Who has a namespace chooses its store: how long others wait for it, and how many namespaces' at a time.
REMOVAL_SECONDS: Final = 10.0
FAILED_SECONDS: Final = 5.0
MAX_THREADS: Final = 32
_KNOWN_SECONDS: Final = 60.0
# Of an object below its session's folder; a turn's results have a folder of their own there.
_NAME: Final = re.compile(r"(?:turn-[0-9]{1,9}/)?[^/]+")
_MAX_WAITING: Final = 1000

logger: Final = logging.getLogger(__name__)


class Stores:
    """The object store of each namespace, as its Secret describes it."""

    def __init__(self, kube: Kube, home: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._home = home
        self._clock = clock
        self._known: dict[str, tuple[float, ObjectStore | None]] = {}

    async def find(self, namespace: str) -> ObjectStore | None:
        """Return a namespace's own store, else the common one; None without either."""
        until, store = self._known.get(namespace, (0.0, None))
        if self._clock() >= until:
            store = await self._read(namespace)
            self._known[namespace] = (self._clock() + _KNOWN_SECONDS, store)
        return store

    async def _read(self, namespace: str) -> ObjectStore | None:
        for place in (namespace, self._home):
            secret = await self._kube.find(SECRETS, place, RESULT_STORE_SECRET)
            if secret is not None:
                texts = {name: _decode(text) for name, text in (secret.get("data") or {}).items()}
                try:
                    return ObjectStore(read_object_store(texts.get))
                except PermanentError as error:
                    raise TransientError(f"Secret {RESULT_STORE_SECRET!r} in {place!r}: {error}") from error
        return None


class ResultRemover:
    """Removes a session's objects from the object store before the row that refers to them."""

    def __init__(self, stores: Stores, sessions: Sessions, clock: Callable[[], float] = time.monotonic) -> None:
        self._stores = stores
        self._sessions = sessions
        self._clock = clock
        # Of their own: what else is done in threads must not wait for a server that a namespace chose.
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="results")
        self._busy: set[str] = set()
        self._failed: dict[str, float] = {}

    async def remove(self, session_uid: str) -> None:
        """Remove the session's objects and unfinished uploads; raise ``TransientError`` if that has to wait."""
        row = await self._sessions.get(session_uid)
        if row is None or row.run == 0:
            return
        store = await self._stores.find(row.project_name)
        if store is None:
            return
        count = await self._delete(row.project_name, store, session_uid)
        if count:
            logger.info("removed results of a deleted session", extra={"uid": session_uid, "objects": count})

    async def _delete(self, namespace: str, store: ObjectStore, session_uid: str) -> int:
        """Remove in a thread, one for each namespace at a time, and wait for it no longer than others can."""
        what = f"results of session {session_uid!r} stay for now"
        if namespace in self._busy:
            raise TransientError(f"{what}: others of namespace {namespace!r} are being removed")
        if self._clock() < self._failed.get(namespace, 0.0):
            raise TransientError(f"{what}: the store of namespace {namespace!r} failed just now")
        self._busy.add(namespace)
        work = asyncio.get_running_loop().run_in_executor(
            self._threads, store.delete, store.key(namespace, session_uid)
        )
        work.add_done_callback(lambda done: self._end(namespace, done))
        try:
            async with asyncio.timeout(REMOVAL_SECONDS):
                return await asyncio.shield(work)
        except ObjectStoreError as error:
            raise TransientError(f"{what}: {error}") from error
        except TimeoutError as error:
            raise TransientError(f"{what}: its store takes longer than {REMOVAL_SECONDS:g} s") from error

    def _end(self, namespace: str, done: "asyncio.Future[int]") -> None:
        self._busy.discard(namespace)
        self._failed.pop(namespace, None)
        if not done.cancelled() and done.exception() is not None:
            self._failed = {name: at for name, at in self._failed.items() if self._clock() < at}
            self._failed[namespace] = self._clock() + FAILED_SECONDS


class ResultLinks:
    """Writes links into the status of sessions that ask for one."""

    def __init__(
        self,
        kube: Kube,
        stores: Stores,
        faults: Faults | None = None,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._kube = kube
        self._stores = stores
        self._now = now
        self._faults = faults or Faults()
        self._waiting: dict[SessionKey, None] = {}
        self._wanted = asyncio.Event()

    def see(self, raw: Mapping[str, Any]) -> None:
        """Look at a session that changed."""
        if wants_link(raw, self._now()) and len(self._waiting) < _MAX_WAITING:
            self._waiting[SessionKey(raw["metadata"]["namespace"], raw["metadata"]["name"])] = None
            self._wanted.set()

    async def run(self) -> None:
        """Write links, for ever."""
        while True:
            await self._wanted.wait()
            while self._waiting:
                key = next(iter(self._waiting))
                del self._waiting[key]
                try:
                    await self._write_link(key)
                except AgenticError as error:
                    about = {"namespace": key.namespace, "session": key.name}
                    logger.warning("creating a download link failed: %s", error, extra=about)
                except Exception as error:  # noqa: BLE001  (of one session; others asked, too)
                    self._faults.report("links", error, namespace=key.namespace, session=key.name)
            self._wanted.clear()

    async def _write_link(self, key: SessionKey) -> None:
        raw = await self._kube.find(SESSIONS, key.namespace, key.name)
        if raw is None or not wants_link(raw, self._now()):
            return
        store = await self._stores.find(key.namespace)
        if store is None:
            raise PermanentError("its namespace has no object store any more")
        prefix = store.key(key.namespace, raw["metadata"]["uid"])
        base = store.url(prefix)
        url: str = raw["status"]["resultRef"]["url"]
        # Others can write a status: its content must not give anybody another session's result.
        if not url.startswith(base) or _NAME.fullmatch(url.removeprefix(base)) is None:
            raise PermanentError(f"{url!r} is not where this session's result would be ({base!r})")
        link = await asyncio.to_thread(store.presign, prefix + url.removeprefix(base), seconds=LINK_SECONDS)
        expires_at = self._now() + timedelta(seconds=LINK_SECONDS)
        news: Json = {"downloadUrl": link, "downloadExpiresAt": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")}
        patch: Json = {
            "metadata": {"resourceVersion": raw["metadata"]["resourceVersion"]},
            "status": {"resultRef": news},
        }
        await self._kube.patch(SESSIONS, key.namespace, key.name, patch, subresource="status")
        logger.info("created a download link", extra={"namespace": key.namespace, "session": key.name})


def wants_link(raw: Mapping[str, Any], now: datetime) -> bool:
    """Return whether a link was asked for after the last one was made."""
    asked = parse_time((raw["metadata"].get("annotations") or {}).get(DOWNLOAD_ANNOTATION))
    reference = (raw.get("status") or {}).get("resultRef") or {}
    if asked is None or asked > add(now, CLOCK_TOLERANCE) or not str(reference.get("url", "")).startswith("s3://"):
        return False
    expires_at = parse_time(reference.get("downloadExpiresAt"))
    return expires_at is None or asked > add(add_seconds(expires_at, -LINK_SECONDS), CLOCK_TOLERANCE)


def _decode(encoded: str) -> str:
    return base64.b64decode(encoded).decode(errors="replace")
