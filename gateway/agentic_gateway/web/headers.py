"""Headers that every answer carries, for browsers."""

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # What the API answers is about one caller, and changes.
    "Cache-Control": "no-store",
}
# Only over TLS, where browsers heed it.
TRANSPORT_SECURITY: Final = "max-age=31536000"


class SecurityHeaders:
    """Adds the headers to every answer, refused WebSockets and errors too; what a route set stays."""

    def __init__(self, app: ASGIApp, *, is_public_tls: bool = False) -> None:
        self._app = app
        self._headers = dict(SECURITY_HEADERS)
        if is_public_tls:
            self._headers["Strict-Transport-Security"] = TRANSPORT_SECURITY

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
