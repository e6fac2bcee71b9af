"""The API server's HTTP interface over kubernetes-asyncio: JSON in, JSON out, each request with its own token.

The client that callers share holds no credentials: a request carries the token that it is given, or it is anonymous.
What the API server refuses becomes a :class:`Refused` with the server's own words.
"""

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

import aiohttp
from kubernetes_asyncio.client import ApiClient, Configuration
from multidict import CIMultiDict

from agentic_core.strict_json import clip
from agentic_gateway.problems import Refused, read_status

GROUP: Final = "/apis/agentic-operator.dev/v1alpha1"
SESSIONS: Final = "agenticsessions"
JSON_TYPE: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
# A request that the API server does not answer within this time gets 503.
TIMEOUT_SECONDS: Final = 15.0
_NAME: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")

Json = dict[str, Any]
Query = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class OnBehalf:
    """Credential of somebody in whose name the gateway's own account asks (impersonation); the repr shows no token."""

    token: str
    user: str
    groups: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"OnBehalf({self.user!r})"


# What a request to the API server carries: the caller's own token, or whom the gateway stands for.
Credential = str | OnBehalf


def build_headers(credential: Credential, content_type: str = JSON_TYPE) -> "CIMultiDict[str]":
    """Return the headers of a request with this credential."""
    token = credential if isinstance(credential, str) else credential.token
    headers = CIMultiDict({"Accept": JSON_TYPE, "Content-Type": content_type, "Authorization": f"Bearer {token}"})
    if isinstance(credential, OnBehalf):
        headers["Impersonate-User"] = credential.user
        for group in credential.groups:
            headers.add("Impersonate-Group", group)
    return headers


@dataclass(frozen=True)
class Exchange:
    """What the API server answered: the object, and its very text, in which every number is as it was sent."""

    found: Json
    text: bytes

    @property
    def version(self) -> str:
        """The object's resourceVersion; empty if it has none."""
        return str((self.found.get("metadata") or {}).get("resourceVersion") or "")


class Kube:
    """Requests to one API server, each with the credential of whoever asks."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def request(
        self,
        method: str,
        path: str,
        *,
        token: Credential,
        query: Query = (),
        body: Json | list[Json] | None = None,
        content_type: str = JSON_TYPE,
    ) -> Json:
        """Send one request and return the object of the answer; what is empty of its ``query`` is left out.

        Raises :class:`Refused`: what the API server said, or ``unavailable`` if it does not answer.
        """
        return (await self.exchange(method, path, token=token, query=query, body=body, content_type=content_type)).found

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        token: Credential,
        query: Query = (),
        body: Json | list[Json] | None = None,
        content_type: str = JSON_TYPE,
    ) -> Exchange:
        """Send one request as :meth:`request` does; return the object together with its text."""
        async with self.stream(
            method, path, token=token, query=query, body=body, content_type=content_type
        ) as response:
            text = await response.read()
        found = _parse(text)
        return Exchange(found if isinstance(found, dict) else {}, text)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        token: Credential,
        query: Query = (),
        body: Json | list[Json] | None = None,
        content_type: str = JSON_TYPE,
        timeout_seconds: float | None = TIMEOUT_SECONDS,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request and yield its answer, whose body is not read yet; raises as :meth:`request` does."""
        try:
            # Not call_api: it makes a plain dict of the headers, and a person may have several groups.
            response = await self._client.rest_client.request(
                method,
                f"{self._client.configuration.host}{path}",
                query_params=cast("Json", [(key, value) for key, value in query if value]),
                headers=cast("Json", build_headers(token, content_type)),
                body=body,
                _preload_content=False,
                _request_timeout=timeout_seconds,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unavailable(error) from error
        try:
            if not 200 <= response.status < 300:
                raise read_status(response.status, _parse(await response.read()))
            yield response
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _unavailable(error) from error
        finally:
            response.release()


@asynccontextmanager
async def open_kube(
    server: str, *, ca_file: str | None = None, connections: int = 100, is_verified: bool = True
) -> AsyncIterator[Kube]:
    """Open the client for requests to ``server`` (a URL), whose certificate ``ca_file`` (PEM) vouches for."""
    configuration = Configuration(host=server)
    configuration.ssl_ca_cert = ca_file
    configuration.verify_ssl = is_verified
    configuration.connection_pool_maxsize = connections
    async with ApiClient(configuration) as client:
        _forget_cookies(client)
        yield Kube(client)


def _forget_cookies(client: ApiClient) -> None:
    """Let no answer leave anything to the next request: a proxy's cookie of one caller would speak for all others."""
    rest = client.rest_client
    theirs: aiohttp.ClientSession = rest.pool_manager
    connector = theirs.connector
    theirs.detach()
    rest.pool_manager = aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=True, read_bufsize=2**21
    )


def _unavailable(error: Exception) -> Refused:
    return Refused(
        "unavailable", f"the API server does not answer ({type(error).__name__}): try again", retry_after_seconds=1
    )


def _parse(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def object_path(plural: str, namespace: str, name: str = "", subresource: str = "") -> str:
    """Return the path of objects of ours; ``namespace`` empty for those of the cluster or of all namespaces.

    Raises :class:`Refused` if a part is no name of an object: ``..`` would lead to any other path.
    """
    for part in (namespace, name):
        if part and not is_name(part):
            raise Refused("bad-request", f"{clip(part, 64)!r} is no name of an object")
    parts = [GROUP, *(("namespaces", namespace) if namespace else ()), plural, *((name,) if name else ())]
    return "/".join([*parts, *((subresource,) if subresource else ())])


def is_name(text: str) -> bool:
    """Say whether a text can be the name of an object: what is part of a path has to be one."""
    return len(text) <= 253 and _NAME.fullmatch(text) is not None
