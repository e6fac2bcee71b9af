"""Inputs nested as deep as the API server takes them must not end the operator, which serves everybody."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster.controlplane import ControlPlane
from hack.kubectl import ROOT, Kubectl
from tests.support.commands import OPERATOR
from tests.support.waiting import wait_for

SESSIONS = "/apis/agentic-operator.dev/v1alpha1/namespaces/default/agenticsessions"


@pytest.fixture
def kubectl(tmp_path: Path) -> Iterator[Kubectl]:
    with ControlPlane(tmp_path) as plane:
        kubectl = Kubectl(plane.kubeconfig)
        kubectl.run("apply", "--server-side", "-k", str(ROOT / "crds"))
        for kind in ("workflowdefinitions", "clusterworkflowdefinitions", "agenticsessions"):
            kubectl.run("wait", "--for=condition=Established", f"crd/{kind}.agentic-operator.dev", "--timeout=180s")
        kubectl.run("create", "namespace", "agentic-system")
        yield kubectl


def create(kubectl: Kubectl, folder: Path, path: str, body: str) -> None:
    # The text goes as it is: what writes and reads JSON on the way has limits of its own.
    file = folder / "body.json"
    file.write_text(body)
    kubectl.run("create", "--raw", path, "-f", str(file))


def a_session(name: str, depth: int) -> str:
    head = {"apiVersion": "agentic-operator.dev/v1alpha1", "kind": "AgenticSession", "metadata": {"name": name}}
    inputs = "[" * depth + "]" * depth
    return json.dumps(head)[:-1] + f', "spec": {{"workflowRef": {{"name": "w"}}, "inputs": {inputs}}}}}'


def read_status(kubectl: Kubectl, name: str) -> str:
    template = "{.status.phase} {.status.reason} {.status.message}"
    return kubectl.run("get", "agenticsession", name, "-o", f"jsonpath={template}").strip()


def test_sessions_with_deep_inputs_are_served_like_others(kubectl: Kubectl, tmp_path: Path) -> None:
    create(kubectl, tmp_path, SESSIONS, a_session("listed", 9_900))
    environment = {
        **os.environ,
        "KUBECONFIG": str(kubectl.kubeconfig),
        "LEADER_ELECTION": "false",
        "LIVENESS_PORT": "0",
        "LOG_FORMAT": "text",
    }
    with (tmp_path / "operator.log").open("wb") as log:
        operator = subprocess.Popen(OPERATOR, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        for name, how in (("listed", "seen in the list"), ("watched", "seen in the watch")):
            if name == "watched":
                create(kubectl, tmp_path, SESSIONS, a_session(name, 9_900))
            wait_for(
                lambda name=name: read_status(kubectl, name),  # type: ignore[misc]
                lambda status: "WorkflowNotFound" in status,
                what=f"a status of the session {how}",
            )
            assert operator.poll() is None, (tmp_path / "operator.log").read_text()
    finally:
        operator.send_signal(signal.SIGTERM)
        operator.wait()
    assert operator.returncode == 0
