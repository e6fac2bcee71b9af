"""The chart by Helm itself: its hook goes first, a migration that fails changes nothing, and what is yours outlives it.

Meanwhile the installed operator is stopped, so nothing else may run beside it.
"""

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hack.chart.places import CHART
from hack.cluster.binaries import ensure
from hack.install import NAMESPACE, image_version, install, wait_for_operator
from hack.kubectl import ROOT, Kubectl
from tests.e2e.conftest import Project, read_environment
from tests.e2e.test_migration import run_psql

PARTS = ("owner", "operator", "runner")
OPERATOR = "deployment/agentic-operator"


@dataclass
class Release:
    """One release in a namespace of its own, with a database of its own."""

    project: Project
    helm: Path
    values: Path

    @property
    def name(self) -> str:
        return self.project.name

    @property
    def deployment(self) -> dict[str, Any] | None:
        return self.project.get("deployment", f"{self.name}-agentic-operator")

    @property
    def job(self) -> dict[str, Any]:
        found = self.project.get("job", f"{self.name}-agentic-migrate")
        assert found is not None
        return found

    @property
    def pods(self) -> set[str]:
        """The uids of the operator's pods, without those that are going."""
        found = self.project.get("pods", "-l", "app.kubernetes.io/name=agentic-operator")
        items = (found or {}).get("items", [])
        return {pod["metadata"]["uid"] for pod in items if "deletionTimestamp" not in pod["metadata"]}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.helm, "--namespace", self.name, *arguments],
            env=self.project.kubectl.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def install(self, *more: str) -> subprocess.CompletedProcess[str]:
        """Install or upgrade, and wait until the operator is ready."""
        chart = (self.name, str(CHART), "-f", str(self.values), *more)
        # The resources are there already: somebody else installed them.
        return self.run("upgrade", "--install", "--take-ownership", "--wait", "--timeout", "3m", *chart)

    def statuses(self) -> list[str]:
        done = self.run("history", self.name, "-o", "json")
        assert done.returncode == 0, done.stderr
        return [revision["status"] for revision in json.loads(done.stdout)]

    def write_secret(self, name: str, dsn: str) -> None:
        metadata = {"name": name, "namespace": self.name}
        self.project.kubectl.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"dsn": dsn}}
        )

    def read_dsn(self, part: str, database: str) -> str:
        """Return the connection string of the installation's own, to another database."""
        secret = self.project.kubectl.get("-n", NAMESPACE, "secret", f"agentic-postgres-{part}")
        assert secret is not None
        return f"{base64.b64decode(secret['data']['dsn']).decode().rsplit('/', 1)[0]}/{database}"


def narrow_policies(kubectl: Kubectl, matched: dict[str, Any] | None) -> None:
    """Say where the policies on runs of the operator that is installed hold; None: everywhere."""
    for policy in ("runners-are-the-operators", "runner-writes-own-session"):
        binding = f"validatingadmissionpolicybinding/{policy}.agentic-operator.dev"
        kubectl.run("patch", binding, "--type=merge", "-p", json.dumps({"spec": {"matchResources": matched}}))


@pytest.fixture
def release(project: Project, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Release]:
    """What an installation needs: an empty database and the Secrets; the operator that is installed does nothing."""
    kubectl, database = project.kubectl, project.name.replace("-", "_")
    values = {
        "image": {"tag": "dev"},
        "watchNamespaces": [project.name],
        "migrate": {"waitSeconds": 1, "backoffLimit": 0},
    }
    (tmp_path / "values.yaml").write_text(json.dumps(values), encoding="utf-8")
    release = Release(project, ensure(["helm"])["helm"], tmp_path / "values.yaml")
    run_psql(project, "postgres", f"CREATE DATABASE {database}")
    for part in PARTS:
        release.write_secret(f"agentic-postgres-{part}", release.read_dsn(part, database))
    release.write_secret("of-no-database", release.read_dsn("owner", "of_nobody"))
    kubectl.run("-n", NAMESPACE, "scale", OPERATOR, "--replicas=0")
    kubectl.run("-n", NAMESPACE, "rollout", "status", OPERATOR, "--timeout=60s", timeout_seconds=70)
    # It serves all namespaces, so its policies take no other operator for one in any.
    other = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [project.name]}
    narrow_policies(kubectl, {"namespaceSelector": {"matchExpressions": [other]}})
    failures = request.session.testsfailed
    try:
        yield release
        if request.session.testsfailed > failures:
            print(project.run("get", "all", "-o", "wide"), release.run("status", release.name).stdout)
    finally:
        release.run("uninstall", release.name, "--wait")
        narrow_policies(kubectl, None)
        kubectl.run("-n", NAMESPACE, "scale", OPERATOR, "--replicas=2")
        wait_for_operator(kubectl)
        run_psql(project, "postgres", f"DROP DATABASE {database} WITH (FORCE)")


def test_a_migration_that_fails_ends_the_installation_and_its_correction_goes_before_all_else(release: Release) -> None:
    done = release.install("--set", "database.ownerSecret=of-no-database")
    assert done.returncode != 0
    assert "failed pre-install" in done.stderr, done.stderr
    assert "BackoffLimitExceeded" in done.stderr, done.stderr
    assert release.statuses() == ["failed"]
    assert release.deployment is None
    assert release.project.get("serviceaccount", f"{release.name}-agentic-operator") is None
    assert release.project.kubectl.get("clusterrole", f"{release.name}-agentic-operator") is None
    assert '"of_nobody" does not exist' in release.project.run("logs", f"job/{release.name}-agentic-migrate")

    done = release.install()
    assert done.returncode == 0, done.stderr
    assert release.statuses()[-1] == "deployed"
    deployment = release.deployment
    assert deployment is not None
    assert release.job["status"]["completionTime"] <= deployment["metadata"]["creationTimestamp"]
    assert deployment["status"]["readyReplicas"] == 2


def test_an_upgrade_that_fails_rolls_no_pod_and_what_is_yours_outlives_the_release(release: Release) -> None:
    project = release.project
    done = release.install()
    assert done.returncode == 0, done.stderr
    project.define("steps")
    project.start("steps", inputs={"count": 2, "seconds": 0})
    project.wait_phase("Completed")

    before, pods = release.deployment, release.pods
    assert before is not None
    done = release.install("--set", "podAnnotations.release=second,database.ownerSecret=of-no-database")
    assert done.returncode != 0
    assert "pre-upgrade" in done.stderr, done.stderr
    assert release.statuses() == ["deployed", "failed"]
    after = release.deployment
    assert after is not None
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert release.pods == pods

    done = release.install("--set", "podAnnotations.release=second")
    assert done.returncode == 0, done.stderr
    assert release.job["status"]["succeeded"] == 1
    assert not release.pods & pods
    migrated = release.job["metadata"]["uid"]
    done = release.run("rollback", release.name, "1", "--wait")
    assert done.returncode == 0, done.stderr
    restored = release.deployment
    assert restored is not None
    assert restored["spec"]["template"] == before["spec"]["template"]
    assert release.job["metadata"]["uid"] == migrated

    told = release.run("get", "all", release.name).stdout + project.run("get", "configmaps,jobs,pods", "-o", "yaml")
    for part in PARTS:
        password = release.read_dsn(part, "").split(":", 2)[2].rsplit("@", 1)[0]
        assert password not in told, part

    done = release.run("uninstall", release.name, "--wait")
    assert done.returncode == 0, done.stderr
    assert release.deployment is None
    assert project.kubectl.get("clusterrole", f"{release.name}-agentic-operator") is None
    crd = project.kubectl.get("crd", "agenticsessions.agentic-operator.dev")
    assert crd is not None
    assert crd["metadata"]["annotations"]["meta.helm.sh/release-name"] == release.name
    assert project.status()["phase"] == "Completed"
    rows = run_psql(project, release.name.replace("-", "_"), "SELECT count(*) FROM workflow_sessions")
    assert rows.strip() == "1"


@pytest.fixture
def installed_by_helm(kubectl: Kubectl) -> Iterator[Callable[..., None]]:
    """Installs over the installation that is there, under the names of the guide; at the end that is back."""
    helm = (ensure(["helm"])["helm"], "--namespace", NAMESPACE)

    def run(*arguments: str) -> None:
        done = subprocess.run([*helm, *arguments], env=kubectl.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    try:
        yield run
    finally:
        run("uninstall", "agentic-operator", "--ignore-not-found", "--wait")
        kubectl.run("-n", NAMESPACE, "delete", "job/agentic-migrate", "--ignore-not-found")
        install(kubectl, version=image_version())


def test_an_installation_by_kustomize_is_taken_over_and_passes_the_checklist(
    installed_by_helm: Callable[..., None], project: Project
) -> None:
    chart = ("install", "agentic-operator", str(CHART), "--set", "image.tag=dev", "--wait", "--timeout", "3m")
    installed_by_helm(*chart, "--take-ownership")
    installed_by_helm("uninstall", "agentic-operator", "--wait")
    assert project.kubectl.get("-n", NAMESPACE, OPERATOR) is None
    # The resources have stayed, and the release of that name takes them up.
    installed_by_helm(*chart)

    project.define("steps")
    project.start("steps", inputs={"count": 1, "seconds": 0})
    project.wait_phase("Completed")
    checklist = subprocess.run(
        ["manifests/checklist.sh"],
        cwd=ROOT,
        env=read_environment(project.kubectl),
        capture_output=True,
        text=True,
        check=False,
    )
    assert checklist.stdout.splitlines()[-1] == "all 8 checks passed", checklist.stdout
