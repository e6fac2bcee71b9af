"""What requests carry, and how refusals look."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_core.strict_json import json_pointer
from agentic_gateway.api.turns import choose_name
from agentic_gateway.auth.identity import Caller, find_token
from agentic_gateway.config import InvalidSetting, read_settings
from agentic_gateway.problems import Refused, build_pointer, read_status
from agentic_gateway.stream.session_stream import read_cursor
from agentic_gateway.stream.websocket import read_answer, read_turn


@pytest.mark.parametrize(
    ("field", "pointer"),
    [
        ("spec.turns[0].input", "/spec/turns/0/input"),
        ("metadata.labels[a.b/c]", "/metadata/labels/a.b~1c"),
        ("spec", "/spec"),
        ("", ""),
        ("<nil>", ""),
    ],
)
def test_fields_of_the_api_server_become_pointers(field: str, pointer: str) -> None:
    assert build_pointer(field) == pointer


@given(st.lists(st.text("abc", min_size=1), min_size=1))
def test_plain_paths_become_their_pointers(parts: list[str]) -> None:
    assert build_pointer(".".join(parts)) == json_pointer(parts)


def test_what_the_api_server_refuses_keeps_its_words_and_its_wish() -> None:
    body = {
        "message": "busy",
        "details": {"retryAfterSeconds": 7, "causes": [{"field": "spec.inputs", "message": "Required value"}]},
    }
    refused = read_status(429, body)
    assert (refused.status, refused.detail, refused.headers) == (429, "busy", {"Retry-After": "7"})
    assert [(each.pointer, each.message) for each in refused.errors] == [("/spec/inputs", "Required value")]
    assert read_status(403, None).kind == "forbidden"
    assert read_status(418, "teapot").kind == "bad-request"
    assert read_status(599, []).kind == "internal"


KEYS = st.sampled_from(["message", "details", "causes", "field", "retryAfterSeconds"]) | st.text()
BODIES: st.SearchStrategy[object] = st.recursive(
    st.none() | st.text() | st.integers(), lambda inner: st.dictionaries(KEYS, inner) | st.lists(inner)
)


@given(st.integers(400, 599), BODIES)
def test_whatever_the_api_server_says_becomes_a_problem(status: int, body: object) -> None:
    assert 400 <= read_status(status, body).describe("/x").status < 600


def encode(token: str) -> str:
    return base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


def test_a_token_is_found_wherever_it_may_stand() -> None:
    assert find_token({"authorization": "Bearer abc"}) == "abc"
    assert find_token({"authorization": "bearer abc"}) == "abc"
    assert find_token({}, {"token": "abc"}) == "abc"
    assert find_token({"sec-websocket-protocol": f"agentic.v1, agentic.bearer.{encode('abc')}"}, {}) == "abc"
    assert find_token({"authorization": "Bearer abc"}, {"token": "abc"}) == "abc"
    assert find_token({}) is None
    # Where no WebSocket is asked for, a query is no place for a token.
    assert find_token({"sec-websocket-protocol": f"agentic.bearer.{encode('abc')}"}) is None


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"authorization": "Basic YTpi"}, {}),
        ({"authorization": "Bearer "}, {}),
        ({"authorization": "Bearer a b"}, {}),
        ({"authorization": "Bearer a\x00b"}, {}),
        ({"authorization": "Bearer " + "x" * 20_000}, {}),
        ({"authorization": "Bearer abc"}, {"token": "def"}),
        ({"sec-websocket-protocol": "agentic.bearer.%%%"}, {}),
        ({"sec-websocket-protocol": "agentic.bearer.gIA"}, {}),
    ],
)
def test_what_can_be_no_token_is_refused(headers: dict[str, str], query: dict[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        find_token(headers, query)
    assert refused.value.status == 401


def test_a_caller_does_not_show_its_token() -> None:
    assert "secret" not in repr(Caller("alice", (), "secret", {}))


@given(st.sets(st.from_regex("t[0-9]{4,6}", fullmatch=True) | st.text("abct01-", min_size=1)), st.integers(0, 10_000))
def test_a_chosen_name_is_free_and_later_than_every_number(taken: set[str], count: int) -> None:
    name = choose_name(frozenset(taken), count)
    assert name not in taken
    assert int(name[1:]) > count


def test_cursors_are_numbers_or_ids() -> None:
    assert [read_cursor(text) for text in (None, "", "7", "0-7", "12-7")] == [0, 0, 7, 7, 7]
    for text in ("x", "-", "7-", "٣", "9" * 30, "1.5"):
        with pytest.raises(Refused):
            read_cursor(text)


def test_messages_of_clients_are_read_in_both_forms() -> None:
    assert read_answer({"interruptId": "q", "value": None}).interrupt_id == "q"
    assert read_answer({"response": 1, "metadata": {"interrupt_id": "q"}}).value == 1
    assert read_turn({"data": {"message": "hello"}}).input == {"messages": [{"role": "user", "content": "hello"}]}
    assert read_turn({"data": {"input": 1, "preempt": "Interrupt"}}).preempt == "Interrupt"
    for wrong in ({}, {"data": 1}, {"data": {"inputs": 1}}, {"data": {"preempt": "Later"}}):
        with pytest.raises(Refused):
            read_turn(wrong)
    with pytest.raises(Refused):
        read_answer({"value": 1})


def test_settings_that_cannot_be_used_are_named() -> None:
    for environ, name in (
        ({"PORT": "no"}, "PORT"),
        ({}, "POSTGRES_CONNECTION_STRING_FILE"),
        ({"POSTGRES_CONNECTION_STRING_FILE": "/nowhere"}, "POSTGRES_CONNECTION_STRING_FILE"),
    ):
        with pytest.raises(InvalidSetting, match=name):
            read_settings(environ)
