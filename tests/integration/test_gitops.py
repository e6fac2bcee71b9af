"""Sessions that a repository declares, on a real API server: applied again, answered by several people, ended."""

import json
from pathlib import Path
from typing import Any

import pytest

from agentic_core.names import answer_manager
from hack.kubectl import Kubectl, KubectlError
from tests.support.builders import session_body
from tests.support.kube import Json, Space
from tests.support.person import Person
from tests.support.waiting import wait_for

SCHEMA = {"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}, "why": {}}}


@pytest.fixture
def kubectl(space: Space) -> Kubectl:
    return Kubectl(space.plane.kubeconfig)


def write(
    space: Space, name: str = "s", *, labels: Json | None = None, annotations: Json | None = None, **spec: Any
) -> str:
    """Write a session's manifest as a repository holds it; return the file."""
    body = session_body(name, "report", space.name, **spec)
    body["metadata"].update(labels=labels or {}, annotations=annotations or {})
    file: Path = space.folder / f"{name}.json"
    file.write_text(json.dumps(body), encoding="utf-8")
    return str(file)


def apply_answer(kubectl: Kubectl, space: Space, id_: str, value: Any, by: str, *flags: str) -> str:
    body = {
        "apiVersion": "agentic-operator.dev/v1alpha1",
        "kind": "AgenticSession",
        "metadata": {"name": "s", "namespace": space.name},
        "spec": {"responses": [{"interruptId": id_, "value": value}]},
    }
    return kubectl.run("apply", "--server-side", f"--field-manager={by}", *flags, "-f", "-", stdin=json.dumps(body))


def answers(space: Space) -> Json:
    return {each["interruptId"]: each.get("value") for each in space.session("s")["spec"].get("responses", ())}


def ask(space: Space, *ids: str) -> None:
    space.report("s", phase="WaitingForInput", interrupts=[{"id": id_, "value": "?", "schema": SCHEMA} for id_ in ids])


@pytest.mark.parametrize("flags", [(), ("--server-side", "--field-manager=argocd-controller")])
def test_a_session_that_is_applied_again_keeps_its_answers(
    space: Space, kubectl: Kubectl, flags: tuple[str, ...]
) -> None:
    manifest = write(space, inputs={"a": 1})
    kubectl.run("apply", *flags, "-f", manifest)
    ask(space, "q")
    apply_answer(kubectl, space, "q", {"ok": True, "why": None}, "ann")
    write(space, inputs={"a": 1}, displayName="renamed")
    kubectl.run("apply", *flags, "-f", manifest)
    assert space.session("s")["spec"]["displayName"] == "renamed"
    # A null inside of an answer is part of it.
    assert answers(space) == {"q": {"ok": True, "why": None}}


def test_answers_of_two_people_to_two_questions_both_stay(space: Space, kubectl: Kubectl) -> None:
    space.start("s")
    ask(space, "q1", "q2")
    apply_answer(kubectl, space, "q1", {"ok": True}, "ann")
    apply_answer(kubectl, space, "q2", {"ok": False}, "bob")
    assert answers(space) == {"q1": {"ok": True}, "q2": {"ok": False}}


def test_a_second_answer_to_a_question_is_a_conflict_that_names_who_answered(space: Space, kubectl: Kubectl) -> None:
    space.start("s")
    ask(space, "q")
    apply_answer(kubectl, space, "q", {"ok": True}, "ann")
    # Also where the two answers have no member in common: one answer is never made of both.
    with pytest.raises(KubectlError, match='conflict with "ann"'):
        apply_answer(kubectl, space, "q", {"why": "no"}, "bob")
    assert answers(space) == {"q": {"ok": True}}
    apply_answer(kubectl, space, "q", {"ok": False}, "bob", "--force-conflicts")
    assert answers(space) == {"q": {"ok": False}}


def test_a_person_with_the_command_line_answers_two_questions_and_both_are_theirs(space: Space) -> None:
    admin = space.plane.kubeconfig_for_user("ann", groups=["system:masters"], namespace=space.name)
    other = space.plane.kubeconfig_for_user("bob", groups=["system:masters"], namespace=space.name)
    ann, bob = Person.using(admin), Person.using(other)
    space.define()
    space.operator()
    space.start("s")
    space.wait_status("s", "Creating")
    space.report("s", phase="Running")
    ask(space, "q1", "q2", "q3")
    wrong = ann.run("respond", "s", "q1", '{"ok": 1}')
    assert "/ok: 1 is not of type" in wrong.stderr
    with (
        ann.start("respond", "s", "q1", '{"ok": true}') as one,
        bob.start("respond", "s", "q2", '{"ok": false}') as two,
    ):
        assert [one.end(), two.end()] == [0, 0]
    ann.out("respond", "s", "q3", '{"ok": true}')
    assert answers(space) == {"q1": {"ok": True}, "q2": {"ok": False}, "q3": {"ok": True}}

    def by() -> list[Any]:
        return [each.get("answeredBy") for each in space.status("s")["interrupts"]]

    found = wait_for(by, all, what="the answers accepted", every=0.05)
    assert found == ["ann", "bob", "ann"]
    managers = {each["manager"] for each in space.session("s")["metadata"]["managedFields"]}
    assert {answer_manager(by, f"q{number}") for number, by in enumerate(found, start=1)} <= managers
    late = bob.run("respond", "s", "q1", '{"ok": false}')
    assert f"was answered by {found[0]} at" in late.stderr


TRACKED: dict[str, dict[str, Any]] = {
    "by ArgoCD's annotation": {"annotations": {"argocd.argoproj.io/tracking-id": "app:group/Kind:ns/s"}},
    "by Flux": {"labels": {"kustomize.toolkit.fluxcd.io/name": "app", "kustomize.toolkit.fluxcd.io/namespace": "flux"}},
}


@pytest.mark.parametrize("case", TRACKED)
def test_a_session_in_git_whose_time_to_live_is_over_stays_and_does_not_run_again(
    space: Space, kubectl: Kubectl, case: str
) -> None:
    space.define()
    space.operator()
    manifest = write(space, **TRACKED[case], ttlSecondsAfterFinished=0)
    kubectl.run("apply", "-f", manifest)
    uid = end(space)
    wait_for(lambda: condition(space, "Expired"), bool, what="the condition Expired", every=0.05)
    assert "is declared elsewhere" in condition(space, "Expired")["message"]
    kubectl.run("apply", "-f", manifest)
    space.settle()
    assert space.session("s")["metadata"]["uid"] == uid
    assert space.status("s")["run"] == 1
    assert "DeclaredElsewhere" in wait_for(
        lambda: {reason for reason, _ in space.events()}, lambda told: "DeclaredElsewhere" in told, what="the event"
    )
    # Whoever deletes it and makes it again wants a new run.
    space.delete("s")
    space.wait_gone("s")
    kubectl.run("apply", "-f", manifest)
    space.wait_status("s", "Creating")
    assert space.session("s")["metadata"]["uid"] != uid


def end(space: Space) -> str:
    space.wait_status("s", "Creating")
    space.report("s", phase="Running")
    made = space.report("s", phase="Completed", completionTime="2026-01-01T00:00:00Z")
    uid: str = made["metadata"]["uid"]
    return uid


def condition(space: Space, type_: str) -> Json:
    return next((each for each in space.status("s").get("conditions", ()) if each["type"] == type_), {})


def test_a_change_after_the_end_is_observed_and_kubectl_wait_returns(space: Space, kubectl: Kubectl) -> None:
    space.define()
    space.operator()
    space.start("s")
    end(space)
    complete = {
        "type": "Complete",
        "status": "True",
        "reason": "Completed",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    space.report("s", conditions=[*space.status("s")["conditions"], complete])
    changed = space.change("s", displayName="renamed", ttlSecondsAfterFinished=315_360_000, stop=True)
    generation = changed["metadata"]["generation"]
    assert generation > 1
    kubectl.run("wait", "--for=condition=Complete", "agenticsession/s", "-n", space.name, "--timeout=180s")
    status = space.status("s")
    assert status["observedGeneration"] == generation
    assert {each["observedGeneration"] for each in status["conditions"]} == {generation}
    assert status["phase"] == "Completed"


def test_what_kubectl_refuses_tells_or_drops_of_an_unknown_field(space: Space, kubectl: Kubectl) -> None:
    """What docs/gitops.md says of each way."""
    manifest = write(space, inputz={"a": 1})
    for flags in ((), ("--server-side",)):
        with pytest.raises(KubectlError, match=r'unknown field "spec.inputz"|spec.inputz: field not declared'):
            kubectl.run("apply", *flags, "-f", manifest)
    assert space.find("s") is None
    kubectl.run("apply", "--validate=false", "-f", manifest)
    assert "inputz" not in space.session("s")["spec"]
    kubectl.run("patch", "agenticsession/s", "-n", space.name, "--type=merge", "-p", '{"spec":{"stopp":true}}')
    assert "stopp" not in space.session("s")["spec"]
