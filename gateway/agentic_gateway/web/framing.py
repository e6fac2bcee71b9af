"""Where a request ends: one of which two servers could think differently is refused."""

from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from agentic_gateway.problems import MEDIA_TYPE, Refused, encode_problem


class OneEnd:
    """Refuses a request with ``Content-Length`` and ``Transfer-Encoding``, and ends the connection.

    A proxy that believes the other one takes a part of the body for the next request, which nobody sent
    (RFC 9112, 6.1).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not has_two_ends(scope["headers"], scope["http_version"]):
            await self._app(scope, receive, send)
            return
        refused = Refused("bad-request", "say once where the body ends: by Content-Length, or by Transfer-Encoding")
        text = encode_problem(refused, scope["path"])
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(text)).encode()),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": refused.status, "headers": headers})
        await send({"type": "http.response.body", "body": text})


def has_two_ends(headers: Iterable[tuple[bytes, bytes]], http_version: str) -> bool:
    """Say whether two servers could disagree on where a request ends; HTTP/1.0 knows no ``Transfer-Encoding``."""
    names = {name for name, _ in headers}
    return b"transfer-encoding" in names and (b"content-length" in names or http_version == "1.0")
