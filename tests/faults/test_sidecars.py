"""Pods of other people: what webhooks put beside a runner neither ends with it nor keeps its session from going on."""

import asyncio
from collections import Counter

from agentic_core.lifecycle import Phase
from tests.faults.bed import Bed, until
from tests.faults.test_people import respond
from tests.support.apiclient import core_path, jobs_path
from tests.support.injector import a_sidecar, inject

# One that never ends, one that ignores that it should, and one that Kubernetes ends by itself.
PLAIN = a_sidecar("mesh-proxy")
STUBBORN = a_sidecar("log-agent", command=["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
NATIVE = a_sidecar("native-proxy", native=True)
# Ends badly in the middle: the pod will have failed although its runner has not.
CRASHING = a_sidecar("crashing-agent", command=["false"])


async def wait_nothing_left(bed: Bed) -> None:
    async def is_empty() -> bool:
        jobs = await bed.client.list(jobs_path(bed.namespace))
        going = [job for job in jobs if not (job.get("status") or {}).get("conditions")]
        pods = await bed.client.list(core_path(bed.namespace, "pods"))
        return not going and not [pod for pod in pods if pod["status"]["phase"] == "Running"]

    await until(is_empty, what="nothing that a sidecar keeps", every=0.3)


async def test_sessions_ask_go_on_fail_and_complete_beside_sidecars(bed: Bed) -> None:
    await bed.operator()
    async with inject(bed.plane, bed.namespace, PLAIN, STUBBORN, NATIVE, CRASHING):
        # Their inspections' reports are read beside sidecars, too.
        await asyncio.gather(
            bed.define("pair", workspace={"size": "1Mi"}),
            bed.define("flaky", workspace={"size": "1Mi"}),
            bed.define("raises", defaults={"retries": 1}),
        )
        await bed.start("pair", "asks", inputs={})
        await bed.start("flaky", "tried", inputs={})
        await bed.start("raises", "fails", inputs={})
        await bed.wait_phase("asks", Phase.WAITING_FOR_INPUT)
        await respond(bed, "asks", ask_left=1, ask_right=2)
        asked = await bed.wait_phase("asks", Phase.COMPLETED)
        assert sorted(asked["result"]["done"]) == ["left 1", "right 2"]
        # One attempt failed, in the same run: the Job made the next pod.
        tried = await bed.wait_phase("tried", Phase.COMPLETED)
        assert tried["run"] == 1
        failed = await bed.wait_phase("fails", Phase.FAILED)
        assert failed["reason"] == "GraphError"
        await wait_nothing_left(bed)
    assert Counter(process.is_alive for process in bed.kubelet.processes) == {False: len(bed.kubelet.processes)}
    await bed.check()


async def test_memory_and_a_broken_image_are_told_beside_a_sidecar(bed: Bed) -> None:
    await bed.operator()
    async with inject(bed.plane, bed.namespace, PLAIN):
        await bed.define("steps", defaults={"retries": 0})
        await bed.define("broken", is_awaited=False)
        await bed.start("steps", "hungry", inputs={"steps": 200, "pause": 0.1})
        runner = await bed.wait_runner("hungry")
        await bed.wait_phase("hungry", Phase.RUNNING)
        bed.kubelet.exhaust_memory(runner)
        status = await bed.wait_phase("hungry", Phase.FAILED)
        assert status["reason"] == "OOMKilled"

        async def told() -> bool:
            found = await bed.client.get(
                f"/apis/agentic-operator.dev/v1alpha1/namespaces/{bed.namespace}/workflowdefinitions/broken"
            )
            conditions = {each["type"]: each for each in (found.get("status") or {}).get("conditions") or ()}
            return bool(conditions.get("Inspected", {}).get("reason") == "GraphLoadFailed")

        await until(told, what="the inspection's failure", every=0.3)
        await wait_nothing_left(bed)
        # What was told stands, though the pod that said it is gone.
        assert await told()
