"""``/healthz`` and ``/readyz`` for the kubelet and ``/metrics`` for Prometheus, on a port of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from agentic_gateway.operations.metrics import CONTENT_TYPE, Metrics
from agentic_gateway.operations.readiness import Readiness


@asynccontextmanager
async def serve_operations(
    host: str, port: int | None, readiness: Readiness, metrics: Metrics
) -> AsyncIterator[int | None]:
    """Answer there until the block ends and give the port, which is a free one for 0; on no port if it is None."""
    if port is None:
        yield None
        return

    async def live(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        verdict = readiness.judge()
        return web.Response(status=200 if verdict.is_ready else 503, text=verdict.text)

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/healthz", live)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", scrape)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
