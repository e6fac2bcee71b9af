"""The chart as ArgoCD syncs it, by the engine of ArgoCD on a real API server: the migration first, or nothing at all.

There is no kubelet: the tests end the migration's pod, and say that the operator's are ready, as one would.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hack.chart.places import CHART
from hack.cluster.binaries import ensure
from tests.support.kube import Json, Space
from tests.support.waiting import PATIENCE_SECONDS, wait_for

JOB = "agentic-migrate"


@dataclass
class Sync:
    """One sync that is under way."""

    space: Space
    process: subprocess.Popen[bytes]
    log: Path
    results: Path

    def list_made(self) -> set[str]:
        """Return the kinds of what the sync has made so far, in the namespace and the cluster."""
        name = self.space.name
        paths = {
            "Deployment": f"/apis/apps/v1/namespaces/{name}/deployments",
            "ServiceAccount": f"/api/v1/namespaces/{name}/serviceaccounts",
            "ConfigMap": f"/api/v1/namespaces/{name}/configmaps",
            "Job": f"/apis/batch/v1/namespaces/{name}/jobs",
            "NetworkPolicy": f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies",
            "Role": f"/apis/rbac.authorization.k8s.io/v1/namespaces/{name}/roles",
            "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
            "ValidatingAdmissionPolicy": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
        }
        selector = f"?labelSelector=app.kubernetes.io/instance={name}"
        return {kind for kind, path in paths.items() if self.space.plane.request("GET", path + selector)["items"]}

    def end_migration(self, code: int) -> None:
        """End the one pod of the migration."""
        job = f"{self.space.name}-{JOB}"
        self.space.wait_job(job)
        self.space.end_pod(self.space.wait_pod(job), code)

    def find_operator(self) -> Json | None:
        path = f"/apis/apps/v1/namespaces/{self.space.name}/deployments"
        items: list[Json] = self.space.plane.request("GET", path)["items"]
        return items[0] if items else None

    def make_ready(self) -> None:
        """Write the Deployment's status as its controller would."""
        found = wait_for(self.find_operator, bool, what="the Deployment")
        assert found is not None
        count = found["spec"]["replicas"]
        status = {
            "observedGeneration": found["metadata"]["generation"],
            **dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), count),
        }
        path = f"/apis/apps/v1/namespaces/{self.space.name}/deployments/{found['metadata']['name']}/status"
        self.space.plane.request("PATCH", path, {"status": status})

    def end(self) -> tuple[int, list[Json], str]:
        """Return the exit status, what became of each object in order, and the complaint."""
        status = self.process.wait(timeout=PATIENCE_SECONDS)
        results = [json.loads(line) for line in self.results.read_text(encoding="utf-8").splitlines()]
        return status, results, self.log.read_text(encoding="utf-8")


class Argo:
    """Starts syncs of the chart into a namespace."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._programs = ensure(["helm", "argosync"])
        self.processes: list[subprocess.Popen[bytes]] = []

    def sync(self, *values: str) -> Sync:
        name = self._space.name
        # Its policies stay behind, and are to hold for nothing but this.
        served = f"watchNamespaces={{{name}}}"
        chosen = ("migrate.hook=argocd", "migrate.backoffLimit=0", "crds.install=false", served, *values)
        number = len(self.processes)
        manifests, results, log = (self._space.folder / f"{number}.{kind}" for kind in ("yaml", "json", "log"))
        with manifests.open("wb") as file:
            template: list[str | Path] = [
                self._programs["helm"],
                "template",
                name,
                CHART,
                "-n",
                name,
                "--set",
                ",".join(chosen),
            ]
            subprocess.run(template, stdout=file, check=True)
        with manifests.open("rb") as file, results.open("wb") as output, log.open("wb") as told:
            process = subprocess.Popen(
                [self._programs["argosync"], name],
                stdin=file,
                stdout=output,
                stderr=told,
                env={**os.environ, "KUBECONFIG": str(self._space.plane.kubeconfig)},
            )
        self.processes.append(process)
        return Sync(self._space, process, log, results)


@pytest.fixture
def argo(space: Space) -> Iterator[Argo]:
    made = Argo(space)
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
            process.wait()


OF_THE_HOOK = {"ConfigMap", "Job", "NetworkPolicy"}


def summarise(results: list[Json]) -> list[tuple[str, str, str]]:
    return [(one["SyncPhase"], one["ResourceKey"]["Kind"], one["HookPhase"]) for one in results]


@pytest.mark.parametrize("hook", ["argocd", "helm"])
def test_the_migration_completes_before_anything_else_is_applied(argo: Argo, space: Space, hook: str) -> None:
    """ArgoCD takes Helm's hooks for its own."""
    sync = argo.sync(f"migrate.hook={hook}")
    space.wait_pod(f"{space.name}-{JOB}")
    assert sync.list_made() == OF_THE_HOOK
    sync.end_migration(0)
    sync.make_ready()
    status, results, complaint = sync.end()

    assert status == 0, complaint
    said = summarise(results)
    assert sorted(said[:2]) == [("PreSync", kind, "Succeeded") for kind in ("ConfigMap", "NetworkPolicy")]
    assert said[2] == ("PreSync", "Job", "Succeeded")
    assert {phase for phase, _, _ in said[3:]} == {"Sync"}
    kinds = [kind for _, kind, _ in said]
    assert kinds.index("Job") < kinds.index("ServiceAccount") < kinds.index("Deployment")
    job = space.jobs()[0]["status"]
    operator = sync.find_operator()
    assert operator is not None
    assert job["completionTime"] <= operator["metadata"]["creationTimestamp"]


def test_a_migration_that_fails_ends_the_sync_and_nothing_else_is_applied(argo: Argo) -> None:
    sync = argo.sync()
    sync.end_migration(1)
    status, results, complaint = sync.end()

    assert status == 1
    assert "BackoffLimitExceeded" in complaint or "backoff limit" in complaint
    assert [one for one in summarise(results) if one[2] == "Failed"] == [("PreSync", "Job", "Failed")]
    assert sync.list_made() == OF_THE_HOOK


def test_a_failed_upgrade_leaves_the_operator_as_it_was_and_the_next_one_migrates_again(
    argo: Argo, space: Space
) -> None:
    first = argo.sync()
    first.end_migration(0)
    first.make_ready()
    assert first.end()[0] == 0
    before, migrated = first.find_operator(), space.jobs()[0]["metadata"]["uid"]
    assert before is not None

    second = argo.sync("podAnnotations.release=second")
    wait_for(
        space.jobs,
        lambda jobs: jobs and jobs[0]["metadata"]["uid"] != migrated,
        what="the next Job",
    )
    second.end_migration(1)
    assert second.end()[0] == 1
    after = second.find_operator()
    assert after is not None
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
