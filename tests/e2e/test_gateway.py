"""The gateway on the real cluster: through its Service, over the loss of a replica and over a rollout."""

import base64
import json
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from hack.demo.example import gateway_commands
from hack.install import GATEWAY, GATEWAY_TLS, NAMESPACE
from hack.kubectl import Kubectl
from tests.e2e.conftest import Project
from tests.support.waiting import wait_for

Json = dict[str, Any]
INPUTS = {"count": 12, "seconds": 2}
HOST = f"{GATEWAY}.{NAMESPACE}.svc"


class Service:
    """The gateway's Service as a program in the cluster reaches it: by its address, under its name, with a token."""

    def __init__(self, kubectl: Kubectl, project: Project, folder: Path) -> None:
        found = kubectl.get("-n", NAMESPACE, "service", GATEWAY)
        secret = kubectl.get("-n", NAMESPACE, "secret", GATEWAY_TLS)
        assert found is not None
        assert secret is not None
        self.address = found["spec"]["clusterIP"]
        authority = folder / "ca.crt"
        authority.write_bytes(base64.b64decode(secret["data"]["ca.crt"]))
        self.trust = ssl.create_default_context(cafile=str(authority))
        project.kubectl.run("-n", project.name, "create", "serviceaccount", "person")
        for role in ("agentic-view", "agentic-edit"):
            project.kubectl.run(
                "-n", project.name, "create", "rolebinding", role, f"--clusterrole={role}",
                f"--serviceaccount={project.name}:person",
            )  # fmt: skip
        self.token = project.kubectl.run("-n", project.name, "create", "token", "person").strip()
        self.authority = authority

    def post(self, path: str, body: object) -> Json:
        """Send one request with curl, as people do."""
        done = subprocess.run(
            [
                "curl", "-sS", "--fail-with-body", "--cacert", str(self.authority),
                "--connect-to", f"{HOST}:443:{self.address}:443",
                "-H", f"Authorization: Bearer {self.token}", "-H", "Content-Type: application/json",
                "-d", json.dumps(body), f"https://{HOST}/api/v1{path}",
            ],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        made: Json = json.loads(done.stdout)
        return made

    def follow(self, project: Project, session: str, after: int) -> ClientConnection:
        """Open a session's stream after a number."""
        return connect(
            f"wss://{self.address}/ws?namespace={project.name}&sessionName={session}&after={after}",
            ssl=self.trust,
            server_hostname=HOST,
            additional_headers={"Authorization": f"Bearer {self.token}"},
            proxy=None,
            open_timeout=30,
        )


@pytest.fixture
def service(kubectl: Kubectl, project: Project, tmp_path: Path) -> Service:
    """The Service, with a person who may edit in the test's namespace."""
    return Service(kubectl, project, tmp_path)


def gateway_pods(kubectl: Kubectl) -> list[Json]:
    listed = kubectl.get("-n", NAMESPACE, "pods", "-l", f"app.kubernetes.io/name={GATEWAY}")
    assert listed is not None
    found: list[Json] = listed["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def wait_for_replicas(kubectl: Kubectl) -> None:
    kubectl.run("-n", NAMESPACE, "rollout", "status", f"deployment/{GATEWAY}", "--timeout=180s", timeout_seconds=200)


def follow_to_the_end(
    service: Service, project: Project, session: str, until: str, opened: list[int]
) -> Iterator[Json]:
    """Yield each message, coming back wherever the stream ends; ``opened`` gets the number that each began after."""
    last = 0
    while True:
        opened.append(last)
        try:
            with service.follow(project, session, last) as stream:
                while True:
                    frame = json.loads(stream.recv(timeout=120))
                    assert (frame["prev"], frame["seq"]) == (last, last + 1)
                    last = frame["seq"]
                    yield frame
                    if frame["data"]["metadata"].get("event") == until:
                        return
        except (ConnectionClosed, OSError, TimeoutError):
            continue


def test_a_stream_goes_on_over_the_loss_of_a_replica_and_over_a_rollout(
    kubectl: Kubectl, project: Project, service: Service
) -> None:
    project.define("steps")
    project.wait_ready("steps")
    path = f"/agentic-sessions/{project.name}"
    made = service.post(path, {"metadata": {"name": "s"}, "spec": {"workflowRef": {"name": "steps"}, "inputs": INPUTS}})
    assert made["spec"]["createdBy"] == f"system:serviceaccount:{project.name}:person"
    wait_for(lambda: gateway_pods(kubectl), lambda pods: len(pods) >= 2, what="two replicas")
    steps = 0
    opened: list[int] = []
    for frame in follow_to_the_end(service, project, "s", "completed", opened):
        steps += frame["data"]["metadata"].get("event") == "node_finished"
        if steps == 2 and frame["data"]["metadata"].get("event") == "node_finished":
            # Each of them once, so that the one with the stream is among them; without a word to its clients.
            first = gateway_pods(kubectl)[0]["metadata"]["name"]
            kubectl.run("-n", NAMESPACE, "delete", "pod", first, "--grace-period=0", "--force", "--wait=false")
        if steps == 5 and frame["data"]["metadata"].get("event") == "node_finished":
            kubectl.run("-n", NAMESPACE, "rollout", "restart", f"deployment/{GATEWAY}")
    assert len(opened) >= 2
    assert steps >= 6
    project.wait_phase("Completed")
    wait_for_replicas(kubectl)


def with_kubectl(kubectl: Kubectl) -> dict[str, str]:
    """Return an environment in which `kubectl` is the cluster's own."""
    path = kubectl.environment["PATH"]
    return {**kubectl.environment, "PATH": f"{Path(kubectl.program).parent}:{path}"}


def test_the_lines_that_the_demo_prints_work_as_they_are(kubectl: Kubectl, project: Project, tmp_path: Path) -> None:
    wait_for_replicas(kubectl)
    script = "\n".join(["set -e", *gateway_commands(project.name, 18443)])
    done = subprocess.run(
        ["bash", "-c", f"trap 'kill $(jobs -p)' EXIT\n{script}"],
        cwd=tmp_path,
        env=with_kubectl(kubectl),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert '"kind":"AgenticSessionList"' in done.stdout.replace(" ", "")
