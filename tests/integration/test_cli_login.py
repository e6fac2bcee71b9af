"""Getting in to a real API server: login plugins, certificates, tokens, impersonation, merged files, proxies."""

import json
import select
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.kube import Space
from tests.support.person import Person
from tests.support.settled import name_account, wait_for_rights


def write(path: Path, config: dict[str, Any]) -> Path:
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def the_admin_file(space: Space) -> dict[str, Any]:
    """Return an administrator's kubeconfig as an object."""
    file = space.plane.kubeconfig_for_user(f"admin-of-{space.name}", groups=["system:masters"], namespace=space.name)
    config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return config


def a_service_account(space: Space, *verbs: str) -> None:
    """Make a service account that may do this with sessions of its namespace."""
    space.plane.request("POST", f"/api/v1/namespaces/{space.name}/serviceaccounts", {"metadata": {"name": "cli"}})
    rules = [{"apiGroups": ["agentic-operator.dev"], "resources": ["agenticsessions"], "verbs": list(verbs)}]
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.name}"
    space.plane.request("POST", f"{roles}/roles", {"metadata": {"name": "cli"}, "rules": rules})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "cli"}
    subject = {"kind": "ServiceAccount", "name": "cli", "namespace": space.name}
    body = {"metadata": {"name": "cli"}, "roleRef": role, "subjects": [subject]}
    space.plane.request("POST", f"{roles}/rolebindings", body)
    wait_for_rights(space.plane, space.name, name_account(space.name, "cli"))


def with_user(config: dict[str, Any], user: dict[str, Any]) -> dict[str, Any]:
    return {**config, "users": [{**config["users"][0], "user": user}]}


def test_a_login_plugin_is_asked_once_a_command(space: Space, tmp_path: Path) -> None:
    a_service_account(space, "list")
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": space.plane.service_account_token(space.name, "cli")},
    }
    program = tmp_path / "login"
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        "open(sys.argv[1], 'a').write('asked\\n')\n"
        f"print({json.dumps(credential)!r})\n",
        encoding="utf-8",
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "./login",
        "args": [str(tmp_path / "asked")],
        "interactiveMode": "IfAvailable",
    }
    person = Person.using(write(tmp_path / "config", with_user(the_admin_file(space), {"exec": plugin})))
    space.start("s")
    assert person.out("list", "-o", "name") == "agenticsession.agentic-operator.dev/s\n"
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_a_login_that_is_refused_is_asked_for_once_more(space: Space, tmp_path: Path) -> None:
    a_service_account(space, "list")
    tokens = tmp_path / "tokens"
    tokens.write_text(f"stale\n{space.plane.service_account_token(space.name, 'cli')}\n", encoding="utf-8")
    script = (
        "import json, pathlib\n"
        f"file = pathlib.Path({str(tokens)!r})\n"
        "first, *rest = file.read_text().splitlines()\n"
        "file.write_text('\\n'.join(rest or [first]))\n"
        "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', 'status': {'token': first}}))\n"
    )
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", script],
        "interactiveMode": "Never",
    }
    person = Person.using(write(tmp_path / "config", with_user(the_admin_file(space), {"exec": plugin})))
    space.start("s")
    assert person.out("list", "-o", "name") == "agenticsession.agentic-operator.dev/s\n"


def test_a_token_that_is_not_accepted_is_one_line_without_the_token(space: Space, tmp_path: Path) -> None:
    person = Person.using(write(tmp_path / "config", with_user(the_admin_file(space), {"token": "secret-token"})))
    done = person.run("list")
    assert done.returncode == 1
    assert "does not accept these credentials: log in again" in done.stderr
    assert "secret-token" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_somebody_else_is_impersonated(space: Space, tmp_path: Path) -> None:
    config = the_admin_file(space)
    user = {**config["users"][0]["user"], "as": "carl", "as-groups": ["nobody"]}
    done = Person.using(write(tmp_path / "config", with_user(config, user))).run("list")
    assert done.returncode == 1
    assert "user 'carl'" in done.stderr


def test_context_cluster_and_user_may_come_from_three_files(space: Space, tmp_path: Path) -> None:
    config = the_admin_file(space)
    files = [
        write(tmp_path / name, {key: config[key] for key in keys})
        for name, keys in (("a", ("contexts", "current-context")), ("b", ("clusters",)), ("c", ("users",)))
    ]
    person = Person.using(files[0])
    environment = {**person.environment, "KUBECONFIG": ":".join(map(str, files))}
    space.start("s")
    assert Person(files[0], environment).out("list", "-o", "name") == "agenticsession.agentic-operator.dev/s\n"
    assert person.run("list").returncode == 1


def test_a_server_that_is_not_trusted_is_named_unless_that_is_wanted(space: Space, tmp_path: Path) -> None:
    config = the_admin_file(space)
    cluster = config["clusters"][0]["cluster"]
    del cluster["certificate-authority-data"]
    done = Person.using(write(tmp_path / "config", config)).run("list")
    assert done.returncode == 21
    assert f"{space.plane.server} cannot be reached: its certificate is not trusted" in done.stderr
    cluster["insecure-skip-tls-verify"] = True
    assert Person.using(write(tmp_path / "config", config)).run("list").returncode == 0


def test_the_name_in_the_certificate_can_be_another_than_the_address(space: Space, tmp_path: Path) -> None:
    config = the_admin_file(space)
    config["clusters"][0]["cluster"]["tls-server-name"] = "kubernetes.default.svc"
    assert Person.using(write(tmp_path / "config", config)).run("list").returncode == 0
    config["clusters"][0]["cluster"]["tls-server-name"] = "other.example.com"
    assert "not trusted" in Person.using(write(tmp_path / "config", config)).run("list").stderr


@contextmanager
def a_connect_proxy() -> Iterator[tuple[str, list[str]]]:
    """Serve an HTTP proxy that tunnels; yield its address and what it was asked to connect to."""
    asked: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def relay(client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            target = head.split()[1].decode()
            asked.append(target)
            host, _, port = target.rpartition(":")
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                pair = {client: server, server: client}
                while True:
                    for source in select.select(list(pair), [], [])[0]:
                        data = source.recv(65536)
                        if not data:
                            return
                        pair[source].sendall(data)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=relay, args=(client,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_the_proxy_of_the_kubeconfig_is_used(space: Space, tmp_path: Path) -> None:
    config = the_admin_file(space)
    with a_connect_proxy() as (address, asked):
        config["clusters"][0]["cluster"]["proxy-url"] = address
        assert Person.using(write(tmp_path / "config", config)).run("list").returncode == 0
    assert asked == [space.plane.server.removeprefix("https://")]


def test_a_proxy_that_is_away_is_named_as_a_failure_to_reach(space: Space, tmp_path: Path) -> None:
    config = the_admin_file(space)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    config["clusters"][0]["cluster"]["proxy-url"] = f"http://127.0.0.1:{port}"
    done = Person.using(write(tmp_path / "config", config)).run("list")
    assert done.returncode == 21
    assert "cannot be reached" in done.stderr


@pytest.mark.parametrize("kind", ["token", "certificate"])
def test_a_pod_s_service_account_or_a_person_s_certificate(space: Space, kind: str) -> None:
    a_service_account(space, "list", "get")
    files = {
        "token": lambda: space.plane.kubeconfig_for_service_account(space.name, "cli"),
        "certificate": lambda: space.plane.kubeconfig_for_user("ann", groups=["system:masters"]),
    }
    space.start("s")
    assert "s " in Person.using(files[kind]()).out("list", "-n", space.name)
