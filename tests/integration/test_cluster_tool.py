"""The one-node cluster from nothing to nothing: started, killed, healed, used by pods, ended.

It runs in network and mount namespaces of its own, so a local cluster that somebody uses goes on beside it.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import binaries, cgroups, deps
from hack.cluster.errors import NotReady
from hack.cluster.processes import Identity, Processes, is_alive, observe_identity, send
from hack.cluster.waiting import wait_until
from tests.support.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
IMAGE = "agentic-operator/operator:dev"
NAMESPACE = "smoke"
# What a second kubelet and containerd would share with the first.
PRIVATE = ("/var/lib/kubelet", "/run/containerd")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a node needs root")


@dataclass(frozen=True)
class Machine:
    """A machine within the machine, held by a sleeping process."""

    holder: int
    state: Path

    def build_argv(self, argv: Sequence[str]) -> list[str]:
        return ["nsenter", "--target", str(self.holder), "--net", "--mount", "--", *argv]

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if name != "AGENTIC_KUBECONFIG"},
            "AGENTIC_CLUSTER_DIR": str(self.state),
            "PYTHONPATH": str(ROOT),
            "KUBECONFIG": str(self.state / "kubeconfig"),
        }

    def run(self, *argv: str, text: str | None = None) -> str:
        done = subprocess.run(
            self.build_argv(argv),
            env=self.environment,
            cwd=ROOT,
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def tool(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "hack.cluster", *arguments)

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        return self.run(str(binaries.kubectl()), *arguments, text=text)

    def leftovers(self) -> list[str]:
        code = (
            "import sys; from pathlib import Path; from hack.cluster.onenode import OneNode; "
            "from hack.cluster.progress import Progress; "
            "print(*OneNode(Path(sys.argv[1]), Progress()).leftovers())"
        )
        return self.run(sys.executable, "-c", code, str(self.state)).split()

    def start_and_kill(self, command: str, condition: Path) -> None:
        """Start a command of the tool and kill it, and nothing else, as soon as a file is there."""
        argv = self.build_argv([sys.executable, "-m", "hack.cluster", command])
        with subprocess.Popen(argv, env=self.environment, cwd=ROOT, stderr=subprocess.DEVNULL) as tool:
            try:
                wait_until(condition.exists, seconds=PATIENCE_SECONDS, what=f"{condition} appearing", poll=0.001)
            finally:
                tool.kill()

    def pids(self) -> dict[str, Identity | None]:
        processes = Processes(self.state)
        return {name: processes.identity(name) for name in processes.names()}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    state = tmp_path_factory.mktemp("node") / "cluster"
    deps.ensure(deps.CLUSTER, print)
    made = [Path(folder) for folder in PRIVATE if not Path(folder).exists()]
    for folder in made:
        folder.mkdir(parents=True)
    mounts = " && ".join(f"mount -t tmpfs tmpfs {folder}" for folder in PRIVATE)
    # As on a machine where Docker's daemon runs.
    firewall = "iptables -P FORWARD DROP"
    script = f"ip link set lo up && {firewall} && {mounts} && echo ready && exec sleep infinity"
    with subprocess.Popen(
        ["unshare", "--net", "--mount", "sh", "-c", script], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        machine = Machine(holder.pid, state)
        try:
            yield machine
        finally:
            try:
                machine.tool("down")
            finally:
                holder.kill()
    for folder in made:
        folder.rmdir()


@pytest.fixture(scope="module")
def cluster(machine: Machine) -> Machine:
    """The cluster, up, with an image that has Python and a namespace under the strictest standard."""
    machine.tool("up")
    machine.run(sys.executable, "-m", "hack.images", "build", "operator", "--no-load")
    machine.tool("load", "operator")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    machine.kubectl("apply", "-f", "-", text=json.dumps(namespace))
    wait_until(
        lambda: "default" in machine.kubectl("-n", NAMESPACE, "get", "serviceaccounts", "-o", "name"),
        seconds=PATIENCE_SECONDS,
        what="the service account of the namespace",
    )
    return machine


def build_pod(name: str, code: str, **more: Any) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": IMAGE,
        "command": ["python", "-c", code],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {"requests": {"memory": "32Mi"}, "limits": {"memory": "64Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            **more,
        },
    }


def finish(cluster: Machine, name: str) -> dict[str, Any]:
    """Wait until a pod has ended and return how its container did."""

    def read() -> dict[str, Any]:
        status: dict[str, Any] = json.loads(cluster.kubectl("-n", NAMESPACE, "get", "pod", name, "-o", "json"))[
            "status"
        ]
        return status

    wait_until(
        lambda: read()["phase"] in ("Succeeded", "Failed"),
        seconds=PATIENCE_SECONDS,
        what=f"the end of {name}",
        poll=0.2,
    )
    ended: dict[str, Any] = read()["containerStatuses"][0]["state"]["terminated"]
    return ended


def test_up_after_being_killed_anywhere_makes_a_ready_node(machine: Machine) -> None:
    for part in ("containerd", "etcd", "kube-apiserver", "kubelet"):
        machine.start_and_kill("up", machine.state / "run" / f"{part}.pid")
    machine.tool("up")
    nodes = json.loads(machine.kubectl("get", "nodes", "-o", "json"))["items"]
    assert [condition["status"] for condition in nodes[0]["status"]["conditions"] if condition["type"] == "Ready"] == [
        "True"
    ]


def test_a_second_up_changes_nothing(cluster: Machine) -> None:
    before = cluster.pids()
    cluster.tool("up")
    assert cluster.pids() == before


def test_up_heals_what_died_and_leaves_the_others_alone(cluster: Machine) -> None:
    before = cluster.pids()
    killed = {"kube-apiserver", "containerd"}
    for name in killed:
        identity = before[name]
        assert identity is not None
        assert send(identity, signal.SIGKILL)
    cluster.tool("up")
    after = cluster.pids()
    assert {name for name in after if after[name] != before[name]} == killed
    # One that ends when its configuration is written again does so within a second.
    with pytest.raises(NotReady):
        wait_until(lambda: "stopped" in cluster.tool("status"), seconds=2, what="the end of another part", poll=0.2)


def test_every_part_is_in_the_status(cluster: Machine) -> None:
    table = cluster.tool("status")
    assert "stopped" not in table
    assert "unhealthy" not in table


def test_a_restricted_pod_runs(cluster: Machine) -> None:
    pod = build_pod("restricted", "import os; print('as', os.getuid())")
    cluster.kubectl("-n", NAMESPACE, "apply", "-f", "-", text=json.dumps(pod))
    assert finish(cluster, "restricted")["exitCode"] == 0
    # The API server fetches this from the kubelet.
    assert cluster.kubectl("-n", NAMESPACE, "logs", "restricted") == "as 65532\n"


def test_a_pod_over_its_memory_is_reported_as_such(cluster: Machine) -> None:
    pod = build_pod("greedy", "kept = [bytearray(1 << 20) for _ in range(500)]")
    cluster.kubectl("-n", NAMESPACE, "apply", "-f", "-", text=json.dumps(pod))
    ended = finish(cluster, "greedy")
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_a_service_answers_by_its_name_behind_a_closed_firewall(cluster: Machine) -> None:
    serve = "import http.server as h; h.HTTPServer(('', 8000), h.SimpleHTTPRequestHandler).serve_forever()"
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "server"},
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8000}]},
    }
    ask = (
        "import time, urllib.request\n"
        "for _ in range(100):\n"
        "    try:\n"
        "        print(urllib.request.urlopen('http://server/proc/self/comm', timeout=2).status); break\n"
        "    except OSError as error:\n"
        "        print(error); time.sleep(0.2)\n"
        "else:\n"
        "    raise SystemExit(1)\n"
    )
    for manifest in (build_pod("server", f"import os; os.chdir('/'); {serve}"), service, build_pod("client", ask)):
        cluster.kubectl("-n", NAMESPACE, "apply", "-f", "-", text=json.dumps(manifest))
    assert finish(cluster, "client")["exitCode"] == 0


def test_a_pod_reaches_the_api_server_with_its_own_token(cluster: Machine) -> None:
    code = (
        "import ssl, urllib.request, urllib.error\n"
        "folder = '/var/run/secrets/kubernetes.io/serviceaccount/'\n"
        "token = open(folder + 'token').read()\n"
        "request = urllib.request.Request('https://kubernetes.default/api/v1/namespaces/smoke/pods',"
        " headers={'Authorization': 'Bearer ' + token})\n"
        "try:\n"
        "    urllib.request.urlopen(request, context=ssl.create_default_context(cafile=folder + 'ca.crt'))\n"
        "except urllib.error.HTTPError as error:\n"
        "    print(error.code, 'smoke:default' in error.read().decode())\n"
    )
    cluster.kubectl("-n", NAMESPACE, "apply", "-f", "-", text=json.dumps(build_pod("caller", code)))
    assert finish(cluster, "caller")["exitCode"] == 0
    assert cluster.kubectl("-n", NAMESPACE, "logs", "caller") == "403 True\n"


def test_a_claim_gets_a_volume_that_goes_with_it(cluster: Machine) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    pod = build_pod(
        "writer",
        "open('/data/file', 'w').write('kept')",
        volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    )
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    for manifest in (claim, pod):
        cluster.kubectl("-n", NAMESPACE, "apply", "-f", "-", text=json.dumps(manifest))
    assert finish(cluster, "writer")["exitCode"] == 0
    (written,) = (cluster.state / "volumes").glob("*/file")
    assert written.read_text() == "kept"
    cluster.kubectl("-n", NAMESPACE, "delete", "pod/writer", "pvc/data")
    wait_until(lambda: not written.parent.exists(), seconds=PATIENCE_SECONDS, what="the end of the volume")


def test_down_after_being_killed_leaves_nothing(cluster: Machine) -> None:
    hold = build_pod("running", "import time; time.sleep(3600)")
    cluster.kubectl("-n", NAMESPACE, "apply", "-f", "-", text=json.dumps(hold))
    cluster.kubectl("-n", NAMESPACE, "wait", "--for=condition=Ready", "pod/running", "--timeout=180s")
    lived = [identity for pid in _find_members(cluster) if (identity := observe_identity(pid))]
    assert len(lived) > len(cluster.pids())

    record = cluster.state / "run" / "kubelet.pid"
    argv = cluster.build_argv([sys.executable, "-m", "hack.cluster", "down"])
    with subprocess.Popen(argv, env=cluster.environment, cwd=ROOT, stderr=subprocess.DEVNULL) as tool:
        try:
            wait_until(
                lambda: not record.exists(), seconds=PATIENCE_SECONDS, what="down ending the kubelet", poll=0.001
            )
        finally:
            tool.kill()
    cluster.tool("down")
    assert [identity for identity in lived if is_alive(identity)] == []
    assert cluster.leftovers() == []
    assert not cluster.state.exists()
    assert cluster.run("iptables", "-S", "FORWARD") == "-P FORWARD DROP\n"
    cluster.tool("down")


def _find_members(cluster: Machine) -> set[int]:
    name = cgroups.Subtree(cluster.state).name
    return {
        int(pid)
        for hierarchy in cgroups.hierarchies()
        for file in (hierarchy / name).rglob("cgroup.procs")
        for pid in file.read_text().split()
    }
