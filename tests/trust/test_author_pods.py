"""What authors take of a cluster: settings and marks of the admin say what, and an author's role changes neither."""

from typing import Any

import pytest

from tests.support.builders import definition_body
from tests.support.kube import GROUP_PATH, Json, Space
from tests.support.waiting import wait_for
from tests.trust.roles import Client, a_user, an_account

ROLE_ARN = "arn:aws:iam::123456789012:role/everything"
EVERYWHERE = [{"operator": "Exists"}]
ANTI = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "topology.kubernetes.io/zone", "namespaceSelector": {}, "labelSelector": {}}
        ]
    }
}


def author(space: Space) -> Client:
    return a_user(space.plane, space.name, "agentic-edit", "agentic-view")


def define(person: Client, space: Space, template: Json, name: str = "report") -> None:
    path = f"{GROUP_PATH}/namespaces/{space.name}/workflowdefinitions"
    answer = person.request("POST", path, definition_body(name, space.name, podTemplate=template))
    assert answer.is_done, answer.message


def wait_condition(space: Space, type_: str, status: str) -> Json:
    def read() -> Json:
        conditions = (space.definition().get("status") or {}).get("conditions") or ()
        found: Json = next((each for each in conditions if each["type"] == type_), {})
        return found

    return wait_for(read, lambda found: found.get("status") == status, what=f"{type_}={status}")


@pytest.mark.parametrize(
    ("template", "pointer", "setting"),
    [
        ({"priorityClassName": "system-node-critical"}, "priorityClassName", "ALLOWED_PRIORITY_CLASSES"),
        ({"tolerations": EVERYWHERE}, "tolerations/0", "ALLOWED_TOLERATIONS"),
        (
            {"tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]},
            "tolerations/0/key",
            "ALLOWED_TOLERATIONS",
        ),
        (
            {"affinity": ANTI},
            "affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/0/namespaceSelector",
            "other namespaces",
        ),
        ({"serviceAccountAnnotations": {"eks.amazonaws.com/role-arn": ROLE_ARN}}, "serviceAccountAnnotations", "mark"),
    ],
)
def test_what_reaches_beyond_the_namespace_is_refused_with_its_place(
    space: Space, template: Json, pointer: str, setting: str
) -> None:
    space.operator()
    define(author(space), space, template)
    refused = wait_condition(space, "PodAllowed", "False")
    assert refused["reason"] == "PodNotAllowed"
    assert f"/spec/podTemplate/{pointer}: " in refused["message"]
    assert setting in refused["message"]
    assert wait_condition(space, "Ready", "False")["message"] == refused["message"]
    # Not even its inspection gets a pod.
    assert space.jobs() == []
    space.start("s")
    assert "PodNotAllowed" in space.wait_status("s", "Failed")["reason"]


def test_what_the_settings_list_is_used(space: Space) -> None:
    template: Json = {
        "priorityClassName": "batch-low",
        "tolerations": [{"key": "team/gpu", "operator": "Exists"}],
        "nodeSelector": {"pool": "gpu"},
    }
    space.operator(ALLOWED_PRIORITY_CLASSES="batch-*", ALLOWED_TOLERATIONS="team/gpu", ALLOWED_NODE_LABELS="pool")
    define(author(space), space, template)
    wait_condition(space, "PodAllowed", "True")


def test_only_marked_accounts_run_a_workflow_and_an_author_cannot_mark(space: Space) -> None:
    person = author(space)
    accounts = f"/api/v1/namespaces/{space.name}/serviceaccounts"
    mark = {"metadata": {"annotations": {"agentic-operator.dev/runs": "WorkflowDefinition/report"}}}
    space.define(podTemplate={"serviceAccountName": "reports"})
    space.operator()
    space.start("s")
    missing = space.wait_status("s", "Pending", "ServiceAccountMissing")
    assert "'reports'" in missing["message"]
    assert person.request("POST", accounts, {"metadata": {"name": "reports", **mark["metadata"]}}).code == 403
    # Marked for another workflow: that of somebody else.
    other = {"annotations": {"agentic-operator.dev/runs": "WorkflowDefinition/invoices"}}
    space.plane.request("POST", accounts, {"metadata": {"name": "reports", **other}})
    refused = space.wait_status("s", "Pending", "ServiceAccountNotAllowed")
    assert "agentic-operator.dev/runs=WorkflowDefinition/report" in refused["message"]
    assert person.request("PATCH", f"{accounts}/reports", mark).code == 403
    assert space.session_jobs() == []
    space.plane.request("PATCH", f"{accounts}/reports", mark)
    job = space.wait_job("s-r1")
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "reports"
    binding = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.name}/rolebindings/agentic-runner-reports"
    (subject,) = space.plane.request("GET", binding)["subjects"]
    assert (subject["kind"], subject["name"]) == ("ServiceAccount", "reports")
    # Bound to the runner's role, and yet nobody without a pod of a run.
    outside = an_account(space.plane, space.name, "reports")
    status = f"{GROUP_PATH}/namespaces/{space.name}/agenticsessions/s/status"
    assert "does not run session" in outside.request("PATCH", status, {"status": {"message": "forged"}}).message


def test_the_shared_account_loses_what_definitions_put_there_and_keeps_what_its_admin_did(space: Space) -> None:
    path = f"/api/v1/namespaces/{space.name}/serviceaccounts/agentic-runner"
    annotation = {"eks.amazonaws.com/role-arn": ROLE_ARN}
    space.define(podTemplate={"serviceAccountAnnotations": annotation})
    operator = space.operator(SHARED_ACCOUNT_ANNOTATIONS="on")
    space.start("old")
    space.wait_job("old-r1")
    assert space.plane.request("GET", path)["metadata"]["annotations"] == annotation
    space.plane.request("PATCH", path, {"metadata": {"annotations": {"example.com/mine": "1"}}})
    operator.end()
    space.define("plain")
    space.operator("newer")
    space.start("new", "plain")
    space.wait_job("new-r1")
    assert space.plane.request("GET", path)["metadata"]["annotations"] == {"example.com/mine": "1"}
    # A session of the time before waits until its definition names an account, and then runs as that one.
    space.delete_job("old-r1")
    space.wait_status("old", "Pending", "PodNotAllowed")
    mark = {"annotations": {"agentic-operator.dev/runs": "WorkflowDefinition/report", **annotation}}
    space.plane.request("POST", path.rpartition("/")[0], {"metadata": {"name": "reports", **mark}})
    definition = f"{GROUP_PATH}/namespaces/{space.name}/workflowdefinitions/report"
    template: dict[str, Any] = {"serviceAccountName": "reports", "serviceAccountAnnotations": None}
    space.plane.request("PATCH", definition, {"spec": {"podTemplate": template}})
    job = space.wait_job("old-r2")
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "reports"


def test_labels_of_a_session_reach_its_pods_where_the_settings_list_them(space: Space) -> None:
    space.define()
    space.operator(SESSION_LABELS="cost.example.com/*,team")
    path = f"{GROUP_PATH}/namespaces/{space.name}/agenticsessions"
    given = {"cost.example.com/center": "42", "team": "a", "app": "victim", "kueue.x-k8s.io/queue-name": "q"}
    body = {
        "apiVersion": "agentic-operator.dev/v1alpha1",
        "kind": "AgenticSession",
        "metadata": {"name": "s", "labels": given},
        "spec": {"workflowRef": {"name": "report"}},
    }
    assert a_user(space.plane, space.name, "agentic-start").request("POST", path, body).is_done
    job = space.wait_job("s-r1")
    expected = {"cost.example.com/center": "42", "team": "a"}
    of_pods = job["spec"]["template"]["metadata"]["labels"]
    assert expected.items() <= of_pods.items()
    assert not {"app", "kueue.x-k8s.io/queue-name"} & of_pods.keys()
    assert {**expected, "kueue.x-k8s.io/queue-name": "q"}.items() <= job["metadata"]["labels"].items()
