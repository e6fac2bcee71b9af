"""Sessions that wait for people, while what they stand on goes away and comes back; every answer acts once.

Each node notes what it did in the session's workspace: a counter that no part of the system keeps.
"""

import asyncio
from functools import partial
from typing import Any

import pytest

from agentic_core.lifecycle import Phase
from agentic_core.names import SESSION_LABEL
from tests.faults.bed import LONG, Bed, until
from tests.support.apiclient import Json, core_path, jobs_path, sessions_path
from tests.support.postgres_server import PostgresServer

SESSIONS = 20 if LONG else 4


async def respond(bed: Bed, name: str, **answers: Any) -> None:
    """Answer by node, as a client does that replaces the whole list."""
    asked = {each["node"]: each["id"] for each in (await bed.status(name))["interrupts"]}
    given = [{"interruptId": asked[node], "value": value} for node, value in answers.items()]
    await bed.client.patch(sessions_path(bed.namespace, name), {"spec": {"responses": given}})


async def wait_no_pods(bed: Bed) -> None:
    """Wait until all sessions rest and nothing is left of their runs: no Job, no pod, ended or not."""
    await bed.wait_rest(seconds=120)

    async def left() -> list[str]:
        found = [
            *await bed.client.list(jobs_path(bed.namespace)),
            *await bed.client.list(core_path(bed.namespace, "pods")),
        ]
        return [each["metadata"]["name"] for each in found if SESSION_LABEL in (each["metadata"].get("labels") or {})]

    async def is_empty() -> bool:
        return not await left()

    await until(is_empty, what="no pod while they wait", seconds=30, every=0.2)


async def fetch_questions(bed: Bed, names: list[str]) -> dict[str, list[Json]]:
    return {name: (await bed.status(name))["interrupts"] for name in names}


async def check_end(bed: Bed, name: str, left: int, right: int) -> None:
    status = await bed.wait_phase(name, Phase.COMPLETED, seconds=120)
    assert sorted(status["result"]["done"]) == [f"left {left}", f"right {right}"]
    assert sorted(status["result"]["journal"]) == ["before", f"left {left}", f"right {right}"]


async def test_everything_restarts_while_they_wait_and_each_answer_acts_once(
    bed: Bed, postgres_server: PostgresServer
) -> None:
    operator = await bed.operator()
    await bed.define("pair", workspace={"size": "1Mi"})
    names = [f"w{number}" for number in range(SESSIONS)]
    for name in names:
        await bed.start("pair", name, inputs={})
    for name in names:
        await bed.wait_phase(name, Phase.WAITING_FOR_INPUT, seconds=120)
    await wait_no_pods(bed)
    asked = await fetch_questions(bed, names)

    await operator.kill_and_wait()
    await asyncio.to_thread(postgres_server.restart)
    await asyncio.to_thread(bed.plane.restart_apiserver)
    assert await fetch_questions(bed, names) == asked
    for number, name in enumerate(names[::2]):
        await respond(bed, name, ask_left=number, ask_right=number)
    operator.start()
    for number, name in enumerate(names[1::2]):
        await respond(bed, name, ask_left=number)
        await until(partial(is_answered_once, bed, name), what="the first answer to act", seconds=120)
        await respond(bed, name, ask_left=number, ask_right=number)
    for number, name in enumerate(names[::2]):
        await check_end(bed, name, number, number)
    for number, name in enumerate(names[1::2]):
        await check_end(bed, name, number, number)
    await bed.wait_rest()
    await bed.check()


async def is_answered_once(bed: Bed, name: str) -> bool:
    """Say whether one question was acted upon and the session waits for the other."""
    status = await bed.status(name)
    acted = [each for each in status["interrupts"] if "resumedAt" in each]
    return len(acted) == 1 and status["phase"] == Phase.WAITING_FOR_INPUT.value


@pytest.mark.parametrize("operators", [1, 2])
async def test_of_two_answers_at_the_same_moment_one_acts(bed: Bed, operators: int) -> None:
    for number in range(operators):
        await bed.operator(f"operator-{number}")
    await bed.define("pair", workspace={"size": "1Mi"})
    await bed.start("pair", "s", inputs={})
    await bed.wait_phase("s", Phase.WAITING_FOR_INPUT)
    await asyncio.gather(*(respond(bed, "s", ask_left=who, ask_right=who) for who in (1, 2)))
    status = await bed.wait_phase("s", Phase.COMPLETED, seconds=120)
    (left,) = (each["answer"] for each in status["interrupts"] if each["node"] == "ask_left")
    (right,) = (each["answer"] for each in status["interrupts"] if each["node"] == "ask_right")
    await check_end(bed, "s", left, right)
    await bed.wait_rest()
    await bed.check()
