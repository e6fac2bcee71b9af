"""Which pages may call the gateway from a browser: cross-site request forgery and WebSocket hijacking end here.

A browser sends cookies, and whatever a proxy in front adds, with requests that any page makes. Such credentials are
*ambient*: they say which browser asks and not which page. A bearer token or a ticket is put into a request by a
program that has it, so it needs no look at the page.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from agentic_gateway.problems import Refused

CUSTOM_HEADER: Final = "x-agentic-request"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class Origins:
    """The origins that are the gateway's own or named: ``own`` is empty if its public address is not set."""

    own: str = ""
    named: frozenset[str] = frozenset()

    def is_own(self, origin: str, host: str) -> bool:
        """Return whether a page of ``origin`` is the gateway's.

        Without a public address, by the Host header, and over TLS or not: a proxy may have ended it. Ambient
        credentials exist with a public address alone.
        """
        if self.own:
            return origin == self.own
        return host != "" and origin in (f"https://{host}", f"http://{host}")


def read_origin(url: str) -> str:
    """Return the origin of a URL as browsers write it; raises ``ValueError`` for what is no http(s) URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise ValueError(f"{url!r} is no address: write https://host or https://host:port")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = parts.port
    is_usual = port is None or port == {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" if is_usual else f"{parts.scheme}://{host}:{port}"


def require_own_page(method: str, headers: Mapping[str, str], origins: Origins) -> None:
    """Raise ``Refused`` unless a request with an ambient credential comes from a page of the gateway.

    What changes something needs proof of it: ``Origin`` or ``Sec-Fetch-Site``, and a header that no form can send.
    What only reads is refused if the browser says that another site asks. Header names are lower case.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None and origin != origins.own:
        raise Refused("forbidden", "another page's request: with a log-in, only pages of this gateway may ask")
    if site is not None and site not in ("same-origin", "none"):
        raise Refused("forbidden", "another site's request: with a log-in, only pages of this gateway may ask")
    if method in SAFE_METHODS:
        return
    if origin is None and site != "same-origin":
        raise Refused("forbidden", "the request does not say which page it comes from: send Origin, or a bearer token")
    if headers.get(CUSTOM_HEADER) is None:
        raise Refused("forbidden", "with a log-in, changes need the header 'X-Agentic-Request: 1'")


def require_stream_page(headers: Mapping[str, str], origins: Origins, *, is_ambient: bool) -> None:
    """Raise ``Refused`` for a WebSocket of a page that may not open one; programs send no ``Origin``.

    Browsers let any page open a WebSocket and read it. With an ambient credential the page must be the gateway's
    and must be named; with a token or ticket, pages of named origins may, too.
    """
    origin = headers.get("origin")
    if origin is None:
        if is_ambient:
            raise Refused("forbidden", "a WebSocket with a log-in needs the header Origin, as browsers send it")
        return
    if origins.is_own(origin, headers.get("host", "")):
        return
    if is_ambient or origin not in origins.named:
        raise Refused("forbidden", "the page's origin is not this gateway's")
