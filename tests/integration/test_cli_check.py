"""`agentic check`: eight steps that pass where all is well, and are named with a remedy where not."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.cluster.controlplane import ControlPlane
from hack.cluster.errors import ClusterError
from hack.kubectl import Kubectl
from tests.support.commands import ROOT
from tests.support.kube import SYSTEM
from tests.support.person import Person
from tests.support.settled import name_account, wait_for_policies, wait_for_rights

NAMES = ("cluster", "resources", "namespace", "credentials", "migration", "rights", "admission", "operator")


@pytest.fixture
def kubectl(control_plane: ControlPlane) -> Kubectl:
    return Kubectl(control_plane.kubeconfig)


@pytest.fixture
def deployed(control_plane: ControlPlane, kubectl: Kubectl) -> Iterator[ControlPlane]:
    """A deployment as it looks when everything is there."""
    base, made = f"/api/v1/namespaces/{SYSTEM}", []
    # Other tests use the server, too: with Vault nobody needs Secrets.
    with contextlib.suppress(ClusterError):
        control_plane.request("DELETE", f"{base}/configmaps/agentic-vault")
    for name in ("agentic-postgres-owner", "agentic-postgres-operator"):
        body: dict[str, Any] = {"metadata": {"name": name}, "stringData": {"dsn": "host=db password=canary"}}
        control_plane.request("POST", f"{base}/secrets", body)
        made.append(f"{base}/secrets/{name}")
    deployment = yaml.safe_load((ROOT / "manifests/operator/deployment.yaml").read_text())
    deployment["spec"]["replicas"] = 0
    deployments = f"/apis/apps/v1/namespaces/{SYSTEM}/deployments"
    control_plane.request("POST", deployments, deployment)
    made.append(f"{deployments}/agentic-operator")
    condition = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": "x"}
    control_plane.request("PATCH", f"{made[-1]}/status", {"status": {"conditions": [condition]}})
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases"
    with contextlib.suppress(ClusterError):
        control_plane.request("DELETE", f"{leases}/agentic-operator")
    control_plane.request("POST", leases, {"metadata": {"name": "agentic-operator"}, "spec": {"holderIdentity": "a"}})
    made.append(f"{leases}/agentic-operator")
    yield control_plane
    for path in made:
        # Some tests take away what they check for.
        with contextlib.suppress(ClusterError):
            control_plane.request("DELETE", path)
    kubectl.run("apply", "--server-side", "-f", str(ROOT / "manifests/operator/rbac.yaml"))
    kubectl.run("apply", "--server-side", "-f", str(ROOT / "manifests/operator/admission.yaml"))
    wait_for_rights(control_plane, SYSTEM, name_account(SYSTEM, "agentic-operator"))
    wait_for_policies(control_plane)


def check(person: Person, *arguments: str) -> tuple[int, dict[str, str], str]:
    """Run the command; return its status, the problems by the names of their steps, and all it said."""
    done = person.run("check", *arguments)
    lines = done.stdout.splitlines()
    problems = {}
    for place, line in enumerate(lines):
        if line.startswith("FAIL"):
            name, _, problem = line.split(maxsplit=2)[2].partition(": ")
            assert lines[place + 1].startswith("         "), "no remedy"
            problems[name] = problem
    return done.returncode, problems, done.stdout + done.stderr


def test_where_all_is_well_all_eight_pass_and_no_secret_is_read(deployed: ControlPlane) -> None:
    status, problems, said = check(Person.using(deployed.kubeconfig))
    assert (status, problems) == (0, {}), said
    for number, name in enumerate(NAMES, start=1):
        assert f"PASS  {number}  {name}\n" in said
    assert "canary" not in said
    assert "\033" not in said


def test_each_missing_part_is_named(deployed: ControlPlane, kubectl: Kubectl) -> None:
    system = ("-n", SYSTEM)
    kubectl.run(*system, "delete", "secret", "agentic-postgres-owner")
    kubectl.run("delete", "clusterrolebinding", "agentic-operator")
    kubectl.run("delete", "validatingadmissionpolicybinding", "inputs-are-immutable.agentic-operator.dev")
    kubectl.run(*system, "delete", "lease", "agentic-operator")
    deployed.request(
        "POST",
        f"/apis/batch/v1/namespaces/{SYSTEM}/jobs",
        {
            "metadata": {"name": "agentic-migrate"},
            "spec": {
                "suspend": True,
                "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "m", "image": "x"}]}},
            },
        },
    )
    kubectl.run("label", "namespace", SYSTEM, "pod-security.kubernetes.io/enforce=privileged", "--overwrite")
    try:
        status, problems, said = check(Person.using(deployed.kubeconfig))
    finally:
        kubectl.run("label", "namespace", SYSTEM, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")
        kubectl.run(*system, "delete", "job", "agentic-migrate", "--wait=false")
    assert status == 1
    assert problems.keys() == {"namespace", "credentials", "migration", "rights", "admission", "operator"}, said
    assert problems["namespace"] == f"pods of {SYSTEM} are held to 'privileged'"
    assert problems["credentials"] == "no key dsn in: agentic-postgres-owner"
    assert problems["migration"] == "the Job is not complete"
    assert "create jobs.batch" in problems["rights"]
    assert problems["admission"] == "missing: validatingadmissionpolicybinding/inputs-are-immutable"
    assert problems["operator"] == "no replica leads"
    assert "6 of 8 checks failed" in said


def test_who_may_not_look_is_told_which_right_is_missing(deployed: ControlPlane) -> None:
    person = Person.using(deployed.kubeconfig_for_user("outsider", namespace="default"))
    status, problems, said = check(person)
    assert status == 1
    assert problems.keys() == {*NAMES} - {"cluster"}, said
    for name, right in (
        ("resources", "'get' on customresourcedefinitions of apiextensions.k8s.io"),
        ("credentials", "'get' on secrets in namespace 'agentic-system'"),
        ("rights", "'create' on subjectaccessreviews of authorization.k8s.io"),
        ("operator", "'get' on deployments of apps"),
    ):
        assert right in problems[name], problems[name]


def test_programs_get_the_steps_as_json(deployed: ControlPlane) -> None:
    checks = json.loads(Person.using(deployed.kubeconfig).out("check", "-o", "json"))["checks"]
    assert [(each["name"], each["passed"], each["problem"]) for each in checks] == [(name, True, "") for name in NAMES]


def test_without_a_cluster_one_step_says_so_and_the_others_are_not_looked_at(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("apiVersion: v1\nkind: Config\n")
    status, problems, _ = check(Person.using(config))
    assert (status, set(problems)) == (1, {*NAMES})
    assert {problem for name, problem in problems.items() if name != "cluster"} == {"not looked at"}
    assert "names no current context" in problems["cluster"]


@contextlib.contextmanager
def answering(folder: Path, status: int, answer: dict[str, Any]) -> Iterator[tuple[Person, list[str]]]:
    """Run what says which version it is, and answers everything else with this; yield a person with a way to it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            asked.append(self.path)
            is_version = self.path == "/version"
            said = {"gitVersion": "v1.35.4"} if is_version else {"kind": "Status", **answer}
            body = json.dumps(said).encode()
            self.send_response(200 if is_version else status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    config = folder / "config"
    cluster = {"server": f"http://127.0.0.1:{server.server_address[1]}"}
    config.write_text(
        yaml.safe_dump(
            {
                "current-context": "x",
                "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
                "clusters": [{"name": "x", "cluster": cluster}],
                "users": [{"name": "x", "user": {"token": "token"}}],
            }
        )
    )
    try:
        yield Person.using(config), asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_what_a_cluster_says_forges_no_line_of_the_report(tmp_path: Path) -> None:
    with answering(tmp_path, 403, {"message": "no\nPASS  8  operator\x1b[2J\nall 8 checks passed"}) as (person, _):
        done = person.run("check")
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert [line for line in lines if line.startswith("PASS")] == ["PASS  1  cluster"]
    assert lines[-1] == "7 of 8 checks failed"
    assert "\x1b" not in done.stdout


def test_a_server_that_has_no_answers_is_not_waited_for_thirty_times(tmp_path: Path) -> None:
    with answering(tmp_path, 503, {"message": "later"}) as (person, asked):
        status, problems, _ = check(person)
    assert (status, set(problems)) == (1, {*NAMES} - {"cluster"})
    assert "not looked at: the API server left" in problems["admission"]
    whole = {path for path in asked if "validatingadmissionpolicies" in path}
    assert not whole


@pytest.mark.parametrize(
    "answer",
    [
        {"metadata": None, "spec": [], "status": {"conditions": "all"}, "data": "x"},
        {"metadata": {}, "status": {"conditions": [None, 1]}, "items": [1]},
        {"metadata": {"labels": ["a"]}, "items": [{"metadata": {}}]},
        {},
    ],
)
def test_what_is_no_object_of_kubernetes_fails_its_steps_and_not_the_check(
    tmp_path: Path, answer: dict[str, Any]
) -> None:
    with answering(tmp_path, 200, answer) as (person, _):
        status, problems, _ = check(person)
    assert status == 1
    assert "has not the shape of a" in problems["namespace"]
    assert "has not the shape of a" in problems["operator"]
