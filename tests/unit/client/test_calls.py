"""Requests and results: what is sent, what may be sent again, and numbers that keep their digits."""

import inspect
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from agentic_client import AsyncClient, Client
from agentic_client.calls import Call, Place, build_path, build_turn, decide_retry, find_turn, is_turn_over
from agentic_client.errors import (
    BadRequest,
    Conflict,
    GatewayError,
    NotFound,
    ServerFault,
    TooManyRequests,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from agentic_client.messages import Gap, parse_message
from agentic_client.numbers import Numbers, parse_json
from agentic_client.sessions import read_session
from agentic_client.transport import TokenAuth, check_url
from agentic_gateway.feeds.envelope import build_gap

READ: Call[Any] = Call("GET", "/x", json.loads)
WRITE: Call[Any] = Call("POST", "/x", json.loads)
ONCE: Call[Any] = Call("POST", "/x", json.loads, key="k")


@pytest.mark.parametrize(
    ("call", "error", "is_repeated"),
    [
        (READ, Unreachable("x"), True),
        (WRITE, Unreachable("x"), False),
        (WRITE, Unreachable("x", is_sent=False), True),
        (READ, Unavailable(503, "x"), True),
        (WRITE, Unavailable(503, "x"), False),
        (WRITE, TooManyRequests(429, "x"), True),
        (READ, ServerFault(500, "x"), True),
        (WRITE, ServerFault(500, "x"), False),
        (ONCE, Unreachable("x"), True),
        (ONCE, Unavailable(503, "x"), True),
        (ONCE, Conflict(409, "x"), False),
        (READ, NotFound(404, "x"), False),
        (READ, Conflict(409, "x"), False),
        (READ, BadRequest(400, "x"), False),
        (READ, UnexpectedAnswer("x"), False),
    ],
)
def test_only_what_cannot_act_twice_is_sent_again(call: Call[Any], error: GatewayError, is_repeated: bool) -> None:
    assert (decide_retry(call, error, 1, 4, 0.5) is not None) == is_repeated
    assert decide_retry(call, error, 4, 4, 0.5) is None


def test_the_time_that_the_gateway_names_is_waited_for() -> None:
    assert decide_retry(READ, Unavailable(503, "x", retry_after_seconds=7), 1, 4, 0.0) == 7


def test_names_cannot_lead_elsewhere() -> None:
    assert Place("team", "a/b?c").path("turns", "ü") == "/api/v1/agentic-sessions/team/a%2Fb%3Fc/turns/%C3%BC"
    for name in ("", ".", ".."):
        with pytest.raises(ValueError, match="is no name"):
            build_path("agentic-sessions", name)


@pytest.mark.parametrize("url", ["", "gateway", "ftp://x", "https://", "https://u:p@x", "https://x?a=b", "https://x#a"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="gateway's address"):
        check_url(url)


def test_a_token_is_in_no_repr() -> None:
    assert "secret" not in repr(TokenAuth("secret"))
    assert "secret" not in repr(Client("http://x", token="secret").__dict__)


def test_a_turn_has_one_of_input_message_and_command() -> None:
    said = build_turn(None, "hi", None, None, {"preempt": None})
    assert said == {"input": {"messages": [{"role": "user", "content": "hi"}]}}
    assert build_turn({"n": 1}, None, None, "t9", {"preempt": "Interrupt"}) == {
        "name": "t9",
        "input": {"n": 1},
        "preempt": "Interrupt",
    }
    goto = {"goto": "a"}
    wrong: list[tuple[Any, str | None, Any]] = [
        (None, None, None),
        ({}, "hi", None),
        ({}, None, goto),
        (None, "hi", goto),
    ]
    for value, message, command in wrong:
        with pytest.raises(ValueError, match="one of input, message and command"):
            build_turn(value, message, command, None, {})


def test_a_turn_is_found_where_it_waits_runs_and_has_ended() -> None:
    status = {"turns": [{"name": "t1", "phase": "Completed", "number": 1}, {"name": "t2", "phase": "Running"}]}
    session = read_session(
        {"metadata": {"name": "c"}, "spec": {"turns": [{"name": "t2"}, {"name": "t3"}]}, "status": status}
    )
    assert [(turn.name, turn.phase) for turn in session.turns] == [
        ("t1", "Completed"),
        ("t2", "Running"),
        ("t3", "Pending"),
    ]
    assert [is_turn_over(session, name) for name in ("t0", "t1", "t2", "t3")] == [True, True, False, False]
    with pytest.raises(NotFound, match="does not show a turn 't0'"):
        find_turn(session, "t0")


def test_open_questions_come_with_the_digest_of_their_rule() -> None:
    asked = [{"id": "q1", "prompt": "?", "answeredAt": "x"}, {"id": "q2", "prompt": "ok?", "options": ["a"]}]
    status = {"phase": "WaitingForInput", "interrupts": asked, "approvals": [{"interruptId": "q2", "digest": "d"}]}
    (question,) = read_session({"status": status}).questions
    assert (question.id, question.prompt, question.options, question.digest) == ("q2", "ok?", ("a",), "d")


DIGITS = "1234567890" * 500


@pytest.mark.parametrize(
    ("text", "numbers", "value"),
    [
        ("0.10000000000000000001", Numbers.PYTHON, 0.1),
        ("0.10000000000000000001", Numbers.DECIMAL, Decimal("0.10000000000000000001")),
        ("0.10000000000000000001", Numbers.TEXT, "0.10000000000000000001"),
        ("123456789012345678901234567890", Numbers.PYTHON, 123456789012345678901234567890),
        ("1E+400", Numbers.DECIMAL, Decimal("1E+400")),
        (DIGITS, Numbers.PYTHON, Decimal(DIGITS)),
        (DIGITS, Numbers.TEXT, DIGITS),
        ("1", Numbers.DECIMAL, 1),
    ],
)
def test_numbers_are_as_exact_as_asked_for(text: str, numbers: Numbers, value: object) -> None:
    (found,) = parse_json(f"[{text}]", numbers)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "{", "[" * 10**5])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_a_gap_names_what_is_missing() -> None:
    message = parse_message(build_gap(1, 5, datetime(2026, 1, 1, tzinfo=UTC)).text)
    assert message.gap == Gap(2, 4)
    assert (message.seq, message.prev) == (4, 1)


@pytest.mark.parametrize("text", ["1", "{}", '{"timestamp": "2026-01-01T00:00:00Z", "seq": "1"}', "{", '{"seq": true}'])
def test_what_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(UnexpectedAnswer, match="no message"):
        parse_message(text)


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    def signatures(kind: type) -> dict[str, object]:
        return {
            name.removeprefix("a") if name == "aclose" else name: inspect.signature(member).parameters.keys()
            for name, member in vars(kind).items()
            if not name.startswith("_")
        }

    assert signatures(AsyncClient) == signatures(Client)
    for name, member in vars(Client).items():
        if not name.startswith("_"):
            assert inspect.getdoc(member), name
