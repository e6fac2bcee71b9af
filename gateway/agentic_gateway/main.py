"""The gateway's process: settings, parts, server."""

import asyncio
import logging
import math
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import uvicorn

from agentic_core.schema.sandbox import SchemaChecker
from agentic_core.tracing import open_tracer
from agentic_gateway.app import build_app
from agentic_gateway.auth.callers import Callers
from agentic_gateway.auth.identity import Identities
from agentic_gateway.auth.logins import Logins
from agentic_gateway.auth.oidc.provider import open_provider
from agentic_gateway.auth.pods import PodIdentities
from agentic_gateway.auth.rights import Rights
from agentic_gateway.auth.settings import IdentitySettings, read_identity
from agentic_gateway.auth.tickets import Tickets
from agentic_gateway.config import CONSOLE_DIR, NO_CONSOLE, InvalidSetting, Settings, Variables, read_settings
from agentic_gateway.context import Context
from agentic_gateway.feeds.floors import Floors
from agentic_gateway.feeds.hub import Hub
from agentic_gateway.kube.access import Access
from agentic_gateway.kube.client import Kube, open_kube
from agentic_gateway.kube.own_account import OwnAccount
from agentic_gateway.kube.own_token import OwnToken
from agentic_gateway.logs import set_up_logs
from agentic_gateway.operations.endpoints import serve_operations
from agentic_gateway.operations.lifecycle import GracefulServer, Lifecycle
from agentic_gateway.operations.metrics import Metrics
from agentic_gateway.operations.readiness import API_SERVER, DATABASE, Readiness
from agentic_gateway.operations.request_spans import RequestSpans
from agentic_gateway.problems import Refused
from agentic_gateway.stream.websocket import MAX_MESSAGE_BYTES
from agentic_gateway.web.connections import WebSocketConnection, limit_requests, open_listener
from agentic_gateway.web.console import Console, read_console
from agentic_gateway.web.limits import Limits
from agentic_gateway.web.rates import Rates, StreamSlots
from agentic_gateway.web.tls import CertificateFiles, RotatingCertificates
from agentic_store.database import Database, open_database
from agentic_store.signals import listen

# A request that the database does not answer within this time gets 503.
DATABASE_SECONDS: Final = 10.0
# What spans may still take of the end of the process.
SPANS_SECONDS: Final = 2.0

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_context(
    settings: Settings, identity: IdentitySettings, metrics: Metrics, lifecycle: Lifecycle
) -> AsyncIterator[Context]:
    """Open what the routes need, and answer on the port for those who run the gateway."""
    name = "agentic-gateway"
    async with AsyncExitStack() as stack:
        kube = await stack.enter_async_context(open_kube(settings.server, ca_file=settings.ca_file))
        checker = await stack.enter_async_context(SchemaChecker())
        database = await stack.enter_async_context(
            open_database(
                settings.dsn,
                application_name=name,
                max_size=settings.variables.DATABASE_CONNECTIONS,
                wait=False,
                operation_seconds=DATABASE_SECONDS,
            )
        )
        signals = await stack.enter_async_context(listen(settings.dsn, application_name=f"{name}-listen"))
        hub = Hub(lambda namespace: database.view(namespace).events, signals, database.interest)
        stack.push_async_callback(hub.close)
        rights = Rights(kube, seconds=settings.variables.RECHECK_SECONDS)
        readiness = Readiness(lifecycle)
        show_gauges(metrics, database, hub, lifecycle, readiness)
        checks = {API_SERVER: lambda: _check_api(kube), DATABASE: lambda: _check_database(database)}
        await stack.enter_async_context(readiness.watch(checks))
        port = await stack.enter_async_context(
            serve_operations(settings.variables.HOST, settings.variables.METRICS_PORT, readiness, metrics)
        )
        if port is not None:
            log.info("metrics on port %d", port)
        callers = await stack.enter_async_context(_open_callers(settings, identity, kube, database))
        own = OwnAccount(OwnToken(settings.token_file))
        pods = PodIdentities(kube, own)
        yield Context(
            kube,
            callers,
            Access(kube),
            checker,
            database,
            hub,
            rights,
            metrics,
            lifecycle,
            readiness,
            own,
            pods,
            Floors(),
        )


@asynccontextmanager
async def _open_callers(
    settings: Settings, identity: IdentitySettings, kube: Kube, database: Database
) -> AsyncIterator[Callers]:
    variables = settings.variables
    async with AsyncExitStack() as stack:
        logins = None
        if identity.client is not None:
            opened = open_provider(identity.client, ca_file=variables.OIDC_CA_FILE)
            provider = await stack.enter_async_context(opened)
            logins = Logins(provider, database.logins, seconds=variables.LOGIN_HOURS * 3600)
        yield Callers(
            identities=Identities(kube),
            tickets=Tickets(database.tickets),
            origins=identity.origins,
            rates=Rates(variables.REQUESTS_PER_SECOND, variables.REQUESTS_BURST),
            slots=StreamSlots(variables.STREAMS_PER_PERSON),
            own_token=OwnToken(settings.token_file),
            logins=logins,
            proxy=identity.proxy,
        )


async def _check_api(kube: Kube) -> None:
    """Raise ``Refused`` if the API server does not answer, or says that it cannot serve."""
    try:
        await kube.request("GET", "/readyz", token="none")  # noqa: S106  (everybody may ask for it, and any answer will do)
    except Refused as refused:
        if refused.status >= 500:
            raise


async def _check_database(database: Database) -> None:
    """Raise ``AgenticError`` if the database does not answer, or is not migrated."""
    await database.require_schema()


def show_gauges(metrics: Metrics, database: Database, hub: Hub, lifecycle: Lifecycle, readiness: Readiness) -> None:
    """Show what the parts of a process hold at each scrape."""

    def read_pool() -> dict[str, float]:
        return {name: float(number) for name, number in database.pool.get_stats().items()}

    metrics.show("database_pool", "The pool of connections, by psycopg_pool's names.", "stat", read_pool)
    metrics.show("open", "What is open now.", "kind", lambda: {"streams": lifecycle.streams, "feeds": hub.feeds})
    metrics.show(
        "up",
        "Whether what the gateway needs answers.",
        "part",
        lambda: {name: float(part.is_up) for name, part in readiness.parts.items()},
    )


def main() -> int:
    """Serve until SIGTERM; return 2 if a setting cannot be used."""
    try:
        settings = read_settings(os.environ)
        identity = read_identity(settings.variables)
        certificates = read_certificates(settings.variables)
        console = find_console(settings.variables)
    except InvalidSetting as error:
        print(f"agentic-gateway: {error}", file=sys.stderr)
        return 2
    variables = settings.variables
    set_up_logs(variables.LOG_FORMAT, variables.LOG_LEVEL)
    metrics, lifecycle = Metrics(), Lifecycle()
    tracer = open_tracer(os.environ, "agentic-gateway")
    spans = RequestSpans(tracer) if tracer is not None else None

    @asynccontextmanager
    async def open_all() -> AsyncIterator[Context]:
        async with AsyncExitStack() as stack:
            if spans is not None:
                stack.push_async_callback(asyncio.to_thread, spans.close, SPANS_SECONDS)
            if certificates is not None:
                await stack.enter_async_context(certificates.watch(variables.TLS_RELOAD_SECONDS))
            yield await stack.enter_async_context(open_context(settings, identity, metrics, lifecycle))

    limits = Limits(variables.MAX_BODY_BYTES, variables.ANSWER_SECONDS)
    app = build_app(open_all, metrics=metrics, origins=identity.origins, limits=limits, console=console, spans=spans)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=limit_requests(variables.REQUEST_SECONDS),
        ws=WebSocketConnection,
        ws_max_size=MAX_MESSAGE_BYTES,
        # Both together, and the end of what a dead peer never takes, are less than a minute.
        ws_ping_interval=variables.PEER_SECONDS * 2 / 3,
        ws_ping_timeout=variables.PEER_SECONDS * 2 / 3,
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        # Whoever names an address in X-Forwarded-For would be taken for a trusted proxy.
        proxy_headers=False,
        h11_max_incomplete_event_size=variables.MAX_HEADER_BYTES,
        ssl_context_factory=None if certificates is None else lambda _config, _default: certificates.context,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=math.ceil(variables.SHUTDOWN_SECONDS),
    )
    with open_listener(variables.HOST, variables.PORT, peer_seconds=variables.PEER_SECONDS) as listener:
        host, port = listener.getsockname()[:2]
        scheme = "http" if certificates is None else "https"
        log.info("listening on %s://%s", scheme, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        GracefulServer(config, lifecycle, variables.DRAIN_SECONDS).run(sockets=[listener])
    return 0


def find_console(variables: Variables) -> Console:
    """Return the web console, without files if there is none; raises :class:`InvalidSetting`."""
    if variables.CONSOLE_DIR == NO_CONSOLE:
        return Console({})
    found = read_console(Path(variables.CONSOLE_DIR or CONSOLE_DIR))
    if variables.CONSOLE_DIR and not found.is_built:
        raise InvalidSetting(
            f"CONSOLE_DIR: no index.html in {variables.CONSOLE_DIR!r}: `make console` builds console/dist"
        )
    return found


def read_certificates(variables: Variables) -> RotatingCertificates | None:
    """Return the certificates to serve with, None for plain HTTP; raises :class:`InvalidSetting`."""
    if not variables.TLS_CERT_FILE and not variables.TLS_KEY_FILE:
        if variables.TLS_CLIENT_CA_FILE:
            raise InvalidSetting("TLS_CLIENT_CA_FILE: it needs TLS_CERT_FILE and TLS_KEY_FILE")
        return None
    if not (variables.TLS_CERT_FILE and variables.TLS_KEY_FILE):
        raise InvalidSetting("TLS_CERT_FILE: name TLS_KEY_FILE, too, or neither")
    client_ca = Path(variables.TLS_CLIENT_CA_FILE) if variables.TLS_CLIENT_CA_FILE else None
    try:
        return RotatingCertificates(
            CertificateFiles(Path(variables.TLS_CERT_FILE), Path(variables.TLS_KEY_FILE), client_ca)
        )
    except OSError as error:
        raise InvalidSetting(f"TLS_CERT_FILE: certificate and key cannot be used: {error}") from error
