"""A real Kubernetes API: etcd, kube-apiserver and, where wanted, kube-controller-manager, in one folder.

Tests and benchmarks start one on loopback within seconds; the one-node cluster stands on the same class.
The API server runs with RBAC, Pod Security admission, ValidatingAdmissionPolicies and bound tokens, as a
production cluster does, so what passes here is not a courtesy of the test set-up.
"""

import json
import shutil
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hack.cluster import binaries
from hack.cluster.certificates import Authority, KeyPair
from hack.cluster.endpoints import LOOPBACK, find_free_ports, is_free
from hack.cluster.errors import ClusterError, NotReady
from hack.cluster.kubeconfig import build_certificate_user, build_kubeconfig, write_private
from hack.cluster.processes import Processes
from hack.cluster.waiting import wait_until

SERVICE_CIDR = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"
# Longer than any run of tests on a busy machine: what these share is given its token once.
TOKEN_SECONDS = 12 * 3600

# What a namespace, a Job and its clean-up need. Without nodes the other controllers only cost time.
JOB_CONTROLLERS = (
    "cronjob-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "pod-garbage-collector-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "ttl-after-finished-controller",
    "validatingadmissionpolicy-status-controller",
)


def build_etcd_arguments(
    data: Path, client: str, peer: str, server: KeyPair, authority: Path, *, durable: bool
) -> list[str]:
    """Write etcd's flags; without `durable` it never waits for the disk, for data that nobody keeps."""
    arguments = [
        "--name=local",
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=local={peer}",
        f"--cert-file={server.certificate}",
        f"--key-file={server.key}",
        f"--trusted-ca-file={authority}",
        "--client-cert-auth",
        "--enable-grpc-gateway=false",
        "--auto-compaction-retention=10m",
        "--quota-backend-bytes=4294967296",
        "--log-level=warn",
    ]
    return arguments if durable else [*arguments, "--unsafe-no-fsync"]


class ControlPlane:
    """One control plane; every name it hands out is stable over restarts.

    `directory` keeps everything and may be deleted after `stop()`. `port=0` takes a free one. `durable`
    lets etcd wait for the disk. `detached` leaves the processes running when this one ends; otherwise they
    end with it, even when it is killed.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        address: str = LOOPBACK,
        port: int = 0,
        names: Sequence[str] = (),
        controller_manager: bool = False,
        controllers: Sequence[str] = JOB_CONTROLLERS,
        controller_flags: Sequence[str] = (),
        apiserver_flags: Sequence[str] = (),
        durable: bool = False,
        detached: bool = False,
        cgroups: Sequence[Path] = (),
    ) -> None:
        self.directory = Path(directory).absolute()
        self.processes = Processes(self.directory)
        self.kubeconfig = self.directory / "kubeconfig"
        self.address = address
        self._wanted_port = port
        self._names = [*dict.fromkeys([address, LOOPBACK, SERVICE_ADDRESS, *names])]
        self._controller_manager = controller_manager
        self._controllers = controllers
        self._controller_flags = controller_flags
        self._apiserver_flags = apiserver_flags
        self._durable = durable
        self._detached = detached
        self._cgroups = cgroups
        self._guard: subprocess.Popen[bytes] | None = None
        self.authority = Authority(self.directory / "pki")

    # What clients need

    @property
    def server(self) -> str:
        """The base URL, with the port that was chosen at the first start."""
        return f"https://{self.address}:{self._ports['apiserver']}"

    @property
    def ca_file(self) -> Path:
        return self.authority.pair.certificate

    @property
    def admin(self) -> KeyPair:
        """The certificate of a member of system:masters."""
        return self.authority.issue("admin", "agentic-admin", organizations=["system:masters"])

    def kubeconfig_for_user(self, name: str, groups: Sequence[str] = (), *, namespace: str = "default") -> Path:
        """Write a configuration for a user whom the API server knows by this name and these groups."""
        pair = self.authority.issue(f"user-{_file_name(name)}", name, organizations=groups)
        return self._write_kubeconfig(f"{_file_name(name)}.kubeconfig", build_certificate_user(pair), namespace)

    def kubeconfig_for_service_account(self, namespace: str, name: str, *, seconds: int = 86400) -> Path:
        """Write a configuration with a fresh token of a service account that exists."""
        token = self.service_account_token(namespace, name, seconds=seconds)
        return self._write_kubeconfig(f"sa-{namespace}-{name}.kubeconfig", {"token": token}, namespace)

    def service_account_token(
        self,
        namespace: str,
        name: str,
        *,
        seconds: int = TOKEN_SECONDS,
        audiences: Sequence[str] = (),
        bound_to: Mapping[str, str] | None = None,
    ) -> str:
        """Ask the API server for a token; `bound_to` is an object reference with apiVersion, kind, name, uid."""
        spec: dict[str, Any] = {"expirationSeconds": seconds, "audiences": list(audiences)}
        if bound_to:
            spec["boundObjectRef"] = dict(bound_to)
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        return str(self.request("POST", path, request)["status"]["token"])

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, as_user: str = ""
    ) -> dict[str, Any]:
        """Send one request as the administrator and return the object; raises ClusterError with the answer.

        With `as_user` the administrator has the API server take it for a request of this user.
        """
        data = None if body is None else json.dumps(body).encode()
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        try:
            with self._open(method, path, data, kind, as_user=as_user) as answer:
                decoded: dict[str, Any] = json.load(answer)
                return decoded
        except urllib.error.HTTPError as error:
            with error:
                raise ClusterError(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}") from error
        except OSError as error:
            raise ClusterError(f"{method} {path}: {error}") from error

    def wait_for_change(self, path: str, version: str, *, seconds: int) -> bool:
        """Wait until something in a collection is newer than a resource version; False when the time is over."""
        try:
            query = f"{path}?watch=1&resourceVersion={version}&timeoutSeconds={seconds}"
            with self._open("GET", query, None, "", seconds=seconds + 10) as answer:
                return bool(answer.readline())
        except OSError as error:
            raise ClusterError(f"GET {path}: {error}") from error

    # Life

    def start(self, *, timeout_seconds: float = 180) -> Self:
        """Start what does not run and wait until it is ready; repeatable, also over a start that was killed."""
        programs = ["etcd", "kube-apiserver", *(["kube-controller-manager"] if self._controller_manager else [])]
        found = binaries.ensure(programs)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._choose_ports()
        self.authority.create()
        self._write_kubeconfig("kubeconfig", build_certificate_user(self.admin), "default")
        if not self._detached:
            self._start_guard()
        self._start_etcd(found["etcd"])
        self.start_apiserver(timeout_seconds=timeout_seconds)
        if self._controller_manager:
            self.start_controller_manager()
        return self

    def stop(self) -> None:
        """End everything, the API server without mercy: a test cluster has nothing to say good-bye to."""
        for name, signum in (
            ("kube-controller-manager", signal.SIGKILL),
            ("kube-apiserver", signal.SIGKILL),
            ("etcd", signal.SIGTERM if self._durable else signal.SIGKILL),
        ):
            self.processes.stop(name, signum=signum)
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            self._guard.wait()
            self._guard = None

    def kill_apiserver(self) -> None:
        """Kill the API server as a power cut would; etcd goes on."""
        self.processes.stop("kube-apiserver", signum=signal.SIGKILL)

    def start_apiserver(self, *, timeout_seconds: float = 180) -> None:
        """Start the API server at its old address and wait until it is ready."""
        argv = [str(binaries.ensure(["kube-apiserver"])["kube-apiserver"]), *self._build_apiserver_arguments()]
        port = self._ports["apiserver"]
        # A killed process is gone for `ps` a moment before the last of its threads lets go of the socket.
        if not self.processes.is_running("kube-apiserver"):
            wait_until(lambda: is_free(port, address=self.address), seconds=20, what=f"port {port} being free")
        self.processes.start("kube-apiserver", argv, cgroups=self._cgroups)
        self._wait("kube-apiserver", self.is_ready, timeout_seconds)

    def restart_apiserver(self, *, timeout_seconds: float = 180) -> None:
        """Kill the API server and start it again."""
        self.kill_apiserver()
        self.start_apiserver(timeout_seconds=timeout_seconds)

    def start_controller_manager(self) -> None:
        """Start the controllers and wait until they work, seen by the service account without which no pod starts.

        They give up when the API server fails them while they start, and only then.
        """
        program = binaries.ensure(["kube-controller-manager"])["kube-controller-manager"]
        argv = [str(program), *self._build_controller_arguments()]
        self.processes.start("kube-controller-manager", argv, cgroups=self._cgroups)
        self._wait("kube-controller-manager", self._has_service_account, 60)

    def kill_controller_manager(self) -> None:
        """Kill the controllers, so that nobody finishes a Job."""
        self.processes.stop("kube-controller-manager", signum=signal.SIGKILL)

    def is_ready(self) -> bool:
        """Return whether the API server answers and all its start-up work is done."""
        try:
            with self._open("GET", "/readyz", None, "") as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # Parts

    def _has_service_account(self) -> bool:
        try:
            self.request("GET", "/api/v1/namespaces/default/serviceaccounts/default")
        except ClusterError:
            return False
        return True

    @property
    def _ports(self) -> dict[str, int]:
        try:
            ports: dict[str, int] = json.loads((self.directory / "ports.json").read_text())
        except FileNotFoundError as error:
            raise ClusterError(f"the control plane in {str(self.directory)!r} was never started") from error
        return ports

    def _choose_ports(self) -> None:
        record = self.directory / "ports.json"
        if record.exists():
            return
        apiserver, etcd, peer, controllers = find_free_ports(4, address=LOOPBACK)
        ports = {"apiserver": self._wanted_port or apiserver, "etcd": etcd, "peer": peer, "controllers": controllers}
        write_private(record, json.dumps(ports))

    def _start_guard(self) -> None:
        if self._guard is None:
            self._guard = subprocess.Popen(
                [sys.executable, "-m", "hack.cluster.guard", str(self.directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                cwd=Path(__file__).parents[2],
                start_new_session=True,
            )

    def _start_etcd(self, program: Path) -> None:
        if not self._durable and not self.processes.is_running("etcd"):
            # Data that was written without fsync and not closed properly may be torn.
            shutil.rmtree(self.directory / "etcd", ignore_errors=True)
        ports = self._ports
        arguments = build_etcd_arguments(
            self.directory / "etcd",
            f"https://{LOOPBACK}:{ports['etcd']}",
            f"http://{LOOPBACK}:{ports['peer']}",
            self.authority.issue("etcd", "etcd", names=[LOOPBACK, "localhost"]),
            self.ca_file,
            durable=self._durable,
        )
        self.processes.start("etcd", [str(program), *arguments], cgroups=self._cgroups)

    def _build_apiserver_arguments(self) -> list[str]:
        ports = self._ports
        pki = self.authority
        serving = pki.issue("kube-apiserver", "kube-apiserver", names=[*_SERVICE_NAMES, *self._names])
        etcd = pki.issue("etcd-client", "kube-apiserver")
        kubelet = pki.issue("kubelet-client", "kube-apiserver-kubelet-client", organizations=["system:masters"])
        tokens = pki.signing_key("service-accounts")
        # The `kubernetes` service cannot point at loopback, so nobody keeps its endpoints there.
        reconciler = "none" if self.address == LOOPBACK else "lease"
        return [
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={ports['apiserver']}",
            f"--endpoint-reconciler-type={reconciler}",
            f"--etcd-servers=https://{LOOPBACK}:{ports['etcd']}",
            f"--etcd-cafile={self.ca_file}",
            f"--etcd-certfile={etcd.certificate}",
            f"--etcd-keyfile={etcd.key}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={self.ca_file}",
            f"--kubelet-client-certificate={kubelet.certificate}",
            f"--kubelet-client-key={kubelet.key}",
            f"--kubelet-certificate-authority={self.ca_file}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-key-file={tokens.certificate}",
            f"--service-account-signing-key-file={tokens.key}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--profiling=false",
            "--shutdown-delay-duration=0s",
            "--permit-address-sharing",
            *self._apiserver_flags,
        ]

    def _build_controller_arguments(self) -> list[str]:
        pair = self.authority.issue("kube-controller-manager", "system:kube-controller-manager")
        config = self._write_kubeconfig("controllers.kubeconfig", build_certificate_user(pair), "default")
        tokens = self.authority.signing_key("service-accounts")
        return [
            f"--kubeconfig={config}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={self._ports['controllers']}",
            f"--cert-dir={self.directory / 'pki'}",
            f"--root-ca-file={self.ca_file}",
            f"--service-account-private-key-file={tokens.key}",
            "--use-service-account-credentials",
            "--leader-elect=false",
            f"--controllers={','.join(self._controllers)}",
            # The default of 20 requests a second finishes 3.4 Jobs a second.
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            "--concurrent-job-syncs=20",
            "--concurrent-gc-syncs=20",
            "--profiling=false",
            *self._controller_flags,
        ]

    def _write_kubeconfig(self, file: str, user: Mapping[str, Any], namespace: str) -> Path:
        path = self.directory / file
        write_private(path, build_kubeconfig(self.server, self.ca_file.read_bytes(), user, namespace))
        return path

    def write_kubeconfig(self, file: str, pair: KeyPair) -> Path:
        """Write a configuration for the holder of a certificate that this authority signed."""
        return self._write_kubeconfig(file, build_certificate_user(pair), "default")

    def _open(
        self, method: str, path: str, data: bytes | None, kind: str, *, seconds: float = 30, as_user: str = ""
    ) -> Any:
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        trust.load_cert_chain(self.admin.certificate, self.admin.key)
        request = urllib.request.Request(self.server + path, data=data, method=method)  # noqa: S310 - always https
        if kind:
            request.add_header("Content-Type", kind)
        if as_user:
            request.add_header("Impersonate-User", as_user)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )
        return opener.open(request, timeout=seconds)

    def _wait(self, name: str, condition: Any, seconds: float) -> None:
        def is_done() -> bool:
            if not self.processes.is_running(name):
                raise ClusterError(f"{name} ended while it started; its log says:\n{self.processes.tail(name)}")
            return bool(condition())

        try:
            wait_until(is_done, seconds=seconds, what=f"{name} becoming ready")
        except NotReady as error:
            raise NotReady(
                f"{error}; its log {str(self.processes.log(name))!r} ends:\n{self.processes.tail(name)}"
            ) from None


_SERVICE_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
)


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)
