"""Forks by the operator, in pods that have the rights of pods, and die."""

from functools import partial

from agentic_core.lifecycle import Phase
from tests.faults.bed import Bed, until


def has_reached(bed: Bed, line: str) -> bool:
    return line in bed.journal("fork")


async def test_a_fork_survives_its_pods_and_its_source_and_leaves_the_source_as_it_was(bed: Bed) -> None:
    await bed.operator()
    await bed.define("steps", workspace={"size": "1Gi"})
    await bed.start("steps", "source", inputs={"count": 8, "seconds": 0.3})
    source = await bed.wait_phase("source", Phase.COMPLETED)
    assert source["result"]["done"] == [str(number) for number in range(1, 9)]
    third = next(entry for entry in source["history"] if entry["step"] == 3)

    fork_from = {"session": "source", "checkpointId": third["id"], "values": {"count": 12}}
    await bed.start("steps", "fork", forkFrom=fork_from)
    for reached in ("start 5", "start 9"):
        await until(partial(has_reached, bed, reached), what=f"the fork at {reached}", every=0.02)
        bed.kill_runners("fork")
        if reached == "start 5":
            assert await bed.status("source") == source
            await bed.delete("source")
            await bed.wait_gone("source")
    status = await bed.wait_phase("fork", Phase.COMPLETED)
    # Of what came before the fork nothing ran again; of what came after, only what was killed.
    assert status["result"]["done"] == [str(number) for number in range(1, 13)]
    ended = [line for line in bed.journal("fork") if line.startswith("end")]
    assert ended == [f"end {number}" for number in range(4, 13)]
    assert [entry["step"] for entry in status["history"]][:4] == [-1, 0, 1, 2]
    await bed.wait_rest()
    await bed.check()


async def test_a_failed_session_is_retried_by_a_fork_and_a_fork_of_nothing_fails(bed: Bed) -> None:
    await bed.operator()
    await bed.define("raises")
    await bed.start("raises", "failed", inputs={}, retries=0)
    failed = await bed.wait_phase("failed", Phase.FAILED)
    await bed.start("raises", "retry", forkFrom={"session": "failed"}, retries=0)
    await bed.start("raises", "nothing", forkFrom={"session": "nobody"}, retries=0)
    retried = await bed.wait_phase("retry", Phase.FAILED)
    assert (retried["reason"], retried["error"]["node"]) == ("GraphError", failed["error"]["node"])
    nothing = await bed.wait_phase("nothing", Phase.FAILED)
    assert nothing["reason"] == "ForkSourceNotFound"
    assert await bed.status("failed") == failed
    await bed.wait_rest()
    await bed.check()
