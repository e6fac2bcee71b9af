"""The clock of a runner is wrong by hours: what is written down, and what runs next, does not depend on it."""

from datetime import UTC, datetime, timedelta

import pytest

from agentic_core.lifecycle import Phase
from hack.cluster.deps import find_faketime
from tests.faults.bed import Bed, until
from tests.faults.counter import count_started, define_counted, find_repeated
from tests.support.apiclient import sessions_path


def set_clock(bed: Bed, offset: str) -> None:
    """Let the processes that start from now on have a clock that is off by this."""
    library = find_faketime()
    assert library is not None, "install libfaketime, as `python -m hack.cluster deps database` does"
    bed.kubelet.environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME": offset,
        # Nobody can set that one.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
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


def has_begun(bed: Bed, step: int) -> bool:
    return any(begun == step for _, begun in count_started(bed.database))
