"""What refusals of the API server become, on answers as a real one gives them."""

import json
from typing import Any

import httpx
import pytest

from agentic_cli.kube.client import compute_delay, split_lines
from agentic_cli.kube.errors import (
    AlreadyExists,
    Call,
    Expired,
    Forbidden,
    NotFound,
    NotInstalled,
    NotLoggedIn,
    Refused,
    build_error,
)
from agentic_cli.model.kinds import CLUSTER_WORKFLOWS, PODS, SESSIONS, WORKFLOWS, read_name
from agentic_core.errors import ApiUnavailable, Conflict, PermanentError

SERVER = "https://api:6443"


def a_status(code: int, message: str = "m", **more: Any) -> bytes:
    return json.dumps(
        {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message, **more}
    ).encode()


def a_call(verb: str = "get", kind: Any = SESSIONS, **more: Any) -> Call:
    return Call(SERVER, verb, kind, **{"namespace": "team", "name": "s", **more})


def details(name: str, kind: str = "agenticsessions", **more: Any) -> dict[str, Any]:
    return {"details": {"name": name, "kind": kind, "group": "agentic-operator.dev", **more}}


FORBIDDEN = (
    'agenticsessions.agentic-operator.dev is forbidden: User "ann" cannot list resource "agenticsessions" in API group'
    ' "agentic-operator.dev" in the namespace "team"'
)
INVALID = {
    "reason": "Invalid",
    "details": {
        "name": "s",
        "causes": [
            {"reason": "FieldValueInvalid", "field": "spec.retries", "message": "Invalid value: 101: too large"},
            {"reason": "FieldValueInvalid", "field": "<nil>", "message": "some rules were not checked"},
        ],
    },
}


@pytest.mark.parametrize(
    ("call", "status", "body", "kind", "text"),
    [
        pytest.param(
            a_call(),
            404,
            a_status(404, **details("s")),
            NotFound,
            "no session 's' in namespace 'team': `agentic list -n team` shows what there is",
            id="no session",
        ),
        pytest.param(
            a_call(kind=WORKFLOWS, name="w"),
            404,
            a_status(404, **details("w", "workflowdefinitions")),
            NotFound,
            "no workflow 'w' in namespace 'team': `agentic workflows list -n team` shows what there is",
            id="no workflow",
        ),
        pytest.param(
            a_call(kind=CLUSTER_WORKFLOWS, name="w", namespace=None),
            404,
            a_status(404, **details("w", "x")),
            NotFound,
            "no cluster workflow 'w' in the cluster: `agentic workflows list --cluster` shows what there is",
            id="no cluster workflow",
        ),
        pytest.param(
            a_call("create"),
            404,
            a_status(404, **details("team", "namespaces")),
            NotFound,
            "there is no namespace 'team': see `kubectl get namespaces`",
            id="no namespace",
        ),
        pytest.param(
            a_call(),
            404,
            b"404 page not found\n",
            NotInstalled,
            f"the cluster at {SERVER} has no agenticsessions.agentic-operator.dev: the operator is not installed there",
            id="no such resource",
        ),
        pytest.param(
            a_call("list", name=None),
            403,
            a_status(403, FORBIDDEN),
            Forbidden,
            "needs the right 'list' on agenticsessions of agentic-operator.dev in namespace 'team' (user 'ann'",
            id="a right is missing",
        ),
        pytest.param(
            a_call("get", PODS, subresource="log"),
            403,
            a_status(403, 'pods "p" is forbidden: User "a" cannot get'),
            Forbidden,
            "needs the right 'get' on pods/log in namespace 'team'",
            id="a right on a subresource",
        ),
        pytest.param(
            a_call("create"),
            403,
            a_status(403, "exceeded quota: sessions"),
            Forbidden,
            "the cluster forbids to create the session: exceeded quota",
            id="a quota",
        ),
        pytest.param(
            a_call(), 401, a_status(401), NotLoggedIn, f"{SERVER} does not accept these credentials", id="no login"
        ),
        pytest.param(
            a_call("create"),
            409,
            a_status(409, reason="AlreadyExists"),
            AlreadyExists,
            "a session 's' exists already in namespace 'team': choose another --name",
            id="the name is taken",
        ),
        pytest.param(
            a_call("patch"),
            409,
            a_status(409, reason="Conflict"),
            Conflict,
            "was changed by somebody else",
            id="conflict",
        ),
        pytest.param(
            a_call("create"),
            422,
            a_status(422, "long", **INVALID),
            Refused,
            f"{SERVER} refuses to create the session: spec.retries: Invalid value: 101: too large",
            id="an invalid field",
        ),
        pytest.param(
            a_call("patch"),
            422,
            a_status(
                422, "the server rejected our request due to an error in our request", reason="Invalid", details={}
            ),
            Conflict,
            "was changed by somebody else",
            id="a JSON patch whose test fails",
        ),
        pytest.param(
            a_call("patch"),
            422,
            a_status(
                422,
                "long",
                reason="Invalid",
                details={"name": "s", "causes": [{"reason": "FieldValueDuplicate", "field": "spec.turns[1]"}]},
            ),
            Conflict,
            "was changed by somebody else",
            id="a name in a list that is taken",
        ),
        pytest.param(
            a_call("create"), 400, a_status(400, "unknown field"), Refused, "unknown field", id="an unknown field"
        ),
        pytest.param(a_call("watch"), 410, a_status(410, "too old"), Expired, "too old", id="too old"),
        pytest.param(
            a_call(),
            503,
            b"apiserver not ready",
            ApiUnavailable,
            "cannot answer now (503): apiserver not",
            id="not ready",
        ),
        pytest.param(
            a_call("patch"),
            500,
            a_status(
                500, "failed to create typed patch object (n/a; g/v, Kind=K): .spec.x: field not declared in schema"
            ),
            Refused,
            ".spec.x: field not declared in schema",
            id="an unknown field of an apply",
        ),
        pytest.param(a_call(), 500, b"\xff", ApiUnavailable, "cannot answer now (500)", id="no text at all"),
    ],
)
def test_a_refusal_says_what_to_do(call: Call, status: int, body: bytes, kind: type[Exception], text: str) -> None:
    error = build_error(call, status, body)
    assert type(error) is kind
    assert text in str(error)
    assert "\n" not in str(error)


def test_a_list_that_expired_halfway_says_how_to_go_on() -> None:
    error = build_error(a_call("list"), 410, a_status(410, metadata={"continue": "token"}))
    assert isinstance(error, Expired)
    assert error.continuation == "token"


def an_unavailable(cause: Exception | None = None, wait: float | None = None) -> ApiUnavailable:
    error = ApiUnavailable("away", retry_after_seconds=wait)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("method", "attempt", "error", "repeats"),
    [
        pytest.param("GET", 1, an_unavailable(), True, id="a read that the server could not do"),
        pytest.param("GET", 1, an_unavailable(httpx.RemoteProtocolError("x")), True, id="a read that broke"),
        pytest.param("GET", 4, an_unavailable(), False, id="too often"),
        pytest.param("GET", 1, an_unavailable(httpx.ConnectError("x")), False, id="nobody there"),
        pytest.param("GET", 1, an_unavailable(httpx.ReadTimeout("x")), False, id="silence"),
        pytest.param("POST", 1, an_unavailable(), False, id="a write that may have been done"),
        pytest.param("POST", 1, an_unavailable(wait=1), True, id="a write that the server put off"),
    ],
)
def test_what_is_repeated(method: str, attempt: int, error: ApiUnavailable, repeats: bool) -> None:
    assert (compute_delay(method, attempt, error) is not None) is repeats


def test_a_wait_that_the_server_wishes_is_kept_within_reason() -> None:
    assert compute_delay("POST", 1, an_unavailable(wait=3)) == 3
    assert compute_delay("POST", 1, an_unavailable(wait=3600)) == 10


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"a\nb\n"], [b"a", b"b"]),
        ([b"a", b"b\nc", b"\n", b"d"], [b"ab", b"c", b"d"]),
        ([b"\n\na\n"], [b"a"]),
        (["x\x85y\u2028z\r\n".encode()], ["x\x85y\u2028z\r".encode()]),
        ([], []),
    ],
)
def test_only_a_newline_ends_a_line(chunks: list[bytes], lines: list[bytes]) -> None:
    assert list(split_lines(iter(chunks))) == lines


@pytest.mark.parametrize(
    "text", ["s", "agenticsession/s", "agenticsessions/s", "as/s", "agenticsession.agentic-operator.dev/s"]
)
def test_a_session_is_named_as_kubectl_names_it(text: str) -> None:
    assert read_name(SESSIONS, text) == "s"


@pytest.mark.parametrize("text", ["", "../x", "a/b/c", "pod/s", "S", "a b", "%2e", "agenticsession/"])
def test_what_is_no_name_never_gets_into_an_address(text: str) -> None:
    with pytest.raises(PermanentError, match="name"):
        read_name(SESSIONS, text)


def test_an_unknown_field_is_told_with_its_path() -> None:
    message = (
        'AgenticSession in version "v1alpha1" cannot be handled as a AgenticSession: strict decoding error:'
        ' unknown field "spec.inputz", unknown field "spec.env[0].secret"'
    )
    body = json.dumps({"kind": "Status", "code": 400, "reason": "BadRequest", "message": message}).encode()
    error = build_error(Call("https://k", "create", SESSIONS, "team", "s"), 400, body)
    assert "no such field: spec.inputz, no such field: spec.env[0].secret" in str(error)
    assert "strict decoding" not in str(error)
