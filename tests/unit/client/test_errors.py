"""Refusals of the gateway as exceptions."""

import json
from datetime import UTC, datetime

import pytest

from agentic_client.errors import (
    BadRequest,
    Conflict,
    FieldProblem,
    Forbidden,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    Problem,
    ServerFault,
    TooManyRequests,
    Unavailable,
    build_problem,
    read_retry_after,
)
from agentic_gateway.problems import TITLES, Refused
from agentic_gateway.problems import FieldProblem as SentFieldProblem

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)

EXPECTED: dict[str, type[Problem]] = {
    "bad-request": BadRequest,
    "invalid-input": InvalidInput,
    "not-authenticated": NotAuthenticated,
    "forbidden": Forbidden,
    "not-found": NotFound,
    "gone": NotFound,
    "conflict": Conflict,
    "precondition-failed": Conflict,
    "too-many-requests": TooManyRequests,
    "internal": ServerFault,
    "unavailable": Unavailable,
    "timeout": Unavailable,
}


@pytest.mark.parametrize("kind", sorted(TITLES))
def test_every_problem_of_the_gateway_has_a_class(kind: str) -> None:
    refused = Refused(kind, "because", [SentFieldProblem(pointer="/spec/inputs/n", message="9 is too much")])
    body = refused.describe("/api/v1/x").model_dump_json().encode()
    found = build_problem(refused.status, {"retry-after": "7"}, body)
    assert type(found) is EXPECTED.get(kind, BadRequest)
    assert (found.status, found.kind, found.detail) == (refused.status, kind, "because")
    assert found.errors == (FieldProblem("/spec/inputs/n", "9 is too much"),)
    assert found.retry_after_seconds == 7
    assert str(found) == "because (/spec/inputs/n: 9 is too much)"


@pytest.mark.parametrize(
    "body", [b"<html>bad gateway</html>", b"", b"[1]", b'{"errors": [1, {}], "detail": 5}', b"[" * 10**5]
)
def test_an_answer_that_is_no_problem_is_told_by_its_status(body: bytes) -> None:
    found = build_problem(502, {}, body)
    assert type(found) is Unavailable
    assert found.status == 502
    assert found.detail


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("12", 12),
        ("86400", 300),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("soon", None),
        ("-1", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(text: str | None, seconds: float | None) -> None:
    assert read_retry_after(text, NOW) == seconds


def test_a_problem_is_read_as_the_gateway_writes_it() -> None:
    body = {"type": "urn:agentic-operator:problem:conflict", "title": "Conflict", "status": 409, "detail": "x"}
    assert build_problem(409, {}, json.dumps(body).encode()).kind == "conflict"
