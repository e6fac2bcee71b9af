"""Readiness, the end of a process, metrics and the access log."""

import asyncio
import logging
import re
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from agentic_core.errors import TransientError
from agentic_core.spans import Span, Tracer
from agentic_core.trace_context import Sampler
from agentic_gateway.operations.access import UNMATCHED, AccessLog, find_route, show_path
from agentic_gateway.operations.lifecycle import Lifecycle
from agentic_gateway.operations.metrics import Metrics
from agentic_gateway.operations.readiness import API_SERVER, DATABASE, Readiness
from agentic_gateway.operations.request_spans import RequestSpans


def judged(*notes: tuple[str, str | None], is_draining: bool = False) -> tuple[bool, list[str]]:
    lifecycle = Lifecycle()
    readiness = Readiness(lifecycle)
    for name, error in notes:
        readiness.note(name, error)
    lifecycle.is_draining = is_draining
    verdict = readiness.judge()
    return verdict.is_ready, verdict.text.splitlines()


BOTH = ((API_SERVER, None), (DATABASE, None))
NO_API, NO_DATABASE = (API_SERVER, "no route"), (DATABASE, "connection refused")


@pytest.mark.parametrize(
    ("notes", "is_ready"),
    [
        pytest.param((), False, id="nothing has answered yet"),
        pytest.param(((API_SERVER, None), NO_DATABASE), False, id="the database never answered: a wrong password"),
        pytest.param(((DATABASE, None), NO_API), False, id="the API server never answered"),
        pytest.param(BOTH, True, id="both answered"),
        pytest.param((*BOTH, NO_API), True, id="one request to the API server was lost"),
        pytest.param((*BOTH, NO_API, NO_API), False, id="the API server is away: nobody can be answered"),
        pytest.param((*BOTH, *[NO_DATABASE] * 9), True, id="the database is away: sessions start and are answered"),
        pytest.param((*BOTH, NO_API, NO_API, (API_SERVER, None)), True, id="the API server is back"),
    ],
)
def test_a_replica_is_ready_where_it_can_answer_somebody(
    notes: tuple[tuple[str, str | None], ...], *, is_ready: bool
) -> None:
    assert judged(*notes)[0] is is_ready


def test_a_replica_says_what_it_misses_and_that_it_ends() -> None:
    assert judged(*BOTH, NO_DATABASE, NO_DATABASE) == (
        True,
        ["ready", "API server: ok", "database: connection refused"],
    )
    assert judged(*BOTH, is_draining=True) == (False, ["draining", "API server: ok", "database: ok"])


async def test_a_check_that_fails_or_hangs_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentic_gateway.operations.readiness.PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr("agentic_gateway.operations.readiness.CHECK_SECONDS", 0.001)
    readiness = Readiness(Lifecycle())
    again = {API_SERVER: asyncio.Event(), DATABASE: asyncio.Event()}

    async def fail() -> None:
        if readiness.parts[DATABASE].failures:
            again[DATABASE].set()
        raise TransientError("the server closed the connection")

    async def hang() -> None:
        if readiness.parts[API_SERVER].failures:
            again[API_SERVER].set()
        await asyncio.Event().wait()

    async with asyncio.timeout(10), readiness.watch({API_SERVER: hang, DATABASE: fail}):
        for event in again.values():
            await event.wait()
    assert readiness.parts[API_SERVER].error == "no answer within 0.01 s"
    assert readiness.parts[DATABASE].error == "the server closed the connection"


async def test_streams_are_told_to_leave_and_waited_for() -> None:
    lifecycle = Lifecycle()
    opened: asyncio.Queue[int] = asyncio.Queue()
    left: list[int] = []

    async def follow(number: int) -> None:
        with lifecycle.stream():
            opened.put_nowait(number)
            await lifecycle.leaving.wait()
            left.append(number)

    tasks = [asyncio.create_task(follow(number)) for number in range(3)]
    assert [await opened.get() for _ in tasks] == [0, 1, 2]
    assert lifecycle.streams == 3
    await lifecycle.hand_over(10)
    assert (left, lifecycle.streams) == ([0, 1, 2], 0)
    await asyncio.gather(*tasks)
    with lifecycle.stream():
        # One that does not leave holds the end up for so long and no longer.
        await lifecycle.hand_over(0.01)


async def serve(scope: Scope, *messages: Message, metrics: Metrics | None = None) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        pass

    await AccessLog(app, metrics or Metrics())(scope, receive, send)


def a_scope(path: str = "/api/v1/agentic-sessions/team/s1", query: bytes = b"token=secret", **more: Any) -> Scope:
    scope = {"type": "http", "method": "GET", "raw_path": path.encode(), "path": path, "query_string": query}
    return {**scope, "headers": [], **more}


OK: Message = {"type": "http.response.start", "status": 200, "headers": []}
TEMPLATE = "/api/v1/agentic-sessions/{namespace}/{name}"


async def test_an_answer_is_one_line_without_its_query(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    found = {"namespace": "team", "name": "s1"}
    scope = a_scope(route=SimpleNamespace(path=TEMPLATE), path_params=found, state={"caller": "alice"})
    await serve(scope, OK)
    (record,) = caplog.records
    told = {name: getattr(record, name) for name in ("method", "path", "status", "caller", "namespace", "session")}
    assert told == {
        "method": "GET",
        "path": "/api/v1/agentic-sessions/team/s1",
        "status": 200,
        "caller": "alice",
        "namespace": "team",
        "session": "s1",
    }
    assert "secret" not in str(record.__dict__)


async def test_what_no_route_took_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await serve(a_scope("/a-token-in-the-wrong-place"), {**OK, "status": 404})
    (record,) = caplog.records
    assert "a-token" not in str(record.__dict__)


async def test_a_path_is_logged_as_it_was_sent() -> None:
    assert show_path({"raw_path": b"/a%0Ab\xff?token=x", "path": "/a\nb"}) == "/a%0Ab\\xff"
    assert len(show_path({"raw_path": b"/" * 10_000})) == 512


async def test_what_is_counted_has_few_labels() -> None:
    metrics = Metrics()
    await serve(a_scope(route=SimpleNamespace(path=TEMPLATE)), OK, metrics=metrics)
    for number in range(50):
        await serve(a_scope(f"/{number}", method=f"M{number}"), {**OK, "status": 404}, metrics=metrics)
    await serve(a_scope("/healthz", route=SimpleNamespace(path="/healthz")), OK, metrics=metrics)
    stream = {**OK, "headers": [(b"content-type", b"text/event-stream; charset=utf-8")]}
    await serve(a_scope(route=SimpleNamespace(path=f"{TEMPLATE}/stream")), stream, metrics=metrics)
    await serve({**a_scope("/ws"), "type": "websocket", "route": SimpleNamespace(path="/ws")}, {
        "type": "websocket.accept"
    }, metrics=metrics)  # fmt: skip
    text = metrics.render().decode()
    counted = re.findall(r"^agentic_gateway_requests_total\{(.+)\} (\S+)$", text, re.MULTILINE)
    assert sorted(counted) == [
        (f'method="GET",route="{TEMPLATE}",status="200"', "1.0"),
        (f'method="GET",route="{TEMPLATE}/stream",status="200"', "1.0"),
        ('method="GET",route="/ws",status="101"', "1.0"),
        (f'method="other",route="{UNMATCHED}",status="404"', "50.0"),
    ]
    # How long a stream takes is its client's choice.
    timed = set(re.findall(r"^agentic_gateway_request_seconds_count\{(.+)\} \S+$", text, re.MULTILINE))
    assert timed == {f'method="GET",route="{TEMPLATE}"', f'method="other",route="{UNMATCHED}"'}


async def test_an_answer_that_never_came_counts_as_500() -> None:
    metrics = Metrics()
    await serve(a_scope(), metrics=metrics)
    assert 'status="500"' in metrics.render().decode()


def test_a_request_that_no_route_took_is_unmatched() -> None:
    assert find_route({"type": "http"}) == UNMATCHED


def test_gauges_are_read_at_each_scrape() -> None:
    metrics, values = Metrics(), {"streams": 1.0}
    metrics.show("open", "What is open.", "kind", lambda: values)
    assert 'agentic_gateway_open{kind="streams"} 1.0' in metrics.render().decode()
    values["streams"] = 2
    assert 'agentic_gateway_open{kind="streams"} 2.0' in metrics.render().decode()


class Held:
    """Takes spans."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def add(self, span: Span) -> None:
        self.spans.append(span)

    def close(self, seconds: float) -> None: ...


@pytest.mark.parametrize(
    ("sent", "is_parent"),
    [
        (f"00-{'a' * 32}-{'b' * 16}-01", True),
        (f"00-{'a' * 32}-{'b' * 16}-01".upper(), False),
        (f"00-{'0' * 32}-{'b' * 16}-01", False),
        (f"ff-{'a' * 32}-{'b' * 16}-01", False),
        (f"00-{'a' * 32}-{'b' * 16}-01-more", False),
        (f"00-{'a' * 32}-{'b' * 16}-01" + "\x00" * 60_000, False),
        ("\xff\u0660", False),
    ],
)
def test_a_request_s_span_is_of_a_bounded_name_and_of_a_trace_that_a_header_can_name(
    sent: str, is_parent: bool
) -> None:
    held = Held()
    spans = RequestSpans(Tracer(held, Sampler()))
    line = sent.encode("latin-1", "replace")
    scope: Scope = {
        "type": "http",
        "method": "ANY-WORD-OF-A-CLIENT",
        "headers": [(b"traceparent", line), (b"tracestate", b"a=1," * 1000), (b"traceparent", line)],
    }
    span = spans.begin(scope)
    spans.end(span, scope, "", 404)
    assert [value for name, value in scope["headers"] if name == b"traceparent"] == [span.context.traceparent.encode()]
    (seen,) = held.spans
    assert (seen.name, seen.attributes["http.request.method"]) == ("HTTP", "_OTHER")
    assert (seen.parent_id == "b" * 16, seen.context.trace_id == "a" * 32) == (is_parent, is_parent)
