"""PostgreSQL fails over to a standby that lacks checkpoints which were acknowledged: found, told, and run again.

The standby is real, asynchronous, and cut off from its primary for a while before that is killed.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentic_core.lifecycle import Phase
from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
from hack.cluster.controlplane import ControlPlane
from tests.faults.bed import Bed, open_bed, until
from tests.support.apiclient import Json, sessions_path
from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import start_server
from tests.support.postgres_standby import Pair, start_standby

WORKSPACE = {"size": "1Mi"}


@pytest.fixture
def pair() -> Iterator[Pair]:
    with start_server() as primary:
        asyncio.run(migrate.up(Dsn.parse(primary.dsn("postgres"))))
        with start_standby(primary) as pair:
            yield pair


def find_condition(status: Json, type_: str) -> Json | None:
    conditions: list[Json] = status.get("conditions") or []
    return next((each for each in conditions if each["type"] == type_), None)


async def wait_steps(bed: Bed, name: str, steps: int) -> None:
    """Wait until the status tells of so many super-steps: they are acknowledged."""

    def is_told() -> bool:
        life = bed.life(name)
        return life is not None and life.last.steps >= steps

    await until(is_told, what=f"{steps} super-steps of {name}", every=0.02)


async def answer(bed: Bed, name: str) -> str:
    """Answer the open question with yes; return its id."""
    status = await bed.status(name)
    (asked,) = (each["id"] for each in status["interrupts"] if "answeredAt" not in each)
    given = {"spec": {"responses": [{"interruptId": asked, "value": "yes"}]}}
    await bed.client.patch(sessions_path(bed.namespace, name), given)
    return str(asked)


async def test_a_standby_that_lags_takes_over(plane: ControlPlane, pair: Pair, tmp_path: Path) -> None:
    # Both servers look like one to whoever has the connection string.
    database = PostgresDatabase(pair, "postgres")  # type: ignore[arg-type]  # only its connection string is used
    async with open_bed(plane, database, tmp_path, "failover") as bed:
        await bed.operator()
        await bed.define("steps", workspace=WORKSPACE)
        await bed.define("asks", workspace=WORKSPACE)
        # One that saves all the time, and one that is in the middle of a node while the server changes.
        await bed.start("steps", "busy", inputs={"count": 40, "seconds": 0.4}, retries=3)
        await bed.start("steps", "slow", inputs={"count": 4, "seconds": 3}, retries=3)
        await wait_steps(bed, "busy", 2)
        await wait_steps(bed, "slow", 1)
        await asyncio.to_thread(pair.wait_replayed)
        await asyncio.to_thread(pair.cut)
        kept = Counter(bed.journal("busy"))
        await bed.start("asks", "asks", inputs={}, retries=3)
        await bed.wait_phase("asks", Phase.WAITING_FOR_INPUT)
        await wait_steps(bed, "busy", 8)
        await wait_steps(bed, "slow", 2)
        acknowledged = {name: await bed.status(name) for name in ("busy", "slow", "asks")}
        await asyncio.to_thread(pair.fail_over)

        old = await answer(bed, "asks")
        await bed.wait_phase("asks", Phase.RUNNING)
        await bed.wait_phase("asks", Phase.WAITING_FOR_INPUT)
        status = await bed.status("asks")
        (question,) = status["interrupts"]
        assert question["id"] != old
        assert bed.journal("asks") == ["before", "before"]

        async def is_refused() -> bool:
            found = find_condition(await bed.status("asks"), "InputAccepted") or {}
            return (found.get("status"), found.get("reason")) == ("False", "UnknownInterrupt")

        await until(is_refused, what="the answer to the lost question refused")
        await answer(bed, "asks")

        for name, count in (("busy", 40), ("slow", 4)):
            status = await bed.wait_phase(name, Phase.COMPLETED)
            assert status["result"]["done"] == [str(number) for number in range(1, count + 1)]
            ran = Counter(line for line in bed.journal(name) if line.startswith("end"))
            lost = acknowledged[name]["steps"]
            assert ran[f"end {lost}"] == 2, f"{name}: super-step {lost} was lost and did not run again: {ran}"
            assert ran["end 1"] == 1, ran
        assert all(Counter(bed.journal("busy"))[line] == 1 for line in kept if line in ("end 1", "end 2"))
        status = await bed.wait_phase("asks", Phase.COMPLETED)
        assert status["result"]["done"] == ["yes"]

        for name, before in acknowledged.items():
            status = await bed.status(name)
            loss = find_condition(status, "CheckpointsLost")
            assert loss is not None, f"{name} says nothing"
            assert before["checkpointId"] in loss["message"] or name == "busy"
            there = {row[0] for row in database.execute("SELECT checkpoint_id FROM checkpoints")}
            assert {each["id"] for each in status["history"]} <= there
            uid = (await bed.session(name))["metadata"]["uid"]
            events = "SELECT data FROM session_events WHERE session_uid = %s AND type = 'checkpoints_lost'"
            ((told,),) = database.execute(events, [uid])
            print(name, json.dumps(told))
        await bed.wait_rest()
        await bed.check(has_lost=True)
