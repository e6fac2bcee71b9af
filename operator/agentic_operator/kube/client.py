"""Client of the API server: the verbs that the operator needs, over one pooled session.

Kubernetes' own Python clients cost 44 MiB at rest; five verbs over one pooled session cost nothing beside Kopf
(decision 5).
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

import aiohttp

from agentic_core.errors import AgenticError, ApiUnavailable, Conflict
from agentic_core.names import API_VERSION
from agentic_core.server_clock import ServerClock
from agentic_operator.kube.connection import Connection
from agentic_operator.kube.errors import NotFound, translate_status

USER_AGENT: Final = "agentic-operator"
REQUEST_SECONDS: Final = 30.0
TOKEN_SECONDS: Final = 60.0
# Two parsed pages are in memory at a time, and the process keeps what it once had: for 200 Jobs a page 25 MiB, for 50
# a page 7.
PAGE: Final = 50
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
STRICT: Final = {"fieldValidation": "Strict"}
METADATA_ALONE: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

Json = dict[str, Any]
Propagation = Literal["Background", "Foreground", "Orphan"]


@dataclass(frozen=True)
class Kind:
    """Where the objects of one kind live."""

    path: str
    plural: str

    def url(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """Return the path of a collection, an object or a part of it; ``namespace`` is ``""`` for cluster objects."""
        parts = [self.path]
        if namespace:
            parts.append(f"namespaces/{namespace}")
        parts.append(self.plural)
        parts.extend(part for part in (name, subresource) if part)
        return "/".join(parts)


SESSIONS: Final = Kind(f"apis/{API_VERSION}", "agenticsessions")
DEFINITIONS: Final = Kind(f"apis/{API_VERSION}", "workflowdefinitions")
CLUSTER_DEFINITIONS: Final = Kind(f"apis/{API_VERSION}", "clusterworkflowdefinitions")
JOBS: Final = Kind("apis/batch/v1", "jobs")
PODS: Final = Kind("api/v1", "pods")
SECRETS: Final = Kind("api/v1", "secrets")
SERVICE_ACCOUNTS: Final = Kind("api/v1", "serviceaccounts")
CLAIMS: Final = Kind("api/v1", "persistentvolumeclaims")
ROLE_BINDINGS: Final = Kind("apis/rbac.authorization.k8s.io/v1", "rolebindings")
NETWORK_POLICIES: Final = Kind("apis/networking.k8s.io/v1", "networkpolicies")
LEASES: Final = Kind("apis/coordination.k8s.io/v1", "leases")
NAMESPACES: Final = Kind("api/v1", "namespaces")
EVENTS: Final = Kind("apis/events.k8s.io/v1", "events")


class Meter(Protocol):
    """Counts the client's requests."""

    def observe_answer(self, method: str, code: int) -> None:
        """Count an answer."""
        ...

    def observe_job(self) -> None:
        """Count a Job that was made."""
        ...


class Kube:
    """A client over one pooled session. Open it with :func:`open_kube`."""

    def __init__(self, connection: Connection, http: aiohttp.ClientSession, meter: Meter | None = None) -> None:
        self._meter = meter
        self._connection = connection
        self._http = http
        self.clock = ServerClock()
        """What time it is at the API server, by its answers."""
        self._token = connection.read_token()
        self._token_read_at = time.monotonic()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._http.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """Read one object; raise :class:`NotFound`."""
        return await self._call("GET", kind.url(namespace, name))

    async def find(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """Read one object; None if it does not exist."""
        try:
            return await self.get(kind, namespace, name)
        except NotFound:
            return None

    async def list_pages(
        self, kind: Kind, namespace: str = "", *, selector: str = "", fields: str = "", page: int = PAGE
    ) -> AsyncIterator[list[Json]]:
        """Read a collection page by page, with one page in memory at a time."""
        token = ""
        while True:
            params = {"limit": str(page)}
            if selector:
                params["labelSelector"] = selector
            if fields:
                params["fieldSelector"] = fields
            if token:
                params["continue"] = token
            found = await self._call("GET", kind.url(namespace), params=params)
            token = (found.get("metadata") or {}).get("continue") or ""
            yield found.pop("items", None) or []
            if not token:
                return

    async def list_all(self, kind: Kind, namespace: str = "", *, selector: str = "") -> list[Json]:
        """Read a small collection."""
        return [item async for items in self.list_pages(kind, namespace, selector=selector) for item in items]

    async def create(self, kind: Kind, namespace: str, body: Json) -> Json:
        """Create an object; raise :class:`AlreadyExists`. Of a Job the metadata alone comes back: it is large."""
        accept = METADATA_ALONE if kind is JOBS else ""
        # A field that this API server does not know would be dropped, and a promise of ours with it.
        made = await self._call("POST", kind.url(namespace), body=body, params=STRICT, accept=accept)
        if kind is JOBS and self._meter is not None:
            self._meter.observe_job()
        return made

    async def replace(self, kind: Kind, namespace: str, name: str, body: Json) -> Json:
        """Write an object as a whole; its resource version is the precondition."""
        return await self._call("PUT", kind.url(namespace, name), body=body)

    async def patch(self, kind: Kind, namespace: str, name: str, body: Json, *, subresource: str = "") -> Json:
        """Apply a JSON merge patch; a resource version in it is a precondition (:class:`Conflict`)."""
        return await self._call("PATCH", kind.url(namespace, name, subresource), body=body, content_type=MERGE_PATCH)

    async def patch_exactly(
        self, kind: Kind, namespace: str, name: str, operations: list[Json], *, subresource: str = ""
    ) -> Json:
        """Apply a JSON patch: unlike a merge patch, it keeps a ``null`` inside of a value."""
        path = kind.url(namespace, name, subresource)
        return await self._call("PATCH", path, body=operations, content_type=JSON_PATCH)

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, propagation: Propagation = "Background", uid: str = ""
    ) -> bool:
        """Delete an object; return whether it was there. ``uid`` makes sure it is the one that was meant."""
        body: Json = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            await self._call("DELETE", kind.url(namespace, name), body=body)
        except NotFound:
            return False
        except Conflict:
            if not uid:
                raise
            return False
        return True

    async def read_log(self, namespace: str, pod: str, container: str, *, limit_bytes: int, tail_lines: int) -> str:
        """Read the end of a pod's log; raise :class:`NotFound` or :class:`Invalid` if there is none."""
        params = {"container": container, "limitBytes": str(limit_bytes), "tailLines": str(tail_lines)}
        async with self._send("GET", PODS.url(namespace, pod, "log"), params=params) as response:
            return await response.text(errors="replace")

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: Json | list[Json] | None = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "",
    ) -> Json:
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        async with self._send(
            method, path, data=data, params=params, content_type=content_type, accept=accept
        ) as response:
            parsed: Json = json.loads(await response.read())
            return parsed

    @asynccontextmanager
    async def _send(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "",
        accept: str = "",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"Content-Type": content_type} if data is not None else {}
        if accept:
            headers["Accept"] = accept
        if (token := self._current_token()) is not None:
            headers["Authorization"] = f"Bearer {token}"
        url = f"{self._connection.server}/{path}"
        try:
            async with self._http.request(method, url, data=data, params=params, headers=headers) as response:
                self.clock.see(response.headers.get("Date", ""))
                if self._meter is not None:
                    self._meter.observe_answer(method, response.status)
                if response.status >= 400:
                    if response.status == 401:
                        self._token_read_at = 0.0
                    raise await _refusal(response)
                yield response
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            what = f"{type(error).__name__} {error}".strip()
            raise ApiUnavailable(f"the API server does not answer {method} {path}: {what}") from error

    def _current_token(self) -> str | None:
        if self._connection.token_file is not None and time.monotonic() - self._token_read_at > TOKEN_SECONDS:
            self._token, self._token_read_at = self._connection.read_token(), time.monotonic()
        return self._token


async def _refusal(response: aiohttp.ClientResponse) -> AgenticError:
    raw = await response.read()
    try:
        body = json.loads(raw)
    except ValueError:
        body = raw.decode(errors="replace")
    return translate_status(response.status, body, response.headers.get("Retry-After"))


@asynccontextmanager
async def open_kube(connection: Connection, meter: Meter | None = None) -> AsyncIterator[Kube]:
    """Open a client; nothing is sent yet."""
    tls = await asyncio.to_thread(connection.build_ssl_context)
    http = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=64, ssl=tls if tls is not None else False),
        timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=5),
        headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
    )
    async with Kube(connection, http, meter) as kube:
        yield kube
