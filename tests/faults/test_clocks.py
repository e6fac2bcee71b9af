"""A clock is wrong by hours: what is written down, what runs next, and what is over, does not depend on it."""

from datetime import UTC, datetime, timedelta

import pytest

from agentic_core.lifecycle import Phase
from hack.cluster.deps import find_faketime
from tests.faults.bed import Bed, until
from tests.faults.counter import count_started, define_counted, find_repeated
from tests.faults.talks import ONE_STEP, open_conversation, say, wait_idle
from tests.support.apiclient import sessions_path

HOUR = 3600


def build_clock(offset: str) -> dict[str, str]:
    """Return the variables of a process whose clock is off by this."""
    library = find_faketime()
    assert library is not None, "install libfaketime, as `python -m hack.cluster deps database` does"
    # The monotonic clock is one that nobody can set.
    return {"LD_PRELOAD": str(library), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def set_clock(bed: Bed, offset: str) -> None:
    """Let the pods that start from now on have a clock that is off by this."""
    bed.kubelet.environment = build_clock(offset)
    bed.kubelet.starts_cold = True


@pytest.mark.parametrize(("asking", "answered"), [("+1h", "+0"), ("-1h", "-3h")])
async def test_a_runners_clock_is_wrong_by_hours(bed: Bed, asking: str, answered: str) -> None:
    await bed.operator()
    await define_counted(bed)
    set_clock(bed, asking)
    began = datetime.now(UTC) - timedelta(seconds=2)
    deadline = {"seconds": 600, "onExpiry": "Fail"}
    await bed.start("counted", "s", inputs={"count": 6, "seconds": 0.2}, inputDeadline=deadline)
    status = await bed.wait_phase("s", Phase.WAITING_FOR_INPUT)
    (question,) = status["interrupts"]
    soon = datetime.now(UTC) + timedelta(seconds=2)
    told = [question["askedAt"], status["startTime"], *(each["at"] for each in status["history"])]
    assert all(began <= datetime.fromisoformat(at) <= soon for at in told), told

    # A run whose checkpoints are made at an earlier time than those of the run before it, lost in its middle.
    set_clock(bed, answered)
    answer = {"responses": [{"interruptId": question["id"], "value": 7}]}
    await bed.client.patch(sessions_path(bed.namespace, "s"), {"spec": answer})
    process = await bed.wait_runner("s", run=2)
    await until(lambda: has_begun(bed, 6), what="the sixth super-step")
    await bed.kubelet.disrupt(process)
    status = await bed.wait_phase("s", Phase.COMPLETED)
    assert status["result"]["done"] == ["1", "2", "3", "answer 7", "5", "6"]
    assert find_repeated(bed.database) == []
    started = count_started(bed.database)
    assert {step: count for (_, step), count in started.items() if count > 1} == {6: 2}
    assert began <= datetime.fromisoformat(status["completionTime"]) <= datetime.now(UTC) + timedelta(seconds=2)
    await bed.wait_rest()
    await bed.check()


@pytest.mark.parametrize("offset", ["+1d", "-1d"])
async def test_an_operators_clock_is_wrong_by_a_day(bed: Bed, offset: str) -> None:
    operator = await bed.operator()
    await define_counted(bed)
    deadline = {"seconds": HOUR, "onExpiry": "Fail"}
    await bed.start("counted", "asks", inputs={"count": 6, "seconds": 0}, inputDeadline=deadline)
    await bed.start("counted", "kept", inputs=ONE_STEP, ttlSecondsAfterFinished=HOUR)
    await open_conversation(bed, "counted", "talk", idleDeadlineSeconds=HOUR)
    await say(bed, "talk", "t1", ONE_STEP)
    await wait_idle(bed, "talk", turns=1)
    asked = await bed.wait_phase("asks", Phase.WAITING_FOR_INPUT)
    await bed.wait_phase("kept", Phase.COMPLETED)
    await bed.wait_rest()
    await operator.kill_and_wait()

    began = datetime.now(UTC) - timedelta(seconds=2)
    other = await bed.operator("other", is_started=False)
    other.environment |= build_clock(offset)
    other.start()
    # What comes after what it found at its start: that was looked at before.
    await bed.start("counted", "later", inputs=ONE_STEP)
    await bed.start("counted", "brief", inputs=ONE_STEP, ttlSecondsAfterFinished=1)
    await bed.wait_phase("later", Phase.COMPLETED)
    await bed.wait_gone("brief")
    assert {name: bed.phase(name) for name in ("asks", "kept", "talk")} == {
        "asks": Phase.WAITING_FOR_INPUT,
        "kept": Phase.COMPLETED,
        "talk": Phase.IDLE,
    }
    await say(bed, "talk", "t2", ONE_STEP)
    answer = {"responses": [{"interruptId": asked["interrupts"][0]["id"], "value": 7}]}
    await bed.client.patch(sessions_path(bed.namespace, "asks"), {"spec": answer})
    told = [await bed.status("later"), await bed.wait_phase("asks", Phase.COMPLETED)]
    soon = datetime.now(UTC) + timedelta(seconds=2)
    times = [each["at"] for status in told for each in status["history"]]
    first = datetime.fromisoformat(asked["startTime"]) - timedelta(seconds=2)
    assert all(first <= datetime.fromisoformat(at) <= soon for at in times), times
    assert all(began <= datetime.fromisoformat(each["at"]) for each in told[0]["history"])
    await wait_idle(bed, "talk", turns=2)
    await bed.wait_rest()
    await bed.check()


def has_begun(bed: Bed, step: int) -> bool:
    return any(begun == step for _, begun in count_started(bed.database))
