"""A reverse proxy between one of our processes and the API server that does to it what networks and servers do.

Plain HTTP on our side, TLS on the other; the bearer token passes through, so that the real rights apply. It counts the
requests that change something, and can kill the process at any one of them.
"""

import asyncio
import base64
import io
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

import aiohttp
from aiohttp import web
from yarl import URL

from hack.cluster.controlplane import ControlPlane
from hack.cluster.endpoints import find_free_ports

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length"})
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Moment(Enum):
    """When, around a request, the process that sent it dies."""

    BEFORE = "before it is applied"
    UNANSWERED = "applied, its answer lost"
    ANSWERED = "applied and answered"


@dataclass(frozen=True)
class Refusal:
    """An answer that the API server never gave."""

    status: int
    retry_after: int | None = None


@dataclass(frozen=True)
class Delay:
    """The request reaches the API server late."""

    seconds: float


@dataclass(frozen=True)
class Cut:
    """The connection breaks, before or after the request was applied."""

    is_applied: bool = False


Fault = Refusal | Delay | Cut
Chooser = Callable[[str, str], Fault | None]
"""From method and path, without its query, to what goes wrong; None for nothing."""


@dataclass(frozen=True)
class Passed:
    """One request as the proxy saw it. ``status`` is 0 where it got no answer."""

    method: str
    path: str
    status: int
    pod: str = ""
    namespace: str = ""

    @property
    def is_mutation(self) -> bool:
        return self.method not in _READS

    @property
    def resource(self) -> str:
        """The path without its query."""
        return self.path.partition("?")[0]

    def __str__(self) -> str:
        return f"{self.method} {self.path} -> {self.status}"


@dataclass
class _Crash:
    left: int
    moment: Moment
    kill: Callable[[], None]
    within: str


@dataclass(eq=False)
class _Watch:
    path: str
    transport: asyncio.Transport
    response: web.StreamResponse
    lines: list[bytes] = field(default_factory=list)
    is_frozen: bool = False


def is_ours(method: str, path: str) -> bool:
    """Say whether a change is one that a session's life consists of: no lease, no Event for people."""
    return method not in _READS and "/leases" not in path and "/events" not in path


class FaultProxy:
    """One proxy on one loopback port. Faults hold until they are taken back."""

    def __init__(self, upstream: str, trust: ssl.SSLContext, *, counts: Callable[[str, str], bool] = is_ours) -> None:
        self.passed: list[Passed] = []
        self.crashed = asyncio.Event()
        self.choose: Chooser | None = None
        self.gone_watches = 0
        """How many further watches are told that their version is too old."""
        self.doubles_events = False
        self.stale_lists = 0
        """How many further lists are answered as :meth:`remember_lists` saw them."""
        self._upstream = upstream
        self._trust = trust
        self._counts = counts
        self._crashes: list[_Crash] = []
        self._watches: set[_Watch] = set()
        self._remembered: dict[str, bytes] | None = None
        self._transports: set[asyncio.Transport] = set()
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def mutations(self) -> list[Passed]:
        """The changes that count, in the order in which they were answered."""
        return [each for each in self.passed if self._counts(each.method, each.path)]

    def crash_at(self, number: int, moment: Moment, kill: Callable[[], None], *, within: str = "") -> None:
        """Call ``kill`` around the ``number``-th change that counts from now on (1, 2, …).

        ``within``: a text that the paths of these changes hold.
        """
        self.crashed.clear()
        self._crashes.append(_Crash(number, moment, kill, within))

    def forget_crashes(self) -> None:
        self._crashes.clear()

    def cut(self) -> None:
        """Break every connection."""
        for transport in list(self._transports):
            transport.abort()

    def cut_watches(self) -> None:
        """Break the watches alone."""
        for watch in self._watches:
            watch.transport.abort()

    def freeze_watches(self) -> None:
        """Let the present watches fall silent without an end, as behind a NAT that forgot them."""
        for watch in self._watches:
            watch.is_frozen = True

    async def expire_watches(self) -> None:
        """Tell the present watches that their version is too old (410 in the stream), and end them."""
        gone = json.dumps({"type": "ERROR", "object": _status(410, "Expired")}).encode() + b"\n"
        for watch in list(self._watches):
            with suppress(ConnectionError):
                await watch.response.write(gone)
            watch.is_frozen = True
            watch.transport.close()

    async def replay_events(self) -> None:
        """Send every present watch all its events once more, the oldest first: duplicated and out of order."""
        for watch in list(self._watches):
            for line in list(watch.lines):
                with suppress(ConnectionError):
                    await watch.response.write(line)

    def remember_lists(self) -> None:
        """From now on keep the first answer to every list, to be served as stale later."""
        self._remembered = {}

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Self]:
        """Listen until the end of the block."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        connector = aiohttp.TCPConnector(limit=0, ssl=self._trust)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as http:
            server = web.Server(lambda request: self._handle(http, request), handler_cancellation=True, access_log=None)
            runner = web.ServerRunner(server, shutdown_timeout=0.1)
            await runner.setup()
            (self._port,) = find_free_ports(1)
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
            try:
                yield self
            finally:
                self.cut()
                await runner.cleanup()

    async def _handle(self, http: aiohttp.ClientSession, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        self._transports.add(transport)
        try:
            return await self._answer(http, request, transport)
        finally:
            if transport.is_closing():
                self._transports.discard(transport)

    async def _answer(
        self, http: aiohttp.ClientSession, request: web.BaseRequest, transport: asyncio.Transport
    ) -> web.StreamResponse:
        method, path = request.method, request.path_qs
        body = await request.content.read()
        is_watch = "watch=" in path
        crash = self._find_crash(method, path)
        if crash is not None and crash.moment is Moment.BEFORE:
            return self._kill(crash, request, transport, 0)
        fault = self.choose(method, request.path) if self.choose is not None else None
        if isinstance(fault, Refusal):
            return self._refuse(request, fault)
        if isinstance(fault, Delay):
            await asyncio.sleep(fault.seconds)
        if isinstance(fault, Cut) and not fault.is_applied:
            return self._break(request, transport, 0)
        if is_watch and self.gone_watches > 0 and "resourceVersion=" in path:
            self.gone_watches -= 1
            return self._refuse(request, Refusal(410))
        if (stale := self._take_stale(method, path)) is not None:
            self._note(request, 200)
            return web.Response(body=stale, content_type="application/json")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in {*_HOP_BY_HOP, "host"}}
        data = io.BytesIO(body) if body else None
        url = URL(self._upstream + path, encoded=True)
        try:
            async with http.request(method, url, data=data, headers=headers, allow_redirects=False) as answer:
                if is_watch and answer.status == 200:
                    return await self._relay_watch(request, transport, answer)
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            return self._break(request, transport, 0)
        if isinstance(fault, Cut):
            return self._break(request, transport, answer.status)
        if crash is not None and crash.moment is Moment.UNANSWERED:
            return self._kill(crash, request, transport, answer.status)
        if self._remembered is not None and method == "GET" and answer.status == 200:
            self._remembered.setdefault(path, content)
        self._note(request, answer.status)
        response = web.Response(status=answer.status, body=content)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                response.headers[name] = value
        if crash is not None:
            await response.prepare(request)
            await response.write_eof()
            crash.kill()
            self.crashed.set()
        return response

    async def _relay_watch(
        self, request: web.BaseRequest, transport: asyncio.Transport, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        self._note(request, answer.status)
        response = web.StreamResponse(status=answer.status, headers={"Content-Type": "application/json"})
        await response.prepare(request)
        watch = _Watch(request.path_qs, transport, response)
        self._watches.add(watch)
        pending = b""
        try:
            async for chunk in answer.content.iter_any():
                if watch.is_frozen:
                    continue
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    watch.lines.append(line + b"\n")
                    await response.write((line + b"\n") * (2 if self.doubles_events else 1))
            if watch.is_frozen:
                await asyncio.Event().wait()
        except (aiohttp.ClientError, ConnectionError):
            transport.abort()
        finally:
            self._watches.discard(watch)
        return response

    def _find_crash(self, method: str, path: str) -> _Crash | None:
        if not self._counts(method, path):
            return None
        for crash in self._crashes:
            if crash.within in path:
                crash.left -= 1
                if crash.left == 0:
                    self._crashes.remove(crash)
                    return crash
        return None

    def _take_stale(self, method: str, path: str) -> bytes | None:
        if method != "GET" or self.stale_lists <= 0 or self._remembered is None or path not in self._remembered:
            return None
        self.stale_lists -= 1
        return self._remembered[path]

    def _kill(
        self, crash: _Crash, request: web.BaseRequest, transport: asyncio.Transport, status: int
    ) -> web.StreamResponse:
        crash.kill()
        self.crashed.set()
        return self._break(request, transport, status)

    def _break(self, request: web.BaseRequest, transport: asyncio.Transport, status: int) -> web.StreamResponse:
        self._note(request, status)
        transport.abort()
        return web.Response(status=500)  # nobody is there to read it

    def _refuse(self, request: web.BaseRequest, refusal: Refusal) -> web.StreamResponse:
        self._note(request, refusal.status)
        headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
        return web.json_response(_status(refusal.status, "Injected"), status=refusal.status, headers=headers)

    def _note(self, request: web.BaseRequest, status: int) -> None:
        pod, namespace = _bearer(request.headers.get("Authorization", ""))
        self.passed.append(Passed(request.method, request.path_qs, status, pod, namespace))


def _status(code: int, reason: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": f"a fault of the test: {code}",
    }


def _bearer(header: str) -> tuple[str, str]:
    """Return pod and namespace that a service account's token speaks for."""
    parts = header.removeprefix("Bearer ").split(".")
    if len(parts) != 3:
        return "", ""
    claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    ours = claims.get("kubernetes.io") or {}
    return (ours.get("pod") or {}).get("name", ""), ours.get("namespace", "")


@asynccontextmanager
async def open_proxy(plane: ControlPlane) -> AsyncIterator[FaultProxy]:
    """Serve a proxy to a control plane; whoever comes through it brings a token."""
    async with FaultProxy(plane.server, ssl.create_default_context(cafile=str(plane.ca_file))).serve() as proxy:
        yield proxy
