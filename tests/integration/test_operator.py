"""The operator as a process against a real API server: what it accepts, refuses, makes and says."""

import json
import uuid

import pytest

from hack.cluster.errors import ClusterError
from hack.kubectl import Kubectl
from tests.support.kube import Space
from tests.support.waiting import wait_for


def test_a_session_is_accepted_and_gets_a_job_that_the_restricted_standard_admits(space: Space) -> None:
    space.define(inputSchema={"type": "object", "required": ["a"]}, workspace={"size": "1Gi"})
    space.operator()
    made = space.start("s", inputs={"a": 1})
    status = space.wait_status("s", "Creating", "JobCreated")
    assert (status["run"], status["jobName"]) == (1, "s-r1")
    assert status["threadId"] == f"project-{space.name}:session-s"
    assert status["workflow"]["image"] == "registry.example.com/team/workflow:1"
    assert space.session("s")["metadata"]["finalizers"] == ["agentic-operator.dev/cleanup"]
    job = space.wait_job("s-r1")
    assert job["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
    space.wait_pod("s-r1")  # only admitted pods are made
    base = f"/api/v1/namespaces/{space.name}"
    claim = space.plane.request("GET", f"{base}/persistentvolumeclaims/s-workspace")
    assert claim["metadata"]["ownerReferences"][0]["name"] == "s"
    secret = space.plane.request("GET", f"{base}/secrets/agentic-postgres")
    assert secret["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "agentic-operator"
    binding = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.name}/rolebindings/agentic-runner"
    assert space.plane.request("GET", binding)["roleRef"]["name"] == "agentic-runner"
    wait_for(space.events, lambda seen: any(r == "JobCreated" for r, _ in seen), what="event", every=0.05)


def test_wrong_inputs_are_refused_with_the_pointer_and_without_a_pod(space: Space) -> None:
    schema = {"type": "object", "properties": {"threshold": {"type": "number"}}, "required": ["rows"]}
    space.define(inputSchema=schema)
    space.operator()
    space.start("s", inputs={"threshold": "high"})
    status = space.wait_status("s", "Failed", "InvalidInput")
    assert "/spec/inputs/threshold:" in status["message"]
    assert "rows" in status["message"]
    conditions = {c["type"]: c["status"] for c in status["conditions"]}
    assert conditions == {"Failed": "True", "Accepted": "False"}
    assert space.session_jobs() == []
    wait_for(space.events, lambda seen: any(r == "InvalidInput" for r, _ in seen), what="event", every=0.05)


def test_a_fork_needs_no_inputs_and_takes_some_where_its_runner_gives_them(space: Space) -> None:
    schema = {"type": "object", "required": ["a"]}
    space.define(inputSchema=schema)
    space.define("current", inputSchema=schema, status={"runnerContract": 3})
    space.operator()
    space.start("fork", forkFrom={"session": "first"})
    space.start("old", forkFrom={"session": "first"}, inputs={"a": 1})
    space.start("wrong", "current", forkFrom={"session": "first"}, inputs={"b": 1})
    space.start("given", "current", forkFrom={"session": "first"}, inputs={"a": 1})
    space.wait_status("fork", "Creating", "JobCreated")
    space.wait_status("given", "Creating", "JobCreated")
    assert "a runner that gives no inputs to a fork" in space.wait_status("old", "Failed", "InvalidInput")["message"]
    assert "/spec/inputs" in space.wait_status("wrong", "Failed", "InvalidInput")["message"]
    assert space.session_jobs() == ["fork-r1", "given-r1"]


def test_inputs_up_to_the_limit_run_and_larger_ones_are_refused_with_their_size(space: Space) -> None:
    space.define(inputSchema={"type": "object"})
    space.operator()
    space.start("limit", inputs={"a": "x" * (256 * 1024 - 8)})
    space.start("over", inputs={"a": "x" * (256 * 1024 - 7)})
    space.start("larger", inputs={"a": "x" * 390_000})
    with pytest.raises(ClusterError, match=r": 413 .*metadata and spec may take 400 KiB"):
        space.start("million", inputs={"a": "x" * 1_000_000})
    space.wait_status("limit", "Creating")
    assert "262,145 bytes" in space.wait_status("over", "Failed", "InvalidInput")["message"]
    assert "390,008 bytes" in space.wait_status("larger", "Failed", "InvalidInput")["message"]
    assert space.session_jobs() == ["limit-r1"]


def test_a_session_waits_for_its_workflow_and_starts_when_it_is_ready(space: Space) -> None:
    space.operator()
    space.start("s")
    assert "no WorkflowDefinition 'report'" in space.wait_status("s", "Pending", "WorkflowNotFound")["message"]
    space.define(is_ready=False)
    space.wait_status("s", "Pending", "WorkflowNotReady")
    space.check()
    space.wait_status("s", "Creating")


def test_a_suspended_workflow_starts_nothing_until_it_goes_on(space: Space) -> None:
    space.define(suspend=True)
    space.operator()
    space.start("s")
    space.wait_status("s", "Pending", "WorkflowSuspended")
    path = f"/apis/agentic-operator.dev/v1alpha1/namespaces/{space.name}/workflowdefinitions/report"
    space.plane.request("PATCH", path, {"spec": {"suspend": False}})
    space.check()
    space.wait_status("s", "Creating")


def test_sessions_queue_by_age_and_the_next_starts_when_one_ends(space: Space) -> None:
    space.define(maxActiveSessions=1)
    space.operator()
    space.start("first")
    space.wait_status("first", "Creating")
    for name in ("b", "c"):
        space.start(name)
        space.wait_status(name, "Pending", "Queued")
    space.report("first", phase="Running")
    space.report("first", phase="Completed", completionTime="2026-01-01T00:00:00Z")
    space.wait_status("b", "Creating")
    assert space.status("c")["reason"] == "Queued"
    space.change("b", stop=True)
    space.wait_status("b", "Stopped", "StoppedByUser")
    space.wait_status("c", "Creating")
    counted = wait_for(space.definition, lambda d: d["status"].get("activeSessions") == 1, what="the count")
    assert counted["status"]["activeSessions"] == 1


def test_a_burst_never_exceeds_the_limit(space: Space) -> None:
    space.define(maxActiveSessions=3)
    space.operator(is_started=False)
    for number in range(12):
        space.start(f"s{number:02}")
    space.operators[0].start()
    wait_for(
        space.sessions,
        lambda found: all((s.get("status") or {}).get("reason") in ("Queued", "JobCreated") for s in found),
        what="all looked at",
    )
    assert space.session_jobs() == ["s00-r1", "s01-r1", "s02-r1"]


def test_stop_ends_the_pod_and_then_says_stopped(space: Space) -> None:
    space.define()
    space.operator()
    space.start("s")
    space.wait_pod("s-r1")
    space.change("s", stop=True)
    status = space.wait_status("s", "Stopped", "StoppedByUser")
    assert status["completionTime"]
    wait_for(lambda: space.pods("s-r1"), lambda pods: not pods, what="no pods", every=0.05)
    assert space.session_jobs() == []


def test_suspend_ends_the_pod_and_going_on_makes_the_next_run(space: Space) -> None:
    space.define()
    space.operator()
    space.start("s")
    space.wait_status("s", "Creating")
    space.report("s", phase="Running")
    space.change("s", suspend=True)
    space.wait_status("s", "Suspended", "Suspended")
    assert space.session_jobs() == []
    space.change("s", suspend=False)
    assert space.wait_status("s", "Creating")["run"] == 2
    assert space.session_jobs() == ["s-r2"]


def test_an_answer_to_a_question_makes_the_next_run(space: Space) -> None:
    space.define()
    space.operator()
    space.start("s")
    pod = space.wait_pod("s-r1")
    space.report("s", phase="Running")
    space.report("s", phase="WaitingForInput", interrupts=[{"id": "q", "value": "ok?"}])
    space.end_pod(pod, 0)
    space.change("s", responses=[{"interruptId": "q", "value": True}])
    assert space.wait_status("s", "Creating")["run"] == 2


def test_a_finished_session_goes_after_its_ttl(space: Space) -> None:
    space.define()
    space.operator()
    space.start("s", ttlSecondsAfterFinished=0)
    space.wait_status("s", "Creating")
    space.report("s", phase="Running")
    space.report("s", phase="Completed", completionTime="2026-01-01T00:00:00Z")
    space.wait_gone("s")


@pytest.mark.parametrize("phase", ["Pending", "Creating", "Running", "WaitingForInput", "Suspended", "Completed"])
def test_a_session_can_be_deleted_in_every_phase_and_leaves_nothing(space: Space, phase: str) -> None:
    if phase != "Pending":
        space.define()
    space.operator()
    space.start("s", suspend=phase == "Suspended")
    if phase in ("Pending", "Suspended"):
        space.wait_status("s", phase)
    else:
        space.wait_status("s", "Creating")
        for step in ("Running", phase)[: {"Creating": 0, "Running": 1}.get(phase, 2)]:
            space.report("s", phase=step)
    space.delete("s")
    space.wait_gone("s")
    wait_for(space.session_jobs, lambda jobs: not jobs, what="no Jobs", every=0.05)
    wait_for(lambda: space.pods("s-r1"), lambda pods: not pods, what="no pods", every=0.05)


def test_names_at_the_limit_work(space: Space) -> None:
    session, workflow = "s" * 52, "w" * 52
    space.define(workflow)
    space.operator()
    space.start(session, workflow)
    space.wait_status(session, "Creating")
    assert space.wait_pod(f"{session}-r1").startswith(f"{session}-r1-")


def test_a_workflow_deleted_while_a_session_runs_does_no_harm(space: Space) -> None:
    space.define()
    space.operator()
    space.start("s")
    space.wait_status("s", "Creating")
    space.report("s", phase="Running")
    path = f"/apis/agentic-operator.dev/v1alpha1/namespaces/{space.name}/workflowdefinitions/report"
    space.plane.request("DELETE", path)
    space.delete_job("s-r1")
    assert space.wait_status("s", "Creating")["run"] == 2
    image = space.wait_job("s-r2")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "registry.example.com/team/workflow:1"


def test_a_secret_that_somebody_else_made_is_used_and_never_overwritten(space: Space) -> None:
    body = {"metadata": {"name": "agentic-postgres"}, "stringData": {"dsn": "postgresql://mine"}}
    path = f"/api/v1/namespaces/{space.name}/secrets"
    before = space.plane.request("POST", path, body)
    space.define()
    space.operator()
    space.start("s")
    space.wait_status("s", "Creating")
    assert space.plane.request("GET", f"{path}/agentic-postgres") == before


def test_a_job_that_is_not_the_sessions_is_waited_out_and_never_taken(space: Space) -> None:
    container = {"name": "c", "image": "x"}
    body = {
        "metadata": {"name": "s-r1"},
        "spec": {"suspend": True, "template": {"spec": {"containers": [container], "restartPolicy": "Never"}}},
    }
    space.plane.request("POST", f"/apis/batch/v1/namespaces/{space.name}/jobs", body)
    space.define()
    space.operator()
    space.start("s")
    assert "'s-r1'" in space.wait_status("s", "Pending", "NameTaken")["message"]
    space.delete_job("s-r1")
    space.wait_status("s", "Creating")


def test_a_workspace_of_an_earlier_session_of_the_name_is_waited_out_and_never_used(space: Space) -> None:
    claims = f"/api/v1/namespaces/{space.name}/persistentvolumeclaims"
    earlier = {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": str(uuid.uuid4()), "controller": True}
    body = {
        "metadata": {
            "name": "s-workspace",
            "ownerReferences": [earlier],
            "finalizers": ["kubernetes.io/pvc-protection"],
        },
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    uid = space.plane.request("POST", claims, body)["metadata"]["uid"]
    space.define(workspace={"size": "1Gi"})
    space.operator()
    space.start("s")
    assert "'s-workspace'" in space.wait_status("s", "Pending", "NameTaken")["message"]
    assert not space.jobs()
    # As the cluster does: the garbage collector deletes it, and it goes when no pod uses it any more.
    space.plane.request("DELETE", f"{claims}/s-workspace")
    space.plane.request("PATCH", f"{claims}/s-workspace", {"metadata": {"finalizers": []}})
    space.wait_status("s", "Creating")
    assert space.plane.request("GET", f"{claims}/s-workspace")["metadata"]["uid"] != uid


def test_a_pod_spec_that_the_api_server_refuses_fails_the_session_with_its_words(space: Space) -> None:
    space.define(podTemplate={"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}}})
    space.operator()
    space.start("s")
    assert "affinity" in space.wait_status("s", "Failed", "InvalidSpec")["message"]


def test_an_image_that_is_not_on_the_list_is_refused_at_the_definition_and_the_session(space: Space) -> None:
    space.define(is_ready=False)
    space.operator(ALLOWED_IMAGES="docker.io/team")
    space.start("s")
    status = space.wait_status("s", "Failed", "ImageNotAllowed")
    assert "docker.io/team" in status["message"]
    conditions = {c["type"]: c for c in space.definition()["status"]["conditions"]}
    assert conditions["ImageAllowed"]["message"].startswith("/spec/image:")
    assert conditions["Ready"]["reason"] == "ImageNotAllowed"
    assert space.jobs() == []


def test_a_runners_service_account_can_read_and_report_its_session_and_nothing_else(space: Space) -> None:
    space.define()
    space.operator()
    space.start("s")
    space.wait_status("s", "Creating")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": space.name},
    }
    config = space.plane.kubeconfig_for_service_account(space.name, "agentic-runner")
    answer = json.loads(
        Kubectl(config).run("create", "--validate=false", "-o", "json", "-f", "-", stdin=json.dumps(review))
    )
    rules = {
        (verb, resource)
        for rule in answer["status"]["resourceRules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
        if not resource.startswith("self")
    }
    assert rules == {("get", "agenticsessions"), ("patch", "agenticsessions/status")}


def test_a_namespace_that_is_deleted_takes_its_sessions_along(space: Space) -> None:
    space.define()
    space.operator()
    for number in range(3):
        space.start(f"s{number}")
        space.wait_status(f"s{number}", "Creating")
    space.plane.request("DELETE", f"/api/v1/namespaces/{space.name}")
    for number in range(3):
        space.wait_gone(f"s{number}")


def test_a_definition_of_the_cluster_is_inspected_where_nothing_is(space: Space) -> None:
    name = f"shared-{space.name}"
    body = {
        "apiVersion": "agentic-operator.dev/v1alpha1",
        "kind": "ClusterWorkflowDefinition",
        "metadata": {"name": name},
        "spec": {"image": "registry.example.com/team/workflow:1"},
    }
    path = "/apis/agentic-operator.dev/v1alpha1/clusterworkflowdefinitions"
    space.plane.request("POST", path, body)
    space.operator()
    jobs = wait_for(
        lambda: space.plane.request("GET", "/apis/batch/v1/namespaces/agentic-inspections/jobs")["items"],
        lambda found: any(j["metadata"]["name"].startswith(f"cwfd-{name}") for j in found),
        what="the inspection",
        every=0.05,
    )
    (job,) = (each for each in jobs if each["metadata"]["name"].startswith(f"cwfd-{name}"))
    assert job["metadata"]["ownerReferences"][0]["name"] == name
    space.plane.request("DELETE", f"{path}/{name}")
