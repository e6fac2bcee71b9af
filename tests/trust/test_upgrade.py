"""Sessions that wait while the resources are upgraded from the version whose answers had no author."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hack.cluster.controlplane import ControlPlane
from hack.kubectl import Kubectl
from tests.support.builders import session_body
from tests.support.commands import ROOT
from tests.support.kube import Json, Space, install
from tests.support.runner import load_yaml
from tests.support.settled import wait_for_policies
from tests.support.waiting import wait_for
from tests.trust.roles import APPLY_PATCH, MERGE_PATCH, Client, a_user

SCHEMA = {"type": "object", "required": ["ok"]}
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/agenticsessions.agentic-operator.dev"


def age(crd: Json) -> Json:
    """Return the resource as it was: one answer a question, by nobody in particular; accepted answers in one place."""
    fields = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    spec, status = fields["spec"], fields["status"]["properties"]
    responses = spec["properties"]["responses"]
    responses["x-kubernetes-list-map-keys"] = ["interruptId"]
    del responses["items"]["properties"]["by"]
    del spec["properties"]["createdBy"]
    spec["x-kubernetes-validations"] = [
        rule for rule in spec["x-kubernetes-validations"] if rule["fieldPath"] != ".createdBy"
    ]
    status.pop("answers", None)
    # What lists are selected by came later, too.
    del crd["spec"]["versions"][0]["selectableFields"]
    return crd


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Space]:
    """A namespace on an API server with the resources of the version before, and without its policies."""
    with ControlPlane(tmp_path / "plane", controller_manager=True) as plane:
        install(plane)
        kubectl = Kubectl(plane.kubeconfig)
        for file in ("names-are-their-bearers",):
            for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
                kubectl.run("delete", kind, f"{file}.agentic-operator.dev")
        crd = age(load_yaml(ROOT / "crds/agenticsessions.yaml"))
        found = plane.request("GET", CRD)
        crd["metadata"] = found["metadata"]
        plane.request("PUT", CRD, crd)
        plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": "team"}})
        made = Space(plane, "team", tmp_path)
        wait_for(lambda: takes_author(made), lambda takes: not takes, what="the old resource served", every=0.1)
        yield made
        for operator in made.operators:
            if operator.process is not None and operator.process.poll() is None:
                operator.kill()


def takes_author(space: Space) -> bool:
    """Say whether the API server knows authors of answers."""
    path = space._path("agenticsessions") + "?dryRun=All"
    body = session_body("try", namespace=space.name, responses=[{"interruptId": "q", "by": "agentic-admin"}])
    return "by" in space.plane.request("POST", path, body)["spec"]["responses"][0]


def upgrade(space: Space) -> None:
    """Apply what an administrator applies."""
    kubectl = Kubectl(space.plane.kubeconfig)
    kubectl.run("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "crds"))
    kubectl.run("apply", "--server-side", "-f", str(ROOT / "manifests/operator/admission.yaml"))
    wait_for(lambda: takes_author(space), bool, what="the new resource served", every=0.1)
    wait_for_policies(space.plane)


def apply(client: Client, space: Space, name: str, responses: list[Json], manager: str) -> Json:
    body = {
        "apiVersion": "agentic-operator.dev/v1alpha1",
        "kind": "AgenticSession",
        "metadata": {"name": name},
        "spec": {"responses": responses},
    }
    path = f"{space._path('agenticsessions', name)}?fieldManager={manager}"
    answer = client.request("PATCH", path, body, kind=APPLY_PATCH)
    assert answer.is_done, answer
    return answer.body


def wait_for_question(space: Space, name: str) -> None:
    """Bring a session to its questions, as operator and runner of the version before did."""
    question = {"prompt": "ok?", "value": "ok?", "askedAt": "2026-01-01T00:00:00Z", "schema": SCHEMA}
    space.start(name)
    space.report(
        name,
        phase="WaitingForInput",
        reason="WaitingForInput",
        run=1,
        jobName=f"{name}-r1",
        threadId=f"project-team:session-{name}",
        workflow={"image": "registry.example.com/team/workflow:1", "generation": 1},
        interrupts=[{"id": "q1", **question}, {"id": "q2", **question}],
    )


def answer_of(space: Space, name: str, id_: str) -> Any:
    found = next(each for each in space.status(name)["interrupts"] if each["id"] == id_)
    return found.get("answer")


def test_sessions_that_wait_across_the_upgrade_are_answered_before_and_after(old: Space) -> None:
    space = old
    ann = a_user(space.plane, space.name, "agentic-edit", "agentic-view", name="ann")
    bob = a_user(space.plane, space.name, "agentic-edit", "agentic-view", name="bob")
    for name in ("applied", "patched", "unanswered"):
        wait_for_question(space, name)
    apply(ann, space, "applied", [{"interruptId": "q1", "value": {"ok": True}}], "ann/q1")
    patch = {"spec": {"responses": [{"interruptId": "q1", "value": {"ok": False}}]}}
    assert bob.request("PATCH", space._path("agenticsessions", "patched"), patch, kind=MERGE_PATCH).is_done
    upgrade(space)

    for name in ("applied", "patched"):
        (kept,) = space.session(name)["spec"]["responses"]
        assert kept["by"] == ""
    # Who applied an answer before changes it under the same manager, also in the new form, and adds others.
    apply(ann, space, "applied", [{"interruptId": "q1", "value": {"ok": True, "why": "sure"}}], "ann/q1")
    apply(bob, space, "applied", [{"interruptId": "q2", "by": "bob", "value": {"ok": False}}], "bob/q2")
    apply(bob, space, "unanswered", [{"interruptId": "q1", "by": "bob", "value": {"ok": True}}], "bob/q1")
    apply(ann, space, "unanswered", [{"interruptId": "q2", "value": {"ok": True}}], "ann/q2")
    more = {
        "spec": {"responses": [*patch["spec"]["responses"], {"interruptId": "q2", "by": "bob", "value": {"ok": 1}}]}
    }
    assert bob.request("PATCH", space._path("agenticsessions", "patched"), more, kind=MERGE_PATCH).is_done
    found = {
        name: [(each["interruptId"], each["by"], each["value"]) for each in space.session(name)["spec"]["responses"]]
        for name in ("applied", "patched", "unanswered")
    }
    assert found == {
        "applied": [("q1", "", {"ok": True, "why": "sure"}), ("q2", "bob", {"ok": False})],
        "patched": [("q1", "", {"ok": False}), ("q2", "bob", {"ok": 1})],
        "unanswered": [("q1", "bob", {"ok": True}), ("q2", "", {"ok": True})],
    }

    space.define()
    space.operator()
    for name in found:
        space.wait_run(name, 2)
        wait_for(lambda name=name: answer_of(space, name, "q2"), bool, what="both accepted", every=0.05)  # type: ignore[misc]
    assert answer_of(space, "applied", "q1") == {"ok": True, "why": "sure"}
    assert answer_of(space, "patched", "q1") == {"ok": False}


def test_an_answer_that_was_applied_before_can_be_taken_back_after(old: Space) -> None:
    space = old
    ann = a_user(space.plane, space.name, "agentic-edit", "agentic-view", name="ann")
    wait_for_question(space, "s")
    apply(ann, space, "s", [{"interruptId": "q1", "value": {"ok": True}}], "ann")
    upgrade(space)
    apply(ann, space, "s", [{"interruptId": "q2", "by": "ann", "value": {"ok": True}}], "ann")
    left = {(each["interruptId"], each["by"]) for each in space.session("s")["spec"]["responses"]}
    print(space.session("s")["metadata"]["managedFields"])
    assert ("q2", "ann") in left
    body = {"spec": {"responses": [{"interruptId": "q2", "by": "ann", "value": {"ok": True}}]}}
    assert ann.request("PATCH", space._path("agenticsessions", "s"), body).is_done
    assert [each["interruptId"] for each in space.session("s")["spec"]["responses"]] == ["q2"]
