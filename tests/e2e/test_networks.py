"""NetworkPolicies as a network enforces them that keeps to them: what is needed gets through, and nothing else.

The local cluster's own network keeps to none. Here the controller of kube-router does, for as long as these tests run.
"""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator

import pytest

from hack.cluster.binaries import ensure
from hack.cluster.controlplane import SERVICE_CIDR
from hack.kubectl import local_kubeconfig
from tests.e2e.conftest import IMAGE, SYSTEM, Project
from tests.support.cluster import NETWORK_POLICY, NODE, POD, Cluster
from tests.support.waiting import wait_for

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
def enforced(cluster: Cluster) -> Iterator[None]:
    """The cluster with a network that keeps to policies; its rules are gone afterwards."""
    if shutil.which("ipset") is None:
        pytest.fail("there is no ipset: run `python -m hack.cluster deps network`")
    (node,) = (found["metadata"]["name"] for found in cluster.find_all(NODE))
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
    project.apply(POD, name, metadata={"labels": labels}, spec=pod)
    project.wait_condition(POD, name, "Ready")
    return str(project.get(POD, name)["status"]["podIP"])


def run_python(project: Project, pod: str, *arguments: str) -> str:
    (container, *_) = project.get(POD, pod)["spec"]["containers"]
    return project.run_in(pod, "/opt/agentic/bin/python", "-c", *arguments, container=container["name"])


def dial(project: Project, pod: str, address: str, port: int) -> str:
    return run_python(project, pod, DIAL, address, str(port)).strip()


def reaches(project: Project, pod: str, address: str, port: int, expected: str) -> None:
    """Wait until it is so: rules follow a new pod after a moment. Then it has to stay so."""
    what = f"{pod} to {address}:{port} {expected}"
    wait_for(
        lambda: dial(project, pod, address, port),
        lambda said: said == expected,
        what=what,
    )
    assert [dial(project, pod, address, port) for _ in range(2)] == [expected] * 2, what


def test_a_session_has_what_it_needs_and_no_more(enforced: None, project: Project) -> None:
    project.define("quick")
    project.start("quick", inputs={"seconds": 0}, name="before")
    assert project.wait_phase("Completed", session="before")["result"]["done"]
    assert project.find(NETWORK_POLICY, "agentic-runner") is not None
    # A run that stays for a while, a pod that listens, and one that is nobody's.
    project.define("steps")
    project.start("steps", inputs={"count": 2, "seconds": 90})
    project.wait_phase("Running")
    (pod,) = project.pods()
    runner, its_address = pod["metadata"]["name"], pod["status"]["podIP"]
    service = listen(project, "service", {"app": "service"})
    listen(project, "stranger", {"app": "stranger"})
    database = project.cluster.get(POD, "postgres-0", SYSTEM)["status"]["podIP"]
    operators = project.cluster.find_all(POD, SYSTEM, labels="app.kubernetes.io/name=agentic-operator")
    operator = operators[0]["status"]["podIP"]

    # Another pod of the cluster: by the ports that are listed, and by no other. A stranger may, so it is the policy.
    reaches(project, "stranger", service, 8000, "open")
    reaches(project, runner, service, 8000, "closed")
    reaches(project, runner, service, 6443, "open")
    reaches(project, runner, database, 5432, "open")
    reaches(project, runner, operator, 8080, "closed")
    # Nobody connects to a runner; a closed port would be refused all the same, so that one is listened on.
    run_python(project, runner, DETACH + LISTEN)
    assert dial(project, runner, "127.0.0.1", 8000) == "open"
    reaches(project, "stranger", its_address, 8000, "closed")
    # The database is for our pods, and connects to nothing; the operator's metrics are for all.
    reaches(project, "stranger", database, 5432, "closed")
    reaches(project, "stranger", operator, 8080, "open")

    # What a policy of somebody else's allows beside it is allowed.
    more = {"podSelector": {"matchLabels": {"agentic-operator.dev/workflow": "steps"}}, "policyTypes": ["Egress"]}
    rule = {"to": [{"podSelector": {"matchLabels": {"app": "service"}}}], "ports": [{"port": 8000}]}
    project.apply(NETWORK_POLICY, "steps-to-service", spec={**more, "egress": [rule]})
    reaches(project, runner, service, 8000, "open")


def test_where_definitions_of_the_cluster_are_inspected_there_is_no_network(enforced: None, cluster: Cluster) -> None:
    """The policy of runners, which would open it, is not made there."""
    policies = cluster.find_all(NETWORK_POLICY, "agentic-inspections")
    assert [policy["metadata"]["name"] for policy in policies] == ["agentic-inspections"]
