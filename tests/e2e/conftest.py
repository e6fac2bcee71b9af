"""The real cluster with the operator installed, and a namespace of its own for every test."""

import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hack.kubectl import Kubectl, local_kubeconfig
from tests.support.waiting import wait_for

IMAGE = "agentic-operator/e2e:dev"
FINAL = {"Completed", "Failed", "Stopped"}


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """The local cluster with everything installed, as `make e2e` and `make test` leave it before they come here."""
    client = Kubectl(local_kubeconfig())
    if client.get("-n", "agentic-system", "deployment", "agentic-operator") is None:
        pytest.fail("the operator is not installed in the local cluster: run `make e2e`")
    return client


def read_environment(kubectl: Kubectl) -> dict[str, str]:
    """Return the environment of a person at a shell: kubectl on the PATH, with the cluster's configuration."""
    return {**kubectl.environment, "PATH": f"{Path(kubectl.program).parent}:{os.environ['PATH']}"}


def find_address(kubectl: Kubectl) -> str:
    """Return where pods reach what a test starts on the node."""
    nodes = json.loads(kubectl.run("get", "nodes", "-o", "json"))["items"]
    (address,) = (a["address"] for a in nodes[0]["status"]["addresses"] if a["type"] == "InternalIP")
    return str(address)


def read_everything(kubectl: Kubectl, namespace: str) -> str:
    """Return what people and programs can read of a namespace: objects, their events, logs of all containers."""
    kinds = "agentic,jobs,pods,deployments,configmaps,events"
    pods = json.loads(kubectl.run("-n", namespace, "get", "pods", "-o", "json"))["items"]
    logs = [kubectl.run("-n", namespace, "logs", pod["metadata"]["name"], "--all-containers") for pod in pods]
    return "\n".join([kubectl.run("-n", namespace, "get", kinds, "-o", "json"), *logs])


@dataclass
class Project:
    """One namespace and what tests do in it."""

    kubectl: Kubectl
    name: str

    def define(self, graph: str, *, name: str | None = None, **spec: Any) -> str:
        """Register one graph of the test image; return the definition's name."""
        name = name or graph
        self.kubectl.apply(
            {
                "apiVersion": "agentic-operator.dev/v1alpha1",
                "kind": "WorkflowDefinition",
                "metadata": {"name": name, "namespace": self.name},
                "spec": {"image": IMAGE, "graph": graph, **spec},
            }
        )
        return name

    def start(self, workflow: str, *, name: str = "s", **spec: Any) -> str:
        """Make a session; return its name."""
        self.kubectl.apply(
            {
                "apiVersion": "agentic-operator.dev/v1alpha1",
                "kind": "AgenticSession",
                "metadata": {"name": name, "namespace": self.name},
                "spec": {"workflowRef": {"name": workflow}, **spec},
            }
        )
        return name

    def get(self, *arguments: str) -> dict[str, Any] | None:
        return self.kubectl.get("-n", self.name, *arguments)

    def run(self, *arguments: str, **options: Any) -> str:
        return self.kubectl.run("-n", self.name, *arguments, **options)

    def status(self, session: str = "s") -> dict[str, Any]:
        found = self.get("agenticsession", session)
        status: dict[str, Any] = (found or {}).get("status", {})
        return status

    def pods(self, session: str = "s") -> list[dict[str, Any]]:
        found = self.get("pods", "-l", f"agentic-operator.dev/session={session}")
        items: list[dict[str, Any]] = (found or {}).get("items", [])
        return items

    def wait_phase(self, *phases: str, session: str = "s", timeout_seconds: float = 120) -> dict[str, Any]:
        """Wait until a session is in one of ``phases``; fail early where it ended otherwise."""

        def arrived(status: dict[str, Any]) -> bool:
            phase = status.get("phase")
            if phase in FINAL and phase not in phases:
                raise AssertionError(f"session {session} ended as {phase}: {status}")
            return phase in phases

        return wait_for(
            lambda: self.status(session), arrived, what=f"{session} {'/'.join(phases)}", timeout_seconds=timeout_seconds
        )

    def condition(self, resource: str, type_: str) -> dict[str, Any]:
        """Return a condition of ``kind/name``, empty where it is not there."""
        found = self.get(*resource.split("/")) or {}
        conditions = found.get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == type_), {})

    def wait_condition(self, resource: str, type_: str, status: str, *, timeout_seconds: float = 90) -> dict[str, Any]:
        return wait_for(
            lambda: self.condition(resource, type_),
            lambda condition: condition.get("status") == status,
            what=f"{resource} {type_}={status}",
            timeout_seconds=timeout_seconds,
        )


@pytest.fixture
def project(kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[Project]:
    """A namespace that admits restricted pods only; what it held is printed where the test fails."""
    name = f"t-{secrets.token_hex(4)}"
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        }
    )
    failures = request.session.testsfailed
    yield Project(kubectl, name)
    if request.session.testsfailed > failures:
        print(kubectl.run("-n", name, "get", "agentic,jobs,pods", "-o", "wide"))
    kubectl.run("delete", "namespace", name, "--wait=false")
