"""Logging in: tokens, login plugins (real processes), proxies."""

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from agentic_cli.kube.credentials import build_headers, find_proxy, log_in, read_credential
from agentic_cli.kube.kubeconfig import ClusterConnection, LoginPlugin
from agentic_core.errors import PermanentError

VERSION = "client.authentication.k8s.io/v1"


def a_plugin(command: str = "login", **changes: Any) -> LoginPlugin:
    values: dict[str, Any] = {
        "command": command,
        "arguments": (),
        "environment": {},
        "api_version": VERSION,
        "interactive_mode": "Never",
        "install_hint": "",
        "cluster_info": None,
    }
    return LoginPlugin(**{**values, **changes})


def a_program(path: Path, body: str) -> str:
    path.write_text(f"#!{sys.executable}\n{body}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def a_credential(**status: Any) -> dict[str, Any]:
    return {"apiVersion": VERSION, "kind": "ExecCredential", "status": status}


def test_a_token_file_is_read_at_each_login(tmp_path: Path) -> None:
    file = tmp_path / "token"
    connection = ClusterConnection("https://a", token_file=file)
    for token in ("one", "two"):
        file.write_text(f"{token}\n", encoding="utf-8")
        assert log_in(connection).token == token


def test_a_plugin_gets_its_environment_and_what_it_is_asked(tmp_path: Path) -> None:
    program = a_program(
        tmp_path / "login",
        "import json, os, sys\n"
        "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "token = ' '.join([*sys.argv[1:], os.environ['PROFILE'], str(info['spec']['interactive']),"
        " info['spec']['cluster']['server'], info['apiVersion']])\n"
        f"print(json.dumps({a_credential()!r} | {{'status': {{'token': token}}}}))",
    )
    plugin = a_plugin(program, arguments=("a",), environment={"PROFILE": "dev"}, cluster_info={"server": "https://s"})
    given = log_in(ClusterConnection("https://s", user="ann", plugin=plugin))
    assert given.token == f"a dev False https://s {VERSION}"


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        pytest.param("raise SystemExit(3)", "ended with status 3", id="it fails"),
        pytest.param("print('hello')", "printed no ExecCredential", id="it chats"),
    ],
)
def test_a_plugin_that_gives_nothing_is_named(tmp_path: Path, body: str, complaint: str) -> None:
    plugin = a_plugin(a_program(tmp_path / "login", body))
    with pytest.raises(PermanentError, match=complaint):
        log_in(ClusterConnection("https://s", user="ann", plugin=plugin))


def test_a_plugin_that_is_not_installed_comes_with_its_hint() -> None:
    connection = ClusterConnection(
        "https://s", user="ann", plugin=a_plugin("no-such-login", install_hint="see the docs")
    )
    with pytest.raises(
        PermanentError, match=r"'no-such-login' of user 'ann' cannot be run: No such file.*; see the docs"
    ):
        log_in(connection)


def test_a_plugin_that_must_ask_needs_a_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "empty").open("w+") as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        with pytest.raises(PermanentError, match="has to ask, and there is no terminal"):
            log_in(ClusterConnection("https://s", user="ann", plugin=a_plugin(interactive_mode="Always")))


def test_a_token_in_the_file_goes_before_a_plugin() -> None:
    assert log_in(ClusterConnection("https://s", token="t", plugin=a_plugin("no-such-login"))).token == "t"


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        pytest.param([], "no ExecCredential", id="a list"),
        pytest.param({**a_credential(token="t"), "apiVersion": "v1"}, "answered in 'v1'", id="another version"),
        pytest.param(a_credential(), "neither a token nor a certificate", id="nothing in it"),
        pytest.param(
            a_credential(clientCertificateData="c"), "neither a token nor", id="a certificate without its key"
        ),
    ],
)
def test_answers_of_plugins_that_cannot_be_used(answer: Any, complaint: str) -> None:
    with pytest.raises(PermanentError, match=complaint):
        read_credential(json.dumps(answer).encode(), a_plugin())


def test_a_plugin_may_give_a_certificate() -> None:
    given = read_credential(json.dumps(a_credential(clientCertificateData="c", clientKeyData="k")).encode(), a_plugin())
    assert (given.token, given.certificate, given.key) == (None, b"c", b"k")


def test_headers_say_who_asks_and_for_whom() -> None:
    connection = ClusterConnection("https://s", token="t", impersonate=(("Impersonate-User", "bob"),))
    assert build_headers(connection, log_in(connection)) == [("Impersonate-User", "bob"), ("Authorization", "Bearer t")]
    basic = ClusterConnection("https://s", password=("ann", "p"))
    assert build_headers(basic, log_in(basic)) == [("Authorization", "Basic YW5uOnA=")]


@pytest.mark.parametrize(
    ("server", "environ", "expected"),
    [
        pytest.param("https://api.example.com", {}, None, id="no proxy"),
        pytest.param("https://api.example.com", {"HTTPS_PROXY": "http://p:1"}, "http://p:1", id="a proxy for https"),
        pytest.param("https://api.example.com", {"https_proxy": "p:1"}, "http://p:1", id="without a scheme"),
        pytest.param("http://api.example.com", {"HTTPS_PROXY": "http://p:1"}, None, id="for another scheme"),
        pytest.param("https://127.0.0.1:6443", {"HTTPS_PROXY": "http://p:1"}, None, id="this machine"),
        pytest.param("https://[::1]:6443", {"HTTPS_PROXY": "http://p:1"}, None, id="this machine over IPv6"),
        pytest.param("https://localhost", {"HTTPS_PROXY": "http://p:1"}, None, id="this machine by name"),
        pytest.param("https://a.b.c", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "b.c"}, None, id="a domain"),
        pytest.param(
            "https://a.b.c", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": " .b.c , x"}, None, id="a domain with a dot"
        ),
        pytest.param("https://ab.c", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "b.c"}, "http://p:1", id="only its end"),
        pytest.param("https://a.c", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None, id="everything"),
        pytest.param("https://10.1.2.3", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, None, id="a network"),
        pytest.param(
            "https://11.1.2.3", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, "http://p:1", id="not in it"
        ),
        pytest.param("https://a.c:443", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a.c:443"}, None, id="a port"),
        pytest.param(
            "https://a.c:8443", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a.c:443"}, "http://p:1", id="another port"
        ),
    ],
)
def test_proxies_of_the_environment(server: str, environ: dict[str, str], expected: str | None) -> None:
    assert find_proxy(ClusterConnection(server), environ) == expected


def test_the_proxy_of_the_kubeconfig_goes_first() -> None:
    connection = ClusterConnection("https://127.0.0.1", proxy_url="socks5://localhost:1080")
    assert find_proxy(connection, {"NO_PROXY": "*"}) == "socks5://localhost:1080"
