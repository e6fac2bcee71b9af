"""What a list of sessions costs where there are thousands: the API server selects, the gateway keeps none of them.

Beside it, what a list of all of them would cost at each start of a replica that keeps them, and how much it would hold
(decision 42).
"""

import asyncio
import json
import ssl
import statistics
import time
from dataclasses import dataclass

import aiohttp

from agentic_core.lifecycle import Phase
from bench._gateway.processes import read_cpu_seconds
from bench._gateway.world import NAMESPACE, World
from tests.support.builders import session_body

COUNT = 5000
AT_ONCE = 8
# One in so many waits for a person.
WAITING = 100
REQUESTS = 60
PAGE = 50
PATH = f"/apis/agentic-operator.dev/v1alpha1/namespaces/{NAMESPACE}/agenticsessions"


@dataclass(frozen=True)
class Cost:
    """Of one request: its time, the API server's processor time, and what it answered."""

    milliseconds: float
    cpu_milliseconds: float
    sessions: int
    bytes: int


async def fill(http: aiohttp.ClientSession, server: str) -> None:
    """Make the sessions; some of them wait for a person."""
    numbers = iter(range(COUNT))
    whole = session_body("x", "report", NAMESPACE)

    async def make() -> None:
        for number in numbers:
            body = {**whole, "metadata": {"name": f"listed-{number:05}"}}
            async with http.post(server + PATH, json=body) as answer:
                answer.raise_for_status()
            phase = Phase.WAITING_FOR_INPUT if number % WAITING == 0 else Phase.COMPLETED
            headers = {"Content-Type": "application/merge-patch+json"}
            patch = json.dumps({"status": {"phase": phase, "reason": phase.value}})
            status = f"{server}{PATH}/listed-{number:05}/status"
            async with http.patch(status, data=patch, headers=headers) as answer:
                answer.raise_for_status()

    await asyncio.gather(*(make() for _ in range(AT_ONCE)))


async def measure(http: aiohttp.ClientSession, url: str, pid: int, *, requests: int = REQUESTS) -> Cost:
    """Return the median time of a request and the mean of the API server's work for it."""
    times, items, size = [], 0, 0
    began = read_cpu_seconds(pid)
    for _ in range(requests):
        at = time.perf_counter()
        async with http.get(url) as answer:
            answer.raise_for_status()
            raw = await answer.read()
        times.append(time.perf_counter() - at)
        items, size = len(json.loads(raw)["items"]), len(raw)
    cpu = (read_cpu_seconds(pid) - began) / requests
    return Cost(statistics.median(times) * 1000, cpu * 1000, items, size)


async def run(world: World) -> bool:
    """Print the figures."""
    plane = world.space.plane
    identity = plane.processes.identity("kube-apiserver")
    assert identity is not None, "it runs"
    trust = ssl.create_default_context(cafile=str(plane.ca_file))
    trust.load_cert_chain(plane.admin.certificate, plane.admin.key)
    headers = {"Authorization": f"Bearer {world.token}"}
    bare, ours = plane.server + PATH, f"{world.gateway.address}/api/v1/agentic-sessions/{NAMESPACE}"
    connector = aiohttp.TCPConnector(ssl=trust)
    async with (
        aiohttp.ClientSession(connector=connector) as admin,
        aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(ssl=trust)) as http,
    ):
        await fill(admin, plane.server)
        print(f"{COUNT:,} sessions; a request, and the API server's processor time for it")
        for what, selector, query in (
            ("a page of all", "", ""),
            ("a page of those that wait", "&fieldSelector=status.phase%3DWaitingForInput", "&phase=WaitingForInput"),
            ("a page of one workflow's", "&fieldSelector=spec.workflowRef.name%3Dreport", "&workflow=report"),
        ):
            floor = await measure(http, f"{bare}?limit={PAGE}{selector}", identity.pid)
            own = await measure(http, f"{ours}?limit={PAGE}{query}", identity.pid)
            print(
                f"{what:<28} gateway {own.milliseconds:6.1f} ms, bare API server {floor.milliseconds:6.1f} ms;"
                f" CPU {own.cpu_milliseconds:5.1f} ms and {floor.cpu_milliseconds:5.1f}; {own.sessions} sessions"
            )
        every = await measure(http, bare, identity.pid, requests=3)
        print(
            f"all of them at once, as a replica that keeps them reads them at its start: {every.milliseconds:.0f} ms,"
            f" CPU {every.cpu_milliseconds:.0f} ms, {every.bytes / 2**20:.1f} MiB of JSON"
        )
    return True
