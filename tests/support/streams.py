"""Sessions with rows, and clients of their streams: well behaved ones, and some that are not."""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from agentic_core.lifecycle import Phase
from agentic_store.database import Database
from agentic_store.records import NewEvent, SessionRecord
from tests.support.frames import read_frame
from tests.support.kube import Space
from tests.trust.roles import Client

Json = dict[str, Any]

SECONDS = 60.0
"""How long something is waited for that a stream brings at once."""


async def start_followed(space: Space, store: Database, name: str = "s1") -> str:
    """Make a session of the workflow ``report`` and its row, and return its uid."""
    uid = str(space.start(name)["metadata"]["uid"])
    await record_running(store, space, uid, name)
    return uid


async def record_running(
    store: Database, space: Space, uid: str, name: str = "s1", *, workflow: str = "report"
) -> None:
    """Write the row of a session that runs."""
    await store.sessions.record_session(
        SessionRecord(
            project_name=space.name,
            session_name=name,
            session_uid=uid,
            workflow_name=workflow,
            status=Phase.RUNNING,
            thread_id=f"project-{space.name}:session-{name}",
            created_at=datetime.now(UTC),
            input_data=None,
            run=1,
        )
    )


async def append(store: Database, uid: str, numbers: Iterable[int], *, size: int = 0) -> None:
    """Append an event each."""
    await store.events.append(uid, 1, [NewEvent("custom", {"data": n, "fill": "x" * size}) for n in numbers])


def stream_address(address: str, space: Space, name: str = "s1", *, after: int = 0) -> str:
    """Return where a session's WebSocket is; ``address`` is that of a gateway or of what leads to one."""
    asked = urlencode({"namespace": space.name, "sessionName": name, "after": str(after)})
    return f"ws://{urlsplit(address).netloc}/ws?{asked}"


@asynccontextmanager
async def following(
    address: str, space: Space, client: Client, name: str = "s1", *, after: int = 0, **options: Any
) -> AsyncIterator[ClientConnection]:
    """Follow a session by a WebSocket."""
    headers = {"Authorization": f"Bearer {client.token}"}
    where = stream_address(address, space, name, after=after)
    async with connect(where, additional_headers=headers, proxy=None, **options) as found:
        yield found


async def receive(connection: ClientConnection, count: int) -> list[Json]:
    """Return the next messages."""
    async with asyncio.timeout(SECONDS):
        return [read_frame(await connection.recv()) for _ in range(count)]


async def wait_closed(connection: ClientConnection, seconds: float = SECONDS) -> tuple[int, str]:
    """Read until the connection ends; return the code and the reason of its end."""
    async with asyncio.timeout(seconds):
        try:
            while True:
                await connection.recv()
        except ConnectionClosed:
            return connection.close_code or 0, connection.close_reason or ""


async def follow_through(address: str, space: Space, client: Client, last: int, name: str = "s1") -> list[Json]:
    """Return messages 1 to ``last``, coming back after each cut with the number of the last one that came."""
    got: list[Json] = []
    while not got or got[-1]["seq"] < last:
        try:
            async with following(
                address, space, client, name, after=got[-1]["seq"] if got else 0, ping_interval=None
            ) as connection:
                while not got or got[-1]["seq"] < last:
                    got.append(read_frame(await connection.recv()))
        except (OSError, EOFError, ConnectionClosed, InvalidHandshake):
            # As clients do: a moment later, again.
            await asyncio.sleep(0.1)
    return got


def require_whole(frames: Sequence[Json], last: int) -> None:
    """Fail unless the messages are those from 1 to ``last``, each once, in order, each naming the one before."""
    assert [frame["seq"] for frame in frames] == list(range(1, last + 1))
    assert [frame["prev"] for frame in frames] == list(range(last))


# -- peers that speak bytes


def connect_raw(address: str, *, buffer_bytes: int | None = None) -> socket.socket:
    """Return a connection; a small ``buffer_bytes`` makes a peer that takes little at a time."""
    found = socket.socket()
    if buffer_bytes is not None:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    found.settimeout(SECONDS)
    parts = urlsplit(address)
    found.connect((parts.hostname, parts.port))
    return found


def exchange(address: str, sent: bytes, *, seconds: float = SECONDS) -> tuple[bytes, bool]:
    """Send bytes; return what came within ``seconds``, and whether the server ended the connection."""
    came = b""
    with connect_raw(address) as peer:
        peer.sendall(sent)
        peer.settimeout(seconds)
        try:
            while piece := peer.recv(65536):
                came += piece
        except TimeoutError:
            return came, False
        except ConnectionError:
            pass
        return came, True


def read_codes(answers: bytes) -> list[int]:
    """Return the statuses of all answers among what came."""
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


def open_websocket(
    address: str, space: Space, client: Client, *, buffer_bytes: int | None = None, extensions: str = ""
) -> tuple[socket.socket, bytes]:
    """Open a WebSocket by hand and return it with the head of the server's answer."""
    peer = connect_raw(address, buffer_bytes=buffer_bytes)
    where = urlsplit(stream_address(address, space))
    lines = [
        f"GET {where.path}?{where.query} HTTP/1.1",
        f"Host: {where.netloc}",
        f"Authorization: Bearer {client.token}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *([f"Sec-WebSocket-Extensions: {extensions}"] if extensions else []),
    ]
    peer.sendall("\r\n".join([*lines, "", ""]).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        piece = peer.recv(1)
        if not piece:
            break
        head += piece
    return peer, head


def open_events(address: str, space: Space, client: Client, *, buffer_bytes: int | None = None) -> socket.socket:
    """Ask for a session's Server-Sent Events and read nothing of them."""
    peer = connect_raw(address, buffer_bytes=buffer_bytes)
    path = f"/api/v1/agentic-sessions/{space.name}/s1/stream"
    peer.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.token}\r\n\r\n".encode())
    return peer


def build_ws_frame(
    opcode: int, data: bytes, *, is_last: bool = True, flags: int = 0, length: int | None = None
) -> bytes:
    """Return a client's frame, masked with zeros; ``length`` is what it says of itself, where it lies."""
    said = len(data) if length is None else length
    first = (0x80 if is_last else 0) | flags | opcode
    if said < 126:
        head = struct.pack("!BB", first, 0x80 | said)
    elif said < 1 << 16:
        head = struct.pack("!BBH", first, 0x80 | 126, said)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, said)
    return head + b"\0\0\0\0" + data


def read_close_code(came: bytes) -> int | None:
    """Return the code of the close frame among a server's frames; None where there is none."""
    rest = came
    while len(rest) >= 2:
        opcode, size, at = rest[0] & 0x0F, rest[1] & 0x7F, 2
        if size == 126:
            size, at = struct.unpack("!H", rest[2:4])[0], 4
        elif size == 127:
            size, at = struct.unpack("!Q", rest[2:10])[0], 10
        if opcode == 8:
            return int(struct.unpack("!H", rest[at : at + 2])[0])
        rest = rest[at + size :]
    return None


# -- what a process holds


def count_descriptors(pid: int) -> int:
    """Return how many descriptors a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def read_memory(pid: int) -> int:
    """Return how many bytes of memory a process holds that are its own."""
    found = re.search(r"^RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
