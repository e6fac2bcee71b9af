"""Spans: by which variables they are sent, which ones, how they are written, and what a collector can do to us."""

import logging
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from agentic_core.span_exporter import SpanExporter
from agentic_core.spans import Kind, Span, Tracer
from agentic_core.trace_context import Sampler, SpanContext, derive_start_id, derive_trace_id, parse_traceparent
from agentic_core.tracing import TraceSettings, find_endpoint, open_tracer, read_sampler, read_settings
from tests.support.collector import Collector, running_collector

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
