"""What is left when a session's pods are used up, and when its Job goes."""

from agentic_core.contract import ExitCode
from agentic_core.lifecycle import Phase
from tests.faults.bed import SYSTEM, Bed, until
from tests.support.apiclient import core_path, jobs_path


async def test_a_session_that_uses_up_its_pods_without_a_database_fails_with_that_reason(bed: Bed) -> None:
    """Nobody listens where the runners' Secret points to; operator and API server are well."""
    path = core_path(SYSTEM, "secrets", "agentic-postgres-runner")
    nowhere = {"stringData": {"dsn": "postgresql://test_runner:secret-of-nobody@127.0.0.1:1/nowhere"}}
    await bed.client.patch(path, nowhere)
    bed.kubelet.environment = {"DATABASE_PATIENCE_SECONDS": "1"}
    await bed.operator(TENANCY="off")
    await bed.define("quick")
    await bed.start("quick", "s", inputs={"seconds": 0}, retries=1)

    status = await bed.wait_phase("s", Phase.FAILED)

    assert status["reason"] == "DatabaseUnavailable"
    assert "cannot connect to PostgreSQL" in status["message"]
    assert "secret-of-nobody" not in status["message"]
    ended = [
        process for process in bed.kubelet.processes if process.session == "s" and process.namespace == bed.namespace
    ]
    assert [process.exit_code for process in ended] == [ExitCode.DATABASE_UNAVAILABLE] * 2
    assert status["run"] == 1


async def test_the_job_of_a_finished_session_goes_after_its_time_and_its_workspace_with_the_session(bed: Bed) -> None:
    operator = await bed.operator(JOB_TTL_SECONDS="1")
    await bed.define("quick", workspace={"size": "1Mi"})
    await bed.start("quick", "s", inputs={"seconds": 0})
    status = await bed.wait_phase("s", Phase.COMPLETED)

    async def is_gone() -> bool:
        jobs = await bed.client.list(jobs_path(bed.namespace))
        return not any(job["metadata"]["name"] == status["jobName"] for job in jobs)

    await until(is_gone, what="the session's Job gone", every=0.2)
    await bed.settle(operator)
    later = await bed.status("s")
    assert (later["phase"], later["run"], later["result"]) == ("Completed", 1, status["result"])
    assert not bed.kubelet.alive("s", bed.namespace)
    await bed.check()

    claims = core_path(bed.namespace, "persistentvolumeclaims")
    assert [claim["metadata"]["name"] for claim in await bed.client.list(claims)] == ["s-workspace"]
    await bed.delete("s")
    await bed.wait_gone("s")

    async def has_no_claim() -> bool:
        return not await bed.client.list(claims)

    await until(has_no_claim, what="the workspace gone", every=0.2)
