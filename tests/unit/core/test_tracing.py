"""Spans: by which variables they are sent, which ones, how they are written, and what a collector can do to us."""

import contextlib
import logging
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentic_core.span_exporter import SpanExporter
from agentic_core.spans import Kind, Span, Tracer, Value
from agentic_core.trace_context import Sampler, SpanContext, derive_start_id, derive_trace_id, parse_traceparent
from agentic_core.tracing import (
    TraceSettings,
    find_endpoint,
    list_header_values,
    open_tracer,
    read_sampler,
    read_settings,
)
from tests.support.collector import Collector, running_collector
from tests.support.waiting import wait_for

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = SpanContext(TRACE, "00f067aa0ba902b7")


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c/otlp/"}, "http://c/otlp/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/here", "OTEL_EXPORTER_OTLP_ENDPOINT": "x"}, "http://c/here"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "TRUE"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "console, otlp"}, "http://c/v1/traces"),
    ],
)
def test_spans_go_where_the_standard_variables_say(environ: Mapping[str, str], endpoint: str) -> None:
    assert find_endpoint(environ) == endpoint


def test_the_service_s_name_attributes_headers_and_times_are_those_of_the_standard_variables() -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c"}
    plain = read_settings(endpoint, "ours")
    assert plain == TraceSettings("https://c/v1/traces", {"service.name": "ours"})
    found = read_settings(
        {
            **endpoint,
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=theirs,deployment.environment.name=a%20b, ,nothing",
            "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20t,x-scope=1",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1500",
            "OTEL_BSP_SCHEDULE_DELAY": "none",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem",
        },
        "ours",
    )
    assert found is not None
    assert found.resource == {"service.name": "theirs", "deployment.environment.name": "a b"}
    assert found.headers == {"authorization": "Bearer t", "x-scope": "1"}
    assert "Bearer" not in repr(found)
    assert (found.timeout_seconds, found.delay_seconds, found.ca_file) == (1.5, 5.0, "/ca.pem")
    named = read_settings({**endpoint, "OTEL_SERVICE_NAME": "a", "OTEL_RESOURCE_ATTRIBUTES": "service.name=b"}, "c")
    assert named is not None
    assert named.resource["service.name"] == "a"


@pytest.mark.parametrize(
    ("name", "argument", "sampler"),
    [
        ("", "", Sampler()),
        ("what", "", Sampler()),
        ("always_on", "", Sampler(False)),
        ("parentbased_always_off", "", Sampler(True, 0.0)),
        ("traceidratio", "0.25", Sampler(False, 0.25)),
        ("parentbased_traceidratio", "0.25", Sampler(True, 0.25)),
        ("parentbased_traceidratio", "7", Sampler()),
        ("traceidratio", "", Sampler(False)),
    ],
)
def test_samplers_are_those_of_the_standard(name: str, argument: str, sampler: Sampler) -> None:
    assert read_sampler({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument}) == sampler


def test_a_share_of_the_traces_is_sampled_and_a_parent_s_word_holds() -> None:
    quarter = Sampler(ratio=0.25)
    traces = [derive_trace_id(str(number)) for number in range(2000)]
    assert 400 < sum(quarter.samples(trace, None) for trace in traces) < 600
    assert all(quarter.samples(trace, PARENT) for trace in traces)
    assert not Sampler().samples(TRACE, SpanContext(TRACE, "1" * 16, is_sampled=False))
    assert Sampler(False).samples(TRACE, SpanContext(TRACE, "1" * 16, is_sampled=False))
    assert not Sampler(False, 0.0).samples("0" * 32, PARENT)


def test_a_span_is_named_to_others_by_a_line_that_they_take() -> None:
    for each in (PARENT, SpanContext(derive_trace_id("uid"), derive_start_id("uid", 1), is_sampled=False)):
        assert parse_traceparent(each.traceparent) == each
    assert derive_start_id("uid", 1) != derive_start_id("uid", 2)
    assert parse_traceparent(f"00-{TRACE}-00f067aa0ba902b7-03") == PARENT
    assert parse_traceparent("none") is None


class Held:
    """Takes spans."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def add(self, span: Span) -> None:
        self.spans.append(span)

    def close(self, seconds: float) -> None: ...


def test_texts_of_a_span_are_masked_and_bounded() -> None:
    held = Held()
    tracer = Tracer(held, Sampler(), redact=lambda text: text.replace("secret", "***"))
    span = tracer.begin("a secret", attributes={"a": "x" * 1000, "b": ["a secret"], "c": None, "d": ""})
    tracer.end(span, error="secret.Error")
    tracer.end(span)
    (seen,) = held.spans
    assert (seen.name, seen.attributes) == ("a ***", {"a": "x" * 256, "b": ["a ***"], "error.type": "***.Error"})


def test_what_is_not_sampled_is_not_sent_and_its_children_are_neither() -> None:
    held = Held()
    tracer = Tracer(held, Sampler(ratio=0))
    root = tracer.begin("root")
    tracer.end(tracer.begin("child", parent=root.context))
    tracer.end(root)
    assert held.spans == []


def build_tracer(endpoint: str, **variables: str) -> Tracer:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "10", **variables}
    tracer = open_tracer(environ, "tests")
    assert tracer is not None
    return tracer


def test_spans_arrive_with_parents_kinds_values_and_headers(collector: Collector) -> None:
    tracer = build_tracer(collector.endpoint, OTEL_EXPORTER_OTLP_HEADERS="x-token=t")
    root = tracer.begin("root", parent=PARENT, kind=Kind.SERVER)
    child = tracer.begin(
        "child", parent=root.context, attributes={"n": 2**40, "s": "é", "l": ["a"], "b": True, "f": 0.5}
    )
    tracer.end(child, error="ValueError")
    tracer.end(root)
    tracer.close(30)
    seen = {span.name: span for span in collector.spans}
    assert (seen["root"].trace_id, seen["root"].parent_id, seen["root"].kind) == (TRACE, PARENT.span_id, 2)
    assert seen["child"].parent_id == seen["root"].span_id
    assert seen["child"].attributes == {
        "n": 2**40,
        "s": "é",
        "l": ["a"],
        "b": True,
        "f": 0.5,
        "error.type": "ValueError",
    }
    assert (seen["child"].is_error, seen["root"].is_error) == (True, False)
    assert seen["child"].service == "tests"
    assert {headers["x-token"] for headers in collector.headers} == {"t"}


def test_a_collector_that_comes_back_gets_what_waited(collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    collector.answer = 503
    tracer = build_tracer(collector.endpoint)
    tracer.end(tracer.begin("early"))
    deadline = time.monotonic() + 60
    while collector.requests < 3 and time.monotonic() < deadline:
        collector.go_on.wait(0.01)
    collector.answer = 200
    collector.wait_for("early")
    tracer.close(30)
    assert [record.getMessage() for record in caplog.records] == [
        "the collector of spans takes none for now: it answers 503"
    ]


@pytest.mark.parametrize("case", ["away", "slow", "refuses"])
def test_a_collector_that_takes_nothing_costs_one_line(case: str, caplog: pytest.LogCaptureFixture) -> None:
    with running_collector(answer=401, holds=case == "slow") as bad:
        endpoint = "http://127.0.0.1:9" if case == "away" else bad.endpoint
        tracer = build_tracer(endpoint, OTEL_EXPORTER_OTLP_TIMEOUT="300")
        started = time.monotonic()
        for number in range(5000):
            tracer.end(tracer.begin(f"span {number}"))
        added = time.monotonic() - started
        tracer.close(0.5)
        closed = time.monotonic() - started - added
    assert added < 10, "adding spans waits for nobody"
    assert closed < 5, "the end is bounded"
    assert len(caplog.records) == 1, caplog.text


def test_what_waits_is_bounded() -> None:
    with running_collector(holds=True) as bad:
        exporter = SpanExporter(
            TraceSettings(f"{bad.endpoint}/v1/traces", {"service.name": "x"}), scope="x", capacity=10
        )
        tracer = Tracer(exporter, Sampler())
        for number in range(1000):
            tracer.end(tracer.begin(f"span {number}"))
        exporter.close(0)
        assert exporter.waiting <= 10


@pytest.mark.parametrize("endpoint", ["collector:4317", "grpc://c:4317", "http://", "http://c:port"])
def test_an_endpoint_that_is_none_is_a_line_of_the_log(endpoint: str, caplog: pytest.LogCaptureFixture) -> None:
    assert open_tracer({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, "tests") is None
    assert "no spans are sent" in caplog.text


def test_a_ca_file_that_is_not_there_is_a_line_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c", "OTEL_EXPORTER_OTLP_CERTIFICATE": str(tmp_path / "no")}
    assert open_tracer(variables, "tests") is None
    assert "no spans are sent" in caplog.text


@pytest.fixture(autouse=True)
def _log_level(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.WARNING):
        yield


def test_without_an_endpoint_nothing_that_sends_is_imported() -> None:
    code = (
        "import sys; from agentic_core.tracing import open_tracer; assert open_tracer({}, 'x') is None;"
        "print(sorted(name for name in sys.modules if 'span' in name or name in ('ssl', 'http.client')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://somebody:s3cret@c:4318"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://somebody:s3cret/more@c:4318"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://somebody:s3cret@c\u2100"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/a path?key=s3cret"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{'s3cret' * 20}.example"},
        {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20s3cret%0D%0Ax-more:%201"},
        {"OTEL_EXPORTER_OTLP_HEADERS": "a%20name=s3cret"},
        {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=s3cret%E2%82%AC"},
        {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=s3cret\udc80"},
    ],
)
def test_what_cannot_be_sent_with_is_one_line_that_quotes_no_credential(
    variables: Mapping[str, str], collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    tracer = open_tracer({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, **variables}, "tests")
    assert tracer is None
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["no spans are sent"]
    assert "s3cret" not in caplog.text
    assert collector.requests == 0


def test_a_credential_is_masked_as_it_is_sent_and_as_it_is_written() -> None:
    written = "authorization=Basic%20dTpw%3D%3D,x-key=k%2Bey"
    found = set(list_header_values({"OTEL_EXPORTER_OTLP_HEADERS": written}))
    assert found == {"Basic dTpw==", "dTpw==", "Basic%20dTpw%3D%3D", "dTpw%3D%3D", "k+ey", "k%2Bey"}


def test_no_time_at_all_for_a_request_is_the_time_that_there_is_without_the_variable() -> None:
    found = read_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_TIMEOUT": "0"}, "x")
    assert found is not None
    assert found.timeout_seconds == 10.0


def test_a_value_that_otlp_has_no_form_of_is_left_out_and_costs_no_other_span(collector: Collector) -> None:
    tracer = build_tracer(collector.endpoint, OTEL_RESOURCE_ATTRIBUTES="a=\udc80")
    odd: dict[str, Value | None] = {
        "nan": float("nan"),
        "infinite": float("-inf"),
        "large": 2**63,
        "object": {"a": 1},  # type: ignore[dict-item]  # what an author's metadata may hold
        "mixed": ["a", 1, None],  # type: ignore[list-item]
        "many": ["a"] * 1000,
        "half": "\ud800",
        "least": -(2**63),
        "kind": Kind.CLIENT,
    }
    tracer.end(tracer.begin("node \x1b[2J\ud800\x00\u202e", attributes=odd))
    tracer.end(tracer.begin("plain"))
    tracer.close(30)
    seen = {span.name: span for span in collector.spans}
    assert set(seen) == {r"node \u001b[2J\ud800\u0000\u202e", "plain"}
    assert seen[r"node \u001b[2J\ud800\u0000\u202e"].attributes == {
        "mixed": ["a"],
        "many": ["a"] * 32,
        "half": "\\ud800",
        "least": -(2**63),
        "kind": 3,
    }
    assert seen["plain"].resource["a"] == "\\udc80"
    assert b"NaN" not in b"".join(collector.bodies)


@pytest.mark.parametrize(
    "answer",
    [
        b"\x1b[2J" * 100_000,
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1000,
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/elsewhere\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n" + b"x" * 1_000_000,
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"",
    ],
    ids=["no HTTP", "headers without end", "redirects", "a body without end", "goes on for ever", "closes"],
)
def test_what_a_collector_answers_is_bounded_and_follows_nowhere(
    answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with answering(answer) as (endpoint, _):
        tracer = build_tracer(endpoint, OTEL_EXPORTER_OTLP_TIMEOUT="2000")
        tracer.end(tracer.begin("a"))
        started = time.monotonic()
        tracer.close(1)
        assert time.monotonic() - started < 20
    assert len(caplog.records) <= 1
    assert all(len(record.getMessage()) < 300 and "\x1b" not in record.getMessage() for record in caplog.records)


def test_a_collector_that_asks_for_time_gets_it(caplog: pytest.LogCaptureFixture) -> None:
    busy = b"HTTP/1.1 429 Busy\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n"
    with answering(busy) as (endpoint, asked):
        tracer = build_tracer(endpoint)
        tracer.end(tracer.begin("a"))
        wait_for(lambda: caplog.text, lambda text: "it answers 429" in text, what="the line of the log")
        # Without that word it would have been asked dozens of times in this time: each pause is short at first.
        tracer.close(0.3)
        assert len(asked) <= 2, "once, and once more at the end"


def test_a_collector_that_is_away_is_not_asked_without_a_pause() -> None:
    with running_collector(answer=503) as bad:
        tracer = build_tracer(bad.endpoint, OTEL_BSP_SCHEDULE_DELAY="0")
        tracer.end(tracer.begin("a"))
        started = time.monotonic()
        wait_for(lambda: bad.requests, lambda count: count >= 6, what="six tries")
        # 10, 20, 40, 80 and 160 ms.
        assert time.monotonic() - started > 0.3
        tracer.close(0.1)


def test_a_process_without_a_thread_left_loses_spans_and_nothing_else(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tracer = build_tracer(collector.endpoint)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        tracer.end(tracer.begin("early"))
        tracer.close(0)
    assert "can't start new thread" in caplog.text

    later = build_tracer(collector.endpoint)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        later.end(later.begin("first"))
    later.end(later.begin("second"))
    later.close(30)
    assert {span.name for span in collector.spans} == {"first", "second"}


FORKS = """
import os, sys, threading
from agentic_core.tracing import open_tracer

tracer = open_tracer({"OTEL_EXPORTER_OTLP_ENDPOINT": sys.argv[1], "OTEL_BSP_SCHEDULE_DELAY": "60000"}, "x")
tracer.end(tracer.begin("parent"))
# As if the other thread were at it in the very moment.
with tracer._exporter._changed:
    child = os.fork()
if child == 0:
    tracer.end(tracer.begin("child"))
    tracer.close(30)
    os._exit(0)
os.waitpid(child, 0)
tracer.close(30)
"""


def test_a_forked_process_neither_waits_for_ever_nor_sends_what_is_its_parent_s(collector: Collector) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORKS, collector.endpoint]
    subprocess.run(command, check=True, timeout=120)
    assert sorted(span.name for span in collector.spans) == ["child", "parent"]


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Run a server that answers each connection with these bytes and closes it; yield its address and what it got."""
    asked: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                asked.append(self.request.recv(65_536))
                self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()
