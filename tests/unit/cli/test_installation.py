"""The steps of `agentic check` as a table: what was seen, and what is said of it."""

import dataclasses
from typing import Any

import pytest
import yaml

from agentic_cli.model.installation import (
    RESOURCES,
    RIGHT_TO_ALL_NAMESPACES,
    RIGHT_TO_ONE_NAMESPACE,
    RIGHTS,
    SECRETS,
    Look,
    Place,
    Seen,
    judge,
    list_served,
)
from agentic_cli.model.kinds import POLICIES as POLICY_KIND
from tests.unit.test_layout import ROOT

MANIFESTS = ROOT / "manifests"


def having(kind: str, status: str = "True", **metadata: Any) -> Look:
    return Look({"metadata": metadata, "status": {"conditions": [{"type": kind, "status": status, "reason": "Why"}]}})


def a_cluster(**changes: Any) -> Seen:
    """A cluster where all is well, but for the changes."""
    well = Seen(
        version="v1.35.4",
        resources={plural: having("Established") for plural in RESOURCES},
        namespace=Look({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}),
        secrets=dict.fromkeys(SECRETS, True),
        policies={f"validatingadmissionpolicy/{name}": Look({}) for name in Place().name_policies(Look())},
        deployment=having("Available"),
        lease=Look({"spec": {"holderIdentity": "a"}}),
    )
    return dataclasses.replace(well, **changes)


def find_problems(seen: Seen) -> dict[str, str]:
    return {each.name: each.problem for each in judge(seen, Place()) if each.problem}


CASES: dict[str, tuple[Seen, dict[str, str]]] = {
    "all is well": (a_cluster(), {}),
    "the oldest version that works": (a_cluster(version="v1.30.0-gke.100"), {}),
    "an older version": (a_cluster(version="v1.29.9"), {"cluster": "Kubernetes 1.29.9"}),
    "something else that answers": (a_cluster(version="unknown"), {"cluster": "Kubernetes unknown"}),
    "one resource is missing": (
        a_cluster(resources={"agenticsessions": Look(), "workflowdefinitions": having("Established")}),
        {"resources": "not established: agenticsessions"},
    ),
    "a resource may not be read": (
        a_cluster(resources=dict.fromkeys(RESOURCES, Look(trouble="not allowed"))),
        {"resources": "not allowed"},
    ),
    "what is being deleted": (
        a_cluster(
            namespace=Look({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            resources={
                "agenticsessions": having("Established", deletionTimestamp="2026-01-01T00:00:00Z"),
                "workflowdefinitions": having("Established"),
            },
        ),
        {
            "resources": "being deleted, with every object of theirs: agenticsessions",
            "namespace": "agentic-system is being deleted",
        },
    ),
    "no namespace": (a_cluster(namespace=Look()), {"namespace": "there is no namespace agentic-system"}),
    "pods of any kind": (
        a_cluster(namespace=Look({"metadata": {}})),
        {"namespace": "pods of agentic-system are held to 'nothing'"},
    ),
    "no key in a Secret": (
        a_cluster(secrets={"agentic-postgres-owner": False, "agentic-postgres-operator": True}),
        {"credentials": "no key dsn in: agentic-postgres-owner"},
    ),
    "Secrets may not be read": (
        a_cluster(secrets=dict.fromkeys(SECRETS, "not allowed")),
        {"credentials": "not allowed"},
    ),
    "no Secrets, but Vault": (a_cluster(secrets=dict.fromkeys(SECRETS, False), vault=Look({})), {}),
    "a migration that ended": (a_cluster(migration=having("Complete")), {}),
    "a migration on its way": (a_cluster(migration=Look({})), {"migration": "the Job is not complete"}),
    "a migration that failed": (
        a_cluster(migration=having("Failed")),
        {"migration": "the Job is not complete, Why"},
    ),
    "a right is missing": (
        a_cluster(missing_rights=["list pods", "create secrets in team"]),
        {"rights": "the operator may not: list pods, create secrets in team"},
    ),
    "nobody may ask for rights": (a_cluster(rights_trouble="not allowed"), {"rights": "not allowed"}),
    "a policy is missing": (
        a_cluster(policies={"validatingadmissionpolicybinding/x.agentic-operator.dev": Look()}),
        {"admission": "missing: validatingadmissionpolicybinding/x"},
    ),
    "no operator": (a_cluster(deployment=Look()), {"operator": "no replica is available"}),
    "an operator without a leader": (a_cluster(lease=Look({"spec": {}})), {"operator": "no replica leads"}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_was_seen_is_judged(case: str) -> None:
    seen, problems = CASES[case]
    assert find_problems(seen) == problems


def test_every_fault_has_a_remedy_and_what_passed_has_none() -> None:
    for seen, _ in CASES.values():
        assert [each for each in judge(seen, Place()) if bool(each.problem) != bool(each.remedy)] == []


def test_a_release_of_helm_is_mended_by_helm_and_goes_by_its_own_names() -> None:
    labels = {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "platform"}
    place = Place("platform", "platform-agentic-operator")
    seen = a_cluster(deployment=having("Available", labels=labels), missing_rights=["list pods"])
    (failed,) = [each for each in judge(seen, place) if each.problem]
    assert failed.remedy == "helm upgrade platform charts/agentic-operator -n platform --reset-then-reuse-values"
    assert (place.migration, place.account) == (
        "platform-agentic-migrate",
        "system:serviceaccount:platform:platform-agentic-operator",
    )


def deployment(*env: dict[str, str]) -> Look:
    return Look({"spec": {"template": {"spec": {"containers": [{"env": list(env)}]}}}})


def test_policies_are_those_of_the_release_and_of_whoever_made_the_shared_ones() -> None:
    place = Place("platform", "platform-agentic-operator")
    own = "runner-writes-own-session.platform-agentic-operator.agentic-operator.dev"
    alone = place.name_policies(deployment({"name": "RUNNER_CLUSTER_ROLE", "value": "platform-agentic-runner"}))
    assert {own, "inputs-are-immutable.platform-agentic-operator.agentic-operator.dev"} <= set(alone)
    beside = place.name_policies(deployment())
    assert {own, "inputs-are-immutable.agentic-operator.dev"} <= set(beside)


def test_the_namespaces_that_an_operator_serves_are_read_from_its_variables() -> None:
    assert list_served(Look()) == []
    assert list_served(deployment({"name": "WATCH_NAMESPACES", "value": "a, b"})) == ["a", "b"]
    assert list_served(deployment({"name": "ALLOWED_IMAGES", "value": "*"})) == []


def read_documents(path: str) -> list[dict[str, Any]]:
    return [each for each in yaml.load_all((MANIFESTS / path).read_text(encoding="utf-8"), yaml.CSafeLoader) if each]


def test_the_steps_know_every_policy_that_is_delivered() -> None:
    documents = read_documents("operator/admission.yaml")
    names = {each["metadata"]["name"] for each in documents if each["kind"] == POLICY_KIND.kind}
    assert names == set(Place().name_policies(Look()))


@pytest.mark.parametrize(
    ("path", "rights"),
    [
        ("operator/rbac.yaml", [*RIGHTS, RIGHT_TO_ALL_NAMESPACES]),
        ("namespaced/role.yaml", [*RIGHTS, RIGHT_TO_ONE_NAMESPACE]),
    ],
)
def test_no_step_asks_for_a_right_that_no_manifest_gives(path: str, rights: list[Any]) -> None:
    given = {
        (verb, group, resource)
        for each in read_documents(path)
        if each["kind"] in ("ClusterRole", "Role") and each["metadata"]["name"] == "agentic-operator"
        for rule in each["rules"]
        if not rule.get("resourceNames")
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    asked = {(r.verb, r.group, f"{r.resource}/{r.subresource}".rstrip("/")) for r in rights}
    assert asked <= given
