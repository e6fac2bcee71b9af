"""Which cluster, who and which namespace: the rules of kubectl, case by case."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from agentic_cli.kube.kubeconfig import find_connection, find_files
from agentic_core.errors import PermanentError

PEM = b"-----BEGIN CERTIFICATE-----\n"
ENCODED = base64.b64encode(PEM).decode()


def a_config(
    name: str = "c", *, cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None, **context: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, **context}}],
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.example.com:6443/", **(cluster or {})}}],
        "users": [{"name": name, "user": user or {}}],
    }


def write(path: Path, config: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(config if isinstance(config, str) else json.dumps(config), encoding="utf-8")
    return path


def test_a_file_says_server_user_and_namespace(tmp_path: Path) -> None:
    file = write(tmp_path / "config", a_config("c", user={"token": "secret"}, namespace="team"))
    found = find_connection({}, kubeconfig=file)
    assert (found.server, found.namespace, found.context, found.token) == (
        "https://c.example.com:6443",
        "team",
        "c",
        "secret",
    )
    assert "secret" not in repr(found)


def test_files_of_kubeconfig_are_merged_and_the_first_wins(tmp_path: Path) -> None:
    one = write(tmp_path / "one", {**a_config("c", user={"token": "first"}), "current-context": ""})
    two = write(tmp_path / "two", a_config("c", user={"token": "second"}))
    three = write(tmp_path / "three", a_config("d", namespace="other"))
    environ = {"KUBECONFIG": f"{one}:{tmp_path / 'missing'}::{two}:{three}"}
    assert find_connection(environ).token == "first"
    assert find_connection(environ, context="d").namespace == "other"


def test_home_is_the_last_place_to_look(tmp_path: Path) -> None:
    write(tmp_path / ".kube" / "config", a_config("home"))
    assert find_connection({"HOME": str(tmp_path)}).context == "home"
    assert find_files({"HOME": "/h", "KUBECONFIG": "/a:/b:/a"}) == (Path("/a"), Path("/b"))


def test_paths_are_relative_to_the_file_that_holds_them(tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    for name in ("ca", "crt", "key"):
        (tmp_path / "pki" / name).write_bytes(name.encode())
    user = {"client-certificate": "pki/crt", "client-key": "pki/key", "tokenFile": "pki/token"}
    file = write(tmp_path / "config", a_config(cluster={"certificate-authority": "pki/ca"}, user=user))
    found = find_connection({"KUBECONFIG": str(file)})
    assert (found.ca, found.certificate, found.key) == (b"ca", b"crt", b"key")
    assert found.token_file == tmp_path / "pki" / "token"


def test_data_in_the_file_goes_before_files_beside_it(tmp_path: Path) -> None:
    cluster = {"certificate-authority-data": ENCODED, "certificate-authority": "missing"}
    file = write(tmp_path / "config", a_config(cluster=cluster))
    assert find_connection({}, kubeconfig=file).ca == PEM


def test_the_rest_of_what_kubectl_knows(tmp_path: Path) -> None:
    cluster = {"insecure-skip-tls-verify": True, "tls-server-name": "api", "proxy-url": "socks5://localhost:1080"}
    user = {"username": "ann", "password": "p", "as": "bob", "as-groups": ["g", "h"], "as-user-extra": {"k": ["v"]}}
    found = find_connection({}, kubeconfig=write(tmp_path / "config", a_config(cluster=cluster, user=user)))
    assert (found.insecure, found.tls_server_name, found.proxy_url) == (True, "api", "socks5://localhost:1080")
    assert found.password == ("ann", "p")
    assert found.impersonate == (
        ("Impersonate-User", "bob"),
        ("Impersonate-Group", "g"),
        ("Impersonate-Group", "h"),
        ("Impersonate-Extra-k", "v"),
    )


def test_a_login_plugin_is_read_with_its_cluster(tmp_path: Path) -> None:
    cluster = {
        "certificate-authority-data": ENCODED,
        "extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}],
    }
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "./login",
        "args": ["--region", "eu"],
        "env": [{"name": "PROFILE", "value": "dev"}],
        "interactiveMode": "Never",
        "provideClusterInfo": True,
        "installHint": "get it\nsomewhere",
    }
    found = find_connection({}, kubeconfig=write(tmp_path / "config", a_config(cluster=cluster, user={"exec": plugin})))
    assert found.plugin is not None
    assert found.plugin.command == str(tmp_path / "login")
    assert found.plugin.arguments == ("--region", "eu")
    assert found.plugin.environment == {"PROFILE": "dev"}
    assert found.plugin.install_hint == "get it somewhere"
    assert found.plugin.cluster_info == {
        "server": "https://c.example.com:6443/",
        "certificate-authority-data": ENCODED,
        "config": {"audience": "x"},
    }


def test_a_bare_command_is_looked_for_on_the_path(tmp_path: Path) -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "aws"}
    found = find_connection({}, kubeconfig=write(tmp_path / "config", a_config(user={"exec": plugin})))
    assert found.plugin is not None
    assert (found.plugin.command, found.plugin.interactive_mode, found.plugin.cluster_info) == (
        "aws",
        "IfAvailable",
        None,
    )


@pytest.mark.parametrize(
    ("config", "context", "complaint"),
    [
        pytest.param({}, None, "names no current context; set KUBECONFIG", id="an empty file"),
        pytest.param("", None, "names no current context", id="no text"),
        pytest.param("[1]", None, "holds list, not a configuration", id="a list"),
        pytest.param("a: [", None, "is not YAML", id="no YAML"),
        pytest.param(a_config("c"), "d", "no context 'd' in .*: there is c", id="an unknown context"),
        pytest.param({**a_config(), "clusters": []}, None, "names the cluster 'c', which", id="no such cluster"),
        pytest.param({**a_config(), "users": []}, None, "names the user 'c', which", id="no such user"),
        pytest.param(a_config(cluster={"server": "c:6443"}), None, "must be an https:// address", id="no address"),
        pytest.param(
            a_config(cluster={"certificate-authority": "x"}), None, "certificate-authority cannot be read", id="no CA"
        ),
        pytest.param(a_config(user={"client-key-data": "%"}), None, "client-key-data is not base64", id="no base64"),
        pytest.param(
            a_config(user={"auth-provider": {"name": "gcp"}}), None, "auth-provider, which is gone", id="a gone way"
        ),
        pytest.param(
            a_config(user={"exec": {"command": "x"}}), None, "unknown apiVersion ''", id="a plugin without a version"
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(
    tmp_path: Path, config: Any, context: str | None, complaint: str
) -> None:
    with pytest.raises(PermanentError, match=complaint):
        find_connection({}, kubeconfig=write(tmp_path / "config", config), context=context)


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="there is no kubeconfig"):
        find_connection({}, kubeconfig=tmp_path / "missing")
    with pytest.raises(PermanentError, match="set KUBECONFIG, or give --kubeconfig"):
        find_connection({"KUBECONFIG": str(tmp_path / "missing")})


def test_a_pod_uses_its_service_account_unless_told_otherwise(tmp_path: Path) -> None:
    account = tmp_path / "account"
    write(account / "token", "t")
    write(account / "namespace", "team\n")
    write(account / "ca.crt", "pem")
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    inside = find_connection(environ, service_account=account)
    assert (inside.server, inside.namespace, inside.ca) == ("https://[fd00::1]:6443", "team", b"pem")
    assert inside.token_file == account / "token"
    file = write(tmp_path / "config", a_config("c"))
    assert find_connection({**environ, "KUBECONFIG": str(file)}, service_account=account).context == "c"
