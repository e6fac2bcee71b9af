"""The test API server for asynchronous tests: requests, lists and watches as the administrator."""

import asyncio
import io
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from hack.cluster.controlplane import ControlPlane

Json = dict[str, Any]
GROUP_PATH = "/apis/agentic-operator.dev/v1alpha1"
MERGE_PATCH = "application/merge-patch+json"


class ApiError(Exception):
    """The API server said no."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class Gone(Exception):
    """A watch cannot go on from its version: list again."""


def sessions_path(namespace: str, name: str = "", part: str = "") -> str:
    """Return the path of a namespace's sessions, of one, or of a part of it."""
    return _join(f"{GROUP_PATH}/namespaces/{namespace}/agenticsessions", name, part)


def definitions_path(namespace: str, name: str = "", part: str = "") -> str:
    return _join(f"{GROUP_PATH}/namespaces/{namespace}/workflowdefinitions", name, part)


def jobs_path(namespace: str, name: str = "") -> str:
    return _join(f"/apis/batch/v1/namespaces/{namespace}/jobs", name)


def core_path(namespace: str, plural: str, name: str = "", part: str = "") -> str:
    return _join(f"/api/v1/namespaces/{namespace}/{plural}", name, part)


def _join(*parts: str) -> str:
    return "/".join(part for part in parts if part)


def admin_context(plane: ControlPlane) -> ssl.SSLContext:
    """Return the TLS settings of the administrator."""
    trust = ssl.create_default_context(cafile=str(plane.ca_file))
    trust.load_cert_chain(plane.admin.certificate, plane.admin.key)
    return trust


class ApiClient:
    """A client over one session; made by :func:`open_client`."""

    def __init__(self, http: aiohttp.ClientSession, server: str, token: str = "") -> None:
        self._http = http
        self._server = server
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def request(
        self, method: str, path: str, body: Mapping[str, Any] | bytes | None = None, content_type: str = ""
    ) -> Json:
        """Send one request and return the object; raise :class:`ApiError` for a refusal."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        data = content if content is None else io.BytesIO(content)
        kind = content_type or (MERGE_PATCH if method == "PATCH" else "application/json")
        headers = {**self._headers, "Content-Type": kind}
        async with self._http.request(method, self._server + path, data=data, headers=headers) as answer:
            text = await answer.text(errors="replace")
            if answer.status >= 400:
                raise ApiError(answer.status, text)
        parsed: Json = json.loads(text)
        return parsed

    async def get(self, path: str) -> Json:
        return await self.request("GET", path)

    async def find(self, path: str) -> Json | None:
        """Read one object, None where there is none."""
        try:
            return await self.get(path)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def list(self, path: str) -> list[Json]:
        items: list[Json] = (await self.get(path)).get("items") or []
        return items

    async def create(self, path: str, body: Mapping[str, Any]) -> Json:
        return await self.request("POST", path, body)

    async def patch(self, path: str, body: Mapping[str, Any]) -> Json:
        return await self.request("PATCH", path, body)

    async def delete(self, path: str, **options: Any) -> Json | None:
        """Delete an object; None where it was gone."""
        try:
            return await self.request("DELETE", path, {"apiVersion": "v1", "kind": "DeleteOptions", **options})
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def watch(self, path: str, version: str) -> AsyncIterator[tuple[str, Json]]:
        """Yield ``(type, object)`` from a version on until the server ends the watch; raise :class:`Gone`."""
        url = f"{self._server}{path}?watch=1&allowWatchBookmarks=true&resourceVersion={version}"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        async with self._http.get(url, headers=self._headers, timeout=timeout) as answer:
            if answer.status == 410:
                raise Gone
            if answer.status >= 400:
                raise ApiError(answer.status, await answer.text(errors="replace"))
            async for line in answer.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise Gone
                yield event["type"], event["object"]


@asynccontextmanager
async def open_client(plane: ControlPlane, *, server: str = "", token: str = "") -> AsyncIterator[ApiClient]:
    """Open a client: the administrator's, or with a token that token's owner."""
    trust = ssl.create_default_context(cafile=str(plane.ca_file)) if token else admin_context(plane)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=trust),
        timeout=aiohttp.ClientTimeout(total=60, sock_connect=30),
        read_bufsize=2**24,
    ) as http:
        yield ApiClient(http, server or plane.server, token)


async def follow(client: ApiClient, path: str) -> AsyncIterator[tuple[str, Json]]:
    """Yield every object and every change of a collection for ever; ``("RELIST", {})`` where changes were missed.

    After a ``RELIST`` all objects come again as ``ADDED``, followed by ``("LISTED", {})``, as at the beginning.
    """
    version, is_first = "", True
    while True:
        try:
            if not version:
                found = await client.get(path)
                version = found["metadata"]["resourceVersion"]
                if not is_first:
                    yield "RELIST", {}
                is_first = False
                for item in found.get("items") or ():
                    yield "ADDED", item
                yield "LISTED", {}
            async for kind, item in client.watch(path, version):
                version = item["metadata"]["resourceVersion"]
                if kind != "BOOKMARK":
                    yield kind, item
        except Gone:
            version = ""
        except (aiohttp.ClientError, TimeoutError, ConnectionError, ApiError):
            # The server is away, which is what these tests are about.
            await asyncio.sleep(0.1)
