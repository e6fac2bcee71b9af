"""What the operator makes of Jobs and pods: the test plays the kubelet and writes their status."""

import json
from datetime import UTC, datetime

import pytest

from agentic_core.inspection import REPORT_BEGIN
from tests.support.builders import wire_time
from tests.support.kube import Json, Space
from tests.support.waiting import wait_for


def waiting(reason: str, message: str = "") -> Json:
    return {"waiting": {"reason": reason, "message": message}}


def a_started_session(space: Space, **spec: object) -> str:
    """Make a session and return the name of its first pod."""
    space.define()
    space.operator()
    space.start("s", **spec)  # type: ignore[arg-type]  # any field of a session's spec
    space.wait_status("s", "Creating")
    return space.wait_pod("s-r1")


def test_an_image_name_that_cannot_be_pulled_fails_the_session_and_ends_its_job(space: Space) -> None:
    pod = a_started_session(space)
    space.set_pod(pod, state=waiting("InvalidImageName", "couldn't parse image name"))
    status = space.wait_status("s", "Failed", "ImagePullFailed")
    assert "couldn't parse" in status["message"]
    wait_for(space.session_jobs, lambda jobs: not jobs, what="no Jobs", every=0.05)


def test_a_pull_that_may_still_work_is_shown_and_waited_for(space: Space) -> None:
    pod = a_started_session(space)
    space.set_pod(pod, state=waiting("ErrImagePull", "not found"))
    space.wait_status("s", "Creating", "ImagePullFailed")
    space.set_pod(pod, state=waiting("ContainerCreating"))
    space.wait_status("s", "Creating", "JobCreated")


def test_a_pod_that_fits_nowhere_is_told_and_waited_for(space: Space) -> None:
    pod = a_started_session(space)
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    space.set_pod(pod, conditions=[unscheduled])
    assert space.wait_status("s", "Creating", "Unschedulable")["message"] == "0/3 nodes"


@pytest.mark.parametrize(
    ("code", "container_reason", "reason"),
    [
        (137, "OOMKilled", "OOMKilled"),
        (5, "", "DatabaseNotMigrated"),
        (137, "", "RunnerLost"),
        (4, "", "GraphLoadFailed"),
    ],
)
def test_a_pod_that_ends_without_retries_fails_the_session_with_the_reason(
    space: Space, code: int, container_reason: str, reason: str
) -> None:
    pod = a_started_session(space, retries=0)
    space.report("s", phase="Running")
    space.end_pod(pod, code, reason=container_reason, message="last words")
    status = space.wait_status("s", "Failed", reason)
    assert status["error"]["type"] == reason
    if not container_reason:
        assert "last words" in status["message"]


def test_a_failed_attempt_is_told_and_the_jobs_next_pod_goes_on(space: Space) -> None:
    pod = a_started_session(space, retries=2)
    space.report("s", phase="Running")
    space.end_pod(pod, 1, message="ValueError: no")
    assert "ValueError: no" in space.wait_status("s", "Running", "Retrying")["message"]
    assert space.session_jobs() == ["s-r1"]


def test_a_deadline_fails_the_session(space: Space) -> None:
    pod = a_started_session(space, timeoutSeconds=2)
    # A Job's deadline counts from its start, which needs no pod to run.
    del pod
    space.wait_status("s", "Failed", "DeadlineExceeded")


def test_a_job_that_ends_without_a_verdict_is_followed_by_three_more_and_then_lost(space: Space) -> None:
    a_started_session(space)
    space.report("s", phase="Running")
    for run in (1, 2, 3, 4):
        pod = space.wait_pod(f"s-r{run}")
        space.wait_run("s", run)
        space.end_pod(pod, 0)
    status = space.wait_status("s", "Failed", "RunnerLost")
    assert status["run"] == 4


def test_a_job_deleted_by_hand_is_followed_by_the_next(space: Space) -> None:
    a_started_session(space)
    space.report("s", phase="Running")
    space.delete_job("s-r1")
    status = space.wait_status("s", "Creating")
    assert (status["run"], status["restarts"]) == (2, 1)
    assert space.session_jobs() == ["s-r2"]


def test_a_final_word_of_the_runner_stands_whatever_becomes_of_its_job(space: Space) -> None:
    pod = a_started_session(space, retries=0)
    space.report("s", phase="Running")
    space.report("s", phase="Completed", result={"ok": True}, completionTime=wire_time(datetime.now(UTC)))
    space.end_pod(pod, 137)
    space.settle(2)
    status = space.status("s")
    assert (status["phase"], status["result"]) == ("Completed", {"ok": True})


def inspection(space: Space) -> tuple[str, str]:
    """Return the names of the inspection's Job and its pod."""
    found = wait_for(space.jobs, bool, what="the inspection", every=0.05)
    name: str = found[0]["metadata"]["name"]
    return name, space.wait_pod(name)


def ready(space: Space, status: str, reason: str) -> Json:
    def reads(definition: Json) -> bool:
        conditions = {c["type"]: c for c in (definition.get("status") or {}).get("conditions") or ()}
        found = conditions.get("Ready", {})
        return (found.get("status"), found.get("reason")) == (status, reason)

    return wait_for(space.definition, reads, what=f"Ready={status} {reason}", every=0.05)


def test_a_graph_that_cannot_be_loaded_is_found_when_it_is_registered(space: Space) -> None:
    space.operator()
    space.define(is_ready=False)
    job, pod = inspection(space)
    ready(space, "Unknown", "Inspecting")
    space.end_pod(pod, 4, message=json.dumps({"type": "ModuleNotFoundError", "message": "No module named 'x'"}))
    found = ready(space, "False", "GraphLoadFailed")
    conditions = {c["type"]: c for c in found["status"]["conditions"]}
    assert "No module named 'x'" in conditions["Inspected"]["message"]
    space.start("s")
    space.wait_status("s", "Failed", "GraphLoadFailed")
    # A changed spec is inspected at once, and the old inspection goes.
    path = f"/apis/agentic-operator.dev/v1alpha1/namespaces/{space.name}/workflowdefinitions/report"
    space.plane.request("PATCH", path, {"spec": {"image": "registry.example.com/team/workflow:2"}})
    wait_for(
        lambda: [j["metadata"]["name"] for j in space.jobs()],
        lambda names: len(names) == 1 and names != [job],
        what="the new inspection",
        every=0.05,
    )


def test_an_image_that_cannot_be_pulled_is_found_when_it_is_registered(space: Space) -> None:
    space.operator()
    space.define(is_ready=False)
    _, pod = inspection(space)
    space.set_pod(pod, state=waiting("InvalidImageName"))
    ready(space, "False", "ImagePullFailed")


def test_a_session_says_that_its_workflows_image_cannot_be_pulled_and_starts_once_it_can(space: Space) -> None:
    space.operator()
    space.define(is_ready=False)
    _, pod = inspection(space)
    space.start("s")
    space.wait_status("s", "Pending", "WorkflowNotReady")
    space.set_pod(pod, state=waiting("ErrImagePull", "no such image"))
    ready(space, "Unknown", "ImagePullFailed")
    told = space.wait_status("s", "Pending", "ImagePullFailed")["message"]
    assert "no such image" in told
    assert "push the image" in told
    space.set_pod(pod, state=waiting("InvalidImageName", "no such image"))
    ready(space, "False", "ImagePullFailed")
    space.check()
    space.wait_status("s", "Creating", "JobCreated")


def test_a_failed_inspection_is_tried_again_after_half_a_minute(space: Space) -> None:
    space.operator()
    space.define(is_ready=False)
    job, pod = inspection(space)
    space.end_pod(pod, 4, message="no module named x")
    ready(space, "False", "GraphLoadFailed")
    first = space.wait_job(job)["metadata"]["uid"]
    wait_for(
        space.jobs,
        lambda jobs: [one for one in jobs if one["metadata"]["uid"] != first],
        what="the next inspection",
    )
    ready(space, "False", "GraphLoadFailed")


def test_an_inspection_whose_log_cannot_be_read_says_so(space: Space) -> None:
    space.operator()
    space.define(is_ready=False)
    _, pod = inspection(space)
    space.end_pod(pod, 0, message=REPORT_BEGIN)
    ready(space, "False", "InspectionFailed")


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"type": "objekt"}, "/spec/inputSchema/type"),
        ({"$ref": "http://127.0.0.1:9/schema"}, "/spec/inputSchema/$ref"),
        ({"properties": {"a": {"pattern": "(a"}}}, "/spec/inputSchema/properties/a/pattern"),
        ({"properties": {"a": {"type": "string", "nullable": True}}}, "/spec/inputSchema/properties/a/nullable"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_with_its_pointer(space: Space, schema: Json, pointer: str) -> None:
    space.operator()
    space.define(is_ready=False, inputSchema=schema)
    found = ready(space, "False", "InvalidSchema")
    conditions = {c["type"]: c for c in found["status"]["conditions"]}
    assert pointer in conditions["SchemaValid"]["message"]
    assert space.jobs() == []


def test_a_writable_path_on_a_reserved_folder_is_refused_with_its_pointer(space: Space) -> None:
    space.operator()
    space.define(is_ready=False, podTemplate={"workingDir": "/opt", "writablePaths": [{"path": "agentic"}]})
    found = ready(space, "False", "InvalidSchema")
    conditions = {c["type"]: c for c in found["status"]["conditions"]}
    assert "/spec/podTemplate/writablePaths/0/path: '/opt/agentic'" in conditions["SchemaValid"]["message"]
    assert space.jobs() == []


def test_ten_thousand_properties_and_a_pattern_bomb_do_not_hold_the_operator_up(space: Space) -> None:
    space.define(inputSchema={"properties": {f"p{n}": {"minimum": 0} for n in range(2000)}})
    space.define("bomb", inputSchema={"properties": {"a": {"pattern": "^(a+)+$"}}})
    space.operator()
    space.start("wide", inputs={f"p{n}": n for n in range(2000)})
    space.start("bomb", "bomb", inputs={"a": "a" * 40 + "!"})
    space.wait_status("wide", "Creating")
    assert "/spec/inputs/a" in space.wait_status("bomb", "Failed", "InvalidInput")["message"]
    space.define("huge", is_ready=False, inputSchema={"properties": {f"p{n}": {} for n in range(10_000)}})
    wait_for(
        lambda: space.definition("huge").get("status") or {},
        lambda status: status.get("observedGeneration") == 1,
        what="a verdict",
        every=0.05,
    )
