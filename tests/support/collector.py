"""A collector of spans: a real HTTP server on a port of its own that takes OTLP in JSON, as far as traces need it.

It holds what it is sent against OTLP's rules for JSON: ids in hexadecimal, times and whole numbers as text, and names
that OTLP has. It is no collector of OpenTelemetry's; that those take the same bytes is in decision 46.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.support.waiting import wait_for

Json = dict[str, Any]

_FIELDS = {
    "traceId",
    "spanId",
    "parentSpanId",
    "flags",
    "name",
    "kind",
    "startTimeUnixNano",
    "endTimeUnixNano",
    "attributes",
    "status",
}


@dataclass(frozen=True)
class SeenSpan:
    """A span as it was received."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    attributes: Mapping[str, Any]
    is_error: bool
    seconds: float
    resource: Mapping[str, Any]


@dataclass
class Collector:
    """What was received; ``answer`` is the status that it gives, and ``hold`` has it answer nothing until it is set."""

    server: ThreadingHTTPServer
    answer: int = 200
    bodies: list[bytes] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    requests: int = 0
    go_on: threading.Event = field(default_factory=threading.Event)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def spans(self) -> list[SeenSpan]:
        return [span for body in list(self.bodies) for span in parse_spans(body)]

    def wait_for(self, *names: str) -> list[SeenSpan]:
        """Return all spans, once there are some with these names."""
        return wait_for(
            lambda: self.spans, lambda found: set(names) <= {each.name for each in found}, what=f"spans {names}"
        )

    def variables(self, **more: str) -> dict[str, str]:
        """Return what a program is told that shall send its spans here, at once."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "50", **more}


def parse_spans(body: bytes) -> list[SeenSpan]:
    """Return the spans of a request; fails where it is not as OTLP has it."""
    found = []
    for group in json.loads(body)["resourceSpans"]:
        resource = _read_attributes(group["resource"]["attributes"])
        for scope in group["scopeSpans"]:
            found += [_parse_span(resource, span) for span in scope["spans"]]
    return found


def _parse_span(resource: Mapping[str, Any], span: Json) -> SeenSpan:
    assert set(span) <= _FIELDS, span
    assert re.fullmatch("[0-9a-f]{32}", span["traceId"]), span
    assert re.fullmatch("[0-9a-f]{16}", span["spanId"]), span
    assert re.fullmatch("([0-9a-f]{16})?", span.get("parentSpanId", "")), span
    assert isinstance(span["startTimeUnixNano"], str)
    assert isinstance(span["endTimeUnixNano"], str)
    lasted = int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])
    return SeenSpan(
        resource["service.name"],
        span["name"],
        span["traceId"],
        span["spanId"],
        span.get("parentSpanId", ""),
        span["kind"],
        _read_attributes(span["attributes"]),
        span.get("status", {}).get("code") == 2,
        lasted / 1e9,
        resource,
    )


def _read_attributes(given: list[Json]) -> dict[str, Any]:
    return {each["key"]: _read_value(each["value"]) for each in given}


def _read_value(value: Json) -> Any:
    ((kind, found),) = value.items()
    match kind:
        case "intValue":
            assert isinstance(found, str)
            return int(found)
        case "arrayValue":
            return [_read_value(each) for each in found["values"]]
        case _:
            assert kind in ("stringValue", "boolValue", "doubleValue"), kind
            return found


@contextmanager
def running_collector(*, answer: int = 200, holds: bool = False) -> Iterator[Collector]:
    """Run a collector; one that ``holds`` answers nobody before the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            running.requests += 1
            running.headers.append({name.lower(): value for name, value in self.headers.items()})
            running.go_on.wait()
            is_known = self.path == "/v1/traces" and self.headers["content-type"] == "application/json"
            if is_known and running.answer == 200:
                running.bodies.append(body)
            self.send_response(running.answer if is_known else 404)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    running = Collector(server, answer)
    if not holds:
        running.go_on.set()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that takes everything."""
    with running_collector() as running:
        yield running
