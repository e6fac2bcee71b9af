"""How long and how much a peer may keep us waiting, below what a request or a message is.

The server's own protocols answer whatever a peer sends, for as long as it takes. Here a connection has a limit: on the
time in which a request has to come, on what is written for a peer that does not read, and on how long a socket outlives
its last word. Peers that vanished are noticed by the kernel.
"""

import asyncio
import math
import socket
from collections.abc import Iterable
from typing import Any, ClassVar, Final, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import MAX_LINE_LENGTH, MAX_NUM_HEADERS

from agentic_gateway.problems import MEDIA_TYPE, Refused, encode_problem
from agentic_gateway.web.headers import SECURITY_HEADERS

# After the last word of a WebSocket, beyond what the server gives the peer to answer it.
GRACE_SECONDS: Final = 5.0
UNREADABLE: Final = "this is no HTTP request, or its line or its headers are too long: shorten query and headers"


def open_listener(host: str, port: int, *, peer_seconds: float) -> socket.socket:
    """Return a socket that listens there; raises ``OSError`` if the port is taken.

    Its connections end if a peer takes nothing of what was sent for ``peer_seconds``, be it gone or asleep.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Not every system has all of them; connections inherit what is set here.
    for name, value in (
        ("TCP_KEEPIDLE", math.ceil(peer_seconds)),
        ("TCP_KEEPINTVL", 5),
        ("TCP_KEEPCNT", 4),
        ("TCP_USER_TIMEOUT", math.ceil(peer_seconds * 1000)),
    ):
        if option := getattr(socket, name, None):
            listener.setsockopt(socket.IPPROTO_TCP, option, value)
    return listener


class HttpConnection(H11Protocol):
    """A connection on which each request, head and body, has to come within ``request_seconds``."""

    request_seconds: ClassVar[float] = 30.0
    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what came; wait for the rest of the request, or for nothing."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._wait_for_nothing()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Hand the connection over: what comes now is no request.

        What the WebSocket's own parser would not take is refused here: it would neither answer nor hang up.
        """
        if not fits_handshake(event.target, event.headers):
            self.send_400_response("")
            return
        super().handle_websocket_upgrade(event)
        self._wait_for_nothing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (the server's words tell less)
        """Refuse what is no request that could be read, as everything else is refused, and hang up."""
        text = encode_problem(Refused("bad-request", UNREADABLE), "")
        headers = {
            **SECURITY_HEADERS,
            "Content-Type": MEDIA_TYPE,
            "Content-Length": str(len(text)),
            "Connection": "close",
        }
        for event in (
            h11.Response(status_code=400, headers=list(headers.items()), reason=b"Bad Request"),
            h11.Data(data=text),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _watch(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        is_handed_over = self.transport.is_closing() or self.transport.get_protocol() is not self
        is_at_work = cycle is not None and not cycle.more_body and not cycle.response_complete
        if is_handed_over or is_at_work:
            self._wait_for_nothing()
        elif self._limit is None:
            self._limit = self.loop.call_later(self.request_seconds, self.transport.abort)

    def _wait_for_nothing(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None


def fits_handshake(target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether the WebSocket's parser takes a request: its lines, and how many they are."""
    lines = [len(target) + len(b"GET  HTTP/1.1\r\n"), *(len(name) + len(value) + 4 for name, value in headers)]
    return max(lines) <= MAX_LINE_LENGTH and len(lines) - 1 <= MAX_NUM_HEADERS


def limit_requests(seconds: float) -> type[HttpConnection]:
    """Return the class of connections on which a request has to come within so many seconds."""
    return type("LimitedHttpConnection", (HttpConnection,), {"request_seconds": seconds})


class WebSocketConnection(WebSocketsSansIOProtocol):
    """A WebSocket that takes nothing from a peer that does not read, and that ends when it is closed."""

    def pause_writing(self) -> None:
        """Read no further: each ping would be answered into memory."""
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on, unless a message waits to be handled."""
        super().resume_writing()
        if not self.read_paused:
            self.transport.resume_reading()

    def send_receive_event_to_app(self) -> None:
        """Pass a message on; one that is no UTF-8 ends the connection, and is no error of ours to log."""
        if self.curr_msg_data_type == "text":
            self.frames = [b"".join(self.frames)]
            try:
                self.frames[0].decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(1007)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    async def receive(self) -> Any:
        """Return the next message; what comes after it is read once the peer reads."""
        message = await super().receive()
        if not self.writable.is_set():
            self.transport.pause_reading()
        return message

    async def send(self, message: Any) -> None:
        """Send; after a close frame the connection ends even if the peer never takes it.

        ``frames`` of a ``websocket.send`` are WebSocket frames that were encoded before, any number of them.
        """
        await super().send(message)
        # Without a text the server has only waited and checked that something may be sent.
        if (frames := message.get("frames")) is not None:
            self.transport.write(frames)
        if message["type"] == "websocket.close":
            self.loop.call_later(self.close_timeout + GRACE_SECONDS, self.transport.abort)

    def keepalive_timeout(self) -> None:
        """End the connection of a peer that did not answer a ping."""
        super().keepalive_timeout()
        self.loop.call_later(GRACE_SECONDS, self.transport.abort)
