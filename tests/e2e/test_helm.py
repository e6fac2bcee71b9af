"""The chart by Helm itself: its hook goes first, a migration that fails changes nothing, and what is yours outlives it.

Meanwhile the installed operator is stopped, so nothing else may run beside it.
"""

import base64
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hack.chart.places import CHART
from hack.cluster.binaries import ensure
from hack.install import image_version, install
from hack.kubectl import ROOT, Kubectl
from tests.e2e.conftest import SYSTEM, Project, read_environment
from tests.e2e.test_migration import run_psql
from tests.support.cluster import (
    CLUSTER_ROLE,
    CONFIG_MAP,
    CUSTOM_RESOURCE,
    DEPLOYMENT,
    JOB,
    NAMESPACE,
    POD,
    POLICY_BINDING,
    SECRET,
    SERVICE_ACCOUNT,
    VOLUME_CLAIM,
    Cluster,
    Json,
)
from tests.support.commands import run_agentic
from tests.support.guide import find_console, read_consoles, reads_like, run_commands

PARTS = ("owner", "operator", "runner")
OPERATOR = "agentic-operator"


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
    def deployment(self) -> Json | None:
        return self.project.find(DEPLOYMENT, f"{self.name}-agentic-operator")

    @property
    def job(self) -> Json:
        return self.project.get(JOB, f"{self.name}-agentic-migrate")

    @property
    def pods(self) -> set[str]:
        """The uids of the operator's pods, without those that are going."""
        found = self.project.find_all(POD, labels="app.kubernetes.io/name=agentic-operator")
        return {pod["metadata"]["uid"] for pod in found if "deletionTimestamp" not in pod["metadata"]}

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
        self.project.apply(SECRET, name, stringData={"dsn": dsn})

    def read_dsn(self, part: str, database: str) -> str:
        """Return the connection string of the installation's own, to another database."""
        secret = self.project.cluster.get(SECRET, f"agentic-postgres-{part}", SYSTEM)
        return f"{base64.b64decode(secret['data']['dsn']).decode().rsplit('/', 1)[0]}/{database}"


def narrow_policies(cluster: Cluster, matched: Json | None) -> None:
    """Say where the policies on runs of the operator that is installed hold; None: everywhere."""
    for policy in ("runners-are-the-operators", "runner-writes-own-session"):
        cluster.patch(POLICY_BINDING, f"{policy}.agentic-operator.dev", {"spec": {"matchResources": matched}})


def scale_operator(cluster: Cluster, replicas: int) -> None:
    """Set the number of replicas of the operator that is installed, and wait until it is so."""
    cluster.patch(DEPLOYMENT, OPERATOR, {"spec": {"replicas": replicas}}, SYSTEM)
    cluster.wait_rolled_out(DEPLOYMENT, OPERATOR, SYSTEM)


@pytest.fixture
def release(project: Project, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Release]:
    """What an installation needs: an empty database and the Secrets; the operator that is installed does nothing."""
    cluster, database = project.cluster, project.name.replace("-", "_")
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
    scale_operator(cluster, 0)
    # It serves all namespaces, so its policies take no other operator for one in any.
    other = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [project.name]}
    narrow_policies(cluster, {"namespaceSelector": {"matchExpressions": [other]}})
    failures = request.session.testsfailed
    try:
        yield release
        if request.session.testsfailed > failures:
            print(project.run_kubectl("get", "all", "-o", "wide"), release.run("status", release.name).stdout)
    finally:
        release.run("uninstall", release.name, "--wait")
        narrow_policies(cluster, None)
        scale_operator(cluster, 2)
        run_psql(project, "postgres", f"DROP DATABASE {database} WITH (FORCE)")


def test_a_migration_that_fails_ends_the_installation_and_its_correction_goes_before_all_else(release: Release) -> None:
    done = release.install("--set", "database.ownerSecret=of-no-database")
    assert done.returncode != 0
    assert "failed pre-install" in done.stderr, done.stderr
    assert "BackoffLimitExceeded" in done.stderr, done.stderr
    assert release.statuses() == ["failed"]
    assert release.deployment is None
    assert release.project.find(SERVICE_ACCOUNT, f"{release.name}-agentic-operator") is None
    assert release.project.cluster.find(CLUSTER_ROLE, f"{release.name}-agentic-operator") is None
    (failed,) = release.project.find_all(POD, labels=f"batch.kubernetes.io/job-name={release.name}-agentic-migrate")
    assert '"of_nobody" does not exist' in release.project.read_log(failed["metadata"]["name"])

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

    found = [project.find_all(kind) for kind in (CONFIG_MAP, JOB, POD)]
    told = release.run("get", "all", release.name).stdout + json.dumps(found, ensure_ascii=False)
    for part in PARTS:
        password = release.read_dsn(part, "").split(":", 2)[2].rsplit("@", 1)[0]
        assert password not in told, part

    done = release.run("uninstall", release.name, "--wait")
    assert done.returncode == 0, done.stderr
    assert release.deployment is None
    assert project.cluster.find(CLUSTER_ROLE, f"{release.name}-agentic-operator") is None
    crd = project.cluster.get(CUSTOM_RESOURCE, "agenticsessions.agentic-operator.dev")
    assert crd["metadata"]["annotations"]["meta.helm.sh/release-name"] == release.name
    assert project.status()["phase"] == "Completed"
    rows = run_psql(project, release.name.replace("-", "_"), "SELECT count(*) FROM workflow_sessions")
    assert rows.strip() == "1"


class Page:
    """The commands of ``docs/helm.md`` as they stand, but for the release's name, its namespace and the images."""

    def __init__(self, release: Release, folder: Path) -> None:
        self._release = release
        self._folder = folder
        (folder / "charts").symlink_to(ROOT / "charts")
        environment = read_environment(release.project.kubectl)
        self._environment = environment | {"PATH": f"{release.helm.parent}:{environment['PATH']}"}

    def write_dsn(self, part: str, dsn: str) -> None:
        """Write one of the files that the page makes Secrets of."""
        (self._folder / f"{part}.txt").write_text(dsn, encoding="utf-8")

    def _fit(self, command: str) -> str:
        name = self._release.name
        for shown, fit in (
            ("registry.example.com/agentic-operator/operator", "agentic-operator/operator"),
            ("registry.example.com/team", "docker.io/agentic-operator"),
            ("charts/agentic-operator", f"charts/agentic-operator -f {self._release.values}"),
            ("agentic-system", name),
            (" -A", f" -n {name}"),
            ("job/agentic-migrate", f"job/{name}-agentic-migrate"),
            ("job agentic-migrate ", f"job {name}-agentic-migrate "),
            ("instance=agentic-operator", f"instance={name}"),
        ):
            command = command.replace(shown, fit)
        return re.sub(r"^helm (\w+) agentic-operator ", rf"helm \1 {name} ", command)

    def follow(self, part: str, *, status: int = 0, left_out: str = "nothing") -> None:
        """Run the commands of the block that has this part; the first one ends with `status`."""
        for command, shown in find_console("helm.md", part):
            if left_out in command:
                continue
            printed = run_commands(self._fit(command), env=self._environment, folder=self._folder, status=status)
            lines = [self._fit(line) for line in shown]
            assert not lines or reads_like(printed, lines), f"$ {command}\n{printed}"
            status = 0


def test_the_commands_of_the_page_install_upgrade_roll_back_and_uninstall(release: Release, tmp_path: Path) -> None:
    # Also: a trial, the parts of an admin and a team (tests/integration/test_chart.py), and how to run these tests.
    assert len(read_consoles("helm.md")) == 10, "the page has other blocks than this test knows"
    project, database = release.project, release.name.replace("-", "_")
    values = json.loads(release.values.read_text()) | {"crds": {"install": False}}
    release.values.write_text(json.dumps(values))
    # The page begins without a namespace.
    project.cluster.delete(NAMESPACE, project.name)
    project.cluster.wait_gone(NAMESPACE, project.name)
    page = Page(release, tmp_path)
    for part in PARTS:
        page.write_dsn(part, release.read_dsn(part, database))

    page.follow("kubectl create namespace")
    project.define("asks", workspace={"size": "1Gi"})
    project.start("asks", inputs={})
    (question,) = project.wait_phase("WaitingForInput")["interrupts"]
    first, pods = release.deployment, release.pods
    assert first is not None

    page.follow("settings.WORKER", status=1)
    release.values.write_text(json.dumps(values | {"podAnnotations": {"release": "second"}}))
    page.follow("--reset-then-reuse-values")
    second = release.deployment
    assert second is not None
    assert second["spec"]["template"]["metadata"]["annotations"]["release"] == "second"
    assert not release.pods & pods
    migrated = release.job["metadata"]["uid"]

    page.follow("helm rollback")
    restored = release.deployment
    assert restored is not None
    assert restored["spec"]["template"] == first["spec"]["template"]
    assert release.job["metadata"]["uid"] == migrated
    assert release.statuses() == ["superseded", "superseded", "deployed"]
    # Neither touched the session that waits.
    assert project.status()["run"] == 1
    project.answer({question["id"]: "yes"})
    assert project.wait_phase("Completed")["result"]["done"] == ["yes"]

    page.follow("delete agenticsessions")
    assert run_psql(project, database, "SELECT count(*) FROM workflow_sessions").strip() == "0"
    assert release.deployment is None
    # Other tests need the resources, so they stay.
    page.follow("delete job,configmap", left_out="kubectl delete crd")
    labels = f"app.kubernetes.io/instance={release.name}"
    assert [project.find_all(kind, labels=labels) for kind in (JOB, CONFIG_MAP, SERVICE_ACCOUNT, DEPLOYMENT)] == [
        []
    ] * 4

    release.write_secret("agentic-postgres-owner", release.read_dsn("owner", "of_nobody"))
    page.follow("logs job/agentic-migrate", status=1)


def test_a_trial_brings_its_database_keeps_its_passwords_and_goes_with_its_data(
    project: Project, tmp_path: Path
) -> None:
    values = {
        "image": {"tag": "dev"},
        "trial": {"enabled": True, "image": "agentic-operator/postgres:dev"},
        "watchNamespaces": [project.name],
        # The rest is the installation's that is there.
        "crds": {"install": False},
        "parts": {"shared": False},
        "sharedName": "agentic",
        "replicas": 1,
    }
    (tmp_path / "values.yaml").write_text(json.dumps(values), encoding="utf-8")
    trial = Release(project, ensure(["helm"])["helm"], tmp_path / "values.yaml")
    passwords = f"{trial.name}-agentic-trial-postgres"

    def check() -> set[str]:
        """Return the steps that failed, but for that of the namespace: a test's admits other pods, too."""
        operator = ("-n", trial.name, "--name", f"{trial.name}-agentic-operator")
        done = run_agentic("check", *operator, "-o", "json", env=read_environment(project.kubectl))
        return {each["name"] for each in json.loads(done.stdout)["checks"] if each["problem"]} - {"namespace"}

    def wait_migrated(revision: int) -> None:
        for job in (f"{trial.name}-agentic-migrate-{revision}", f"{passwords}-logins-{revision}"):
            project.run_kubectl("wait", "--for=condition=complete", f"job/{job}", "--timeout=180s")

    try:
        done = trial.install()
        assert done.returncode == 0, done.stderr
        wait_migrated(1)
        assert check() == set()
        made = project.get(SECRET, passwords)["data"]
        done = trial.install("--set", "podAnnotations.release=second")
        assert done.returncode == 0, done.stderr
        wait_migrated(2)
        assert project.get(SECRET, passwords)["data"] == made
        assert check() == set()
    finally:
        done = trial.run("uninstall", trial.name, "--wait")
    assert done.returncode == 0, done.stderr
    assert project.find(SECRET, passwords) is None
    project.cluster.wait_gone(VOLUME_CLAIM, f"data-{passwords}-0", project.name)


@pytest.fixture
def installed_by_helm(kubectl: Kubectl, cluster: Cluster) -> Iterator[Callable[..., None]]:
    """Installs over the installation that is there, under the names of the guide; at the end that is back."""
    helm = (ensure(["helm"])["helm"], "--namespace", SYSTEM)

    def run(*arguments: str) -> None:
        done = subprocess.run([*helm, *arguments], env=kubectl.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    try:
        yield run
    finally:
        run("uninstall", "agentic-operator", "--ignore-not-found", "--wait")
        cluster.delete(JOB, "agentic-migrate", SYSTEM)
        cluster.wait_gone(JOB, "agentic-migrate", SYSTEM)
        install(kubectl, version=image_version())


def test_an_installation_by_kustomize_is_taken_over_and_passes_all_checks(
    installed_by_helm: Callable[..., None], project: Project
) -> None:
    chart = ("install", "agentic-operator", str(CHART), "--set", "image.tag=dev", "--wait", "--timeout", "3m")
    installed_by_helm(*chart, "--take-ownership")
    installed_by_helm("uninstall", "agentic-operator", "--wait")
    assert project.cluster.find(DEPLOYMENT, OPERATOR, SYSTEM) is None
    # The resources have stayed, and the release of that name takes them up.
    installed_by_helm(*chart)

    project.define("steps")
    project.start("steps", inputs={"count": 1, "seconds": 0})
    project.wait_phase("Completed")
    checks = run_agentic("check", env=read_environment(project.kubectl))
    assert checks.stdout.splitlines()[-1] == "all 8 checks passed", checks.stdout
