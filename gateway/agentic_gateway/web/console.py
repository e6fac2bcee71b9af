"""The web console: its built files, and the one page from which every address below it starts.

Whatever takes no other route comes here. The files are read once, when the process starts: a path is looked up among
them and never on the disk. Addresses in the page are written relative to the address that was asked for, so that the
console works behind any prefix that a proxy takes away, without a setting.
"""

import gzip
import hashlib
import mimetypes
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

PAGE: Final = "index.html"
# Addresses of programs: what is not found there is a problem in JSON, for browsers too.
RESERVED: Final = frozenset({"api", "auth", "ws", "healthz", "readyz", "metrics", "openapi.json", "assets"})
PAGES: Final = frozenset({"", "inbox", "workflows", "new", "sessions", "chat", "settings", "sign-in"})

NOT_BUILT: Final = """There is no web console here: this gateway serves its API alone.

The image of the gateway brings one. From a checkout, build it and name its folder:

    make console
    CONSOLE_DIR=console/dist
"""
# Built names hold a hash of what is in the file.
_HASHED: Final = re.compile(r"^assets/.+-[\w-]{8}\.\w+$")
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASK_FIRST: Final = "no-cache"
# For whoever reads the build; no page needs it.
_LEFT_OUT: Final = frozenset({"manifest.json"})
_COMPRESSED: Final = frozenset({".css", ".html", ".js", ".json", ".svg", ".txt"})
_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True)
class File:
    """One file: its bytes, the same compressed if that is worth it, and what is said of it."""

    content: bytes
    compressed: bytes | None
    media_type: str
    tag: str
    caching: str


@dataclass(frozen=True)
class Route:
    """What the access log and the metrics call an address."""

    path: str


ASSET_ROUTE: Final = Route("/{asset}")
PAGE_ROUTE: Final = Route("/{page}")


class Console:
    """The built files by their paths, such as ``assets/index-1a2b3c4d.js``; none if no console is built."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._page = files.get(PAGE, b"")
        self._files = {
            name: _describe(name, content) for name, content in files.items() if name != PAGE and name not in _LEFT_OUT
        }

    @property
    def is_built(self) -> bool:
        """Whether there is a console to serve."""
        return bool(self._page)

    def answer(self, scope: Scope) -> Response | None:
        """Return the answer to a request that no other route takes; None if there is nothing of the console."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return None
        headers = Headers(scope=scope)
        path = str(scope["path"]).removeprefix("/")
        found = self._files.get(path)
        if found is not None:
            scope["route"] = ASSET_ROUTE
            return _answer_file(found, headers)
        first = path.partition("/")[0]
        if first in RESERVED or not is_navigation(headers):
            return None
        scope["route"] = PAGE_ROUTE
        if not self.is_built:
            return PlainTextResponse(NOT_BUILT, 404)
        return _answer_file(
            _describe(PAGE, place_page(self._page, read_depth(scope))), headers, 200 if first in PAGES else 404
        )


def read_console(folder: Path) -> Console:
    """Return the console that is built in a folder; one without files if there is no such folder."""
    return Console({str(path.relative_to(folder)): path.read_bytes() for path in _walk(folder)})


def _walk(folder: Path) -> Iterable[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))


def serve_console(console: Console, otherwise: ASGIApp) -> ASGIApp:
    """Return the application for what no route takes: the console's files and pages, else ``otherwise``."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        response = console.answer(scope)
        await (response or otherwise)(scope, receive, send)

    return serve


def is_navigation(headers: Mapping[str, str]) -> bool:
    """Return whether a browser asks for a page to show, rather than a script for data."""
    mode = headers.get("sec-fetch-mode")
    if mode is not None:
        return mode == "navigate"
    return "text/html" in headers.get("accept", "")


def read_depth(scope: Scope) -> int:
    """Return how many folders below the root an address is, as the browser counts them."""
    raw = scope.get("raw_path")
    path = raw.partition(b"?")[0] if isinstance(raw, bytes) else str(scope["path"]).encode()
    return max(0, path.count(b"/") - 1)


def place_page(page: bytes, depth: int) -> bytes:
    """Return the page for an address so many folders below the root: each ``"./`` in it leads there."""
    return page.replace(b'"./', b'"' + (b"../" * depth or b"./"))


def _describe(name: str, content: bytes) -> File:
    suffix = Path(name).suffix
    media_type = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    small = gzip.compress(content, 9, mtime=0) if suffix in _COMPRESSED and len(content) > 512 else None
    caching = _FOR_EVER if _HASHED.match(name) else _ASK_FIRST
    return File(content, small, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"', caching)


def _answer_file(file: File, asked: Headers, status: int = 200) -> Response:
    headers = {"ETag": file.tag, "Cache-Control": file.caching}
    if file.compressed is not None:
        headers["Vary"] = "Accept-Encoding"
    known = [each.strip().removeprefix("W/") for each in asked.get("if-none-match", "").split(",")]
    if status == 200 and file.tag in known:
        return Response(status_code=304, headers=headers)
    content = file.content
    if file.compressed is not None and _takes_gzip(asked):
        content, headers["Content-Encoding"] = file.compressed, "gzip"
        # The same representation in another coding has a tag of its own; a weak one says that both mean the same.
        headers["ETag"] = f"W/{file.tag}"
    return Response(content, status, headers, media_type=file.media_type)


def _takes_gzip(asked: Headers) -> bool:
    codings = [each.replace(" ", "").partition(";q=") for each in asked.get("accept-encoding", "").split(",")]
    return any(name == "gzip" and quality not in ("0", "0.0", "0.00", "0.000") for name, _, quality in codings)
