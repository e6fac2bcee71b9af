"""A real one-node cluster on a bare Linux machine: control plane, containerd, kubelet, network, DNS, volumes.

Everything lives in one folder and runs detached from the terminal. Each step is repeatable and looks at what
is there first, so `up` heals what died and goes on where a killed `up` stopped; `down` does not need to know
how far `up` came (decision 8).
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import binaries, deps, mounts, network, nodeconfig, pause
from hack.cluster.certificates import KeyPair
from hack.cluster.cgroups import Subtree
from hack.cluster.controlplane import ControlPlane
from hack.cluster.endpoints import find_free_ports, is_answering
from hack.cluster.errors import ClusterError, MissingTool, NotReady
from hack.cluster.network import NODE_ADDRESS
from hack.cluster.nodeconfig import CLUSTER_OBJECTS, NODE_NAME, RUNTIME_NAMESPACE, runtime_socket
from hack.cluster.processes import Processes
from hack.cluster.progress import Progress
from hack.cluster.waiting import wait_until

API_PORT = 6443
PROGRAMS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "coredns",
)
# In the order in which they are ended: first who would restart or miss another.
PARTS = (
    "volumes",
    "kubelet",
    "kube-proxy",
    "coredns",
    "kube-scheduler",
    "kube-controller-manager",
    "kube-apiserver",
    "etcd",
    "containerd",
)
_LONGEST_SOCKET = 100
_KUBELET_FOLDER = Path("/var/lib/kubelet")
_LOG_LINKS = Path("/var/log/containers")


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part as `status` shows it; `healthy` is None if a part has no page that says so."""

    name: str
    pid: int | None
    healthy: bool | None
    log: Path


def open_control_plane(state: Path, cgroup_folders: Iterable[Path] = ()) -> ControlPlane:
    """Describe the control plane of the one-node cluster, running or not."""
    return ControlPlane(
        state,
        address=NODE_ADDRESS,
        port=API_PORT,
        names=[NODE_NAME],
        controllers=["*"],
        durable=True,
        detached=True,
        cgroups=list(cgroup_folders),
    )


class OneNode:
    """The one-node cluster of a state folder."""

    def __init__(self, state: Path, progress: Progress) -> None:
        self.state = state
        self.kubeconfig = state / "kubeconfig"
        self._progress = progress
        self._processes = Processes(state)
        self._cgroups = Subtree(state)

    # Up

    def up(self) -> None:
        """Start what does not run and wait until the node takes pods."""
        if self.is_healthy():
            self._progress.say("the local cluster is up")
            return
        self._check_machine()
        deps.ensure(deps.CLUSTER, self._progress.say)
        kubectl = () if shutil.which("kubectl") else ("kubectl",)
        programs = binaries.ensure([*PROGRAMS, *kubectl], progress=self._progress)
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        archive = pause.ensure_archive()
        network.create(self.state)
        folders = self._cgroups.create()
        machine = self._observe_machine(archive)
        self._start_containerd(machine, folders)
        self._progress.say("starting the control plane")
        plane = open_control_plane(self.state, folders).start()
        self._progress.say("starting the node")
        self._start_node(plane, programs, machine, folders)
        self._import(archive)
        for path, manifest in CLUSTER_OBJECTS:
            self._create(plane, path, dict(manifest))
        plane.start_controller_manager()
        self._wait_for_node(plane)
        self._progress.say("the local cluster is up")

    def is_healthy(self) -> bool:
        """Return whether every part runs and the node is ready."""
        if not all(self._processes.is_running(name) for name in PARTS):
            return False
        plane = open_control_plane(self.state)
        return plane.is_ready() and self._is_node_ready(plane) and _is_dns_ready()

    def load(self, archives: Iterable[Path]) -> None:
        """Give images to the node, as archives of `docker save` or of the image specification."""
        for archive in archives:
            self._import(archive)

    def known_blobs(self) -> frozenset[str]:
        """Name the pieces of images that the node has, which need not be loaded again."""
        listed = self._ctr("content", "ls", "-q")
        return frozenset(listed.stdout.split()) if listed.returncode == 0 else frozenset()

    # Down

    def down(self) -> None:
        """End every process, pod, mount, device and rule of the cluster and delete its folder."""
        if os.geteuid() != 0:
            raise MissingTool("the one-node cluster belongs to root: run this as root")
        names = [*PARTS, *self._processes.names()]
        sockets = self._shim_sockets()
        for name in dict.fromkeys(names):
            # What they know is deleted next, so nobody needs time to say good-bye.
            self._processes.stop(name, signum=signal.SIGKILL)
        self._cgroups.kill()
        network.remove(self.state)
        mounts.unmount_below(self.state)
        self._cgroups.remove()
        for socket in sockets:
            socket.unlink(missing_ok=True)
        self._remove_outside()
        shutil.rmtree(self.state, ignore_errors=True)
        if left := self.leftovers():
            raise ClusterError(f"left behind, run the command again: {', '.join(left)}")
        self._progress.say("the local cluster is down, nothing of it runs or is mounted")

    def leftovers(self) -> list[str]:
        """Name everything of the cluster that is on this machine."""
        running = [f"process {name}" for name in self._processes.names() if self._processes.is_running(name)]
        mounted = [f"mount {point}" for point in mounts.mounts_below(self.state)]
        folder = [f"folder {self.state}"] if self.state.exists() else []
        return [*running, *mounted, *network.leftovers(), *self._cgroups.leftovers(), *folder]

    # Status

    def status(self) -> list[PartStatus]:
        """Look at each part."""
        checks: dict[str, Callable[[], bool]] = {
            "kube-apiserver": lambda: open_control_plane(self.state).is_ready(),
            "kubelet": lambda: self._is_node_ready(open_control_plane(self.state)),
            "kube-proxy": lambda: is_answering(f"http://{NODE_ADDRESS}:10256/healthz"),
            "coredns": _is_dns_ready,
            "containerd": lambda: self._ctr("version").returncode == 0,
        }
        found = []
        for name in PARTS:
            running = self._processes.is_running(name)
            identity = self._processes.identity(name) if running else None
            healthy = checks[name]() if running and name in checks else None
            found.append(PartStatus(name, identity.pid if identity else None, healthy, self._processes.log(name)))
        return found

    # Parts

    def _check_machine(self) -> None:
        if sys.platform != "linux":
            raise MissingTool("the one-node cluster runs on Linux only: install Docker and kind, or name a cluster")
        if os.geteuid() != 0:
            raise MissingTool("the one-node cluster needs root: run this as root, or install Docker and kind")
        if (_KUBELET_FOLDER / "config.yaml").exists():
            raise ClusterError("this machine is a node of another cluster: name that cluster with AGENTIC_KUBECONFIG")
        if len(str(runtime_socket(self.state))) > _LONGEST_SOCKET:
            raise ClusterError(
                f"the path {str(self.state)!r} is too long for a socket: name a shorter one in AGENTIC_CLUSTER_DIR"
            )

    def _observe_machine(self, archive: Path | None) -> nodeconfig.Machine:
        plugins = network.find_plugins()
        if plugins is None:
            raise MissingTool("the CNI plugins are missing: run `python3 -m hack.cluster deps`")
        systemd = Path("/run/systemd/resolve/resolv.conf")
        resolver = systemd if systemd.exists() else Path("/etc/resolv.conf")
        lines = resolver.read_text().splitlines() if resolver.exists() else []
        return nodeconfig.Machine(
            plugins=plugins,
            pause_image=pause.LOCAL_NAME if archive else pause.OFFICIAL_NAME,
            may_raise_oom_score=nodeconfig.parse_may_raise_oom_score(Path("/proc/self/status").read_text()),
            is_overlay=_file_system(self.state) == "overlayfs",
            resolver=resolver,
            has_nameserver=any(line.startswith("nameserver") for line in lines),
        )

    def _start_containerd(self, machine: nodeconfig.Machine, folders: list[Path]) -> None:
        config = self._write("containerd.toml", nodeconfig.build_containerd_config(self.state, machine))
        # Proxies and authorities that the person set are for pulling images; PATH finds runc and the shim.
        environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"}
        self._processes.start(
            "containerd", [_which("containerd"), "--config", str(config)], cgroups=folders, environment=environment
        )

    def _start_node(
        self, plane: ControlPlane, programs: dict[str, Path], machine: nodeconfig.Machine, folders: list[Path]
    ) -> None:
        issue = plane.authority.issue

        def login(part: str, user: str, organizations: tuple[str, ...] = ()) -> Path:
            return plane.write_kubeconfig(f"{part}.kubeconfig", issue(part, user, organizations=organizations))

        serving = issue("kubelet-serving", f"system:node:{NODE_NAME}", names=[NODE_ADDRESS, NODE_NAME])
        for folder in (_LOG_LINKS, self.state / "pod-logs"):
            folder.mkdir(parents=True, exist_ok=True)
        scheduler_port = find_free_ports(1)[0]
        node_login = login("kubelet", f"system:node:{NODE_NAME}", ("system:nodes",))
        commands = {
            "kubelet": self._build_kubelet(plane.ca_file, serving, machine, node_login),
            "kube-scheduler": [
                f"--kubeconfig={login('kube-scheduler', 'system:kube-scheduler')}",
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
                f"--secure-port={scheduler_port}",
                f"--cert-dir={self.state / 'pki'}",
                "--kube-api-qps=500",
                "--kube-api-burst=1000",
            ],
            "kube-proxy": [self._proxy_flag(login("kube-proxy", "system:kube-proxy"))],
            "coredns": ["-conf", str(self._corefile(login("coredns", "local-cluster-dns"), machine))],
        }
        for name, arguments in commands.items():
            self._processes.start(name, [str(programs[name]), *arguments], cgroups=folders)
        root = Path(__file__).parents[2]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        volumes = [sys.executable, "-m", "hack.cluster.volumes", str(self.state)]
        self._processes.start("volumes", volumes, cgroups=folders, environment=environment)

    def _build_kubelet(self, authority: Path, serving: KeyPair, machine: nodeconfig.Machine, login: Path) -> list[str]:
        config = nodeconfig.build_kubelet_config(self.state, machine, authority, serving)
        return [
            f"--config={self._write('kubelet.json', config)}",
            f"--kubeconfig={login}",
            f"--root-dir={self.state / 'kubelet'}",
            f"--cert-dir={self.state / 'pki'}",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={NODE_ADDRESS}",
        ]

    def _proxy_flag(self, login: Path) -> str:
        return f"--config={self._write('kube-proxy.json', nodeconfig.build_proxy_config(login))}"

    def _corefile(self, login: Path, machine: nodeconfig.Machine) -> Path:
        return self._write("Corefile", nodeconfig.build_corefile(login, "agentic-operator", machine))

    def _wait_for_node(self, plane: ControlPlane) -> None:
        def is_up() -> bool:
            for name in PARTS:
                if not self._processes.is_running(name):
                    raise ClusterError(f"{name} ended; its log says:\n{self._processes.tail(name)}")
            return self._is_node_ready(plane) and _is_dns_ready()

        try:
            wait_until(is_up, seconds=90, what="the node becoming ready", poll=0.1)
        except NotReady as error:
            raise NotReady(f"{error}; the log of kubelet ends:\n{self._processes.tail('kubelet')}") from None

    def _is_node_ready(self, plane: ControlPlane) -> bool:
        try:
            node = plane.request("GET", f"/api/v1/nodes/{NODE_NAME}")
        except ClusterError:
            return False
        conditions = {one["type"]: one["status"] for one in node.get("status", {}).get("conditions", [])}
        return conditions.get("Ready") == "True" and not node["spec"].get("taints")

    def _create(self, plane: ControlPlane, path: str, manifest: dict[str, object]) -> None:
        try:
            plane.request("POST", path, manifest)
        except ClusterError as error:
            if ": 409 " not in str(error):
                raise

    def _import(self, archive: Path | None) -> None:
        if archive is None:
            return
        wait_until(lambda: self._ctr("version").returncode == 0, seconds=30, what="containerd answering")
        done = self._ctr("images", "import", str(archive))
        if done.returncode != 0:
            raise ClusterError(f"the image {str(archive)!r} cannot be loaded: {done.stderr.strip()}")

    def _ctr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        address = ["--address", str(runtime_socket(self.state)), "--namespace", RUNTIME_NAMESPACE]
        return subprocess.run([_which("ctr"), *address, *arguments], capture_output=True, text=True, check=False)

    def _shim_sockets(self) -> list[Path]:
        """Find the sockets that containerd's shims keep outside of our folder."""
        found = []
        tasks = self.state / "containerd" / "state" / "io.containerd.runtime.v2.task" / RUNTIME_NAMESPACE
        for file in tasks.glob("*/address"):
            socket = Path(file.read_text().strip().removeprefix("unix://"))
            if socket.parent == Path("/run/containerd/s"):
                found.append(socket)
        return found

    def _remove_outside(self) -> None:
        """Remove what kubelet and containerd write to fixed places, and their folders when nobody else uses them."""
        for link in _LOG_LINKS.glob("*.log"):
            if link.is_symlink() and link.readlink().is_relative_to(self.state):
                link.unlink()
        devices = _KUBELET_FOLDER / "device-plugins"
        if not (_KUBELET_FOLDER / "config.yaml").exists():
            for file in ("kubelet.sock", "kubelet_internal_checkpoint", "DEPRECATION"):
                (devices / file).unlink(missing_ok=True)
        for folder in (devices, _KUBELET_FOLDER, _LOG_LINKS, Path("/run/containerd/s"), Path("/run/containerd")):
            try:
                folder.rmdir()
            except OSError:
                continue

    def _write(self, file: str, text: str) -> Path:
        path = self.state / file
        # kube-proxy ends when somebody writes its configuration, even the same one.
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        return path


def _is_dns_ready() -> bool:
    return is_answering(f"http://{NODE_ADDRESS}:8181/ready")


def _which(program: str) -> str:
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")
    if found is None:
        raise MissingTool(f"{program} is missing: run `python3 -m hack.cluster deps`")
    return found


def _file_system(folder: Path) -> str:
    done = subprocess.run(["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True, check=False)
    return done.stdout.strip()
