"""The published suite for checkpointers, on a runner's saver: plain, fenced as a tenant, and encrypted.

The suite has nothing on delta channels, and its threads are bare ids: under row-level security a tenant may only touch
threads of its own project, so an adapter puts them there.
"""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import BASE_CAPABILITIES

from agentic_runner.checkpoints.factory import build_saver
from agentic_runner.keyring import Keyring, parse_keyring
from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from tests.support.postgres import PostgresDatabase
from tests.support.tenants import dropping_tenants, make_tenant

NAMESPACE: Final = "conformance"
PREFIX: Final = f"project-{NAMESPACE}:session-"
EXPECTED: Final = {*(capability.value for capability in BASE_CAPABILITIES), "prune"}
"""What PostgreSQL's saver can; it neither copies threads nor deletes by run."""


class InProject(BaseCheckpointSaver[Any]):
    """A saver whose threads belong to a project, under names that do not show it."""

    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        super().__init__(serde=saver.serde)
        self._saver = saver

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return outside(await self._saver.aput(inside(config), checkpoint, metadata, new_versions))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await self._saver.aput_writes(inside(config), writes, task_id, task_path)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        found = await self._saver.aget_tuple(inside(config))
        return None if found is None else shown(found)

    async def alist(self, config: RunnableConfig | None, **how: Any) -> AsyncIterator[CheckpointTuple]:
        async for found in self._saver.alist(None if config is None else inside(config), **how):
            yield shown(found)

    async def adelete_thread(self, thread_id: str) -> None:
        await self._saver.adelete_thread(PREFIX + thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        await self._saver.aprune([PREFIX + each for each in thread_ids], strategy=strategy)


def inside(config: RunnableConfig) -> RunnableConfig:
    place = config["configurable"]
    # The suite has configurations without a thread, to filter by metadata.
    thread = {"thread_id": PREFIX + place["thread_id"]} if "thread_id" in place else {}
    return {**config, "configurable": {**place, **thread}}


def outside(config: RunnableConfig) -> RunnableConfig:
    place = config["configurable"]
    return {**config, "configurable": {**place, "thread_id": place["thread_id"].removeprefix(PREFIX)}}


def shown(found: CheckpointTuple) -> CheckpointTuple:
    parent = found.parent_config
    return found._replace(config=outside(found.config), parent_config=None if parent is None else outside(parent))


@asynccontextmanager
async def opened(dsn: Dsn, keyring: Keyring | None, *, is_fenced: bool) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    async with open_database(dsn, application_name="test") as database:
        saver = build_saver(database, keyring)
        if not is_fenced:
            yield saver
            return
        await database.carry(await database.fences.take(f"{PREFIX}own", "uid", 1, "test"))
        yield InProject(saver)


async def check(dsn: Dsn, keyring: Keyring | None = None, *, is_fenced: bool = False) -> None:
    @checkpointer_test(name="a runner's")
    async def saver() -> Any:
        async with opened(dsn, keyring, is_fenced=is_fenced) as found:
            yield found

    report = await validate(saver)
    failures = [failure for result in report.results.values() for failure in result.failures or []]
    assert failures == []
    assert {name for name, result in report.results.items() if result.passed} == EXPECTED


@pytest.fixture
def keyring() -> Keyring:
    return parse_keyring(base64.b64encode(bytes(range(32))).decode())


async def test_a_runners_saver_conforms(database: PostgresDatabase) -> None:
    await check(Dsn.parse(database.dsn))


async def test_a_fenced_saver_of_a_tenant_conforms_under_row_level_security(database: PostgresDatabase) -> None:
    async with dropping_tenants(database):
        await check(await make_tenant(database, NAMESPACE), is_fenced=True)
        threads = database.execute("SELECT DISTINCT thread_id FROM checkpoints")
        assert threads
        assert all(thread.startswith(PREFIX) for (thread,) in threads)


async def test_an_encrypting_saver_conforms(database: PostgresDatabase, keyring: Keyring) -> None:
    await check(Dsn.parse(database.dsn), keyring)
    types = {type_ for (type_,) in database.execute("SELECT DISTINCT type FROM checkpoint_writes")}
    assert types
    assert all("+" in type_ for type_ in types)


async def test_an_encrypting_fenced_saver_of_a_tenant_conforms(database: PostgresDatabase, keyring: Keyring) -> None:
    async with dropping_tenants(database):
        await check(await make_tenant(database, NAMESPACE), keyring, is_fenced=True)
