"""What both clients have in common of HTTP: address, token, trust, time limits, and foreign errors translated."""

import ssl
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from agentic_client.calls import Call
from agentic_client.errors import Unreachable

TokenSource = str | Callable[[], str] | None

REQUEST_SECONDS: Final = 60.0
CONNECT_SECONDS: Final = 10.0
# The gateway sends a comment each five seconds: a stream that is silent for so long is lost.
SILENCE_SECONDS: Final = 20.0
USER_AGENT: Final = "agentic-client"


class TokenAuth(httpx.Auth):
    """Puts the token into each request; one that the server refuses is asked for anew, once. Its repr shows none."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request with the token of now, and again if there is a newer one after a refusal."""
        token = self._read()
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401 and callable(self._source):
            newer = self._read()
            if newer != token:
                request.headers["Authorization"] = f"Bearer {newer}"
                yield request

    def _read(self) -> str:
        found = self._source() if callable(self._source) else self._source
        return (found or "").strip()


def check_url(url: str) -> str:
    """Return the gateway's address without a slash at its end; raises ``ValueError`` for what is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no gateway's address: write https://host, with a port and a path if it has them")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("a gateway's address has no user, query or fragment: the token goes into `token`")
    return url.rstrip("/")


def build_ssl_context(ca_file: str | PathLike[str] | None) -> ssl.SSLContext:
    """Return the trust: in the authorities of a PEM file, else in the system's; raises ``OSError``."""
    return ssl.create_default_context(cafile=ca_file)


def build_request(http: httpx.Client | httpx.AsyncClient, base: str, call: Call[Any]) -> httpx.Request:
    """Return the request of a call."""
    timeout = httpx.Timeout(REQUEST_SECONDS, connect=CONNECT_SECONDS)
    return http.build_request(
        call.method,
        base + call.path,
        params=dict(call.query),
        content=call.content,
        headers={"User-Agent": USER_AGENT, **call.headers},
        timeout=timeout,
    )


def build_stream_request(
    http: httpx.Client | httpx.AsyncClient, base: str, call: Call[None], longest_silence: float | None = None
) -> httpx.Request:
    """Return the request of a stream: uncompressed, and lost if it is silent."""
    headers = {"User-Agent": USER_AGENT, "Accept": "text/event-stream", "Accept-Encoding": "identity"}
    silence = SILENCE_SECONDS if longest_silence is None else min(SILENCE_SECONDS, longest_silence)
    timeout = httpx.Timeout(silence, connect=CONNECT_SECONDS)
    return http.build_request(call.method, base + call.path, params=dict(call.query), headers=headers, timeout=timeout)


def lower_names(headers: httpx.Headers) -> Mapping[str, str]:
    """Return headers with names in lower case."""
    return {name.lower(): value for name, value in headers.items()}


@contextmanager
def translated(base: str) -> Iterator[None]:
    """Raise :class:`Unreachable` for what httpx raises if there is no answer."""
    try:
        yield
    except (httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise Unreachable(f"{base} does not answer", is_sent=False) from error
    except (httpx.ConnectError, httpx.ProxyError) as error:
        raise Unreachable(f"{base} cannot be reached: {error}", is_sent=False) from error
    except httpx.TimeoutException as error:
        raise Unreachable(f"{base} was silent for too long") from error
    except httpx.HTTPError as error:
        raise Unreachable(f"{base} broke the connection: {str(error) or type(error).__name__}") from error
