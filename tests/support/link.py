"""A network link that a test cuts: bytes pass in both directions between clients and one of several servers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import cycle
from urllib.parse import urlsplit


class Link:
    """One address that leads to each of its servers in turn, a connection each."""

    def __init__(self, servers: Sequence[str]) -> None:
        self._servers = cycle([(urlsplit(server).hostname or "", urlsplit(server).port or 80) for server in servers])
        self._writers: set[asyncio.StreamWriter] = set()
        self._frozen: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._port = 0
        self.connections = 0
        """How many connections there were."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def open(self) -> None:
        """Take connections, at the same address as before."""
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Break every connection as a network does: without a word."""
        for writer in list(self._writers):
            writer.transport.abort()

    def freeze(self) -> None:
        """Pass nothing on any more, and end no connection: its ends are gone for each other, without a word."""
        self._frozen |= self._writers

    def shut(self) -> None:
        """Break every connection and take no further one."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            beyond = await asyncio.open_connection(*next(self._servers))
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(beyond[1])
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(reader, beyond[1]))
                group.create_task(self._pass_on(beyond[0], writer))
        finally:
            for each in (writer, beyond[1]):
                self._writers.discard(each)
                each.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(64 * 1024):
                if writer in self._frozen:
                    continue
                writer.write(piece)
                await writer.drain()
            if writer not in self._frozen:
                writer.write_eof()


@asynccontextmanager
async def open_link(*servers: str) -> AsyncIterator[Link]:
    """Serve a link until the end of the block."""
    link = Link(servers)
    await link.open()
    try:
        yield link
    finally:
        link.shut()
