"""The control plane that tests and benchmarks stand on keeps its promises: same address, real rules, no survivors."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import binaries
from hack.cluster.controlplane import ControlPlane
from hack.cluster.errors import ClusterError
from hack.cluster.processes import Processes, is_alive
from hack.cluster.waiting import wait_until
from tests.support.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
NAMESPACE = "strict"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane(tmp_path_factory.mktemp("plane"), controller_manager=True) as started:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
        started.request("POST", "/api/v1/namespaces", namespace)
        yield started


def kubectl(kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    argv = [str(binaries.kubectl()), *arguments]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


def test_a_user_is_known_by_name_and_groups_and_has_no_rights_of_its_own(plane: ControlPlane) -> None:
    ann = plane.kubeconfig_for_user("ann@example.org", groups=["team-a"], namespace=NAMESPACE)
    told = json.loads(kubectl(ann, "auth", "whoami", "-o", "json").stdout)["status"]["userInfo"]
    assert told["username"] == "ann@example.org"
    assert "team-a" in told["groups"]
    refused = kubectl(ann, "get", "pods")
    assert 'pods is forbidden: User "ann@example.org"' in refused.stderr


def test_a_service_account_is_known_by_its_bound_token(plane: ControlPlane) -> None:
    account = plane.kubeconfig_for_service_account("default", "default")
    told = json.loads(kubectl(account, "auth", "whoami", "-o", "json").stdout)["status"]["userInfo"]
    assert told["username"] == "system:serviceaccount:default:default"


def test_a_token_for_another_audience_is_not_for_the_api_server(plane: ControlPlane) -> None:
    token = plane.service_account_token("default", "default", audiences=["somebody-else"])
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    assert not plane.request("POST", path, review)["status"].get("authenticated")
    review["spec"] = {"token": token, "audiences": ["somebody-else"]}
    assert plane.request("POST", path, review)["status"]["authenticated"]


def test_the_restricted_standard_is_enforced(plane: ControlPlane) -> None:
    wait_until(
        lambda: bool(plane.request("GET", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts")["items"]),
        seconds=PATIENCE_SECONDS,
        what="the service account of the namespace",
    )
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "root"},
        "spec": {"containers": [{"name": "main", "image": "nothing"}]},
    }
    with pytest.raises(ClusterError, match="violates PodSecurity"):
        plane.request("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", pod)


def test_an_admission_policy_is_enforced(plane: ControlPlane) -> None:
    base = "/apis/admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    validation = {"expression": "object.metadata.name != 'forbidden'", "message": "not this name"}
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "names"},
        "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [validation]},
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "names"},
        "spec": {"policyName": "names", "validationActions": ["Deny"]},
    }
    plane.request("POST", f"{base}/validatingadmissionpolicies", policy)
    plane.request("POST", f"{base}/validatingadmissionpolicybindings", binding)

    def is_refused() -> bool:
        path = "/api/v1/namespaces/default/configmaps?dryRun=All"
        try:
            plane.request("POST", path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "forbidden"}})
        except ClusterError as error:
            return "not this name" in str(error)
        return False

    wait_until(is_refused, seconds=PATIENCE_SECONDS, what="the policy taking effect", poll=0.1)


def test_what_was_written_survives_a_killed_api_server_at_the_same_address(plane: ControlPlane) -> None:
    config: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}, "data": {"a": "b"}}
    plane.request("POST", "/api/v1/namespaces/default/configmaps", config)
    before = plane.server
    plane.kill_apiserver()
    assert not plane.is_ready()
    plane.start_apiserver()
    assert plane.server == before
    assert plane.request("GET", "/api/v1/namespaces/default/configmaps/kept")["data"] == {"a": "b"}


def test_a_deleted_owner_takes_its_job_with_it(plane: ControlPlane) -> None:
    maps, jobs = "/api/v1/namespaces/default/configmaps", "/apis/batch/v1/namespaces/default/jobs"
    owner = plane.request(
        "POST", maps, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}, "data": {}}
    )
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    container = {"name": "main", "image": "nothing"}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "owned", "ownerReferences": [reference]},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }
    plane.request("POST", jobs, job)
    pods = "/api/v1/namespaces/default/pods?labelSelector=batch.kubernetes.io/job-name=owned"
    wait_until(lambda: bool(plane.request("GET", pods)["items"]), seconds=PATIENCE_SECONDS, what="the pod of the Job")
    plane.request("DELETE", f"{maps}/owner")
    wait_until(
        lambda: not plane.request("GET", jobs)["items"] and not plane.request("GET", pods)["items"],
        seconds=PATIENCE_SECONDS,
        what="the garbage collection of the Job and its pod",
    )


def test_nothing_outlives_a_test_run_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from hack.cluster.controlplane import ControlPlane; "
        "ControlPlane(sys.argv[1]).start(); print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        processes = Processes(tmp_path)
        lived = [identity for name in processes.names() if (identity := processes.identity(name))]
        assert len(lived) == 2
        owner.send_signal(signal.SIGKILL)
    wait_until(
        lambda: not any(map(is_alive, lived)), seconds=PATIENCE_SECONDS, what="the end of etcd and the API server"
    )
