"""``/healthz`` for the kubelet and ``/metrics`` for Prometheus."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from agentic_operator.metrics import CONTENT_TYPE


@asynccontextmanager
async def serve_health(
    port: int, is_healthy: Callable[[], bool], render_metrics: Callable[[], bytes]
) -> AsyncIterator[None]:
    """Answer ``/healthz`` on ``port`` with 200 or 503, and ``/metrics``; on no port where it is 0."""
    if port == 0:
        yield
        return

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="ok\n") if is_healthy() else web.Response(status=503, text="not healthy\n")

    async def answer_metrics(_: web.Request) -> web.Response:
        return web.Response(body=render_metrics(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/healthz", answer)
    app.router.add_get("/metrics", answer_metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, None, port).start()
        yield
    finally:
        await runner.cleanup()
