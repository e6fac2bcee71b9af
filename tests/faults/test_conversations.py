"""Conversations over what goes away and comes back, and over people who write at the same moment.

The graph acts once a turn, in a table that no part of the system knows: its rows say how often each turn acted.
"""

import asyncio
import random
import signal
from collections import Counter

import pytest

from agentic_core.lifecycle import Phase
from tests.faults.bed import Bed, seeded, seeds, until
from tests.faults.counter import define_counted
from tests.faults.talks import (
    ENDED,
    ONE_STEP,
    apply,
    cancel,
    close,
    count_acts,
    find_turn,
    open_conversation,
    say,
    wait_idle,
    wait_turn,
)
from tests.faults.test_clocks import set_clock
from tests.faults.test_people import wait_no_pods
from tests.faults.test_several_operators import LEASE
from tests.support.apiclient import ApiError, definitions_path, sessions_path
from tests.support.postgres_server import PostgresServer


async def test_an_idle_conversation_goes_on_over_operator_database_and_image(
    bed: Bed, postgres_server: PostgresServer
) -> None:
    operator = await bed.operator()
    await define_counted(bed)
    await open_conversation(bed, "counted", "talk")
    await say(bed, "talk", "t1", ONE_STEP)
    await wait_idle(bed, "talk", turns=1)
    await wait_no_pods(bed)

    await operator.kill_and_wait()
    await asyncio.to_thread(postgres_server.restart)
    # What is said while nobody listens is heard later.
    await say(bed, "talk", "t2", ONE_STEP)
    operator.start()
    await wait_idle(bed, "talk", turns=2)
    await wait_no_pods(bed)

    # Another image under another name: the next turn runs it, on the thread of the ones before.
    other = "agentic-operator/faults:next"
    bed.kubelet.images[other] = next(iter(bed.kubelet.images.values()))
    await bed.client.patch(definitions_path(bed.namespace, "counted"), {"spec": {"image": other}})
    await bed._is_ready("counted")
    await say(bed, "talk", "t3", ONE_STEP)
    status = await wait_idle(bed, "talk", turns=3)
    assert status["workflow"]["image"] == other
    assert [(turn["number"], turn["phase"]) for turn in status["turns"]] == [(n, "Completed") for n in (1, 2, 3)]
    assert status["result"]["done"] == ["1", "2", "3"]
    assert count_acts(bed, "talk") == [1, 2, 3]
    await bed.wait_rest()
    await bed.check()


async def test_a_new_operator_takes_over_beside_conversations_in_every_state(bed: Bed) -> None:
    """One turn runs, one asks, one pod waits warm and one conversation sleeps while one process follows the other."""
    await bed.client.delete(LEASE)
    old = await bed.operator("old", LEADER_ELECTION="true", LEASE_SECONDS="6")
    await define_counted(bed)
    await bed.define("pair", workspace={"size": "1Mi"})
    for name, warm in (("runs", 0), ("warm", 300), ("sleeps", 0)):
        await open_conversation(bed, "counted", name, keepWarmSeconds=warm)
    await open_conversation(bed, "pair", "asks")
    for name in ("warm", "sleeps"):
        await say(bed, name, "t1", ONE_STEP)
        await wait_idle(bed, name, turns=1)
    await say(bed, "asks", "t1", {})
    status = await bed.wait_phase("asks", Phase.WAITING_FOR_INPUT)
    await say(bed, "runs", "t1", {"count": 1, "seconds": 5})
    await bed.wait_phase("runs", Phase.RUNNING)

    new = await bed.operator("new", LEADER_ELECTION="true", LEASE_SECONDS="6")
    old.signal(signal.SIGTERM)
    for name in ("runs", "warm", "sleeps"):
        await say(bed, name, "t2", ONE_STEP)
    answers = [{"interruptId": each["id"], "by": "", "value": 1} for each in status["interrupts"]]
    await apply(bed, "asks", "answers", {"responses": answers})
    await old.wait()

    for name in ("runs", "warm", "sleeps"):
        turns = (await wait_idle(bed, name, turns=2))["turns"]
        assert [(turn["number"], turn["phase"]) for turn in turns] == [(1, "Completed"), (2, "Completed")], name
        assert count_acts(bed, name) == [1, 2]
    assert (await wait_turn(bed, "asks", "t1"))["phase"] == "Completed"
    new.check_alive()
    await bed.client.patch(sessions_path(bed.namespace, "warm"), {"spec": {"stop": True}})
    await bed.wait_phase("warm", Phase.STOPPED)
    await bed.check()


async def test_the_clock_of_runners_jumps_between_turns(bed: Bed) -> None:
    await bed.operator()
    await define_counted(bed)
    await open_conversation(bed, "counted", "talk")
    for number, offset in enumerate(("+0", "+26h", "-3h", "+0"), start=1):
        set_clock(bed, offset)
        await say(bed, "talk", f"t{number}", ONE_STEP)
        status = await wait_idle(bed, "talk", turns=number)
        assert status["turns"][-1]["phase"] == "Completed", status["turns"][-1]
    assert status["result"]["done"] == ["1", "2", "3", "4"]
    assert count_acts(bed, "talk") == [1, 2, 3, 4]
    await bed.wait_rest()
    await bed.check()


@pytest.mark.parametrize("warm", [0, 60])
async def test_two_clients_write_turns_at_once_and_each_runs_once(bed: Bed, warm: int) -> None:
    await bed.operator()
    await define_counted(bed)
    await open_conversation(bed, "counted", "talk", keepWarmSeconds=warm)
    names = [f"{client}{number}" for number in range(4) for client in "ab"]
    await asyncio.gather(*(say(bed, "talk", name, ONE_STEP) for name in names))
    status = await wait_idle(bed, "talk", turns=len(names))
    assert sorted(turn["name"] for turn in status["turns"]) == sorted(names)
    assert {turn["phase"] for turn in status["turns"]} == {"Completed"}
    assert [turn["number"] for turn in status["turns"]] == list(range(1, len(names) + 1))
    assert count_acts(bed, "talk") == list(range(1, len(names) + 1))
    # In the order of the list, which is that in which the API server took them.
    written = [turn["name"] for turn in (await bed.session("talk"))["spec"]["turns"]]
    assert [turn["name"] for turn in status["turns"]] == written
    await bed.check()


@pytest.mark.parametrize("seed", seeds(2, 20))
async def test_a_turn_that_is_canceled_as_it_ends_has_one_end(bed: Bed, seed: int) -> None:
    dice = seeded(seed)
    await bed.operator()
    await define_counted(bed)
    await open_conversation(bed, "counted", "talk", keepWarmSeconds=dice.choice([0, 60]))
    ends: Counter[str] = Counter()
    for number in range(1, 5):
        turn = f"t{number}"
        await say(bed, "talk", turn, {**ONE_STEP, "seconds": 0.2})
        await wait_turn(bed, "talk", turn, "Running", *ENDED)
        await asyncio.sleep(dice.uniform(0, 1.2))
        await cancel(bed, "talk", turn)
        ends[(await wait_turn(bed, "talk", turn))["phase"]] += 1
        await wait_idle(bed, "talk", turns=number)
    assert set(ends) <= {"Completed", "Canceled"}, ends
    # Each turn's input acted at most once, and nothing of a canceled turn comes back with a later one.
    acts = count_acts(bed, "talk")
    assert acts == sorted(set(acts)), acts
    await say(bed, "talk", "last", ONE_STEP)
    status = await wait_idle(bed, "talk", turns=5)
    assert status["turns"][-1]["phase"] == "Completed"
    assert status["result"]["done"] == [str(act) for act in count_acts(bed, "talk")]
    await bed.wait_rest()
    await bed.check()


@pytest.mark.parametrize("preempt", ["Interrupt", "Rollback"])
async def test_a_question_is_answered_and_preempted_at_once(bed: Bed, preempt: str) -> None:
    await bed.operator()
    await bed.define("pair", workspace={"size": "1Mi"})
    await open_conversation(bed, "pair", "talk")
    for number in range(1, 4):
        asking, next_ = f"ask{number}", f"next{number}"
        await say(bed, "talk", asking, {})
        status = await bed.wait_phase("talk", Phase.WAITING_FOR_INPUT)
        asked = [each["id"] for each in status["interrupts"] if "answeredAt" not in each]
        answers = [{"interruptId": id_, "by": "", "value": number} for id_ in asked]
        await asyncio.gather(
            apply(bed, "talk", f"answers{number}", {"responses": answers}),
            say(bed, "talk", next_, {}, preempt=preempt),
        )
        end = await wait_turn(bed, "talk", asking)
        assert end["phase"] in ("Completed", "Canceled"), end
        # The turn that came instead asks its own questions, which no answer of before fits.
        status = await bed.wait_phase("talk", Phase.WAITING_FOR_INPUT)
        await until(lambda next_=next_: is_on(bed, next_), what=f"{next_} is on")  # type: ignore[misc]
        await cancel(bed, "talk", next_)
        assert (await wait_turn(bed, "talk", next_))["phase"] == "Canceled"
        await wait_idle(bed, "talk", turns=2 * number)


async def is_on(bed: Bed, turn: str) -> bool:
    return bool((await bed.status("talk")).get("turn", {}).get("name") == turn)


@pytest.mark.parametrize("seed", seeds(2, 20))
async def test_a_turn_that_is_written_as_it_closes_runs_or_is_refused_and_never_vanishes(bed: Bed, seed: int) -> None:
    dice = seeded(seed)
    await bed.operator()
    await define_counted(bed)
    for number in range(3):
        name = f"talk{number}"
        await open_conversation(bed, "counted", name)
        taken = await write_and_close(bed, name, dice)
        status = await bed.wait_phase(name, Phase.COMPLETED)
        turns = {turn["name"]: turn["phase"] for turn in status.get("turns") or ()}
        assert set(turns) == ({"late"} if taken else set()), (taken, turns)
        assert set(turns.values()) <= {"Completed", "Refused"}, turns
        assert len(count_acts(bed, name)) == list(turns.values()).count("Completed")
    await bed.check()


async def write_and_close(bed: Bed, name: str, dice: random.Random) -> bool:
    """Write a turn and close, in either order or at once; say whether the API server took the turn."""

    async def write() -> bool:
        await asyncio.sleep(dice.uniform(0, 0.05))
        try:
            await say(bed, name, "late", ONE_STEP)
        except ApiError as error:
            if error.code not in (403, 422):
                raise
            return False
        return True

    async def end() -> None:
        await asyncio.sleep(dice.uniform(0, 0.05))
        await close(bed, name)

    taken, _ = await asyncio.gather(write(), end())
    return taken


async def test_a_conversation_whose_node_is_lost_while_it_is_warm_takes_its_next_turn(bed: Bed) -> None:
    await bed.operator()
    await define_counted(bed)
    await open_conversation(bed, "counted", "talk", keepWarmSeconds=300)
    await say(bed, "talk", "t1", ONE_STEP)
    await wait_idle(bed, "talk", turns=1)
    process = await bed.wait_runner("talk")
    await bed.kubelet.lose(process)
    await say(bed, "talk", "t2", ONE_STEP)
    status = await wait_idle(bed, "talk", turns=2)
    assert [turn["phase"] for turn in status["turns"]] == ["Completed", "Completed"]
    assert count_acts(bed, "talk") == [1, 2]
    assert (await find_turn(bed, "talk", "t2"))["number"] == 2
    await bed.client.patch(sessions_path(bed.namespace, "talk"), {"spec": {"stop": True}})
    await bed.wait_phase("talk", Phase.STOPPED)
