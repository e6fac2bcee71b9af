"""Logs through a real API server, from a kubelet's log endpoint that the test serves and breaks."""

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hack.cluster.controlplane import ControlPlane
from tests.support.kube import Space
from tests.support.person import Person

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


@pytest.fixture
def person(space: Space) -> Person:
    """An administrator whose context names the test's namespace."""
    return Person.using(
        space.plane.kubeconfig_for_user(f"admin-of-{space.name}", groups=["system:masters"], namespace=space.name)
    )


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


def test_the_newest_run_is_printed_and_the_others_where_wanted(space: Space, person: Person, kubelet: Kubelet) -> None:
    space.start("s")
    for run in (1, 2):
        pod = a_pod(space, run)
        space.end_pod(pod, 0)
        kubelet.write(pod, f"run {run}, line 1")
        kubelet.write(pod, f"run {run}, line 2 \u2028 \x85 ü")
    assert person.out("logs", "s") == "run 2, line 1\nrun 2, line 2 \u2028 \x85 ü\n"
    done = person.run("logs", "s", "--previous-runs", "--tail", "1", "--timestamps")
    assert done.stdout == "".join(f"2026-05-01T10:00:01.000000000Z run {run}, line 2 \u2028 \x85 ü\n" for run in (1, 2))
    assert done.stderr == "==> run 1, pod s-r1-abcde <==\n==> run 2, pod s-r2-abcde <==\n"
    person.out("logs", "s", "--since", "5m")
    assert kubelet.asked[-1][1]["sinceTime" if "sinceTime" in kubelet.asked[-1][1] else "sinceSeconds"]


def test_no_pods_is_said_with_the_phase(space: Space, person: Person) -> None:
    space.start("s")
    done = person.run("logs", "s")
    assert (done.returncode, done.stderr) == (1, "error: session 's' has no pods now: it is Pending\n")
    space.report("s", phase="Completed", run=1)
    assert (
        "a finished run's pods are deleted after some minutes, a waiting session's at once"
        in person.run("logs", "s").stderr
    )


def test_a_pod_that_has_not_started_says_why(space: Space, person: Person) -> None:
    space.start("s")
    space.set_pod(
        a_pod(space, 1), "Pending", state={"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    )
    done = person.run("logs", "s")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "s-r1-abcde has not started yet ImagePullBackOff no such image\n"


def test_following_goes_from_run_to_run_to_the_end(space: Space, person: Person, kubelet: Kubelet) -> None:
    space.start("s")
    with person.start("logs", "-f", "s") as following:
        first = a_pod(space, 1)
        kubelet.write(first, "one")
        begin(space, first)
        following.expect("one\n")
        kubelet.write(first, "two")
        following.expect("two\n")
        kubelet.end(first)
        space.end_pod(first, 143)
        space.report("s", phase="WaitingForInput", run=1)
        second = a_pod(space, 2)
        kubelet.write(second, "three")
        begin(space, second)
        following.expect("three\n")
        kubelet.end(second)
        space.end_pod(second, 0)
        space.report("s", phase="Running")
        space.report("s", phase="Completed")
        assert following.end() == 0
    assert following.out == "one\ntwo\nthree\n"
    assert following.err == "==> run 1, pod s-r1-abcde <==\n==> run 2, pod s-r2-abcde <==\n"


def test_a_stream_that_breaks_goes_on_where_it_was(space: Space, person: Person, kubelet: Kubelet) -> None:
    space.start("s")
    pod = a_pod(space, 1)
    for number in range(4):
        # All within one second: what comes again must not be printed again.
        kubelet.write(pod, f"line {number}", at=f"2026-05-01T10:00:00.00000000{number}Z")
    kubelet.breaks_after = 2
    begin(space, pod)
    with person.start("logs", "-f", "s") as following:
        following.expect("line 3\n")
        kubelet.end(pod)
        space.end_pod(pod, 0)
        space.report("s", phase="Completed")
        assert following.end() == 0
    assert following.out == "".join(f"line {number}\n" for number in range(4))
    assert len(kubelet.asked) >= 2


def test_following_survives_a_restart_of_the_api_server(
    space: Space, person: Person, kubelet: Kubelet, control_plane: ControlPlane
) -> None:
    space.start("s")
    pod = a_pod(space, 1)
    kubelet.write(pod, "before")
    begin(space, pod)
    with person.start("logs", "-f", "s") as following:
        following.expect("before\n")
        control_plane.restart_apiserver()
        kubelet.write(pod, "after")
        following.expect("after\n", seconds=40)
        kubelet.end(pod)
        space.end_pod(pod, 0)
        space.report("s", phase="Completed")
        assert following.end() == 0
    assert following.out == "before\nafter\n"
