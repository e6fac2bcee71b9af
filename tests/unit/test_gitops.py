"""What GitOps tools make of our resources: names and images by kustomize, and health by ArgoCD's scripts."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime  # type: ignore[import-untyped]  # it has no types; ArgoCD speaks Lua 5.1

from agentic_core.lifecycle import Phase
from hack.kubectl import ROOT, Kubectl

GROUP = "agentic-operator.dev/v1alpha1"
CUSTOMIZATIONS = "resource.customizations.health.agentic-operator.dev_"
# What ArgoCD takes away from a script, as far as plain Lua has it.
FORBIDDEN = ("os", "io", "debug", "package", "require", "load", "loadstring", "loadfile", "dofile", "python")


def health(kind: str, body: Any) -> tuple[str, str]:
    """Run ArgoCD's script for a kind over an object, as ArgoCD does: as the global ``obj``."""
    patch = yaml.safe_load((ROOT / "manifests/argocd/argocd-cm.yaml").read_text(encoding="utf-8"))
    lua: Any = LuaRuntime(unpack_returned_tuples=True)
    for name in FORBIDDEN:
        lua.globals()[name] = None
    lua.globals().obj = lua.table_from(body, recursive=True)
    result = lua.execute(patch["data"][CUSTOMIZATIONS + kind])
    return result["status"], result["message"]


def session(phase: str | None, *, observed: int = 2, **status: Any) -> dict[str, Any]:
    found = {} if phase is None else {"phase": phase, "observedGeneration": observed, **status}
    return {"metadata": {"name": "s", "generation": 2}, "spec": {}, "status": found}


EXPECTED = {
    Phase.PENDING: "Progressing",
    Phase.CREATING: "Progressing",
    Phase.RUNNING: "Progressing",
    Phase.WAITING_FOR_INPUT: "Suspended",
    Phase.SUSPENDED: "Suspended",
    Phase.IDLE: "Healthy",
    Phase.COMPLETED: "Healthy",
    Phase.STOPPED: "Healthy",
    Phase.FAILED: "Degraded",
}


@pytest.mark.parametrize("phase", Phase)
def test_argocd_reads_the_health_of_a_session_in_every_phase(phase: Phase) -> None:
    asked = [{"id": "q"}] if phase is Phase.WAITING_FOR_INPUT else []
    assert health("AgenticSession", session(phase.value, interrupts=asked))[0] == EXPECTED[phase]
    stale = session(phase.value, interrupts=asked, observed=1)
    assert health("AgenticSession", stale) == ("Progressing", "waits for the operator")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({"metadata": {"name": "s"}}, ("Progressing", "waits for the operator"), id="just made"),
        pytest.param(session(None), ("Progressing", "waits for the operator"), id="no phase"),
        pytest.param(session("Later"), ("Unknown", "Later"), id="a phase of a newer operator"),
        pytest.param(
            session("Failed", reason="GraphError", message="no key"),
            ("Degraded", "Failed (GraphError): no key"),
            id="why",
        ),
        pytest.param(
            session("Pending", reason="WorkflowSuspended"), ("Suspended", "Pending (WorkflowSuspended)"), id="suspended"
        ),
        pytest.param(
            session("Pending", reason="SecretMissing", message="llm"),
            ("Progressing", "Pending (SecretMissing): llm"),
            id="a cause that may go",
        ),
        pytest.param(
            session("WaitingForInput", interrupts=[{"id": "q"}], question="ok? (yes / no)"),
            ("Suspended", "waits for an answer: ok? (yes / no)"),
            id="the question",
        ),
        pytest.param(
            session(
                "WaitingForInput",
                interrupts=[{"id": "q"}],
                conditions=[{"type": "InputAccepted", "status": "False", "reason": "InvalidAnswer", "message": "/x"}],
            ),
            ("Suspended", "waits for an answer; InvalidAnswer: /x"),
            id="a wrong answer",
        ),
        pytest.param(
            session("WaitingForInput", interrupts=[{"id": "q", "answeredAt": "T"}]),
            ("Progressing", "WaitingForInput"),
            id="answered, its run is on the way",
        ),
    ],
)
def test_argocd_tells_why(body: Any, expected: tuple[str, str]) -> None:
    assert health("AgenticSession", body) == expected


@pytest.mark.parametrize("kind", ["WorkflowDefinition", "ClusterWorkflowDefinition"])
@pytest.mark.parametrize(
    ("ready", "spec", "observed", "expected"),
    [
        ("True", {}, 2, ("Healthy", "Why: m")),
        ("False", {}, 2, ("Degraded", "Why: m")),
        ("False", {"suspend": True}, 2, ("Degraded", "Why: m")),
        ("Unknown", {}, 2, ("Progressing", "Why: m")),
        ("True", {"suspend": True}, 2, ("Suspended", "no new session starts: spec.suspend")),
        ("True", {}, 1, ("Progressing", "waits for the operator")),
        (None, {}, 2, ("Progressing", "waits for the operator")),
    ],
)
def test_argocd_reads_the_health_of_a_definition(
    kind: str, ready: str | None, spec: Any, observed: int, expected: tuple[str, str]
) -> None:
    condition = {"type": "Ready", "status": ready, "reason": "Why", "message": "m", "observedGeneration": observed}
    status = {"observedGeneration": observed, "conditions": [condition] if ready else []}
    assert health(kind, {"metadata": {"generation": 2}, "spec": spec, "status": status}) == expected
    assert health(kind, {"metadata": {"generation": 2}, "spec": spec})[0] == "Progressing"


def definition(kind: str, name: str) -> dict[str, Any]:
    volumes = [
        {"name": "a", "mountPath": "/mnt/a", "secret": {"secretName": "files"}},
        {"name": "b", "mountPath": "/mnt/b", "configMap": {"name": "settings"}},
        {"name": "c", "mountPath": "/mnt/c", "persistentVolumeClaim": {"claimName": "models"}},
    ]
    return {
        "apiVersion": GROUP,
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            "image": "registry.example.com/team/flow:1",
            "imagePullSecrets": [{"name": "pull"}],
            "env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "llm", "key": "k"}}}],
            "envFrom": [{"secretRef": {"name": "llm"}}, {"configMapRef": {"name": "settings"}}],
            "podTemplate": {"volumes": volumes},
        },
    }


def a_session(name: str, workflow: str, kind: str, **spec: Any) -> dict[str, Any]:
    env = [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "llm", "key": "k"}}}]
    reference = {"name": workflow, "kind": kind}
    return {
        "apiVersion": GROUP,
        "kind": "AgenticSession",
        "metadata": {"name": name},
        "spec": {"workflowRef": reference, "env": env, **spec},
    }


OBJECTS = [
    definition("WorkflowDefinition", "flow"),
    definition("ClusterWorkflowDefinition", "shared"),
    a_session("first", "flow", "WorkflowDefinition"),
    a_session("second", "shared", "ClusterWorkflowDefinition", forkFrom={"session": "first"}),
    a_session("third", "of-another-team", "WorkflowDefinition", forkFrom={"session": "elsewhere"}),
    *(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"k": "v"}}
        for name in ("llm", "files", "pull")
    ),
    {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "models"}, "spec": {}},
]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Any]:
    """A team's kustomization with our configuration, rendered by kubectl, by kind and original name."""
    folder = tmp_path_factory.mktemp("team")
    shutil.copy(ROOT / "manifests/kustomize-config/agentic.yaml", folder)
    (folder / "all.yaml").write_text("\n---\n".join(json.dumps(each) for each in OBJECTS), encoding="utf-8")
    kustomization = {
        "resources": ["all.yaml"],
        "configurations": ["agentic.yaml"],
        "namespace": "team-a",
        "namePrefix": "dev-",
        "nameSuffix": "-7",
        "images": [{"name": "registry.example.com/team/flow", "newName": "mirror.example.com/flow", "newTag": "2"}],
        "configMapGenerator": [{"name": "settings", "literals": ["a=1"]}],
    }
    (folder / "kustomization.yaml").write_text(json.dumps(kustomization), encoding="utf-8")
    text = Kubectl(Path("/dev/null")).run("kustomize", str(folder))
    found = list(yaml.safe_load_all(text))

    def original(name: str) -> str:
        return name.removeprefix("dev-").partition("-7")[0]

    return {(each["kind"], original(each["metadata"]["name"])): each for each in found}


@pytest.mark.parametrize(("kind", "name"), [("WorkflowDefinition", "flow"), ("ClusterWorkflowDefinition", "shared")])
def test_kustomize_follows_the_names_and_the_image_of_a_definition(rendered: Any, kind: str, name: str) -> None:
    spec = rendered[kind, name]["spec"]
    settings = rendered["ConfigMap", "settings"]["metadata"]["name"]
    assert settings.startswith("dev-settings-7-")
    assert spec["image"] == "mirror.example.com/flow:2"
    assert spec["imagePullSecrets"] == [{"name": "dev-pull-7"}]
    assert spec["env"][0]["valueFrom"]["secretKeyRef"]["name"] == "dev-llm-7"
    assert spec["envFrom"] == [{"secretRef": {"name": "dev-llm-7"}}, {"configMapRef": {"name": settings}}]
    files, config, claim = spec["podTemplate"]["volumes"]
    assert files["secret"] == {"secretName": "dev-files-7"}
    assert config["configMap"] == {"name": settings}
    assert claim["persistentVolumeClaim"] == {"claimName": "dev-models-7"}


def test_kustomize_follows_the_names_in_sessions_and_leaves_those_of_others(rendered: Any) -> None:
    specs = {name: rendered["AgenticSession", name]["spec"] for name in ("first", "second", "third")}
    assert [specs[name]["workflowRef"]["name"] for name in specs] == ["dev-flow-7", "dev-shared-7", "of-another-team"]
    assert specs["second"]["forkFrom"] == {"session": "dev-first-7"}
    assert specs["third"]["forkFrom"] == {"session": "elsewhere"}
    assert specs["first"]["env"][0]["valueFrom"]["secretKeyRef"]["name"] == "dev-llm-7"
