"""Secrets of the operator's namespace that the runners of every namespace get a copy of.

A Secret of the same name that somebody else made in a namespace is left alone: it is that namespace's own choice.
"""

from collections.abc import Sequence

from agentic_core.conditions import Reason
from agentic_core.contract import ENCRYPTION_SECRET, ENCRYPTION_SECRET_KEY, RESULT_STORE_SECRET
from agentic_core.errors import PermanentError
from agentic_operator.config import JobDefaults
from agentic_operator.kube.client import SECRETS, Json, Kube
from agentic_operator.kube.errors import Blocked
from agentic_operator.namespaces.secrets import is_ours, read_text, write_secret
from agentic_store.results.objects import read_object_store


def find_names(jobs: JobDefaults) -> tuple[str, ...]:
    """Return the Secrets that every runner's pod mounts."""
    wanted = ((jobs.has_result_store, RESULT_STORE_SECRET), (jobs.has_encryption, ENCRYPTION_SECRET))
    return tuple(name for is_wanted, name in wanted if is_wanted)


class SharedSecrets:
    """Copies Secrets into namespaces, and after their originals changed once more."""

    def __init__(self, kube: Kube, home: str, names: Sequence[str]) -> None:
        self._kube = kube
        self._home = home
        self._names = names

    async def place(self, namespace: str) -> None:
        """Make sure that the namespace has them; raise :class:`Blocked` naming the one that is nowhere or no use."""
        for name in self._names:
            await self._copy(namespace, name)

    async def _copy(self, namespace: str, name: str) -> None:
        there = await self._kube.find(SECRETS, namespace, name)
        if there is not None and not is_ours(there):
            _check(there, namespace, name)
            return
        source = await self._kube.find(SECRETS, self._home, name)
        if source is None:
            raise Blocked(
                Reason.SECRET_MISSING,
                f"runners in {namespace!r} need a Secret that is not there: make Secret {name!r} in {self._home!r}, or"
                f" in {namespace!r}, and they start by themselves",
            )
        _check(source, self._home, name)
        data = source.get("data") or {}
        known = (there or {}).get("data") or {}
        if there is None or known != data:
            gone = dict.fromkeys(known.keys() - data.keys())
            await write_secret(self._kube, namespace, name, there, {**gone, **data}, {})


def _check(secret: Json, place: str, name: str) -> None:
    """Raise :class:`Blocked` for a Secret that no runner could start with."""
    if name == ENCRYPTION_SECRET:
        read_text(secret, place, name, ENCRYPTION_SECRET_KEY)
        return
    texts = {key: read_text(secret, place, name, key) for key, value in (secret.get("data") or {}).items() if value}
    try:
        read_object_store(texts.get)
    except PermanentError as error:
        raise Blocked(Reason.SECRET_INVALID, f"Secret {name!r} in {place!r}: {error}") from error
