"""Which pages may ask, how much a person may ask, and what is refused before it is parsed."""

import asyncio
import json
import math
from contextlib import nullcontext, suppress
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from agentic_core.strict_json import has_longer_numbers
from agentic_gateway.problems import Refused
from agentic_gateway.web.cors import allow_origins
from agentic_gateway.web.limits import (
    MAX_JSON_DEPTH,
    MAX_JSON_DIGITS,
    BodyLimit,
    TimeLimit,
    refuse_hostile_json,
)
from agentic_gateway.web.origins import Origins, read_origin, require_own_page, require_stream_page
from agentic_gateway.web.rates import Rates, StreamSlots

OWN = Origins("https://agents.example", frozenset({"https://app.example"}))
CUSTOM = {"x-agentic-request": "1"}


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {"origin": "https://agents.example", **CUSTOM}),
        ("POST", {"sec-fetch-site": "same-origin", **CUSTOM}),
        ("DELETE", {"origin": "https://agents.example", "sec-fetch-site": "same-origin", **CUSTOM}),
        ("GET", {}),
        ("GET", {"sec-fetch-site": "none"}),
        ("GET", {"sec-fetch-site": "same-origin"}),
    ],
)
def test_pages_of_the_gateway_use_a_log_in(method: str, headers: dict[str, str]) -> None:
    require_own_page(method, headers, OWN)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        # A form of another site: no header can be added to it.
        ("POST", {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}),
        ("POST", {"origin": "https://evil.example", **CUSTOM}),
        ("POST", {"origin": "null", **CUSTOM}),
        ("POST", {"origin": "http://agents.example", **CUSTOM}),
        ("POST", {"origin": "https://agents.example.evil.example", **CUSTOM}),
        # A named origin has tokens, and no cookie.
        ("POST", {"origin": "https://app.example", **CUSTOM}),
        ("POST", {"sec-fetch-site": "same-site", **CUSTOM}),
        ("POST", {"sec-fetch-site": "none", **CUSTOM}),
        ("POST", CUSTOM),
        ("POST", {"origin": "https://agents.example"}),
        ("PATCH", {"sec-fetch-site": "same-origin"}),
        ("GET", {"sec-fetch-site": "cross-site"}),
        ("GET", {"origin": "https://evil.example"}),
    ],
)
def test_other_pages_do_not(method: str, headers: dict[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        require_own_page(method, headers, OWN)
    assert refused.value.status == 403


@pytest.mark.parametrize(
    ("origins", "headers", "is_ambient", "is_let_in"),
    [
        (OWN, {"origin": "https://agents.example"}, True, True),
        (OWN, {}, True, False),
        (OWN, {"origin": "https://evil.example"}, True, False),
        (OWN, {"origin": "https://app.example"}, True, False),
        (OWN, {"origin": "https://app.example"}, False, True),
        (OWN, {}, False, True),
        (OWN, {"origin": "https://evil.example"}, False, False),
        (OWN, {"origin": "null"}, False, False),
        (OWN, {"origin": "https://evil.example", "host": "evil.example"}, False, False),
        (Origins(), {"origin": "https://agents.example", "host": "agents.example"}, False, True),
        (Origins(), {"origin": "null", "host": ""}, False, False),
        (Origins(), {"origin": "https://evil.example", "host": "agents.example"}, False, False),
    ],
)
def test_web_sockets_are_opened_by_known_pages(
    origins: Origins, headers: dict[str, str], is_ambient: bool, is_let_in: bool
) -> None:
    with nullcontext() if is_let_in else pytest.raises(Refused, match=r"page|Origin"):
        require_stream_page(headers, origins, is_ambient=is_ambient)


@pytest.mark.parametrize(
    ("origins", "origin", "is_named"),
    [
        (OWN, "https://app.example", True),
        (OWN, "https://evil.example", False),
        (OWN, "https://app.example.evil.example", False),
        (OWN, "null", False),
        (Origins(), "https://app.example", False),
    ],
)
async def test_pages_of_named_origins_may_read_with_a_token_of_their_own(
    origins: Origins, origin: str, is_named: bool
) -> None:
    app = FastAPI()
    allow_origins(app, origins)

    @app.get("/x")
    async def show() -> str:
        return "x"

    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "Authorization",
    }
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://agents.example") as client:
        answers = [await client.options("/x", headers=asked), await client.get("/x", headers={"Origin": origin})]
    for answer in answers:
        assert answer.headers.get("access-control-allow-origin") == (origin if is_named else None)
        assert "access-control-allow-credentials" not in answer.headers


def test_origins_are_read_as_browsers_write_them() -> None:
    assert read_origin("https://a.example:443/") == "https://a.example"
    assert read_origin("http://[::1]:8080") == "http://[::1]:8080"
    for wrong in ("*", "null", "a.example", "ftp://a.example", "https://u:p@a.example", "https://", "https://a:x"):
        with pytest.raises(ValueError):
            read_origin(wrong)


def test_a_person_who_asks_too_often_is_told_when_to_come_back() -> None:
    now = [0.0]
    rates = Rates(2, 3, clock=lambda: now[0])
    for _ in range(3):
        rates.take("alice")
    with pytest.raises(Refused) as refused:
        rates.take("alice")
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "1")
    rates.take("bob")
    now[0] = 0.5
    rates.take("alice")
    with pytest.raises(Refused):
        rates.take("alice")


@given(st.lists(st.floats(0, 5), max_size=60), st.floats(0.5, 20), st.integers(1, 10))
def test_never_more_than_the_rate_and_the_burst(pauses: list[float], rate: float, burst: int) -> None:
    now = [0.0]
    rates = Rates(rate, burst, clock=lambda: now[0])
    taken = 0
    for pause in pauses:
        now[0] += pause
        with suppress(Refused):
            rates.take("alice")
            taken += 1
    assert taken <= burst + math.ceil(now[0] * rate)


def test_a_stream_that_ends_makes_room_for_another() -> None:
    slots = StreamSlots(2)
    with slots.hold("alice"):
        with slots.hold("alice"), slots.hold("bob"):
            with pytest.raises(Refused) as refused, slots.hold("alice"):
                pass
            assert refused.value.status == 429
        with slots.hold("alice"):
            pass


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 1_000_000,
        b'{"a":' * 100_000,
        b'{"a":' + b"1" * 1_000_000 + b"}",
        b"1e" + b"1" * 1_000_000,
        b"1." + b"1" * 1_000_000,
    ],
)
def test_json_that_a_parser_would_choke_on_is_refused_before(text: bytes) -> None:
    with pytest.raises(Refused) as refused:
        refuse_hostile_json(text)
    assert refused.value.status == 400


def test_what_only_looks_like_it_is_not() -> None:
    refuse_hostile_json(json.dumps({"a": "1" * 100_000, "b": "[" * 1000, "c": "\\" * 999 + '"' + "9" * 9999}).encode())
    refuse_hostile_json(b"[" * MAX_JSON_DEPTH + b"]" * MAX_JSON_DEPTH)
    refuse_hostile_json(b"1" * MAX_JSON_DIGITS)


@given(st.recursive(st.integers(-(10**30), 10**30) | st.text(), st.lists))
def test_long_numbers_are_found_and_texts_are_not_numbers(value: object) -> None:
    found = has_longer_numbers(json.dumps(value).encode(), 20)

    def longest(each: object) -> int:
        if isinstance(each, list):
            return max(map(longest, each), default=0)
        return len(str(abs(each))) if isinstance(each, int) else 0

    assert found == (longest(value) > 20)


class Client:
    """What a server's protocol would hand to the application."""

    def __init__(self, *parts: bytes, headers: dict[str, str] | None = None, is_slow: bool = False) -> None:
        self._parts = list(parts)
        self._is_slow = is_slow
        self.sent: list[Any] = []
        self.scope = {
            "type": "http",
            "path": "/x",
            "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
        }

    async def receive(self) -> Any:
        if self._is_slow and len(self._parts) == 1:
            await asyncio.Event().wait()
        part = self._parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(self._parts)}

    @property
    def left(self) -> int:
        """How many parts nobody has read."""
        return len(self._parts)

    async def send(self, message: Any) -> None:
        self.sent.append(message)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    assert not message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


async def test_a_body_is_read_whole_and_within_its_size() -> None:
    client = Client(b"[1,", b"2]")
    await BodyLimit(echo, 10)(client.scope, client.receive, client.send)
    assert client.sent[1]["body"] == b"[1,2]"
    for refused in (Client(b"x" * 6, b"x" * 6), Client(b"", headers={"content-length": "11"})):
        await BodyLimit(echo, 10)(refused.scope, refused.receive, refused.send)
        assert refused.sent[0]["status"] == 413
    deep = Client(b"[" * 200)
    await BodyLimit(echo, 1000)(deep.scope, deep.receive, deep.send)
    assert deep.sent[0]["status"] == 400


@pytest.mark.parametrize("headers", [{}, {"content-length": "99999999999"}])
async def test_of_a_body_that_is_too_large_a_bounded_part_is_read_before_the_answer(headers: dict[str, str]) -> None:
    mebibyte = b"x" * 1024 * 1024
    small = Client(*[mebibyte] * 4, headers=headers)
    await BodyLimit(echo, 10)(small.scope, small.receive, small.send)
    assert (small.sent[0]["status"], small.left) == (413, 0)
    endless = Client(*[mebibyte] * 100, headers=headers)
    await BodyLimit(echo, 10)(endless.scope, endless.receive, endless.send)
    assert endless.sent[0]["status"] == 413
    assert 80 < endless.left < 90


async def test_a_body_that_drips_is_not_waited_for() -> None:
    client = Client(b"[1", b",2]", is_slow=True)
    await BodyLimit(echo, 10, seconds=0.05)(client.scope, client.receive, client.send)
    assert client.sent[0]["status"] == 408
    assert (b"connection", b"close") in client.sent[0]["headers"]


async def test_an_answer_that_does_not_begin_becomes_504_and_a_stream_goes_on() -> None:
    async def hang(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    client = Client(b"")
    await TimeLimit(hang, 0.05)(client.scope, client.receive, client.send)
    assert client.sent[0]["status"] == 504

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.1)
        await send({"type": "http.response.body", "body": b"late"})

    client = Client(b"")
    await TimeLimit(stream, 0.05)(client.scope, client.receive, client.send)
    assert client.sent[1]["body"] == b"late"
