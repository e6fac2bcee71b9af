"""What runs need in their namespace is looked at while they run, and nowhere else."""

import pytest

from agentic_core.errors import PermanentError
from agentic_operator.cache.index import Index
from agentic_operator.faults import Faults
from agentic_operator.namespaces.upkeep import Upkeep
from tests.support.raw_sessions import a_raw_session


class Namespaces:
    def __init__(self) -> None:
        self.prepared: list[str] = []
        self.refused = ""

    async def prepare_for_runs(self, namespace: str) -> None:
        self.prepared.append(namespace)
        if namespace == self.refused:
            raise PermanentError("no")


def a_registry(**phases: str) -> Index:
    index = Index(lambda _: None, lambda _: None)
    for namespace, phase in phases.items():
        for name in ("one", "two"):
            raw = a_raw_session(name, status={"phase": phase})
            raw["metadata"].update(namespace=namespace, uid=f"{namespace}-{name}")
            index.see_session(raw)
    return index


async def test_namespaces_in_which_something_runs_are_looked_at_once_each() -> None:
    namespaces = Namespaces()
    index = a_registry(a="Running", b="WaitingForInput", c="Completed", d="Creating", e="Pending")
    await Upkeep(namespaces, index).run_once()
    assert namespaces.prepared == ["a", "d"]


@pytest.mark.parametrize("refused", ["a", "b", "c"])
async def test_one_that_cannot_be_prepared_keeps_none_of_the_others(refused: str) -> None:
    namespaces, faults = Namespaces(), Faults()
    namespaces.refused = refused
    await Upkeep(namespaces, a_registry(a="Running", b="Running", c="Running"), faults).run_once()
    assert namespaces.prepared == ["a", "b", "c"]
    assert faults.counts == {"namespaces": 1}
