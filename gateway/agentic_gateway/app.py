"""The ASGI application: routes, problems for every error, headers for every answer."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from agentic_core.errors import AgenticError, TransientError
from agentic_gateway.api import ROUTERS
from agentic_gateway.api.openapi import TITLE, VERSION, DescriptionText, describe, name_operation
from agentic_gateway.api.validation import refuse_request
from agentic_gateway.context import Context
from agentic_gateway.operations.access import AccessLog
from agentic_gateway.operations.metrics import Metrics
from agentic_gateway.operations.request_spans import RequestSpans
from agentic_gateway.problems import Refused, answer_problem, kind_of
from agentic_gateway.stream import sse, websocket
from agentic_gateway.web.console import Console, serve_console
from agentic_gateway.web.cors import allow_origins
from agentic_gateway.web.framing import OneEnd
from agentic_gateway.web.headers import SECURITY_HEADERS, SecurityHeaders
from agentic_gateway.web.limits import BodyLimit, Limits, TimeLimit
from agentic_gateway.web.origins import Origins

log = logging.getLogger(__name__)

LIMITS: Final = Limits()
NO_ORIGINS: Final = Origins()
NO_CONSOLE: Final = Console({})

OpenContext = Callable[[], AbstractAsyncContextManager[Context]]


class Gateway(FastAPI):
    """The application, whose description says of every route what all have in common."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document; made once."""
        if self.openapi_schema is None:
            self.openapi_schema = describe(self)
        return self.openapi_schema


def build_app(
    open_context: OpenContext,
    *,
    metrics: Metrics | None = None,
    origins: Origins = NO_ORIGINS,
    limits: Limits = LIMITS,
    console: Console = NO_CONSOLE,
    spans: RequestSpans | None = None,
) -> FastAPI:
    """Return the application; ``open_context`` opens what its routes need, for as long as it runs.

    ``spans`` is None if none are sent.
    """

    @asynccontextmanager
    async def run(app: FastAPI) -> AsyncIterator[None]:
        async with open_context() as context:
            app.state.context = context
            yield

    app = Gateway(
        title=TITLE,
        version=VERSION,
        generate_unique_id_function=name_operation,
        # Made at its first request, which would hold up every stream meanwhile.
        openapi_url=None,
        # Their pages fetch scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        # Where to is what the Host header says, and without TLS.
        redirect_slashes=False,
        lifespan=run,
    )
    app.state.metrics = metrics = metrics or Metrics()
    # The last that is added is the first that sees a request.
    app.add_middleware(BodyLimit, max_bytes=limits.body_bytes)
    app.add_middleware(TimeLimit, seconds=limits.answer_seconds)
    app.add_middleware(OneEnd)
    allow_origins(app, origins)
    app.add_middleware(SecurityHeaders, is_public_tls=origins.own.startswith("https://"))
    for router in ROUTERS:
        app.include_router(router)
    app.include_router(sse.router)
    app.include_router(websocket.router)

    description = DescriptionText(app.openapi)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return Response(await description.read(), media_type="application/json")

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        return Response("ok\n", media_type="text/plain")

    @app.get("/readyz", include_in_schema=False)
    async def readyz(request: Request) -> Response:
        verdict = request.app.state.context.readiness.judge()
        return Response(verdict.text, 200 if verdict.is_ready else 503, media_type="text/plain")

    # Not a route: one that takes any path would answer 405 to what is not there.
    app.router.default = serve_console(console, app.router.default)

    # The outermost: what others refuse is an answer, too.
    app.add_middleware(AccessLog, metrics=metrics, spans=spans)

    app.add_exception_handler(Refused, _answer_refused)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(AgenticError, _answer_own)
    app.add_exception_handler(Exception, _answer_unexpected)
    return app


async def _answer_refused(request: Request, error: Any) -> Response:
    request.app.state.metrics.refusals.labels(error.kind).inc()
    return answer_problem(error, request.scope["path"])


async def _answer_invalid(request: Request, error: Any) -> Response:
    return answer_problem(refuse_request(error.errors()), request.scope["path"])


async def _answer_http(request: Request, error: Any) -> Response:
    response = answer_problem(Refused(kind_of(error.status_code), str(error.detail)), request.scope["path"])
    for name in ("Allow", "Retry-After"):
        if value := (error.headers or {}).get(name):
            response.headers[name] = value
    return response


async def _answer_own(request: Request, error: Any) -> Response:
    if isinstance(error, TransientError):
        seconds = int(error.retry_after_seconds or 1)
        return answer_problem(Refused("unavailable", str(error), retry_after_seconds=seconds), request.scope["path"])
    return await _answer_unexpected(request, error)


async def _answer_unexpected(request: Request, error: Any) -> Response:
    log.error("unexpected error", exc_info=error, extra={"path": request.scope["path"]})
    response = answer_problem(Refused("internal", "the gateway failed; its log says why"), request.scope["path"])
    # This answer is made outside of everything else.
    response.headers.update(SECURITY_HEADERS)
    return response
