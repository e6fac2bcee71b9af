"""Many WebSocket clients in one process, as cheap as can be: the client must not be what is measured.

Each frame's ``seq`` is held against the one before: a gap, a repetition or a wrong order ends the benchmark.
"""

import asyncio
import base64
import os
import struct
from collections.abc import Callable, Sequence
from typing import Final, cast
from urllib.parse import urlsplit

_TEXT, _CLOSE, _PING = 1, 8, 9
_SEQ: Final = b'"seq":'
# So many connect at once: a listener's queue is finite.
_AT_ONCE: Final = 50

OnFrame = Callable[["Watcher", bytes], None]


class Watcher(asyncio.Protocol):
    """One client."""

    def __init__(self, request: bytes, after: int, on_frame: OnFrame | None) -> None:
        self.last = after
        self.count = 0
        self.is_slow = False
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._on_frame = on_frame
        self._buffer = b""
        self._is_open = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionError(f"no upgrade: {self._buffer[:200]!r}"))
        if not self.closed.done():
            self.closed.set_result(str(exc or ""))

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._is_open:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head[:32]:
                if not self.opened.done():
                    self.opened.set_exception(ConnectionError(f"refused: {self._buffer[:300]!r}"))
                self.abort()
                return
            self._is_open, self._buffer = True, rest
            self.opened.set_result(None)
        self._read_frames()

    def _read_frames(self) -> None:
        buffer, start, size = self._buffer, 0, len(self._buffer)
        while size - start >= 2:
            length, head = buffer[start + 1], 2
            if length == 126:
                if size - start < 4:
                    break
                length, head = int.from_bytes(buffer[start + 2 : start + 4], "big"), 4
            elif length == 127:
                if size - start < 10:
                    break
                length, head = int.from_bytes(buffer[start + 2 : start + 10], "big"), 10
            end = start + head + length
            if end > size:
                break
            self._take(buffer[start] & 15, buffer[start + head : end])
            start = end
        self._buffer = buffer[start:]

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == _TEXT:
            place = payload.find(_SEQ) + 6
            seq = int(payload[place : payload.find(b",", place)])
            if seq != self.last + 1:
                raise SystemExit(f"message {seq} came after {self.last}")
            self.last = seq
            self.count += 1
            if self._on_frame is not None:
                self._on_frame(self, payload)
        elif kind == _PING:
            self._send(10, payload)
        elif kind == _CLOSE and not self.closed.done():
            self.closed.set_result(payload[2:].decode(errors="replace"))

    def _send(self, kind: int, payload: bytes) -> None:
        assert self._transport is not None
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self._transport.write(struct.pack("!BB", 0x80 | kind, 0x80 | len(payload)) + mask + masked)

    def pause(self) -> None:
        """Read nothing from now on."""
        assert self._transport is not None
        self._transport.pause_reading()

    def abort(self) -> None:
        """Break the connection without a word."""
        if self._transport is not None:
            self._transport.abort()


async def open_watcher(
    url: str, path: str, *, token: str = "", after: int = 0, on_frame: OnFrame | None = None
) -> Watcher:
    """Open one connection; raises ``ConnectionError`` where it is refused."""
    parts = urlsplit(url)
    headers = [
        f"GET {path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        *([f"Authorization: Bearer {token}"] if token else []),
    ]
    request = ("\r\n".join(headers) + "\r\n\r\n").encode()
    loop = asyncio.get_running_loop()
    _, watcher = await loop.create_connection(
        lambda: Watcher(request, after, on_frame), parts.hostname or "", parts.port or 80
    )
    await watcher.opened
    return watcher


async def open_watchers(
    url: str, paths: Sequence[str], *, token: str = "", after: int = 0, on_frame: OnFrame | None = None
) -> list[Watcher]:
    """Open many connections, some at a time."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def open_one(path: str) -> Watcher:
        async with gate:
            return await open_watcher(url, path, token=token, after=after, on_frame=on_frame)

    return list(await asyncio.gather(*(open_one(path) for path in paths)))


def close_watchers(watchers: Sequence[Watcher]) -> None:
    """Break all connections."""
    for watcher in watchers:
        watcher.abort()


async def until_all_have(watchers: Sequence[Watcher], seq: int, *, seconds: float = 120.0) -> None:
    """Wait until each has message ``seq``; ends the benchmark where one is lost."""
    async with asyncio.timeout(seconds):
        for watcher in watchers:
            while watcher.last < seq:
                if watcher.closed.done():
                    raise SystemExit(f"a client lost its connection: {watcher.closed.result()}")
                await asyncio.sleep(0.001)
