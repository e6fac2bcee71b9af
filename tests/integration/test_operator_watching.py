"""What the watches hand over: every object once it is there, changed and gone, also beside one that cannot be read."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from agentic_operator.cache.index import Index
from agentic_operator.cache.watch import Handlers, watch_cluster
from agentic_operator.cache.workqueue import WorkQueue
from agentic_operator.kube.connection import read_kubeconfig
from agentic_operator.sessions.keys import Key
from tests.support.kube import SYSTEM, Space
from tests.support.waiting import PATIENCE_SECONDS


class Recorded(Handlers):
    """Notes what comes, by kind and name."""

    def __init__(self) -> None:
        queue: WorkQueue[Key] = WorkQueue(lambda: 0.0)
        super().__init__(Index(wake=queue.add, wake_later=queue.add), queue)
        self.seen: list[tuple[str | None, str, str]] = []
        self.changed = asyncio.Event()

    def _note(self, kind: str | None, raw: Mapping[str, Any]) -> None:
        if raw["metadata"]["name"] == "unreadable":
            raise ValueError("unreadable")
        self.seen.append((kind, raw["kind"], raw["metadata"]["name"]))
        self.changed.set()

    on_session = on_definition = on_job = on_pod = _note


async def wait_seen(recorded: Recorded, *events: tuple[str | None, str, str]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not set(events) <= set(recorded.seen):
            recorded.changed.clear()
            await recorded.changed.wait()


async def test_objects_that_are_there_made_changed_and_deleted_are_handed_over(
    space: Space, caplog: pytest.LogCaptureFixture
) -> None:
    space.define()
    space.start("before")
    connection = read_kubeconfig(space.plane.kubeconfig_for_service_account(SYSTEM, "agentic-operator"))
    recorded, ready = Recorded(), asyncio.Event()
    watching = asyncio.create_task(watch_cluster(recorded, connection, (space.name,), ready))
    try:
        await wait_seen(recorded, (None, "WorkflowDefinition", "report"), (None, "AgenticSession", "before"))
        await asyncio.to_thread(space.start, "unreadable")
        await asyncio.to_thread(space.start, "after")
        await wait_seen(recorded, ("ADDED", "AgenticSession", "after"))
        await asyncio.to_thread(space.change, "after", stop=True)
        await wait_seen(recorded, ("MODIFIED", "AgenticSession", "after"))
        await asyncio.to_thread(space.delete, "after")
        await wait_seen(recorded, ("DELETED", "AgenticSession", "after"))
    finally:
        watching.cancel()
        await asyncio.wait({watching})
    assert "handling a watch event of agenticsessions failed" in caplog.text
