"""Keeps accounts, bindings, Secrets and policies of a namespace in place while runs need them.

Somebody may delete one of them under a run: without its binding a runner writes no status any more, and without its
Secret a next attempt's pod does not start. Before a run all of it is made where it is missing; here it is looked at
again every few minutes, in namespaces in which something runs and in no others.
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
        """Make, once, what is missing where something runs."""
        outage = Outage()
        for namespace in self._list_namespaces():
            with self._faults.apart("namespaces", outage, namespace=namespace):
                await self._namespaces.prepare_for_runs(namespace)

    def _list_namespaces(self) -> list[str]:
        known = self._registry.keys()
        entries = ((key.namespace, self._registry.find(key)) for key in known)
        return sorted({name for name, entry in entries if entry is not None and entry.phase in _RUNNING})
