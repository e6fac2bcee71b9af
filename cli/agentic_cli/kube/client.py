"""Requests to the API server: JSON in and out, lists in chunks, watches and logs line by line.

A thin layer over httpx, because eight calls need no generated client. It translates errors, repeats what may be
repeated, logs in again when a login has expired, and decides nothing else (decision 7).
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

from agentic_cli.kube.credentials import build_headers, build_ssl_context, find_proxy, log_in
from agentic_cli.kube.errors import (
    Call,
    Expired,
    Forbidden,
    NotFound,
    NotInstalled,
    NotLoggedIn,
    NotReached,
    build_error,
)
from agentic_cli.kube.kubeconfig import ClusterConnection
from agentic_cli.model.kinds import IDENTITY, PODS, SERVER_VERSION, Kind
from agentic_core.errors import AgenticError, ApiUnavailable, PermanentError

CHUNK: Final = 500
CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 60.0
# A watch ends by itself within this time and is begun anew: one that the network swallowed is noticed a little later.
WATCH_SECONDS: Final = 60
GRACE_SECONDS: Final = 15
ATTEMPTS: Final = 4
JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
# JSON is YAML; older API servers know the type by this name alone.
APPLY_PATCH: Final = "application/apply-patch+yaml"
# A field that the API server does not know is an error, and not dropped.
STRICT: Final = {"fieldValidation": "Strict"}
TABLE: Final = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
NAMES_ONLY: Final = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"


@dataclass(frozen=True)
class Event:
    """One event of a watch; ``object`` is the object as it is after it."""

    type: str
    object: Mapping[str, Any]


class Api:
    """One API server and one user. Use as a context manager: it keeps connections."""

    def __init__(
        self,
        connection: ClusterConnection,
        *,
        environ: Mapping[str, str] = os.environ,
        connect_seconds: float = CONNECT_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.connection = connection
        self._environ = environ
        self._connect_seconds = connect_seconds
        self._sleep = sleep
        self._client: httpx.Client | None = None
        self._username: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def get(self, kind: Kind, namespace: str | None, name: str, *, accept: str = "application/json") -> dict[str, Any]:
        """Return one object."""
        call = self._call("get", kind, namespace, name)
        return self._request(call, "GET", _path(kind, namespace, name), accept=accept)

    def fetch_version(self) -> str:
        """Return the version of the API server, as `v1.35.4`."""
        call = self._call("get", SERVER_VERSION, None)
        return str(self._request(call, "GET", _path(SERVER_VERSION, None)).get("gitVersion") or "unknown")

    def fetch_username(self) -> str:
        """Return the user's name as the API server authenticated it, read once; empty if it does not report it."""
        if self._username is None:
            body = {"apiVersion": f"{IDENTITY.group}/v1", "kind": IDENTITY.kind, "metadata": {}}
            try:
                review = self._request(self._call("create", IDENTITY, None), "POST", _path(IDENTITY, None), body=body)
            except (Forbidden, NotFound, NotInstalled):
                review = {}
            self._username = str(((review.get("status") or {}).get("userInfo") or {}).get("username") or "")
        return self._username

    def list_pages(
        self, kind: Kind, namespace: str | None, *, selector: str | None = None, accept: str = "application/json"
    ) -> Iterator[dict[str, Any]]:
        """Yield a list in chunks, each as the API server gave it; ``namespace`` None means all.

        If the continuation of a list expires, it continues from the newest state, as kubectl does.
        """
        call = self._call("list", kind, namespace)
        parameters = {"limit": str(CHUNK), **({"labelSelector": selector} if selector else {})}
        while True:
            try:
                page = self._request(call, "GET", _path(kind, namespace), parameters=parameters, accept=accept)
            except Expired as expired:
                if not expired.continuation or "continue" not in parameters:
                    raise
                parameters = {**parameters, "continue": expired.continuation}
                continue
            yield page
            following = page.get("metadata", {}).get("continue")
            if not following:
                return
            parameters = {**parameters, "continue": following}

    def create(self, kind: Kind, namespace: str, body: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create an object; fields that the API server does not know are refused, not dropped."""
        call = self._call("create", kind, namespace, body["metadata"].get("name"))
        parameters = {**STRICT, **({"dryRun": "All"} if dry_run else {})}
        return self._request(call, "POST", _path(kind, namespace), parameters=parameters, body=body)

    def patch(self, kind: Kind, namespace: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change an object by a JSON merge patch; a ``metadata.resourceVersion`` in it is a precondition."""
        call = self._call("patch", kind, namespace, name)
        return self._request(call, "PATCH", _path(kind, namespace, name), parameters=STRICT, body=body)

    def patch_json(
        self, kind: Kind, namespace: str, name: str, operations: Sequence[Mapping[str, Any]], *, manager: str
    ) -> dict[str, Any]:
        """Change an object by a JSON patch; raise ``Conflict`` if one of its operations does not apply."""
        call = self._call("patch", kind, namespace, name)
        parameters = {**STRICT, "fieldManager": manager}
        return self._request(
            call, "PATCH", _path(kind, namespace, name), parameters=parameters, body=operations, content_type=JSON_PATCH
        )

    def apply(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        body: Mapping[str, Any],
        *,
        manager: str,
        force: bool = False,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Set the fields of ``body`` by server-side apply, under the name ``manager``; raise ``Conflict``.

        A field that another manager set otherwise is a conflict that names it, unless ``force`` takes it over. So is a
        ``metadata.uid`` or ``metadata.resourceVersion`` that is not the object's.
        """
        call = self._call("patch", kind, namespace, name)
        parameters = {**STRICT, "fieldManager": manager, "force": "true" if force else "false"}
        parameters |= {"dryRun": "All"} if dry_run else {}
        return self._request(
            call, "PATCH", _path(kind, namespace, name), parameters=parameters, body=body, content_type=APPLY_PATCH
        )

    def delete(self, kind: Kind, namespace: str, name: str, *, uid: str) -> dict[str, Any]:
        """Delete an object; what is left of it may still have to be cleaned up when this returns.

        Raises ``Conflict`` if another object has the name by now.
        """
        call = self._call("delete", kind, namespace, name)
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        return self._request(call, "DELETE", _path(kind, namespace, name), body=body)

    def watch(
        self,
        kind: Kind,
        namespace: str | None,
        *,
        version: str,
        name: str | None = None,
        selector: str | None = None,
        seconds: float = WATCH_SECONDS,
        accept: str = "application/json",
    ) -> Iterator[Event]:
        """Yield the changes after ``version``, for at most ``seconds``; raise ``Expired`` if it is too old."""
        call = self._call("watch", kind, namespace, name)
        whole = max(1, round(seconds))
        parameters = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(whole),
            **({"fieldSelector": f"metadata.name={name}"} if name else {}),
            **({"labelSelector": selector} if selector else {}),
        }
        with self._stream(call, _path(kind, namespace), parameters, whole + GRACE_SECONDS, accept=accept) as lines:
            for line in lines:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise build_error(call, int(status.get("code") or 500), json.dumps(status).encode())
                yield Event(event["type"], event["object"])

    def read_log(
        self, namespace: str, pod: str, parameters: Mapping[str, str], *, quiet_seconds: float
    ) -> Iterator[bytes]:
        """Yield the lines of a container's log; ends with ``ApiUnavailable`` after ``quiet_seconds`` without any."""
        call = self._call("get", PODS, namespace, pod, "log")
        with self._stream(call, f"{_path(PODS, namespace, pod)}/log", parameters, quiet_seconds) as lines:
            yield from lines

    def _call(
        self, verb: str, kind: Kind, namespace: str | None, name: str | None = None, subresource: str = ""
    ) -> Call:
        return Call(self.connection.server, verb, kind, namespace, name, subresource)

    def _request(
        self,
        call: Call,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        accept: str = "application/json",
        content_type: str = "",
    ) -> dict[str, Any]:
        content = json.dumps(body, ensure_ascii=False, allow_nan=False).encode() if body is not None else None
        headers = {
            "Accept": accept,
            "Content-Type": content_type or (MERGE_PATCH if method == "PATCH" else "application/json"),
        }
        renewed = False
        attempt = 0
        while True:
            attempt += 1
            try:
                with self._translated():
                    response = self._open().request(method, path, params=parameters, content=content, headers=headers)
                if response.is_success:
                    return _parse(response)
                raise _translate(call, response)
            except NotLoggedIn:
                if renewed or not self._can_log_in_again():
                    raise
                renewed = True
                self._close()
            except ApiUnavailable as error:
                delay = compute_delay(method, attempt, error)
                if delay is None:
                    raise
                self._sleep(delay)

    @contextmanager
    def _stream(
        self, call: Call, path: str, parameters: Mapping[str, str], read_seconds: float, *, accept: str = "*/*"
    ) -> Iterator[Iterator[bytes]]:
        timeout = httpx.Timeout(read_seconds, connect=self._connect_seconds)
        for last in (False, True):
            with (
                self._translated(),
                self._open().stream(
                    "GET", path, params=parameters, timeout=timeout, headers={"Accept": accept}
                ) as response,
            ):
                if response.is_success:
                    yield split_lines(response.iter_bytes())
                    return
                response.read()
                error = _translate(call, response)
            if last or not isinstance(error, NotLoggedIn) or not self._can_log_in_again():
                raise error
            self._close()

    def _open(self) -> httpx.Client:
        if self._client is None:
            credentials = log_in(self.connection, self._environ)
            proxy = find_proxy(self.connection, self._environ)
            extensions = {"sni_hostname": self.connection.tls_server_name} if self.connection.tls_server_name else {}
            self._client = httpx.Client(
                base_url=self.connection.server,
                headers=build_headers(self.connection, credentials),
                verify=build_ssl_context(self.connection, credentials),
                proxy=proxy,
                trust_env=False,
                timeout=httpx.Timeout(READ_SECONDS, connect=self._connect_seconds),
                event_hooks={"request": [lambda request: request.extensions.update(extensions)]},
            )
            self._client.headers["User-Agent"] = "agentic"
        return self._client

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _can_log_in_again(self) -> bool:
        return self.connection.plugin is not None or self.connection.token_file is not None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx.InvalidURL as error:
            raise PermanentError(f"{self.connection.server!r} is not an address: {error}") from error
        except httpx.ConnectTimeout as error:
            raise NotReached(self._describe("does not answer")) from error
        except httpx.ConnectError as error:
            raise NotReached(self._describe(f"cannot be reached: {_cause(error)}")) from error
        except httpx.TimeoutException as error:
            raise ApiUnavailable(self._describe("was silent for too long")) from error
        except httpx.ProxyError as error:
            raise NotReached(self._describe(f"cannot be reached through the proxy: {error}")) from error
        except httpx.HTTPError as error:
            raise ApiUnavailable(self._describe(f"broke the connection: {_cause(error)}")) from error

    def _describe(self, what: str) -> str:
        context = f" (context {self.connection.context!r})" if self.connection.context else ""
        return f"{self.connection.server} {what}{context}"


def compute_delay(method: str, attempt: int, error: ApiUnavailable) -> float | None:
    """Return the pause before the same request is repeated, in seconds; None if it should not be.

    A server that cannot be connected to is reported at once: a person waits. What broke on the way is repeated for
    reads, and a server's own "later" (429) for everything, because it was not carried out.
    """
    if attempt >= ATTEMPTS:
        return None
    if error.retry_after_seconds is not None:
        return min(error.retry_after_seconds, 10.0)
    is_broken = not isinstance(error.__cause__, httpx.ConnectError | httpx.TimeoutException)
    return 0.25 * 2**attempt if method == "GET" and is_broken else None


def split_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    r"""Yield lines that end in ``\n``, and the rest at the end. Other line breaks are data."""
    rest: list[bytes] = []
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        rest.append(first)
        for other in others:
            line = b"".join(rest)
            rest = [other]
            if line:
                yield line
    if line := b"".join(rest):
        yield line


def _path(kind: Kind, namespace: str | None, name: str | None = None) -> str:
    place = f"/namespaces/{quote(namespace, safe='')}" if kind.is_namespaced and namespace is not None else ""
    return f"{kind.root}{place}/{kind.plural}" + (f"/{quote(name, safe='')}" if name is not None else "")


def _parse(response: httpx.Response) -> dict[str, Any]:
    try:
        parsed = response.json()
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        kind = response.headers.get("Content-Type", "nothing")
        raise PermanentError(f"{response.url} answered with {kind}, not JSON: is that a Kubernetes API server?")
    return parsed


def _translate(call: Call, response: httpx.Response) -> AgenticError:
    text = response.headers.get("Retry-After", "")
    wait = float(text) if text.isdigit() else None
    return build_error(call, response.status_code, response.content, retry_after_seconds=wait)


def _cause(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"its certificate is not trusted ({text.rpartition('] ')[2] or text})"
    return text.replace("[Errno 111] ", "").lower() if "refused" in text.lower() else text
