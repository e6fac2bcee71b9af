"""One line and one count for each answer: what was asked for, by whom, how it ended; no query, header or body."""

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentic_core.trace_context import HEADER, find_trace_id, read_traceparent
from agentic_gateway.operations.metrics import Metrics
from agentic_gateway.operations.request_spans import RequestSpans

UNMATCHED: Final = "unmatched"
# Asked for all the time, and about nobody.
_QUIET: Final = frozenset({"/healthz", "/readyz"})
_STREAMS: Final = "text/event-stream"

log = logging.getLogger("agentic_gateway.access")


class AccessLog:
    """Logs and counts requests of HTTP and WebSocket."""

    def __init__(self, app: ASGIApp, metrics: Metrics, spans: RequestSpans | None = None) -> None:
        self._app = app
        self._metrics = metrics
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request and say how it ended."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        status, is_stream, started = 0, scope["type"] == "websocket", time.monotonic()

        async def send_watched(message: Message) -> None:
            nonlocal status, is_stream
            match message["type"]:
                case "http.response.start" | "websocket.http.response.start":
                    status = int(message["status"])
                    is_stream = is_stream or _is_event_stream(message)
                case "websocket.accept":
                    status = 101
            await send(message)

        span = None
        if self._spans is not None:
            span = self._spans.begin(scope)
        try:
            await self._app(scope, receive, send_watched)
        finally:
            route = find_route(scope)
            if self._spans is not None and span is not None and route not in _QUIET:
                self._spans.end(span, scope, "" if route == UNMATCHED else route, status or 500)
            self._note(scope, status or 500, time.monotonic() - started, is_stream=is_stream and status in (101, 200))

    def _note(self, scope: Scope, status: int, seconds: float, *, is_stream: bool) -> None:
        method = str(scope.get("method") or "GET")
        route = find_route(scope)
        if route in _QUIET:
            return
        self._metrics.count_request(method, route, status, None if is_stream else seconds)
        state: Mapping[str, Any] = scope["state"]
        found: Mapping[str, Any] = scope.get("path_params") or {}
        log.info(
            "stream ended" if is_stream else "answered",
            extra={
                "method": method[:16],
                # What took no route is any text at all, a token in the wrong place too.
                "path": UNMATCHED if route == UNMATCHED else show_path(scope),
                "status": status,
                "seconds": round(seconds, 4),
                "caller": state.get("caller"),
                "namespace": found.get("namespace") or state.get("namespace"),
                "session": found.get("name") or state.get("session"),
                "trace_id": read_trace_id(scope),
            },
        )


def find_route(scope: Scope) -> str:
    """Return the template of the route that took a request, such as ``/api/v1/agentic-sessions/{namespace}``."""
    route = scope.get("route")
    return str(getattr(route, "path", "") or UNMATCHED)


def show_path(scope: Scope) -> str:
    """Return the path as it was sent, still encoded, without its query."""
    raw = scope.get("raw_path")
    text = raw.decode("ascii", "backslashreplace") if isinstance(raw, bytes) else str(scope.get("path") or "")
    return text.partition("?")[0][:512]


def read_trace_id(scope: Scope) -> str | None:
    """Return the id of the trace that a request is part of; None if its header names none."""
    sent = next((value for name, value in scope["headers"] if name == HEADER.encode()), b"")
    return find_trace_id(read_traceparent(sent.decode("latin-1"))) or None


def _is_event_stream(message: Message) -> bool:
    return any(name == b"content-type" and value.startswith(_STREAMS.encode()) for name, value in message["headers"])
