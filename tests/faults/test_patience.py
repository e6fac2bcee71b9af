"""Faults that take minutes to be sure of; `make chaos` alone waits for them."""

import asyncio
import signal

from agentic_core.contract import ExitCode
from tests.faults.bed import Bed
from tests.faults.test_runner_losses import WORKSPACE, assert_done, find_successor, reach


async def test_a_pod_whose_node_never_answers_is_given_up(bed: Bed) -> None:
    await bed.operator()
    await bed.define("steps", workspace=WORKSPACE)
    await bed.start("steps", "s", inputs={"count": 15, "seconds": 0.2})
    await reach(bed, "s", 2)
    process = await bed.wait_runner("s")
    process.send(signal.SIGSTOP)
    await bed.kubelet.fall_silent(process)
    await find_successor(bed, process, seconds=90)
    process.send(signal.SIGCONT)
    await assert_done(bed, "s", 15, losses=2)
    await asyncio.wait_for(process.ended.wait(), 30)
    assert process.exit_code == ExitCode.SUPERSEDED
    await bed.wait_rest()
    await bed.check()
