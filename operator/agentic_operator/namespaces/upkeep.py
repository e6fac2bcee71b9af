"""Keeps accounts, bindings, Secrets and policies of a namespace in place while runs need them.

Somebody may delete one of them during a run: without its binding a runner cannot write its status, and without its
Secret the next attempt's pod does not start. Missing objects are created before each run; this module checks them again
every few minutes, only in namespaces with active runs.
"""

from typing import Final, Protocol

from agentic_operator.cache.index import Index
from agentic_operator.faults import Faults, Outage, repeat

INTERVAL_SECONDS: Final = 60.0
_RUNNING: Final = ("Creating", "Running")


class Prepares(Protocol):
    """What is needed of ``Namespaces``, which remembers for five minutes that all was there."""

    async def prepare_for_runs(self, namespace: str) -> None: ...


class Upkeep:
    """Goes round every minute."""

    def __init__(self, namespaces: Prepares, registry: Index, faults: Faults | None = None) -> None:
        self._namespaces = namespaces
        self._registry = registry
        self._faults = faults or Faults()

    async def run(self) -> None:
        """Go round for ever."""
        await repeat(
            "namespaces", self.run_once, self._faults, first_seconds=INTERVAL_SECONDS, seconds=INTERVAL_SECONDS
        )

    async def run_once(self) -> None:
        """Create the missing objects of namespaces with active runs, once."""
        outage = Outage()
        for namespace in self._list_namespaces():
            with self._faults.apart("namespaces", outage, namespace=namespace):
                await self._namespaces.prepare_for_runs(namespace)

    def _list_namespaces(self) -> list[str]:
        known = self._registry.keys()
        entries = ((key.namespace, self._registry.find(key)) for key in known)
        return sorted({name for name, entry in entries if entry is not None and entry.phase in _RUNNING})
