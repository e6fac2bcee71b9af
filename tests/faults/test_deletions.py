"""Sessions are deleted in every phase and in every order of things going away: nothing hangs, nothing is left."""

import asyncio
import time

import pytest

from agentic_core.lifecycle import Phase
from tests.faults.bed import Bed, seeded, seeds, until
from tests.support.apiclient import GROUP_PATH, ApiError, core_path, definitions_path, sessions_path

FINALIZER = "agentic-operator.dev/cleanup"


@pytest.mark.parametrize("seed", seeds(short=1, long=20))
async def test_sessions_are_deleted_at_random_times_and_twice(bed: Bed, seed: int) -> None:
    random = seeded(seed)
    bed.kubelet.grace_scale = 0.1
    await bed.operator()
    await bed.define("steps", workspace={"size": "1Mi"})
    await bed.define("asks")
    names = [f"s-{number}" for number in range(12)]

    async def live(name: str) -> None:
        await asyncio.sleep(random.uniform(0, 1))
        await bed.start(random.choice(["steps", "asks"]), name, inputs={"count": 30, "seconds": 0.05})
        await asyncio.sleep(random.choice([0, random.uniform(0, 4)]))
        await bed.delete(name)
        if random.random() < 0.5:
            await asyncio.sleep(random.uniform(0, 0.3))
            await bed.delete(name)

    async with asyncio.TaskGroup() as tasks:
        for name in names:
            tasks.create_task(live(name))
    for name in names:
        await bed.wait_gone(name)
    await bed.wait_rest()
    await bed.check()


async def test_a_session_made_again_under_its_name_begins_anew(bed: Bed) -> None:
    bed.kubelet.grace_scale = 0.1
    await bed.operator()
    await bed.define("steps")
    for count in (40, 3, 2):
        await bed.start("steps", "s", inputs={"count": count, "seconds": 0.05})
        await bed.wait_phase("s", Phase.RUNNING, Phase.COMPLETED)
        if count < 40:
            status = await bed.wait_phase("s", Phase.COMPLETED)
            assert status["result"]["done"] == [str(number) for number in range(1, count + 1)]
        await bed.delete("s")
        await bed.wait_gone("s")
    await bed.wait_rest()
    await bed.check()


async def test_a_deleted_session_goes_although_the_database_is_away(bed: Bed) -> None:
    bed.kubelet.grace_scale = 0.1
    operator = await bed.operator()
    await bed.define("steps")
    await bed.start("steps", "s", inputs={"count": 500, "seconds": 0.05})
    await bed.wait_phase("s", Phase.RUNNING)
    await asyncio.to_thread(bed.database.server.pause)
    began = time.monotonic()
    try:
        await bed.delete("s")
        await bed.wait_gone("s")
        took = time.monotonic() - began
    finally:
        await asyncio.to_thread(bed.database.server.resume)
    print(f"gone {took:.0f} s after its deletion, with no database")
    assert took < 90
    await bed.wait_rest()
    # What it left behind is found by the next round over the database, once it is old enough to be nobody's.
    bed.database.execute("UPDATE workflow_sessions SET updated_at = now() - interval '1 hour'")
    bed.database.execute("UPDATE thread_fences SET taken_at = now() - interval '1 hour'")
    await operator.kill_and_wait()
    operator.start()
    await until(
        lambda: not bed.database.execute("SELECT 1 FROM workflow_sessions") and not bed.rows_of_threads(),
        what="the rows are purged",
        every=0.5,
        last=lambda: bed.database.execute("SELECT session_name, updated_at FROM workflow_sessions"),
    )
    await bed.check()


async def test_a_namespace_ends_with_all_its_sessions(bed: Bed) -> None:
    bed.kubelet.grace_scale = 0.1
    await bed.operator()
    await bed.define("steps", maxActiveSessions=2)
    await bed.define("asks")
    for number in range(4):
        await bed.start("steps", f"s-{number}", inputs={"count": 500, "seconds": 0.05})
    await bed.start("asks", "w", inputs={})
    await bed.wait_phase("w", Phase.WAITING_FOR_INPUT)
    await bed.wait_phase("s-0", Phase.RUNNING)
    await bed.client.delete(f"/api/v1/namespaces/{bed.namespace}")

    async def is_gone() -> bool:
        return await bed.client.find(f"/api/v1/namespaces/{bed.namespace}") is None

    await until(is_gone, what="the namespace gone", every=0.2)
    await bed.wait_rest()
    await bed.check()


async def test_an_operator_that_comes_late_lets_go_of_what_was_deleted(bed: Bed) -> None:
    """Deleted while no operator ran: it waits for one, which lets it go at once."""
    bed.kubelet.grace_scale = 0.1
    operator = await bed.operator()
    await bed.define("steps")
    await bed.define("quick")
    await bed.start("quick", "done", inputs={})
    await bed.start("steps", "running", inputs={"count": 500, "seconds": 0.05})
    await bed.wait_phase("done", Phase.COMPLETED)
    await bed.wait_phase("running", Phase.RUNNING)
    await operator.kill_and_wait()
    for name in ("done", "running"):
        await bed.delete(name)
    found = await bed.session("done")
    assert found["metadata"]["finalizers"] == [FINALIZER]
    operator.start()
    for name in ("done", "running"):
        await bed.wait_gone(name)
    await bed.wait_rest()
    await bed.check()


async def test_without_any_operator_the_finalizer_is_taken_by_hand_and_nothing_stays(bed: Bed) -> None:
    """What the documentation says to do after the operator was uninstalled first."""
    bed.kubelet.grace_scale = 0.1
    operator = await bed.operator()
    await bed.define("steps")
    await bed.start("steps", "s", inputs={"count": 500, "seconds": 0.05})
    await bed.wait_phase("s", Phase.RUNNING)
    await operator.kill_and_wait()
    await bed.delete("s")
    await bed.client.patch(sessions_path(bed.namespace, "s"), {"metadata": {"finalizers": None}})
    await bed.wait_gone("s")
    await bed.wait_rest()

    async def has_no_children() -> bool:
        jobs = await bed.client.list(f"/apis/batch/v1/namespaces/{bed.namespace}/jobs")
        return not [job for job in jobs if job["metadata"]["name"].startswith("s-r")]

    await until(has_no_children, what="the garbage collector takes the Job")


async def test_the_definition_goes_while_its_sessions_run(bed: Bed) -> None:
    await bed.operator()
    await bed.define("steps")
    await bed.define("asks")
    await bed.start("steps", "s", inputs={"count": 10, "seconds": 0.1})
    await bed.start("asks", "w", inputs={})
    await bed.wait_phase("s", Phase.RUNNING)
    await bed.wait_phase("w", Phase.WAITING_FOR_INPUT)
    for name in ("steps", "asks"):
        await bed.client.delete(definitions_path(bed.namespace, name))
    await bed.wait_phase("s", Phase.COMPLETED)
    (interrupt,) = (await bed.status("w"))["interrupts"]
    answer = {"spec": {"responses": [{"interruptId": interrupt["id"], "value": "yes"}]}}
    await bed.client.patch(sessions_path(bed.namespace, "w"), answer)
    status = await bed.wait_phase("w", Phase.COMPLETED)
    assert status["result"]["done"] == ["yes"]
    await bed.wait_rest()
    await bed.check()


async def test_the_resources_themselves_are_deleted_with_sessions_in_every_phase(bed: Bed) -> None:
    """`kubectl delete crd` takes its objects along; the operator lets each go and survives, or starts anew."""
    bed.kubelet.grace_scale = 0.1
    operator = await bed.operator()
    await bed.define("steps")
    await bed.start("steps", "s", inputs={"count": 500, "seconds": 0.05})
    await bed.start("nothing", "pending", inputs={})
    await bed.wait_phase("s", Phase.RUNNING)
    crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/agenticsessions.agentic-operator.dev"
    saved = await bed.client.get(crd)
    try:
        await bed.client.delete(crd)

        async def is_gone() -> bool:
            return await bed.client.find(crd) is None

        await until(is_gone, what="the CustomResourceDefinition gone")
    finally:
        body = {
            "apiVersion": saved["apiVersion"],
            "kind": saved["kind"],
            "metadata": {"name": saved["metadata"]["name"]},
            "spec": saved["spec"],
        }

        async def is_back() -> bool:
            try:
                if await bed.client.find(crd) is None:
                    await bed.client.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body)
                await bed.client.list(f"{GROUP_PATH}/agenticsessions")
            except ApiError:
                return False
            return True

        await until(is_back, what="the CustomResourceDefinition back")

    async def has_no_pods() -> bool:
        return not await bed.client.list(
            core_path(bed.namespace, "pods") + "?labelSelector=agentic-operator.dev/session"
        )

    await until(has_no_pods, what="the pods gone")
    await bed.start("steps", "again", inputs={"count": 2, "seconds": 0})

    def is_completed() -> bool:
        # An operator that finds its resources gone ends, sooner or later, and its Deployment starts it anew.
        if not operator.is_alive:
            operator.start()
        return bed.phase("again") is Phase.COMPLETED

    await until(is_completed, what="again Completed")
