"""A node that serves the logs of its pods to a real API server, and nothing else."""

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hack.cluster.controlplane import ControlPlane
from tests.support.kube import Space

NODE = "log-node"


class Kubelet:
    """What a kubelet answers for container logs: by pod the lines, and whether more may come."""

    def __init__(self) -> None:
        self.lines: dict[str, list[tuple[str, str]]] = {}
        self.ended: set[str] = set()
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.breaks_after: int | None = None
        self.changed = threading.Condition()

    def write(self, pod: str, text: str, *, at: str = "") -> None:
        """Add a line to a pod's log."""
        with self.changed:
            lines = self.lines.setdefault(pod, [])
            lines.append((at or f"2026-05-01T10:00:{len(lines):02}.000000000Z", text))
            self.changed.notify_all()

    def end(self, pod: str) -> None:
        """Let a pod's log end."""
        with self.changed:
            self.ended.add(pod)
            self.changed.notify_all()

    def read(self, pod: str, query: dict[str, str]) -> Iterator[str]:
        """Yield lines as the kubelet would."""
        with self.changed:
            self.asked.append((pod, query))
            limit, self.breaks_after = self.breaks_after, None
        number = 0
        if tail := query.get("tailLines"):
            number = max(0, len(self.lines.get(pod, [])) - int(tail))
        sent = 0
        while True:
            with self.changed:
                lines = self.lines.get(pod, [])
                if number >= len(lines):
                    if pod in self.ended or "follow" not in query:
                        return
                    self.changed.wait(0.5)
                    continue
                stamp, text = lines[number]
            number += 1
            # The kubelet compares whole times, the API server cuts the fraction off.
            if stamp[:19] < query.get("sinceTime", "")[:19]:
                continue
            if sent == limit:
                raise ConnectionError
            sent += 1
            yield f"{stamp} {text}\n"


@pytest.fixture
def kubelet(control_plane: ControlPlane) -> Iterator[Kubelet]:
    """A node that serves logs and nothing else."""
    logs = Kubelet()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            pod = address.path.split("/")[3]
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                for line in logs.read(pod, {key: value[0] for key, value in parse_qs(address.query).items()}):
                    data = line.encode()
                    self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                self.wfile.write(b"0\r\n\r\n")
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class's name)
            pass

    pair = control_plane.authority.issue("log-node", f"system:node:{NODE}", names=["127.0.0.1"])
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.certificate, pair.key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    control_plane.request("POST", "/api/v1/nodes", {"metadata": {"name": NODE}})
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": server.server_address[1]}},
    }
    control_plane.request("PATCH", f"/api/v1/nodes/{NODE}/status", {"status": status})
    try:
        yield logs
    finally:
        control_plane.request("DELETE", f"/api/v1/nodes/{NODE}")
        server.shutdown()
        thread.join()
        server.server_close()


def a_pod(space: Space, run: int, *, session: str = "s") -> str:
    """Make the pod of a run, on the node."""
    name = f"{session}-r{run}-abcde"
    labels = {"agentic-operator.dev/session": session, "agentic-operator.dev/run": str(run)}
    container = {
        "name": "runner",
        "image": "example/image:1",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "nodeName": NODE,
        "containers": [container],
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    body = {"metadata": {"name": name, "labels": labels}, "spec": spec}
    space.plane.request("POST", f"/api/v1/namespaces/{space.name}/pods", body)
    return name


def begin(space: Space, pod: str) -> None:
    space.set_pod(pod, "Running", state={"running": {"startedAt": "2026-05-01T10:00:00Z"}})
