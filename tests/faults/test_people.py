"""Sessions that wait for people, while what they stand on goes away and comes back; every answer acts once.

Each node notes what it did in the session's workspace: a counter that no part of the system keeps.
"""

import asyncio
import signal
from collections import Counter
from functools import partial
from typing import Any

import pytest

from agentic_core.lifecycle import Phase
from agentic_core.names import SESSION_LABEL
from tests.faults.bed import LONG, Bed, until
from tests.support.apiclient import Json, core_path, jobs_path, sessions_path
from tests.support.faultproxy import Cut, Fault, Moment
from tests.support.postgres_server import PostgresServer

SESSIONS = 20 if LONG else 4


async def respond(bed: Bed, name: str, **answers: Any) -> None:
    """Answer by node, as a client does that replaces the whole list."""
    asked = {each["node"]: each["id"] for each in (await bed.status(name))["interrupts"]}
    given = [{"interruptId": asked[node], "value": value} for node, value in answers.items()]
    await bed.client.patch(sessions_path(bed.namespace, name), {"spec": {"responses": given}})


async def wait_no_pods(bed: Bed) -> None:
    """Wait until all sessions rest and nothing is left of their runs: no Job, no pod, ended or not."""
    await bed.wait_rest()

    async def left() -> list[str]:
        found = [
            *await bed.client.list(jobs_path(bed.namespace)),
            *await bed.client.list(core_path(bed.namespace, "pods")),
        ]
        return [each["metadata"]["name"] for each in found if SESSION_LABEL in (each["metadata"].get("labels") or {})]

    async def is_empty() -> bool:
        return not await left()

    await until(is_empty, what="no pod while they wait", every=0.2)


async def fetch_questions(bed: Bed, names: list[str]) -> dict[str, list[Json]]:
    return {name: (await bed.status(name))["interrupts"] for name in names}


async def check_acted(bed: Bed, name: str, *, kills: int = 1) -> None:
    """Check that each answer acted once: at most the super-step under way at a kill ran again."""
    status = await bed.wait_phase(name, Phase.COMPLETED)
    assert sorted(status["result"]["done"]) == ["left 1", "right 2"], name
    counts = Counter(bed.journal(name))
    assert set(counts) == {"before", "left 1", "right 2"}, (name, counts)
    assert counts["before"] == 1, (name, counts)
    assert max(counts.values()) <= 1 + kills, (name, counts)
    assert all(each["resumedAt"] for each in status["interrupts"]), name
    assert sorted(each["answer"] for each in status["interrupts"]) == [1, 2], name


async def check_end(bed: Bed, name: str, left: int, right: int) -> None:
    status = await bed.wait_phase(name, Phase.COMPLETED)
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
        await bed.wait_phase(name, Phase.WAITING_FOR_INPUT)
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
        await until(partial(is_answered_once, bed, name), what="the first answer to act")
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
    status = await bed.wait_phase("s", Phase.COMPLETED)
    (left,) = (each["answer"] for each in status["interrupts"] if each["node"] == "ask_left")
    (right,) = (each["answer"] for each in status["interrupts"] if each["node"] == "ask_right")
    await check_end(bed, "s", left, right)
    await bed.wait_rest()
    await bed.check()


async def test_a_runner_is_killed_between_saving_its_question_and_telling_it(bed: Bed) -> None:
    """Its second write to the API server is the question: all was saved before, and the next pod asks the same."""
    await bed.operator()
    await bed.define("pair", workspace={"size": "1Mi"})
    names = {f"asking-{moment.name.lower()}": moment for moment in Moment}
    for name, moment in names.items():
        bed.runners.crash_at(2, moment, partial(bed.kill_runners, name), within=f"/agenticsessions/{name}/")
        await bed.start("pair", name, inputs={}, retries=3)
    await bed.wait_rest()
    killed = [process.session for process in bed.kubelet.processes if process.exit_code == 128 + signal.SIGKILL]
    assert sorted(killed) == sorted(names)
    asked = await fetch_questions(bed, list(names))
    for name, questions in asked.items():
        assert sorted(each["node"] for each in questions) == ["ask_left", "ask_right"], name
        assert bed.journal(name) == ["before"]
        await respond(bed, name, ask_left=1, ask_right=2)
    for name in names:
        await check_acted(bed, name, kills=0)
    await bed.wait_rest()
    await bed.check()


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
async def test_a_runner_is_killed_as_an_answer_arrives(bed: Bed, warm: bool) -> None:
    """At several moments after the operator accepted it, at the read that brings it, and around the writes after it."""
    operator = await bed.operator()
    await bed.define("pair", workspace={"size": "1Mi"}, defaults={"keepWarmSeconds": 20 if warm else 0})
    offsets = [number / (20 if LONG else 5) for number in range(21 if LONG else 6)]
    late = {f"after-{round(1000 * offset)}-ms": offset for offset in offsets}
    writes = {f"write-{number}-{moment.name.lower()}": (number, moment) for moment in Moment for number in (1, 2)}
    names = [*late, *writes, "reads"]
    for name in names:
        await bed.start("pair", name, inputs={}, retries=3)
    for name in names:
        await bed.wait_phase(name, Phase.WAITING_FOR_INPUT)
    if not warm:
        await wait_no_pods(bed)

    loop = asyncio.get_running_loop()
    due = asyncio.Event()

    def kill_later(name: str) -> None:
        loop.call_later(late[name], bed.kill_runners, name)

    def note_acceptance(method: str, path: str) -> None:
        # Before it is applied: a read just after that would be too quick for a note of its answer.
        if method == "PATCH" and path.endswith("/agenticsessions/reads/status"):
            due.set()
            operator.proxy.choose = None

    def kill_at_read(method: str, path: str) -> Fault | None:
        if method == "GET" and path.endswith("/agenticsessions/reads") and due.is_set():
            # A process that has only just started may not be known yet: it reads again.
            if bed.kubelet.alive("reads", bed.namespace):
                due.clear()
                bed.kill_runners("reads")
            return Cut()
        return None

    bed.runners.choose = kill_at_read
    operator.proxy.choose = note_acceptance
    for name in names:
        path = f"/agenticsessions/{name}/status"
        if name in late:
            operator.proxy.crash_at(1, Moment.ANSWERED, partial(kill_later, name), within=path)
        if name in writes:
            number, moment = writes[name]
            bed.runners.crash_at(number, moment, partial(bed.kill_runners, name), within=path)
        await respond(bed, name, ask_left=1, ask_right=2)
    for name in names:
        await check_acted(bed, name)
    killed = {process.session for process in bed.kubelet.processes if process.exit_code == 128 + signal.SIGKILL}
    print(f"killed: {sorted(killed)}")
    # A runner that is done before its first write is answered takes that back, and the kill with it; one whose last
    # write is answered may end by itself before it is killed.
    surely = {
        name
        for name, (number, moment) in writes.items()
        if moment is Moment.BEFORE or (number == 2 and moment is Moment.UNANSWERED)
    }
    assert killed >= {*surely, "reads"}
    await bed.wait_rest()
    await bed.check()
