"""NetworkPolicies as a network enforces them that keeps to them: what is needed gets through, and nothing else.

The local cluster's own network keeps to none. Here the controller of kube-router does, for as long as these tests run.
"""

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator

import pytest

from hack.cluster.binaries import ensure
from hack.cluster.controlplane import SERVICE_CIDR
from hack.kubectl import Kubectl, local_kubeconfig
from tests.e2e.conftest import IMAGE, Project
from tests.support.waiting import wait_for

SYSTEM = ("-n", "agentic-system")
# Tells whether a connection comes about; a packet that is dropped is never answered, one that is refused at once.
DIAL = (
    "import socket, sys\n"
    "try:\n"
    "    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).close()\n"
    "    print('open')\n"
    "except OSError:\n"
    "    print('closed')\n"
)
LISTEN = (
    "import socket, threading, time\n"
    "for port in (8000, 6443):\n"
    "    server = socket.create_server(('', port))\n"
    "    threading.Thread(target=lambda s=server: [s.accept()[0].close() for _ in iter(int, 1)], daemon=True).start()\n"
    "time.sleep(3600)\n"
)
DETACH = (
    "import os\n"
    "if os.fork(): os._exit(0)\n"
    "os.setsid()\n"
    "for fd in (0, 1, 2): os.dup2(os.open(os.devnull, os.O_RDWR), fd)\n"
)


def count_rules() -> int:
    done = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True)
    return sum("KUBE-NWPLCY" in line or "KUBE-POD-FW" in line for line in done.stdout.splitlines())


@pytest.fixture(scope="module")
def enforced(kubectl: Kubectl) -> Iterator[None]:
    """The cluster with a network that keeps to policies; its rules are gone afterwards."""
    if shutil.which("ipset") is None:
        pytest.fail("there is no ipset: run `python -m hack.cluster deps network`")
    node = kubectl.run("get", "nodes", "-o", "name").strip().removeprefix("node/")
    program = ensure(["netpol"])["netpol"]
    environment = {**os.environ, "KUBECONFIG": str(local_kubeconfig())}
    with subprocess.Popen(
        [program, node, SERVICE_CIDR], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        log: list[str] = []
        threading.Thread(target=lambda: log.extend(process.stderr or ()), daemon=True).start()
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said == "enforcing\n", "".join(log)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
    assert count_rules() == 0


def listen(project: Project, name: str, labels: dict[str, str]) -> str:
    """Start a pod that listens on two ports; return its address."""
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "c",
                "image": IMAGE,
                "command": ["/opt/agentic/bin/python", "-c", LISTEN],
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    }
    metadata = {"name": name, "namespace": project.name, "labels": labels}
    project.kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod})
    project.run("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
    return project.run("get", "pod", name, "-o", "jsonpath={.status.podIP}")


def dial(project: Project, pod: str, address: str, port: int) -> str:
    return project.run("exec", pod, "--", "/opt/agentic/bin/python", "-c", DIAL, address, str(port)).strip()


def reaches(project: Project, pod: str, address: str, port: int, expected: str) -> None:
    """Wait until it is so: rules follow a new pod after a moment. Then it has to stay so."""
    what = f"{pod} to {address}:{port} {expected}"
    wait_for(lambda: dial(project, pod, address, port), lambda said: said == expected, what=what, timeout_seconds=30)
    assert [dial(project, pod, address, port) for _ in range(2)] == [expected] * 2, what


def test_a_session_has_what_it_needs_and_no_more(enforced: None, project: Project) -> None:
    project.define("quick")
    project.start("quick", inputs={"seconds": 0}, name="before")
    assert project.wait_phase("Completed", session="before")["result"]["done"]
    policy = project.get("networkpolicy", "agentic-runner")
    assert policy is not None
    # A run that stays for a while, a pod that listens, and one that is nobody's.
    project.define("steps")
    project.start("steps", inputs={"count": 2, "seconds": 90})
    wait_for(project.status, lambda status: status.get("phase") == "Running", what="the run", timeout_seconds=90)
    (pod,) = project.pods()
    runner, its_address = pod["metadata"]["name"], pod["status"]["podIP"]
    service = listen(project, "service", {"app": "service"})
    listen(project, "stranger", {"app": "stranger"})
    database = project.kubectl.run(*SYSTEM, "get", "pod", "postgres-0", "-o", "jsonpath={.status.podIP}")
    operator = json.loads(
        project.kubectl.run(*SYSTEM, "get", "pods", "-l", "app.kubernetes.io/name=agentic-operator", "-o", "json")
    )["items"][0]["status"]["podIP"]

    # Another pod of the cluster: by the ports that are listed, and by no other. A stranger may, so it is the policy.
    reaches(project, "stranger", service, 8000, "open")
    reaches(project, runner, service, 8000, "closed")
    reaches(project, runner, service, 6443, "open")
    reaches(project, runner, database, 5432, "open")
    reaches(project, runner, operator, 8080, "closed")
    # Nobody connects to a runner; a closed port would be refused all the same, so that one is listened on.
    project.run("exec", runner, "--", "/opt/agentic/bin/python", "-c", DETACH + LISTEN)
    assert dial(project, runner, "127.0.0.1", 8000) == "open"
    reaches(project, "stranger", its_address, 8000, "closed")
    # The database is for our pods, and connects to nothing; the operator's metrics are for all.
    reaches(project, "stranger", database, 5432, "closed")
    reaches(project, "stranger", operator, 8080, "open")

    # What a policy of somebody else's allows beside it is allowed.
    more = {"podSelector": {"matchLabels": {"agentic-operator.dev/workflow": "steps"}}, "policyTypes": ["Egress"]}
    rule = {"to": [{"podSelector": {"matchLabels": {"app": "service"}}}], "ports": [{"port": 8000}]}
    metadata = {"name": "steps-to-service", "namespace": project.name}
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    project.kubectl.apply({**kind, "metadata": metadata, "spec": {**more, "egress": [rule]}})
    reaches(project, runner, service, 8000, "open")


def test_where_definitions_of_the_cluster_are_inspected_there_is_no_network(enforced: None, kubectl: Kubectl) -> None:
    """The policy of runners, which would open it, is not made there."""
    policies = kubectl.run("-n", "agentic-inspections", "get", "networkpolicies", "-o", "name").split()
    assert policies == ["networkpolicy.networking.k8s.io/agentic-inspections"]
