"""Spans of OpenTelemetry: begun, ended, and written as OTLP has them in JSON."""

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, Protocol

from agentic_core.display import show_line
from agentic_core.trace_context import Sampler, SpanContext

Value = str | bool | int | float | Sequence[str]

MAX_TEXT: Final = 256
"""Characters of a name or value: those that we set are names, and what an author's code names may be anything."""
MAX_TEXTS: Final = 32
"""Of one value that is a list."""
_ERROR: Final = 2
_LEAST_INT, _LARGEST_INT = -(2**63), 2**63 - 1


class Kind(IntEnum):
    """What a span is to others, by OTLP's numbers."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3


@dataclass(slots=True)
class Span:
    """Something that takes time."""

    name: str
    context: SpanContext
    parent_id: str
    kind: Kind
    started_ns: int
    attributes: dict[str, Value] = field(default_factory=dict)
    ended_ns: int = 0
    error: str = ""
    """Of which type; never its message, which may quote anything. Empty where it did not fail."""


class Exporter(Protocol):
    """Where spans that ended go."""

    def add(self, span: Span) -> None:
        """Take a span; never waits, and never raises."""
        ...

    def close(self, seconds: float) -> None:
        """Send what is left, for so long at most."""
        ...


class Tracer:
    """Makes spans and hands those on that are sampled."""

    def __init__(
        self,
        exporter: Exporter,
        sampler: Sampler,
        *,
        redact: Callable[[str], str] = lambda text: text,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._exporter = exporter
        self._sampler = sampler
        self._redact = redact
        self._now = now

    def begin(
        self,
        name: str,
        *,
        parent: SpanContext | None = None,
        kind: Kind = Kind.INTERNAL,
        attributes: Mapping[str, Value | None] | None = None,
        trace_id: str = "",
        span_id: str = "",
    ) -> Span:
        """Begin a span; attributes without a value are left out.

        Without a parent it is the first of a trace: ``trace_id``, or a new one.
        """
        trace = parent.trace_id if parent is not None else trace_id or os.urandom(16).hex()
        context = SpanContext(trace, span_id or os.urandom(8).hex(), self._sampler.samples(trace, parent))
        span = Span(name, context, parent.span_id if parent is not None else "", kind, self._now())
        self.describe(span, attributes or {})
        return span

    def describe(self, span: Span, attributes: Mapping[str, Value | None]) -> None:
        """Add attributes to a span, but for those without a value."""
        span.attributes.update((key, value) for key, value in attributes.items() if value not in (None, "", ()))

    def end(self, span: Span, *, error: str = "") -> None:
        """End a span; ``error`` is the type of what it failed with."""
        if span.ended_ns or not span.context.is_sampled:
            return
        span.ended_ns, span.error = self._now(), error
        span.name = self._clean(span.name)
        cleaned = ((key, self._clean_value(value)) for key, value in span.attributes.items())
        span.attributes = {key: value for key, value in cleaned if value is not None}
        if error:
            span.attributes["error.type"] = self._clean(error)
        self._exporter.add(span)

    def close(self, seconds: float) -> None:
        """Send what is left, for so long at most."""
        self._exporter.close(seconds)

    def _clean(self, text: str) -> str:
        return show_line(self._redact(text))[:MAX_TEXT]

    def _clean_value(self, value: Value) -> Value | None:
        """Return a value as a span may have it; None for what OTLP has no form of: a collector refuses all for one."""
        match value:
            case bool():
                return value
            case int():
                return int(value) if _LEAST_INT <= value <= _LARGEST_INT else None
            case float():
                return float(value) if math.isfinite(value) else None
            case str():
                return self._clean(value)
            case list() | tuple():
                return [self._clean(each) for each in value[:MAX_TEXTS] if isinstance(each, str)]
            case _:
                return None


def encode(spans: Sequence[Span], *, resource: Mapping[str, str], scope: str) -> bytes:
    """Return the body of a request of OTLP with these spans."""
    said = {
        "resource": {
            "attributes": _build_attributes({show_line(key): show_line(value) for key, value in resource.items()})
        },
        "scopeSpans": [{"scope": {"name": scope}, "spans": [_build_span(span) for span in spans]}],
    }
    return json.dumps({"resourceSpans": [said]}, separators=(",", ":")).encode()


def _build_span(span: Span) -> dict[str, Any]:
    return {
        "traceId": span.context.trace_id,
        "spanId": span.context.span_id,
        **({"parentSpanId": span.parent_id} if span.parent_id else {}),
        "flags": 1,
        "name": span.name,
        "kind": int(span.kind),
        "startTimeUnixNano": str(span.started_ns),
        "endTimeUnixNano": str(span.ended_ns),
        "attributes": _build_attributes(span.attributes),
        **({"status": {"code": _ERROR}} if span.error else {}),
    }


def _build_attributes(attributes: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _build_value(value)} for key, value in attributes.items()]


def _build_value(value: Value) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case _:
            return {"arrayValue": {"values": [{"stringValue": each} for each in value]}}
