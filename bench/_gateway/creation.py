"""Sessions that are created a second: by the gateway, which checks inputs first, beside the bare API server."""

import asyncio
import ssl
import time

import aiohttp

from bench._gateway.world import NAMESPACE, World
from tests.support.builders import session_body

COUNT = 300
AT_ONCE = 8


async def measure(url: str, path: str, token: str, body: dict[str, object], trust: ssl.SSLContext | bool) -> float:
    """Return requests a second."""
    left = iter(range(COUNT))
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(ssl=trust)) as http:

        async def send() -> None:
            for _ in left:
                async with http.post(url + path, json=body) as answer:
                    if answer.status != 201:
                        raise SystemExit(f"{path}: {answer.status} {await answer.text()}")

        await send_one(http, url + path, body)
        begun = time.perf_counter()
        await asyncio.gather(*(send() for _ in range(AT_ONCE)))
        return COUNT / (time.perf_counter() - begun)


async def send_one(http: aiohttp.ClientSession, url: str, body: dict[str, object]) -> None:
    """Send one request that is not counted: connections and caches are warm after it."""
    async with http.post(url, json=body) as answer:
        await answer.read()


async def run(world: World) -> bool:
    """Print the figures."""
    whole = session_body("x", "report", NAMESPACE)
    spec = dict(whole["spec"])
    metadata = {"generateName": "created-"}
    bare_path = f"/apis/agentic-operator.dev/v1alpha1/namespaces/{NAMESPACE}/agenticsessions?fieldValidation=Strict"
    bare_body = {**whole, "metadata": metadata}
    plane = world.space.plane
    trust = ssl.create_default_context(cafile=str(plane.ca_file))
    bare = await measure(plane.server, bare_path, world.token, bare_body, trust)
    path = f"/api/v1/agentic-sessions/{NAMESPACE}"
    ours = await measure(world.gateway.address, path, world.token, {"metadata": metadata, "spec": spec}, True)
    print(
        f"{COUNT} sessions, {AT_ONCE} at once: gateway {ours:.0f}/s, bare API server {bare:.0f}/s,"
        f" ratio {ours / bare:.2f}"
    )
    return True
