"""Which pods are those of a run: made by the Job controller for the operator's Job, and known by their uid."""

from typing import Any

from tests.support.builders import IMAGE
from tests.support.kube import Space
from tests.support.waiting import wait_for
from tests.trust.roles import Answer, Client, a_pod_of, a_user
from tests.trust.test_runner_status import make_pod, write

Json = dict[str, Any]

ACCOUNT = "agentic-runner"
RIGHTS = [
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "delete", "get"]},
    {"apiGroups": ["batch"], "resources": ["jobs", "cronjobs"], "verbs": ["create"]},
    {"apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": ["create"]},
]
SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def a_builder(space: Space) -> Client:
    """Return a person who may make pods and what makes pods, as Kubernetes' own role ``edit`` lets people."""
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    space.plane.request(
        "POST", f"{rbac}/clusterroles", {"metadata": {"name": f"{space.name}-builder"}, "rules": RIGHTS}
    )
    return a_user(space.plane, space.name, f"{space.name}-builder", "agentic-edit", "agentic-view")


def template(**spec: Any) -> Json:
    containers = [{"name": "runner", "image": IMAGE, "securityContext": SECURITY}]
    return {"serviceAccountName": ACCOUNT, "restartPolicy": "Never", "containers": containers, **spec}


def make(builder: Client, space: Space, path: str, name: str, spec: Json) -> Answer:
    return builder.request("POST", path.format(space.name), {"metadata": {"name": name}, "spec": spec})


PODS, JOBS = "/api/v1/namespaces/{}/pods", "/apis/batch/v1/namespaces/{}/jobs"


def a_run(space: Space) -> tuple[Client, str, str]:
    """Start a session; return the code in its pod, the pod's name and its uid, once the operator knows it."""
    space.define()
    space.operator()
    space.start("s")
    space.wait_status("s", "Creating")
    pod = space.wait_pod("s-r1")
    known = wait_for(lambda: space.status("s"), lambda s: bool(s.get("podUids")), what="the uid", every=0.05)
    (uid,) = known["podUids"]
    return a_pod_of(space.plane, space.name, pod), pod, uid


def test_the_operator_says_which_pod_is_a_runs_and_no_other_writes_its_status(space: Space) -> None:
    runner, pod, uid = a_run(space)
    assert uid == space.plane.request("GET", f"/api/v1/namespaces/{space.name}/pods/{pod}")["metadata"]["uid"]
    assert write(runner, space, {"phase": "Running", "currentNode": "load"}).is_done

    # By the administrator, whom no policy keeps from it.
    make_pod(space, "s-r1-zzzzz")
    forged = a_pod_of(space.plane, space.name, "s-r1-zzzzz")
    refused = write(forged, space, {"currentNode": "forged"})
    assert (refused.code, "status.podUids" in refused.message) == (403, True)
    assert space.status("s")["currentNode"] == "load"
    # Nor does it write itself onto the list.
    assert write(runner, space, {"podUids": []}).code == 403


def test_a_forged_pod_is_none_of_a_run_that_waits_without_one(space: Space) -> None:
    runner, pod, uid = a_run(space)
    assert write(runner, space, {"phase": "Running"}).is_done
    assert write(runner, space, {"phase": "WaitingForInput", "interrupts": [{"id": "q", "value": "pay?"}]}).is_done
    space.end_pod(pod, 0)
    wait_for(space.session_jobs, lambda jobs: jobs == [], what="no Job while it waits")
    make_pod(space, "s-r1-zzzzz")
    forged = a_pod_of(space.plane, space.name, "s-r1-zzzzz")
    assert write(forged, space, {"phase": "Running"}).code == 403
    assert space.status("s")["podUids"] == [uid]


def test_the_pod_of_a_next_attempt_and_of_a_next_run_take_their_turn(space: Space) -> None:
    runner, pod, uid = a_run(space)
    assert write(runner, space, {"phase": "Running"}).is_done
    space.end_pod(pod, 1)

    def others(status: Json) -> bool:
        return bool(status.get("podUids")) and uid not in status["podUids"]

    wait_for(lambda: space.status("s"), others, what="the next attempt's pod", every=0.05)
    (second,) = [each for each in space.pods("s-r1") if each["metadata"]["name"] != pod]
    again = a_pod_of(space.plane, space.name, second["metadata"]["name"])
    assert write(again, space, {"currentNode": "again"}).is_done
    assert write(runner, space, {"currentNode": "before"}).code == 403


def test_nobody_makes_a_runner_but_the_job_controller_for_the_operators_jobs(space: Space) -> None:
    _, _, uid = a_run(space)
    builder = a_builder(space)
    for name in ("s-r1-zzzzz", "any"):
        refused = make(builder, space, PODS, name, template())
        assert (refused.code, "for runs of sessions" in refused.message) == (403, True)
    assert (
        make(builder, space, PODS, "older", {**template(), "serviceAccountName": "", "serviceAccount": ACCOUNT}).code
        == 403
    )
    for name in ("s-r2", "other-r1"):
        refused = make(builder, space, JOBS, name, {"template": {"spec": template()}})
        assert (refused.code, "for runs of sessions" in refused.message) == (403, True)
    # By way of what other controllers make.
    labels = {"app": "x"}
    deployment = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": template(restartPolicy="Always")},
    }
    assert make(builder, space, "/apis/apps/v1/namespaces/{}/deployments", "d", deployment).is_done
    # Whatever does not take the runners' account is nobody's business here.
    own = template(serviceAccountName="default")
    assert make(builder, space, PODS, "own", own).is_done
    assert make(builder, space, JOBS, "own", {"template": {"spec": own}}).is_done
    assert space.status("s")["podUids"] == [uid]
    taken = [pod["metadata"]["name"] for pod in space.pods() if pod["spec"]["serviceAccountName"] == ACCOUNT]
    assert taken == [pod["metadata"]["name"] for pod in space.pods("s-r1")]


def test_nobody_makes_a_pod_of_a_run_with_an_account_that_is_marked_for_a_workflow(space: Space) -> None:
    """Before the operator has recorded the uid of a run's pod, its name and its account are all there is."""
    builder = a_builder(space)
    # An account as the operator binds it, and one without a right.
    make_pod(space, "first", account="reports")
    space.plane.request("POST", f"/api/v1/namespaces/{space.name}/serviceaccounts", {"metadata": {"name": "plain"}})
    marked, plain = template(serviceAccountName="reports"), template(serviceAccountName="plain")

    def make_generated(spec: Json) -> Answer:
        body = {"metadata": {"generateName": "s-r1-"}, "spec": spec}
        return builder.request("POST", PODS.format(space.name), body)

    wait_for(
        lambda: make(builder, space, PODS, "s-r1-zzzzz", marked).code,
        lambda code: code in (403, 409),
        what="the binding's effect",
    )
    for refused in (
        make(builder, space, PODS, "s-r1-zzzzz", marked),
        make(builder, space, PODS, "s-r12-zzzzz", marked),
        make_generated(marked),
        make(builder, space, JOBS, "s-r2", {"template": {"spec": marked}}),
    ):
        assert (refused.code, "for runs of sessions" in refused.message) == (403, True), refused.message
    assert make(builder, space, PODS, "s-r1-yyyyy", plain).is_done
    assert make_generated(plain).is_done
    assert make(builder, space, PODS, "web-5d8f-zzzzz", marked).is_done
    assert make(builder, space, JOBS, "s-report", {"template": {"spec": marked}}).is_done
