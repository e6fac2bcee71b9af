"""A proxy in front that says who somebody is, by headers: as one with a log-in of its own does. Streams pass, too."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from hack.cluster.certificates import KeyPair


@contextmanager
def running_identity_proxy(address: str, port: int, pair: KeyPair, named: Mapping[str, str]) -> Iterator[str]:
    """Serve a gateway at ``port`` over TLS; the headers ``named`` say who it is, in place of any of the client's."""
    host, upstream = urlsplit(address).hostname or "", urlsplit(address).port or 80
    loop = asyncio.new_event_loop()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.certificate, pair.key)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond = await asyncio.open_connection(host, upstream)
        try:
            async with asyncio.TaskGroup() as group:
                answers = group.create_task(_pass_on(beyond[0], writer))
                await _ask(reader, beyond[1], named)
                beyond[1].transport.abort()
                answers.cancel()
        finally:
            for each in (writer, beyond[1]):
                each.transport.abort()

    thread = threading.Thread(target=loop.run_forever, name="identity-proxy")
    thread.start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(relay, "127.0.0.1", port, ssl=tls), loop).result(30)

    async def end() -> None:
        server.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for each in rest:
            each.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    try:
        yield f"https://127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, named: Mapping[str, str]) -> None:
    """Pass on the requests of a connection with whom the proxy names, until it ends or becomes a stream."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.removesuffix(b"\r\n\r\n").decode("latin-1").split("\r\n")
            headers = [line.partition(":")[::2] for line in lines]
            said = {name.lower(): value.strip() for name, value in headers}
            taken = {name.lower() for name in named}
            kept = [f"{name}:{value}" for name, value in headers if name.lower() not in taken]
            added = [f"{name}: {value}" for name, value in named.items()]
            writer.write("\r\n".join([first, *kept, *added, "", ""]).encode("latin-1"))
            if "upgrade" in said:
                await _pass_on(reader, writer)
                return
            writer.write(await reader.readexactly(int(said.get("content-length", "0"))))
            await writer.drain()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(64 * 1024):
            writer.write(piece)
            await writer.drain()
        writer.close()
