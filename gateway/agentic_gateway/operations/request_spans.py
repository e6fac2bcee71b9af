"""The span of a request: part of the caller's trace if a header names one, and above what the request makes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.types import Scope

from agentic_core.trace_context import HEADER, parse_traceparent
from agentic_gateway.operations.metrics import METHODS

if TYPE_CHECKING:
    from agentic_core.spans import Span, Tracer


class RequestSpans:
    """Begins and ends the spans of requests."""

    def __init__(self, tracer: "Tracer") -> None:
        self._tracer = tracer

    def begin(self, scope: Scope) -> "Span":
        """Begin a request's span, and have the request's header name it: it is the parent of what the request makes."""
        from agentic_core.spans import Kind

        name = HEADER.encode()
        sent = next((value for each, value in scope["headers"] if each == name), b"")
        span = self._tracer.begin("", parent=parse_traceparent(sent.decode("latin-1")), kind=Kind.SERVER)
        kept = [(each, value) for each, value in scope["headers"] if each != name]
        scope["headers"] = [*kept, (name, span.context.traceparent.encode())]
        return span

    def end(self, span: "Span", scope: Scope, route: str, status: int) -> None:
        """End a request's span; it names the route, if any took it, and never the query, a header or a body."""
        method = str(scope.get("method") or "GET")
        found: Mapping[str, Any] = scope.get("path_params") or {}
        # Anybody may ask by any word; OpenTelemetry has a name for those that are no method.
        span.name = f"{method if method in METHODS else 'HTTP'} {route}".strip()
        self._tracer.describe(
            span,
            {
                "http.request.method": method if method in METHODS else "_OTHER",
                "http.route": route,
                "http.response.status_code": status,
                "url.scheme": str(scope.get("scheme") or ""),
                "k8s.namespace.name": found.get("namespace"),
                "agentic.session.name": found.get("name") if "agentic-sessions" in route else None,
            },
        )
        self._tracer.end(span, error=str(status) if status >= 500 else "")

    def close(self, seconds: float) -> None:
        """Send what is left, for so long at most."""
        self._tracer.close(seconds)
