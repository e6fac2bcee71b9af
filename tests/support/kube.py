"""A real API server with our resources and roles, a namespace for every test, and the operator as a real process.

No kubelet and no scheduler: pods that the Job controller makes stay Pending until a test writes their status through
the API server, as a kubelet would.
"""

import itertools
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hack.cluster.controlplane import ControlPlane
from hack.cluster.errors import ClusterError
from hack.kubectl import Kubectl
from tests.support.builders import definition_body, session_body
from tests.support.commands import OPERATOR, ROOT, clean_environment
from tests.support.settled import name_account, wait_for_policies, wait_for_rights
from tests.support.waiting import PATIENCE_SECONDS, wait_for

SYSTEM = "agentic-system"
GROUP_PATH = "/apis/agentic-operator.dev/v1alpha1"
CHECKED = ("SchemaValid", "ImageAllowed", "Inspected", "Ready")

Json = dict[str, Any]

_numbers = itertools.count(1)


def install(plane: ControlPlane) -> None:
    """Apply what an administrator installs: resources, roles, admission policies, the runners' secret."""
    kubectl = Kubectl(plane.kubeconfig)
    kubectl.run("apply", "--server-side", "-k", str(ROOT / "crds"))
    for file in ("namespace", "inspections", "rbac", "admission"):
        kubectl.run("apply", "--server-side", "-f", str(ROOT / f"manifests/operator/{file}.yaml"))
    kubectl.run("apply", "--server-side", "-f", str(ROOT / "manifests/gateway/rbac.yaml"))
    for kind in ("workflowdefinitions", "clusterworkflowdefinitions", "agenticsessions"):
        kubectl.run("wait", "--for=condition=Established", f"crd/{kind}.agentic-operator.dev", "--timeout=180s")
        wait_for(partial(_is_served, plane, kind), bool, what=f"{kind} served", every=0.1)
    wait_for_rights(plane, SYSTEM, name_account(SYSTEM, "agentic-operator"))
    wait_for_policies(plane)
    secret = {"metadata": {"name": "agentic-postgres-runner"}, "stringData": {"dsn": "postgresql://runner@db/agentic"}}
    plane.request("POST", f"/api/v1/namespaces/{SYSTEM}/secrets", secret)


def _is_served(plane: ControlPlane, plural: str) -> bool:
    """Whether a resource can be listed: for a moment after it is established its storage is being prepared (429)."""
    try:
        plane.request("GET", f"{GROUP_PATH}/{plural}")
    except ClusterError as error:
        if ": 429 " not in str(error):
            raise
        return False
    return True


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The API server with the Job controller and the garbage collector. A test that kills a part starts it again."""
    with ControlPlane(tmp_path_factory.mktemp("operator-plane"), controller_manager=True) as plane:
        install(plane)
        yield plane


@dataclass
class OperatorProcess:
    """The operator as a process, with the rights of its own service account."""

    environment: Mapping[str, str]
    log_file: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; it is at work once it has logged that it leads, or when it reacts."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*OPERATOR],
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        """End it as a power cut would."""
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and return its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)

    def wait(self, timeout: float = PATIENCE_SECONDS) -> int:
        """Wait for its own end."""
        assert self.process is not None
        return self.process.wait(timeout)

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""


@dataclass
class Space:
    """One namespace on the API server and what tests do in it."""

    plane: ControlPlane
    name: str
    folder: Path
    operators: list[OperatorProcess] = field(default_factory=list)

    # -- the operator

    def operator(self, name: str = "operator", *, is_started: bool = True, **variables: str) -> OperatorProcess:
        """Make an operator that serves this namespace alone."""
        environment = clean_environment(
            KUBECONFIG=str(self.plane.kubeconfig_for_service_account(SYSTEM, "agentic-operator")),
            OPERATOR_NAMESPACE=SYSTEM,
            WATCH_NAMESPACES=self.name,
            POD_NAME=name,
            LEADER_ELECTION="false",
            LIVENESS_PORT="0",
            LOG_FORMAT="text",
        )
        made = OperatorProcess({**environment, **variables}, self.folder / f"{name}.log")
        self.operators.append(made)
        if is_started:
            made.start()
        return made

    # -- resources

    def _path(self, plural: str, name: str = "", part: str = "") -> str:
        return "/".join(p for p in (f"{GROUP_PATH}/namespaces/{self.name}/{plural}", name, part) if p)

    def define(self, name: str = "report", *, is_ready: bool = True, status: Json | None = None, **spec: Any) -> Json:
        """Make a definition; by default as if it had been inspected."""
        made = self.plane.request("POST", self._path("workflowdefinitions"), definition_body(name, self.name, **spec))
        return self.check(name, status=status) if is_ready else made

    def check(self, name: str = "report", *, status: Json | None = None, **failed: str) -> Json:
        """Write the conditions of an inspected definition; ``Inspected="GraphLoadFailed"`` makes one False."""
        made = self.definition(name)
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = [
            {
                "type": type_,
                "status": "False" if type_ in failed else "True",
                "reason": failed.get(type_, "Because"),
                "message": "",
                "lastTransitionTime": at,
                "observedGeneration": made["metadata"]["generation"],
            }
            for type_ in CHECKED
        ]
        body = {"status": {"conditions": conditions, **(status or {})}}
        return self.plane.request("PATCH", self._path("workflowdefinitions", name, "status"), body)

    def definition(self, name: str = "report") -> Json:
        return self.plane.request("GET", self._path("workflowdefinitions", name))

    def start(self, name: str, workflow: str = "report", **spec: Any) -> Json:
        """Make a session."""
        return self.plane.request(
            "POST", self._path("agenticsessions"), session_body(name, workflow, self.name, **spec)
        )

    def session(self, name: str) -> Json:
        return self.plane.request("GET", self._path("agenticsessions", name))

    def find(self, name: str) -> Json | None:
        """Read a session, None where it is gone."""
        return self._find(self._path("agenticsessions", name))

    def sessions(self) -> list[Json]:
        items: list[Json] = self.plane.request("GET", self._path("agenticsessions"))["items"]
        return items

    def status(self, name: str) -> Json:
        status: Json = self.session(name).get("status") or {}
        return status

    def change(self, name: str, **spec: Any) -> Json:
        """Change a session's spec."""
        return self.plane.request("PATCH", self._path("agenticsessions", name), {"spec": spec})

    def report(self, name: str, **status: Any) -> Json:
        """Write a session's status as its runner would."""
        return self.plane.request("PATCH", self._path("agenticsessions", name, "status"), {"status": status})

    def delete(self, name: str) -> None:
        self.plane.request("DELETE", self._path("agenticsessions", name))

    def wait_status(self, name: str, phase: str, reason: str = "", *, timeout: float = PATIENCE_SECONDS) -> Json:
        """Wait for a phase, and a reason where one is given."""

        def is_there(status: Json) -> bool:
            return status.get("phase") == phase and reason in ("", status.get("reason"))

        return wait_for(
            lambda: self.status(name), is_there, what=f"{name} {phase} {reason}", timeout_seconds=timeout, every=0.05
        )

    def wait_run(self, name: str, run: int) -> Json:
        """Wait until a session's status says that ``run`` is on."""

        def is_on(status: Json) -> bool:
            return status.get("run") == run

        return wait_for(lambda: self.status(name), is_on, what=f"run {run} of {name}", every=0.05)

    def wait_gone(self, name: str, *, timeout: float = PATIENCE_SECONDS) -> None:
        """Wait until a session is deleted."""
        wait_for(lambda: self.find(name), lambda s: s is None, what=f"{name} gone", timeout_seconds=timeout, every=0.05)

    # -- children

    def _find(self, path: str) -> Json | None:
        try:
            return self.plane.request("GET", path)
        except ClusterError as error:
            if ": 404 " in str(error):
                return None
            raise

    def jobs(self) -> list[Json]:
        items: list[Json] = self.plane.request("GET", f"/apis/batch/v1/namespaces/{self.name}/jobs")["items"]
        return sorted(items, key=lambda job: str(job["metadata"]["name"]))

    def session_jobs(self) -> list[str]:
        """Return the names of the runs' Jobs."""
        label = "agentic-operator.dev/session"
        return [job["metadata"]["name"] for job in self.jobs() if label in job["metadata"]["labels"]]

    def delete_job(self, name: str) -> None:
        path = f"/apis/batch/v1/namespaces/{self.name}/jobs/{name}"
        self.plane.request("DELETE", path, {"propagationPolicy": "Background"})

    def wait_job(self, name: str, *, timeout: float = PATIENCE_SECONDS) -> Json:
        """Wait for a Job by name."""
        path = f"/apis/batch/v1/namespaces/{self.name}/jobs/{name}"
        found = wait_for(
            lambda: self._find(path), lambda j: j is not None, what=f"Job {name}", timeout_seconds=timeout, every=0.05
        )
        assert found is not None
        return found

    def pods(self, job: str = "") -> list[Json]:
        selector = f"?labelSelector=batch.kubernetes.io/job-name={job}" if job else ""
        items: list[Json] = self.plane.request("GET", f"/api/v1/namespaces/{self.name}/pods{selector}")["items"]
        return items

    def wait_pod(self, job: str) -> str:
        """Wait for the pod of a Job; return its name."""
        found = wait_for(lambda: self.pods(job), bool, what=f"a pod of {job}", every=0.05)
        name: str = found[0]["metadata"]["name"]
        return name

    def set_pod(self, name: str, phase: str = "Pending", *, state: Json | None = None, **status: Any) -> None:
        """Write a pod's status as its kubelet would."""
        container = {
            "name": "runner",
            "image": "x",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": state or {"waiting": {"reason": "ContainerCreating"}},
        }
        body = {"status": {"phase": phase, "containerStatuses": [container], **status}}
        self.plane.request("PATCH", f"/api/v1/namespaces/{self.name}/pods/{name}/status", body)

    def end_pod(self, name: str, code: int, *, reason: str = "", message: str = "") -> None:
        """Let a pod's container end."""
        ended = {
            "exitCode": code,
            "reason": reason or ("Completed" if code == 0 else "Error"),
            "message": message,
            "startedAt": "2026-01-01T00:00:00Z",
            "finishedAt": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        self.set_pod(name, "Succeeded" if code == 0 else "Failed", state={"terminated": ended})

    def events(self) -> list[tuple[str, str]]:
        """Return reason and note of the events that the operator posted here."""
        items = self.plane.request("GET", f"/apis/events.k8s.io/v1/namespaces/{self.name}/events")["items"]
        ours = "agentic-operator.dev/operator"
        return [(item["reason"], item["note"]) for item in items if item.get("reportingController") == ours]

    def settle(self, seconds: float = 1.0) -> None:
        """Wait until no session has changed for a while."""
        last, since = "", time.monotonic()
        deadline = since + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            now = str([(s["metadata"]["name"], s["metadata"]["resourceVersion"]) for s in self.sessions()])
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since >= seconds:
                return
            time.sleep(0.05)
        raise AssertionError("the sessions keep changing")


@pytest.fixture
def space(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Space]:
    """A namespace under the restricted Pod Security Standard."""
    name = f"space-{next(_numbers)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    made = Space(control_plane, name, tmp_path)
    try:
        yield made
    finally:
        for operator in made.operators:
            if operator.process is not None and operator.process.poll() is None:
                operator.kill()
