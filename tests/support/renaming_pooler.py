"""A pooler that gives each transaction another connection of the server and keeps no client's name: Supavisor's kind.

It speaks just enough of the protocol: a client that needs no password, statements up to the next ``ReadyForQuery``.
"""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.postgres_server import SUPERUSER

_SSL_REQUEST = 80877103
_GSS_REQUEST = 80877104
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(eq=False)
class RenamingPooler:
    """One pooler; while it ``is_sticky`` a client keeps its connection of the server, and so its name."""

    server_port: int
    dbname: str
    role: str = ""
    is_sticky: bool = False
    port: int = 0
    _free: "asyncio.Queue[Stream]" = field(default_factory=asyncio.Queue)
    _greeting: bytes = b""
    _clients: set["asyncio.Task[None]"] = field(default_factory=set)

    def dsn(self) -> str:
        return (
            f"host=127.0.0.1 port={self.port} dbname={self.dbname} user={SUPERUSER} sslmode=disable connect_timeout=10"
        )

    async def _connect(self) -> Stream:
        """Open a connection of the server, named as the pooler likes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        given = ["user", SUPERUSER, "database", self.dbname, "application_name", "Supavisor", "client_encoding", "UTF8"]
        if self.role:
            given += ["options", f"-c role={self.role}"]
        body = b"".join(f"{each}\0".encode() for each in given)
        writer.write(struct.pack("!ii", len(body) + 9, 196608) + body + b"\0")
        greeting = b""
        while True:
            kind, message = await _read(reader)
            if kind == b"E":
                raise RuntimeError(message)
            greeting += _frame(kind, message) if kind in b"S" else b""
            if kind == b"Z":
                # A process id that no server process has: what every pooler answers.
                self._greeting = _frame(b"R", struct.pack("!i", 0)) + greeting + _frame(b"K", struct.pack("!ii", 1, 1))
                return reader, writer

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self.serve_client(reader, writer))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def close(self, connections: list[Stream]) -> None:
        """Let every client go, then the server."""
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        for _, writer in connections:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own: Stream | None = None
        try:
            while struct.unpack("!i", (await _read_start(reader))[:4])[0] in (_SSL_REQUEST, _GSS_REQUEST):
                writer.write(b"N")
            writer.write(self._greeting + _frame(b"Z", b"I"))
            while True:
                pending = b""
                kind = b""
                while kind not in (b"S", b"Q"):
                    kind, message = await _read(reader)
                    if kind == b"X":
                        return
                    pending += _frame(kind, message)
                own = own or await self._free.get()
                own[1].write(pending)
                state = await _relay(own[0], writer)
                if state == b"I" and not self.is_sticky:
                    self._free.put_nowait(own)
                    own = None
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if own is not None:
                self._free.put_nowait(own)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def _read_start(reader: asyncio.StreamReader) -> bytes:
    (length,) = struct.unpack("!i", await reader.readexactly(4))
    return await reader.readexactly(length - 4)


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind = await reader.readexactly(1)
    (length,) = struct.unpack("!i", await reader.readexactly(4))
    return kind, await reader.readexactly(length - 4)


def _frame(kind: bytes, message: bytes) -> bytes:
    return kind + struct.pack("!i", len(message) + 4) + message


async def _relay(server: asyncio.StreamReader, client: asyncio.StreamWriter) -> bytes:
    """Pass an answer on, to its end; return the state of the transaction."""
    while True:
        kind, message = await _read(server)
        client.write(_frame(kind, message))
        if kind == b"Z":
            await client.drain()
            return message


@asynccontextmanager
async def start_renaming_pooler(
    server_port: int, dbname: str, *, role: str = "", backends: int = 3, is_sticky: bool = False
) -> AsyncIterator[RenamingPooler]:
    """Run the pooler until the end of the block; it works as ``role``."""
    pooler = RenamingPooler(server_port, dbname, role, is_sticky=is_sticky)
    connections = [await pooler._connect() for _ in range(backends)]
    for each in connections:
        pooler._free.put_nowait(each)
    server = await asyncio.start_server(pooler.accept, "127.0.0.1", 0)
    pooler.port = server.sockets[0].getsockname()[1]
    try:
        yield pooler
    finally:
        server.close()
        await pooler.close(connections)
