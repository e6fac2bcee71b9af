"""The bed itself: a pod of ours runs as a process with the rights, files and variables that a kubelet gives it."""

from agentic_core.lifecycle import Phase
from agentic_core.resources import AgenticSession, WorkflowSnapshot
from agentic_core.threads import thread_id
from agentic_operator.config import JobDefaults
from agentic_operator.manifests.jobs import build_job
from tests.faults.bed import IMAGE, Bed, until
from tests.support.apiclient import core_path, jobs_path, sessions_path


async def test_a_job_made_by_hand_runs_to_its_result(bed: Bed) -> None:
    space = bed.namespace
    await bed.client.create(core_path(space, "serviceaccounts"), {"metadata": {"name": "agentic-runner"}})
    await bed.client.create(
        f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space}/rolebindings",
        {
            "metadata": {"name": "agentic-runner"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "agentic-runner"},
            "subjects": [{"kind": "ServiceAccount", "name": "agentic-runner", "namespace": space}],
        },
    )
    system = await bed.client.get(core_path("agentic-system", "secrets", "agentic-postgres-runner"))
    await bed.client.create(
        core_path(space, "secrets"), {"metadata": {"name": "agentic-postgres"}, "data": system["data"]}
    )
    made = await bed.start("w", "s", inputs={"count": 2, "seconds": 0.1})
    session = AgenticSession.model_validate(made)
    thread = thread_id(space, "s")
    bed.database.execute(
        "INSERT INTO workflow_sessions (session_uid, project_name, session_name, workflow_name, thread_id, status, run)"
        " VALUES (%s, %s, 's', 'w', %s, 'creating', 1)",
        [session.metadata.uid, space, thread],
    )
    status = {"phase": "Creating", "run": 1, "jobName": "s-r1", "threadId": thread}
    await bed.client.patch(sessions_path(space, "s", "status"), {"status": status})
    snapshot = WorkflowSnapshot(image=IMAGE, graph="steps")
    job = build_job(session, snapshot, None, 1, thread, JobDefaults(backend_url=bed.runners.url))
    await bed.client.create(jobs_path(space), job)
    found = await bed.wait_phase("s", Phase.COMPLETED)
    assert found["result"]["done"] == ["1", "2"]
    await bed.wait_rest()

    async def is_complete() -> bool:
        return bool((await bed.client.get(jobs_path(space, "s-r1")))["status"].get("succeeded"))

    await until(is_complete, what="the Job completes")
    await bed.check()
