"""A real S3 server for tests: versitygw on a folder, on loopback, ended by its process id; and buckets on it."""

import contextlib
import os
import shlex
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agentic_store.results.objects import ObjectStore, ObjectStoreConfig
from hack.cluster.binaries import ensure
from hack.cluster.certificates import Authority
from hack.cluster.endpoints import find_free_ports
from tests.support.waiting import wait_for

ACCESS_KEY = "canary-access-key"
SECRET_KEY = "canary-secret-key-of-the-tests"


class ObjectServer:
    """The server. A test that kills it starts it again. ``wrap`` turns its command into the one that is run.

    With an ``authority`` it speaks TLS, by a certificate for its host.
    """

    def __init__(
        self,
        folder: Path,
        wrap: Callable[[list[str]], list[str]] = list,
        *,
        host: str = "127.0.0.1",
        authority: Authority | None = None,
    ) -> None:
        self.host = host
        self._pair = authority.issue("s3", host, names=[host]) if authority else None
        self.certificates = authority.pair.certificate.read_text().strip() if authority else ""
        self._program = ensure(["versitygw"])["versitygw"]
        self._wrap = wrap
        self.folder = folder / "data"
        self._sidecar = folder / "attributes"
        for each in (self.folder, self._sidecar):
            each.mkdir(parents=True, exist_ok=True)
        self._log = folder / "log"
        self.port = find_free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"{'https' if self._pair else 'http'}://{self.host}:{self.port}"

    def start(self) -> None:
        """Start, and return when it answers."""
        environment = {**os.environ, "ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
        tls = ("--cert", str(self._pair.certificate), "--key", str(self._pair.key)) if self._pair else ()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._wrap(
                    [
                        *(str(self._program), "--port", f"{self.host}:{self.port}", "--keep-alive", *tls),
                        *("posix", "--sidecar", str(self._sidecar), str(self.folder)),
                    ]
                ),
                env=environment,
                stdout=log,
                stderr=log,
            )
        wait_for(lambda: _answers(self.host, self.port), bool, what="the S3 server's first answer", every=0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Freeze it: it takes connections and never answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")


def _answers(host: str, port: int) -> bool:
    import socket

    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


@dataclass(frozen=True)
class Bucket:
    """A bucket of its own for one test, and who may use it."""

    server: ObjectServer
    config: ObjectStoreConfig

    @property
    def store(self) -> ObjectStore:
        return ObjectStore(self.config)

    @property
    def folder(self) -> Path:
        """Where the server keeps the objects, as files."""
        return self.server.folder / self.config.bucket

    @property
    def keys(self) -> list[str]:
        """The keys of all finished objects."""
        files = (path for path in self.folder.rglob("*") if path.is_file() and ".sgwtmp" not in path.parts)
        return sorted(str(path.relative_to(self.folder)) for path in files)

    @property
    def uploads(self) -> int:
        """How many uploads have begun and neither ended nor been aborted."""
        return len(self.store._client._list_multipart_uploads(self.config.bucket).uploads)

    def write_secret(self, folder: Path, **changes: str) -> Path:
        """Write the store's Secret as the kubelet mounts it."""
        config = replace(self.config, **changes)
        folder.mkdir(exist_ok=True)
        for name, text in build_secret(config).items():
            (folder / name).write_text(text)
        return folder


def build_secret(config: ObjectStoreConfig) -> dict[str, str]:
    """Return the keys and values of the Secret that describes a store."""
    found = {
        "endpoint": config.endpoint,
        "bucket": config.bucket,
        "access-key": config.access_key,
        "secret-key": config.secret_key,
        "ca.crt": config.authority,
    }
    return {name: text for name, text in found.items() if text}


@pytest.fixture(scope="session")
def object_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """The session's S3 server."""
    server = ObjectServer(tmp_path_factory.mktemp("s3"))
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def bucket(object_server: ObjectServer) -> Bucket:
    """A fresh bucket."""
    return make_bucket(object_server)


def make_bucket(server: ObjectServer) -> Bucket:
    """Make a bucket on a server that is up."""
    name = f"results-{uuid.uuid4().hex[:12]}"
    config = ObjectStoreConfig(
        endpoint=server.endpoint,
        bucket=name,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        authority=server.certificates,
    )
    ObjectStore(config)._client.make_bucket(name)
    return Bucket(server, config)


@contextlib.contextmanager
def full_server(folder: Path) -> Iterator[ObjectServer]:
    """A server whose disk, a small one in memory, is full after two parts."""

    def on_small_disk(command: list[str]) -> list[str]:
        script = f"mount -t tmpfs -o size=40m tmpfs {server.folder} && exec {shlex.join(command)}"
        return ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-ec", script]

    server = ObjectServer(folder, on_small_disk)
    server.start()
    try:
        yield server
    finally:
        server.kill()
