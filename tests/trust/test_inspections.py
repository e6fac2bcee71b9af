"""Inspections run an author's code: with what a namespace gives it, and for definitions of the cluster with nothing."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from agentic_core.names import inspection_job_name
from agentic_core.resources import ClusterWorkflowDefinition
from agentic_operator.manifests.inspection_jobs import PLACEHOLDER, inspection_fingerprint
from hack.cluster.controlplane import ControlPlane
from tests.support.builders import definition_body
from tests.support.kube import GROUP_PATH, SYSTEM, Space
from tests.support.waiting import wait_for
from tests.trust.roles import a_user, an_account

INSPECTIONS = "agentic-inspections"
CLUSTER = f"{GROUP_PATH}/clusterworkflowdefinitions"
# The logins of the database's owner and of the operator are Secrets of the operator's namespace.
OWNERS = {"secretKeyRef": {"name": "agentic-postgres-owner", "key": "dsn"}}
GREEDY: dict[str, Any] = {
    "env": [
        {"name": "OWNER", "valueFrom": OWNERS},
        {"name": "SETTING", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        {"name": "PLAIN", "value": "1"},
    ],
    "envFrom": [{"secretRef": {"name": "agentic-postgres-operator"}}, {"configMapRef": {"name": "c"}}],
    "podTemplate": {
        "volumes": [
            {"name": "s", "mountPath": "/mnt/s", "secret": {"secretName": "agentic-postgres-owner"}},
            {"name": "c", "mountPath": "/mnt/c", "configMap": {"name": "c"}},
            {"name": "p", "mountPath": "/mnt/p", "persistentVolumeClaim": {"claimName": "p"}},
            {"name": "e", "mountPath": "/mnt/e", "emptyDir": {"sizeLimit": "1Mi"}},
        ]
    },
    "inspection": {"env": [{"name": "DATABASE_URL", "value": "sqlite://$(OWNER)"}]},
}


@pytest.fixture
def greedy(space: Space) -> Iterator[dict[str, Any]]:
    body = definition_body(f"greedy-{space.name}", kind="ClusterWorkflowDefinition", **GREEDY)
    yield space.plane.request("POST", CLUSTER, body)
    space.plane.request("DELETE", f"{CLUSTER}/{body['metadata']['name']}")


def job_name(definition: dict[str, Any]) -> str:
    parsed = ClusterWorkflowDefinition.model_validate(definition)
    return inspection_job_name(parsed.name, parsed.kind, inspection_fingerprint(parsed.spec))


def wait_for_job(plane: ControlPlane, namespace: str, name: str) -> dict[str, Any]:
    def find() -> dict[str, Any] | None:
        items = plane.request("GET", f"/apis/batch/v1/namespaces/{namespace}/jobs")["items"]
        return next((job for job in items if job["metadata"]["name"] == name), None)

    found = wait_for(find, lambda job: job is not None, what=f"Job {name}", every=0.05)
    assert found is not None
    return found


def test_a_definition_of_the_cluster_is_inspected_without_anything_of_a_namespace(
    space: Space, greedy: dict[str, Any]
) -> None:
    space.operator()
    job = wait_for_job(space.plane, INSPECTIONS, job_name(greedy))
    pod = job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert "envFrom" not in container
    assert not any("valueFrom" in each for each in container["env"])
    values = {each["name"]: each.get("value") for each in container["env"]}
    assert (values["OWNER"], values["SETTING"], values["PLAIN"]) == (PLACEHOLDER, PLACEHOLDER, "1")
    # Not even by the name of a variable: nothing is put in there.
    assert values["DATABASE_URL"] == "sqlite://$$(OWNER)"
    assert [set(volume) - {"name"} for volume in pod["volumes"]] == [{"emptyDir"}] * len(pod["volumes"])
    assert "agentic-postgres" not in json.dumps(pod)
    assert pod["automountServiceAccountToken"] is False
    jobs = space.plane.request("GET", f"/apis/batch/v1/namespaces/{SYSTEM}/jobs")["items"]
    assert job["metadata"]["name"] not in {each["metadata"]["name"] for each in jobs}


def test_where_definitions_of_the_cluster_are_inspected_there_is_nothing(space: Space, greedy: dict[str, Any]) -> None:
    space.operator()
    wait_for_job(space.plane, INSPECTIONS, job_name(greedy))
    namespace = space.plane.request("GET", f"/api/v1/namespaces/{INSPECTIONS}")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    path = f"/apis/networking.k8s.io/v1/namespaces/{INSPECTIONS}/networkpolicies"
    (policy,) = space.plane.request("GET", path)["items"]
    assert policy["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert space.plane.request("GET", f"/api/v1/namespaces/{INSPECTIONS}/secrets")["items"] == []
    inspector = an_account(space.plane, INSPECTIONS, "agentic-inspector")
    for namespaced in (INSPECTIONS, SYSTEM, space.name):
        for kind in ("secrets", "configmaps", "pods"):
            assert inspector.request("GET", f"/api/v1/namespaces/{namespaced}/{kind}").code == 403


def test_who_has_a_namespace_neither_makes_definitions_of_the_cluster_nor_inspects_them(
    space: Space, greedy: dict[str, Any]
) -> None:
    """Beside the shipped role this one may make Jobs: one that says it inspects the definition is not believed."""
    author = a_user(space.plane, space.name, "agentic-edit", "admin")
    body = definition_body("mine", kind="ClusterWorkflowDefinition")
    assert author.request("POST", CLUSTER, body).code == 403
    owner = {
        "apiVersion": greedy["apiVersion"],
        "kind": greedy["kind"],
        "name": greedy["metadata"]["name"],
        "uid": greedy["metadata"]["uid"],
        "controller": True,
    }
    forged = {
        "metadata": {
            "name": job_name(greedy),
            "labels": {
                "agentic-operator.dev/inspects": f"cwfd.{greedy['metadata']['name']}",
                "app.kubernetes.io/managed-by": "agentic-operator",
            },
            "ownerReferences": [owner],
        },
        "spec": {
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "runner", "image": "x"}]}},
        },
    }
    space.plane.request("POST", f"/apis/batch/v1/namespaces/{space.name}/jobs", forged)
    space.operator()
    wait_for_job(space.plane, INSPECTIONS, job_name(greedy))
    assert len(space.jobs()) == 1


def test_a_namespace_for_inspections_that_is_not_there_is_named_with_the_remedy(
    space: Space, greedy: dict[str, Any]
) -> None:
    space.operator(INSPECTION_NAMESPACE=f"{space.name}-nowhere")
    path = f"{CLUSTER}/{greedy['metadata']['name']}"

    def is_said(found: dict[str, Any]) -> bool:
        conditions = (found.get("status") or {}).get("conditions") or ()
        return any("manifests/operator/inspections.yaml" in each["message"] for each in conditions)

    wait_for(lambda: space.plane.request("GET", path), is_said, what="the remedy", every=0.1)


def test_beside_a_definition_of_a_namespace_its_inspection_has_what_its_sessions_have(space: Space) -> None:
    space.define(is_ready=False, **GREEDY)
    space.operator()
    jobs = wait_for(space.jobs, bool, what="an inspection", every=0.05)
    container = jobs[0]["spec"]["template"]["spec"]["containers"][0]
    values = {each["name"]: each for each in container["env"]}
    assert values["OWNER"]["valueFrom"] == OWNERS
    assert values["DATABASE_URL"]["value"] == "sqlite://$$(OWNER)"
    assert len(container["envFrom"]) == 2
