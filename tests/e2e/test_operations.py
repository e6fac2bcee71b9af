"""The guide to operations on the real cluster: its commands as they stand, `agentic check`, a database that is lost.

They change the installation, so nothing else may run beside them.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.install import NAMESPACE, image_version, install, make_logins
from hack.kubectl import ROOT, Kubectl
from tests.e2e.conftest import Project, read_environment
from tests.support.cluster import JOB, POLICY_BINDING, STATEFUL_SET, VOLUME_CLAIM, Cluster
from tests.support.commands import run_agentic
from tests.support.guide import find_console, reads_like, run_commands
from tests.support.waiting import wait_for

NAMES = ("cluster", "resources", "namespace", "credentials", "migration", "rights", "admission", "operator")
# The cluster has the database's image under this name and pulls no other.
IMAGES = [{"name": "docker.io/library/postgres", "newName": "agentic-operator/postgres", "newTag": "dev"}]
POLICY = "inputs-are-immutable.agentic-operator.dev"


def check(kubectl: Kubectl) -> tuple[int, list[str]]:
    done = run_agentic("check", env=read_environment(kubectl))
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def wait_checked(kubectl: Kubectl) -> None:
    """Wait until all checks pass: a cluster that came up a moment ago does not know yet what of it is ready."""
    what = "the checks"
    wait_for(lambda: check(kubectl)[0], lambda status: status == 0, what=what, every=1)


def test_all_checks_pass_and_a_defect_is_named_with_the_command_that_mends_it(
    kubectl: Kubectl, cluster: Cluster
) -> None:
    passed = [f"PASS  {number}  {name}" for number, name in enumerate(NAMES, start=1)]
    wait_checked(kubectl)
    assert check(kubectl) == (0, [*passed, "all 8 checks passed"])

    cluster.delete(POLICY_BINDING, POLICY)
    status, lines = check(kubectl)
    remedy = lines.pop(7).strip()
    problem = f"FAIL  7  admission: missing: validatingadmissionpolicybinding/{POLICY.split('.')[0]}"
    assert (status, lines) == (1, [*passed[:6], problem, passed[7], "1 of 8 checks failed"])
    assert remedy == "kubectl apply -f manifests/operator/admission.yaml"
    run_commands(remedy, env=read_environment(kubectl), folder=ROOT)
    assert check(kubectl)[0] == 0


def write_overlay(folder: Path, name: str) -> Path:
    """Write what somebody with a registry of their own writes; return its folder."""
    (folder / name).mkdir()
    overlay = {"resources": [os.path.relpath(ROOT / "manifests" / name, folder / name)], "images": IMAGES}
    (folder / name / "kustomization.yaml").write_text(json.dumps(overlay))
    return folder / name


class Guide:
    """The commands of a page in ``docs/``, run as they stand but for the image."""

    def __init__(self, kubectl: Kubectl, folder: Path) -> None:
        self._environment = read_environment(kubectl)
        self._overlays = {f"-k manifests/{name}": f"-k {write_overlay(folder, name)}" for name in ("backup", "restore")}

    def follow(self, part: str, page: str = "operations.md") -> None:
        """Run the one block with such a command, and compare what is printed with what is shown."""
        for command, shown in find_console(page, part):
            written = command
            for path, overlay in self._overlays.items():
                written = written.replace(path, overlay)
            printed = run_commands(written, env=self._environment, folder=ROOT)
            assert not shown or reads_like(printed, shown), f"$ {command}\n{printed}"


@pytest.fixture
def guide(kubectl: Kubectl, cluster: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Guide]:
    """The guide; at the end there is no backup, and the installation is whole again where a test could not finish."""
    failures = request.session.testsfailed
    yield Guide(kubectl, tmp_path)
    failed = request.session.testsfailed > failures
    if failed:
        print(kubectl.run("-n", NAMESPACE, "get", "jobs,pods,pvc", "-o", "wide"))
    for job in ("agentic-restore", "backup-now"):
        cluster.delete(JOB, job, NAMESPACE)
        cluster.wait_gone(JOB, job, NAMESPACE)
    kubectl.run("delete", "-k", str(ROOT / "manifests/backup"), "--wait=false")
    if failed:
        cluster.delete(JOB, "agentic-migrate", NAMESPACE)
        cluster.wait_gone(JOB, "agentic-migrate", NAMESPACE)
        install(kubectl, version=image_version())


def throw_the_database_away(cluster: Cluster) -> None:
    """End the server, delete its volume, and start an empty one."""
    cluster.patch(STATEFUL_SET, "postgres", {"spec": {"replicas": 0}}, NAMESPACE)
    cluster.delete(VOLUME_CLAIM, "data-postgres-0", NAMESPACE)
    cluster.wait_gone(VOLUME_CLAIM, "data-postgres-0", NAMESPACE)
    cluster.patch(STATEFUL_SET, "postgres", {"spec": {"replicas": 1}}, NAMESPACE)
    cluster.wait_rolled_out(STATEFUL_SET, "postgres", NAMESPACE)


def test_a_session_that_waits_goes_on_after_its_database_was_lost_and_restored_by_the_guide(
    project: Project, guide: Guide
) -> None:
    kubectl = project.kubectl
    project.define("asks", workspace={"size": "1Gi"})
    project.start("asks", inputs={})
    (question,) = project.wait_phase("WaitingForInput")["interrupts"]

    guide.follow("-k manifests/backup")
    throw_the_database_away(project.cluster)
    guide.follow("kubectl delete jobs")
    guide.follow("-k manifests/restore")
    make_logins(kubectl)
    guide.follow("-k manifests/migrate")
    guide.follow("-k manifests/migrate", "migrations.md")
    guide.follow("--replicas=2")
    wait_checked(kubectl)

    assert project.status()["phase"] == "WaitingForInput"
    project.answer({question["id"]: "yes"})
    status = project.wait_phase("Completed")
    assert (status["result"]["done"], status["result"]["journal"]) == (["yes"], ["before"])
    assert status["run"] == 2
    assert not [each for each in status["conditions"] if each["type"] == "CheckpointsLost" and each["status"] == "True"]
