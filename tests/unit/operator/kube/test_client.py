"""Refusals of the API server, translated in one place; and how the API server is found."""

from pathlib import Path
from typing import Any

import pytest

from agentic_core.errors import ApiUnavailable, Conflict, PermanentError, TransientError
from agentic_operator.kube.client import JOBS, SESSIONS
from agentic_operator.kube.connection import Connection, NoConnection, find_connection, read_kubeconfig
from agentic_operator.kube.errors import (
    AdmissionUnavailable,
    AlreadyExists,
    Forbidden,
    Invalid,
    NotFound,
    translate_status,
)

TERMINATING = {"details": {"causes": [{"reason": "NamespaceTerminating"}]}, "message": "being terminated"}


@pytest.mark.parametrize(
    ("code", "body", "kind"),
    [
        (404, {"message": "x"}, NotFound),
        (409, {"reason": "AlreadyExists"}, AlreadyExists),
        (409, {"reason": "Conflict"}, Conflict),
        (410, {"reason": "Expired"}, Conflict),
        (403, {"message": "exceeded quota"}, Forbidden),
        (422, {"message": "spec.x: Invalid value"}, Invalid),
        (413, "too large", Invalid),
        (401, {}, ApiUnavailable),
        (429, {"details": {"retryAfterSeconds": 3}}, ApiUnavailable),
        (500, "oops", ApiUnavailable),
        (503, None, ApiUnavailable),
        (500, {"message": 'Internal error occurred: failed calling webhook "w": no route'}, AdmissionUnavailable),
        (
            422,
            {"message": "jobs.batch \"j\" is forbidden: ValidatingAdmissionPolicy 'p' denied request: no"},
            Forbidden,
        ),
        (400, {"message": 'admission webhook "w" denied the request: no'}, Forbidden),
        (418, {}, PermanentError),
    ],
)
def test_every_refusal_has_its_class(code: int, body: Any, kind: type[Exception]) -> None:
    assert type(translate_status(code, body)) is kind


def test_the_servers_wish_for_patience_is_kept() -> None:
    from_body = translate_status(429, {"details": {"retryAfterSeconds": 3}})
    from_header = translate_status(429, {"details": {"retryAfterSeconds": 3}}, "7")
    assert isinstance(from_body, TransientError)
    assert isinstance(from_header, TransientError)
    assert (from_body.retry_after_seconds, from_header.retry_after_seconds) == (3.0, 7.0)


def test_a_namespace_that_is_being_deleted_is_told_from_a_missing_right() -> None:
    terminating, forbidden = translate_status(403, TERMINATING), translate_status(403, {})
    assert isinstance(terminating, Forbidden)
    assert isinstance(forbidden, Forbidden)
    assert (terminating.is_terminating, forbidden.is_terminating) == (True, False)


def test_paths() -> None:
    assert JOBS.url("team") == "apis/batch/v1/namespaces/team/jobs"
    assert SESSIONS.url("") == "apis/agentic-operator.dev/v1alpha1/agenticsessions"
    assert SESSIONS.url("team", "s", "status").endswith("/namespaces/team/agenticsessions/s/status")


KUBECONFIG = """
current-context: here
contexts: [{name: here, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://127.0.0.1:6443/", certificate-authority-data: Q0E=}}]
users: [{name: u, user: {token: very-secret}}]
"""


def test_a_kubeconfig_gives_server_and_credentials_and_no_secret_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(KUBECONFIG, encoding="utf-8")
    connection = find_connection(path, {})
    assert (connection.server, connection.ca, connection.read_token()) == (
        "https://127.0.0.1:6443",
        b"CA",
        "very-secret",
    )
    assert "very-secret" not in repr(connection)


def test_a_token_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one\n", encoding="ascii")
    connection = Connection("https://x", token_file=path)
    assert connection.read_token() == "one"
    path.write_text("two\n", encoding="ascii")
    assert connection.read_token() == "two"


@pytest.mark.parametrize(
    "text",
    [
        "- not a kubeconfig",
        "{",
        "current-context: nowhere",
        KUBECONFIG.replace("user: u", "user: other"),
        KUBECONFIG.replace("token: very-secret", "exec: {command: x}"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_refused_with_its_path(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(NoConnection, match="config"):
        read_kubeconfig(path)


def test_without_a_cluster_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoConnection, match="--kubeconfig"):
        find_connection(None, {})
    with pytest.raises(NoConnection, match="cannot be read"):
        read_kubeconfig(tmp_path / "missing")
