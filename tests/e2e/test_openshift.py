"""A cluster that says who pods run as: operator, migration and sessions run under a user that no image knows."""

import json
import os
from collections.abc import Iterator

import pytest

from hack.install import image_version, install
from hack.kubectl import ROOT, Kubectl
from tests.e2e.conftest import SYSTEM, Project, find_address
from tests.projects.cases import CASES
from tests.support.cluster import DEFINITION, JOB, NAMESPACE, POD, Cluster
from tests.support.security_constraints import FIRST, LABEL, constrain
from tests.support.waiting import wait_for

IMAGE = "docker.io/agentic-operator/e2e-projects:dev"
FLAT = next(case for case in CASES if case.name == "flat")
LOOK = (
    "import getpass, json, os; from pathlib import Path;"
    "[Path(folder, 'x').write_text('x') for folder in ('/tmp', '/workspace', 'data', os.path.expanduser('~'))];"
    "print(json.dumps([os.getuid(), os.getgid(), getpass.getuser(), os.path.exists('/tmp/reached')]))"
)
DSN = "/var/run/secrets/agentic/postgres/dsn"


@pytest.fixture(scope="module")
def constrained(kubectl: Kubectl, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cluster with constraints, in which the operator is the ordinary one still."""
    folder = tmp_path_factory.mktemp("constraints")
    with constrain(kubectl, find_address(cluster), folder, part_of="agentic-operator"):
        yield


@pytest.fixture(scope="module")
def installed(
    constrained: None, kubectl: Kubectl, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Everything installed with the component, in a namespace that is constrained, too."""
    folder = tmp_path_factory.mktemp("overlay")
    overlay = {
        "resources": [os.path.relpath(ROOT / "manifests/demo", folder)],
        "components": [os.path.relpath(ROOT / "manifests/openshift", folder)],
    }
    (folder / "kustomization.yaml").write_text(json.dumps(overlay))
    cluster.delete(JOB, "agentic-migrate", SYSTEM)
    cluster.wait_gone(JOB, "agentic-migrate", SYSTEM)
    try:
        label(cluster, SYSTEM, "parts")
        install(kubectl, version="openshift", folder=folder)
        yield
    finally:
        label(cluster, SYSTEM, None)
        install(kubectl, version=image_version())


def label(cluster: Cluster, namespace: str, constraints: str | None) -> None:
    """Say which constraints pods of a namespace are under; None: under none."""
    cluster.patch(NAMESPACE, namespace, {"metadata": {"labels": {LABEL: constraints}}})


def define(project: Project, constraints: str) -> None:
    label(project.cluster, project.name, constraints)
    project.define(
        "agent",
        image=IMAGE,
        env=[{"name": "LANGGRAPH_CONFIG", "value": "/projects/flat/langgraph.json"}, {"name": "GATE", "value": "/tmp"}],
        podTemplate={"writablePaths": [{"path": "data"}]},
    )


def test_an_operator_without_the_setting_is_told_it(constrained: None, project: Project) -> None:
    define(project, "with-group")
    said = wait_for(
        lambda: project.condition(DEFINITION, "agent", "Inspected"),
        lambda condition: condition.get("reason") == "AdmissionRefused",
        what="the refusal",
    )["message"]
    assert "must be in the ranges: [1000720000, 1000729999]" in said
    assert "set the operator's RUNNER_USER to 'cluster' (Helm: podUser)" in said


@pytest.mark.parametrize("constraints", ["with-group", "without-group"])
def test_sessions_run_as_whom_the_cluster_says(installed: None, project: Project, constraints: str) -> None:
    define(project, constraints)
    project.wait_ready("agent")
    project.start("agent", inputs=dict(FLAT.inputs))

    def look() -> list[object]:
        for pod in project.pods():
            if pod["status"].get("phase") == "Running":
                found: list[object] = json.loads(project.run_in(pod["metadata"]["name"], "python", "-c", LOOK))
                return found
        return []

    found = wait_for(
        look,
        lambda said: bool(said) and said[-1] is True,
        what="the middle of the session",
    )
    assert found[:3] == [FIRST, 0, "agentic"]
    pod = project.pods()[0]
    name, spec = pod["metadata"]["name"], pod["spec"]
    assert spec["securityContext"].get("fsGroup") == (FIRST if constraints == "with-group" else None)
    # Root's and its group's, and nobody else's.
    mode = project.run_in(name, "stat", "-L", "-c", "%a %u %g", DSN).strip()
    assert mode == f"440 0 {FIRST if constraints == 'with-group' else 0}"
    project.run_in(name, "python", "-c", "open('/tmp/go', 'w').close()")
    FLAT.check(project.wait_phase("Completed")["result"])


def test_the_operator_and_its_migration_run_as_whom_the_cluster_says(installed: None, cluster: Cluster) -> None:
    pods = cluster.find_all(
        POD, SYSTEM, labels="app.kubernetes.io/name=agentic-operator", fields="status.phase=Running"
    )
    said = cluster.run(pods[0]["metadata"]["name"], SYSTEM, "id", container="operator")
    assert said.startswith(f"uid={FIRST} gid=0(root) groups=0(root),{FIRST}")
    (migration,) = cluster.find_all(POD, SYSTEM, labels="app.kubernetes.io/component=migrate")
    assert migration["status"]["phase"] == "Succeeded"
    assert migration["spec"]["containers"][0]["securityContext"]["runAsUser"] == FIRST


def test_all_of_the_images_may_be_read_by_everybody(project: Project) -> None:
    closed = "find /opt/agentic . \\( -type d ! -perm -005 -o -type f ! -perm -004 \\)"
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    for image in (IMAGE, "docker.io/agentic-operator/operator:dev"):
        spec = {
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": FIRST,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {"name": "look", "image": image, "command": ["sh", "-c", closed], "securityContext": context}
            ],
        }
        project.apply(POD, "look", spec=spec)
        wait_for(
            lambda: project.get(POD, "look")["status"],
            lambda status: status.get("phase") == "Succeeded",
            what="the end of the search",
        )
        assert project.read_log("look") == ""
        project.kill_pod("look")
        project.cluster.wait_gone(POD, "look", project.name)
