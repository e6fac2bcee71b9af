"""Whether who follows a session still may: asked again and again while a stream is open.

A stream outlives what it was allowed by: a token expires, a right is taken away, a session is deleted and another one
gets its name. Clients with the same token on the same session are asked for once.
"""

import asyncio
import logging
import random
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from agentic_gateway.auth.identity import Caller
from agentic_gateway.kube.client import SESSIONS, Kube, object_path
from agentic_gateway.problems import Refused

# Refusals that do not pass by waiting.
_FINAL: Final = frozenset({401, 403, 404, 410})

log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Group:
    ended: asyncio.Future[Refused]
    task: asyncio.Task[None]
    members: int = 0


class Rights:
    """Asks the API server, in the callers' names, whether they may still read what they follow."""

    def __init__(self, kube: Kube, *, seconds: float) -> None:
        self._kube = kube
        self._seconds = seconds
        self._groups: dict[Hashable, _Group] = {}

    @property
    def watched(self) -> int:
        """How many different callers of sessions are asked for."""
        return len(self._groups)

    @contextmanager
    def watch(self, caller: Caller, namespace: str, name: str, session_uid: str) -> Iterator[asyncio.Future[Refused]]:
        """Give what becomes the refusal as soon as the caller may no longer read the session, or it is another one."""
        key = (caller.name, caller.token, namespace, name, session_uid)
        group = self._groups.get(key)
        if group is None:
            ended = asyncio.get_running_loop().create_future()
            asking = self._ask_again_and_again(ended, caller, namespace, name, session_uid)
            group = self._groups[key] = _Group(ended, asyncio.create_task(asking, name=f"rights {namespace}/{name}"))
        group.members += 1
        try:
            yield group.ended
        finally:
            group.members -= 1
            if not group.members:
                group.task.cancel()
                del self._groups[key]

    async def _ask_again_and_again(
        self, ended: asyncio.Future[Refused], caller: Caller, namespace: str, name: str, session_uid: str
    ) -> None:
        while not ended.done():
            # Not all at once: many streams begin together after a restart.
            await asyncio.sleep(self._seconds * random.uniform(0.6, 1.0))  # noqa: S311  (nothing to guess)
            try:
                refused = await self._find_refusal(caller, namespace, name, session_uid)
            except Exception:
                log.exception("whether %s may still read %s/%s could not be asked", caller.name, namespace, name)
                continue
            if refused is not None:
                ended.set_result(refused)

    async def _find_refusal(self, caller: Caller, namespace: str, name: str, session_uid: str) -> Refused | None:
        try:
            session = await self._kube.request("GET", object_path(SESSIONS, namespace, name), token=caller.token)
        except Refused as refused:
            return refused if refused.status in _FINAL else None
        if session["metadata"]["uid"] != session_uid:
            return Refused("gone", "the session was deleted; another one has its name now")
        return None
