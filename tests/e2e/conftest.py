"""The real cluster with the operator installed, and a namespace of its own for every test."""

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hack.kubectl import Kubectl, local_kubeconfig
from tests.support.cluster import (
    CONFIG_MAP,
    DEFINITION,
    DEPLOYMENT,
    EVENT,
    JOB,
    NAMESPACE,
    NODE,
    POD,
    SESSION,
    Cluster,
    Json,
    Kind,
)
from tests.support.waiting import PATIENCE_SECONDS, wait_for

IMAGE = "agentic-operator/e2e:dev"
FINAL = {"Completed", "Failed", "Stopped"}
SYSTEM = "agentic-system"


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """kubectl on the local cluster, for tests of what people type."""
    return Kubectl(local_kubeconfig())


@pytest.fixture(scope="session")
def cluster(kubectl: Kubectl) -> Iterator[Cluster]:
    """The local cluster with everything installed, as `make e2e` and `make test` leave it before they come here."""
    with Cluster(kubectl.kubeconfig) as cluster:
        if cluster.find(DEPLOYMENT, "agentic-operator", SYSTEM) is None:
            pytest.fail("the operator is not installed in the local cluster: run `make e2e`")
        yield cluster


def read_environment(kubectl: Kubectl) -> dict[str, str]:
    """Return the environment of a person at a shell: kubectl on the PATH, with the cluster's configuration."""
    return {**kubectl.environment, "PATH": f"{Path(kubectl.program).parent}:{os.environ['PATH']}"}


def find_address(cluster: Cluster) -> str:
    """Return where pods reach what a test starts on the node."""
    addresses = cluster.find_all(NODE)[0]["status"]["addresses"]
    (address,) = (each["address"] for each in addresses if each["type"] == "InternalIP")
    return str(address)


def read_everything(cluster: Cluster, namespace: str) -> str:
    """Return what people and programs can read of a namespace: objects, their events, logs of all containers."""
    kinds = (SESSION, DEFINITION, JOB, POD, DEPLOYMENT, CONFIG_MAP, EVENT)
    found = [cluster.find_all(kind, namespace) for kind in kinds]
    return "\n".join([json.dumps(found, ensure_ascii=False), *read_logs(cluster, namespace)])


def read_logs(cluster: Cluster, namespace: str, *, labels: str = "") -> list[str]:
    """Return the logs of all containers that have started."""
    return [
        cluster.read_log(pod["metadata"]["name"], namespace, each["name"])
        for pod in cluster.find_all(POD, namespace, labels=labels)
        for part in ("initContainerStatuses", "containerStatuses")
        for each in pod["status"].get(part, ())
        if "waiting" not in each["state"]
    ]


@dataclass
class Project:
    """One namespace and what tests do in it."""

    kubectl: Kubectl
    cluster: Cluster
    name: str

    def run_kubectl(self, *arguments: str, **options: Any) -> str:
        """Run kubectl in this namespace, where a test is about what people type."""
        return self.kubectl.run("-n", self.name, *arguments, **options)

    # Definitions and sessions

    def define(self, graph: str, *, name: str | None = None, **spec: Any) -> str:
        """Register one graph of the test image; return the definition's name."""
        name = name or graph
        self.cluster.apply(
            {
                "apiVersion": DEFINITION.api_version,
                "kind": DEFINITION.name,
                "metadata": {"name": name, "namespace": self.name},
                "spec": {"image": IMAGE, "graph": graph, **spec},
            }
        )
        return name

    def start(self, workflow: str, *, name: str = "s", **spec: Any) -> str:
        """Make a session; return its name."""
        self.cluster.apply(
            {
                "apiVersion": SESSION.api_version,
                "kind": SESSION.name,
                "metadata": {"name": name, "namespace": self.name},
                "spec": {"workflowRef": {"name": workflow}, **spec},
            }
        )
        return name

    def change(self, session: str = "s", **spec: Any) -> None:
        """Change a session's spec."""
        self.cluster.patch(SESSION, session, {"spec": spec}, self.name)

    def answer(self, answers: Mapping[str, Any], *, session: str = "s") -> None:
        """Answer questions, by their ids."""
        self.change(session, responses=[{"interruptId": id_, "value": value} for id_, value in answers.items()])

    def status(self, session: str = "s") -> Json:
        status: Json = (self.find(SESSION, session) or {}).get("status", {})
        return status

    def wait_phase(self, *phases: str, session: str = "s", timeout_seconds: float = PATIENCE_SECONDS) -> Json:
        """Wait until a session is in one of ``phases``; fail early where it ended otherwise."""

        def arrived(status: Json) -> bool:
            phase = status.get("phase")
            if phase in FINAL and phase not in phases:
                raise AssertionError(f"session {session} ended as {phase}: {status}")
            return phase in phases

        return wait_for(
            lambda: self.status(session), arrived, what=f"{session} {'/'.join(phases)}", timeout_seconds=timeout_seconds
        )

    def wait_reason(self, reason: str, *, session: str = "s") -> Json:
        """Wait until a session's status has a reason."""
        return wait_for(
            lambda: self.status(session),
            lambda status: status.get("reason") == reason,
            what=f"{session} {reason}",
        )

    def wait_steps(self, number: int, *, session: str = "s") -> Json:
        """Wait until a session has saved so many super-steps."""
        return wait_for(
            lambda: self.status(session),
            lambda status: status.get("steps", 0) >= number,
            what=f"{number} super-steps of {session}",
            every=0.1,
        )

    def delete_session(self, session: str = "s") -> None:
        """Delete a session and wait until it is gone."""
        self.cluster.delete(SESSION, session, self.name)
        self.cluster.wait_gone(SESSION, session, self.name)

    # Objects of any kind

    def get(self, kind: Kind, name: str) -> Json:
        return self.cluster.get(kind, name, self.name)

    def find(self, kind: Kind, name: str) -> Json | None:
        """Return an object, or None where it does not exist."""
        return self.cluster.find(kind, name, self.name)

    def find_all(self, kind: Kind, *, labels: str = "", fields: str = "") -> list[Json]:
        return self.cluster.find_all(kind, self.name, labels=labels, fields=fields)

    def apply(self, kind: Kind, name: str, **more: Any) -> None:
        """Apply an object; ``more`` is what it has beside its name."""
        metadata = {"name": name, "namespace": self.name, **more.pop("metadata", {})}
        self.cluster.apply({"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **more})

    def condition(self, kind: Kind, name: str, type_: str) -> Json:
        """Return a condition of an object, empty where it is not there."""
        conditions = (self.find(kind, name) or {}).get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == type_), {})

    def wait_condition(
        self, kind: Kind, name: str, type_: str, status: str = "True", *, reason: str | None = None
    ) -> Json:
        """Wait until a condition has a status, and a reason where one is given."""

        def is_so(condition: Json) -> bool:
            return condition.get("status") == status and reason in (None, condition.get("reason"))

        return wait_for(
            lambda: self.condition(kind, name, type_),
            is_so,
            what=f"{kind.name} {name} {type_}={status} {reason or ''}",
        )

    def wait_ready(self, definition: str) -> None:
        """Wait until a definition takes sessions."""
        self.wait_condition(DEFINITION, definition, "Ready")

    # Pods

    def pods(self, session: str = "s") -> list[Json]:
        return self.find_all(POD, labels=f"agentic-operator.dev/session={session}")

    def wait_running(self, session: str = "s") -> Json:
        """Wait for the pod in which a session runs, and return it."""

        def find() -> Json | None:
            return next((pod for pod in self.pods(session) if pod["status"].get("phase") == "Running"), None)

        found = wait_for(find, bool, what=f"a running pod of {session}")
        assert found is not None
        return found

    def wait_no_pod(self, session: str = "s") -> None:
        """Wait until nothing is left of a session's pods, not even an ended one."""
        wait_for(lambda: self.pods(session), lambda pods: not pods, what="no pod left")

    def kill_pod(self, name: str) -> None:
        """Take a pod away without warning."""
        self.cluster.delete(POD, name, self.name, grace_seconds=0)

    def read_log(self, pod: str, container: str = "") -> str:
        return self.cluster.read_log(pod, self.name, container)

    def run_in(self, pod: str, *command: str, container: str = "runner") -> str:
        """Run a command in a container and return its standard output."""
        return self.cluster.run(pod, self.name, *command, container=container)


@pytest.fixture
def project(kubectl: Kubectl, cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Project]:
    """A namespace that admits restricted pods only; what it held is printed where the test fails."""
    name = f"t-{secrets.token_hex(4)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    failures = request.session.testsfailed
    yield Project(kubectl, cluster, name)
    if request.session.testsfailed > failures:
        print(kubectl.run("-n", name, "get", "agentic,jobs,pods", "-o", "wide"))
    cluster.delete(NAMESPACE, name)
