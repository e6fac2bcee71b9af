"""What backups, restores and tools take away: annotations, labels, finalizers. What is finished does not run again."""

from agentic_core.lifecycle import Phase
from tests.faults.bed import Bed, until
from tests.support.apiclient import Json, jobs_path, sessions_path


async def _strip(bed: Bed, name: str) -> None:
    """Take all annotations, labels and finalizers off a session."""
    meta = (await bed.session(name))["metadata"]
    gone = {
        "annotations": dict.fromkeys(meta.get("annotations") or {}),
        "labels": dict.fromkeys(meta.get("labels") or {}),
        "finalizers": None,
    }
    await bed.client.patch(sessions_path(bed.namespace, name), {"metadata": gone})


async def _delete_jobs(bed: Bed) -> None:
    for job in await bed.client.list(jobs_path(bed.namespace)):
        await bed.client.delete(jobs_path(bed.namespace, job["metadata"]["name"]), propagationPolicy="Background")


async def test_what_is_finished_does_not_run_again_when_everything_is_stripped(bed: Bed) -> None:
    operator = await bed.operator()
    await bed.define("quick")
    await bed.define("raises")
    await bed.define("asks")
    await bed.start("quick", "done", inputs={})
    await bed.start("raises", "failed", inputs={}, retries=0)
    await bed.start("asks", "waits", inputs={})
    await bed.wait_phase("done", Phase.COMPLETED)
    await bed.wait_phase("failed", Phase.FAILED)
    await bed.wait_phase("waits", Phase.WAITING_FOR_INPUT)
    await bed.wait_rest()
    ran = len(bed.kubelet.processes)
    await _delete_jobs(bed)
    for name in ("done", "failed", "waits"):
        await _strip(bed, name)
    await bed.settle(operator, quiet_seconds=2)
    await operator.kill_and_wait()
    for name in ("done", "failed", "waits"):
        await _strip(bed, name)
    operator.start()
    await bed.start("quick", "new", inputs={})
    await bed.wait_phase("new", Phase.COMPLETED)
    await bed.settle(operator, quiet_seconds=2)
    assert len(bed.kubelet.processes) == ran + 1
    assert [bed.phase(name) for name in ("done", "failed", "waits")] == [
        Phase.COMPLETED,
        Phase.FAILED,
        Phase.WAITING_FOR_INPUT,
    ]
    await bed.check()


async def test_a_running_session_goes_on_when_everything_is_stripped(bed: Bed) -> None:
    operator = await bed.operator()
    await bed.define("steps")
    await bed.start("steps", "s", inputs={"count": 25, "seconds": 0.2})
    await bed.wait_phase("s", Phase.RUNNING)
    await _strip(bed, "s")
    await operator.kill_and_wait()
    await _strip(bed, "s")
    operator.start()
    status = await bed.wait_phase("s", Phase.COMPLETED)
    assert status["run"] == 1
    assert status["result"]["done"] == [str(number) for number in range(1, 26)]
    await bed.wait_rest()
    await bed.check()


async def test_sessions_restored_from_a_backup_stay_as_they_were(bed: Bed) -> None:
    """Deleted with everything, made again by a tool that then writes the status back: new objects, new uids."""
    operator = await bed.operator()
    await bed.define("quick")
    await bed.define("raises")
    await bed.start("quick", "done", inputs={"count": 1})
    await bed.start("raises", "failed", inputs={}, retries=0)
    await bed.wait_phase("done", Phase.COMPLETED)
    await bed.wait_phase("failed", Phase.FAILED)
    await bed.wait_rest()
    backup: dict[str, Json] = {name: await bed.session(name) for name in ("done", "failed")}
    for name in backup:
        await bed.delete(name)
        await bed.wait_gone(name)
    ran = len(bed.kubelet.processes)
    # Restoring tools scale a controller down first: until the status is back, the object looks like a new one.
    await operator.kill_and_wait()
    for name, saved in backup.items():
        kept = {"name": name, "labels": saved["metadata"].get("labels") or {}}
        body = {"apiVersion": saved["apiVersion"], "kind": saved["kind"], "metadata": kept, "spec": saved["spec"]}
        await bed.client.create(sessions_path(bed.namespace), body)
        await bed.client.patch(sessions_path(bed.namespace, name, "status"), {"status": saved["status"]})
    operator.start()
    await bed.start("quick", "new", inputs={})
    await bed.wait_phase("new", Phase.COMPLETED)
    await bed.settle(operator, quiet_seconds=2)
    assert len(bed.kubelet.processes) == ran + 1
    for name, saved in backup.items():
        status = await bed.status(name)
        assert {**status, "conditions": None} == {**saved["status"], "conditions": None}
    # Their rows are written again, under the new uids, by the round that compares both.
    await until(
        lambda: len(bed.database.execute("SELECT 1 FROM workflow_sessions")) == 3,
        what="the rows are back",
        last=lambda: bed.database.execute("SELECT session_name, status FROM workflow_sessions"),
    )
