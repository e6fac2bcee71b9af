"""The bare servers that the gateway is held against; each is a process: ``python -m bench._gateway.floors KIND``.

- ``broadcast``: ``websockets.broadcast`` to all connections, of texts that lie ready; no authentication, no resume.
- ``idle``: an ASGI application on uvicorn that accepts WebSockets and waits.
- ``listen DSN``: LISTEN on one connection; each notification's payload is sent to the session's connections.
"""

import asyncio
import json
import socket
import sys
from collections import defaultdict
from typing import Any, Final

import psycopg
import uvicorn
import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

CHANNEL: Final = "bench_floor"


def build_text(seq: int, text: str) -> str:
    """Return a frame as large as the gateway's."""
    metadata = {"event": "custom", "run": 1, "data": text}
    data = {"message": "", "metadata": metadata}
    body = {"type": "agent_message", "timestamp": "2026-01-01T12:00:00.000000Z", "seq": seq, "prev": seq - 1}
    return json.dumps({**body, "data": data}, separators=(",", ":"))


async def run_broadcast() -> None:
    """Broadcast as many texts as the control connection names."""
    clients: set[ServerConnection] = set()
    seq = 0

    async def handle(connection: ServerConnection) -> None:
        nonlocal seq
        if connection.request is not None and connection.request.path == "/control":
            async for order in connection:
                count, text = json.loads(order)
                for number in range(seq + 1, seq + count + 1):
                    broadcast(clients, build_text(number, text))
                seq += count
            return
        clients.add(connection)
        try:
            await connection.wait_closed()
        finally:
            clients.discard(connection)

    async with serve(handle, "127.0.0.1", 0, compression=None, max_queue=None, ping_interval=None) as server:
        _tell(next(iter(server.sockets)).getsockname()[1])
        await asyncio.get_running_loop().create_future()


async def run_listen(dsn: str) -> None:
    """Send each notification to the connections of its session."""
    clients: defaultdict[str, set[ServerConnection]] = defaultdict(set)

    async def handle(connection: ServerConnection) -> None:
        session = connection.request.path.rpartition("/")[2] if connection.request is not None else ""
        clients[session].add(connection)
        try:
            await connection.wait_closed()
        finally:
            clients[session].discard(connection)

    async with (
        await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn,
        serve(handle, "127.0.0.1", 0, compression=None, ping_interval=None) as server,
    ):
        await conn.execute(f"LISTEN {CHANNEL}".encode())
        _tell(next(iter(server.sockets)).getsockname()[1])
        async for notification in conn.notifies():
            session, _, texts = notification.payload.partition(" ")
            for text in texts.split("\n"):
                broadcast(clients[session], text)


async def wait_for_ever(scope: Any, receive: Any, send: Any) -> None:
    """Accept, and wait."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


def run_idle() -> None:
    """Serve on uvicorn as the gateway does."""
    config = uvicorn.Config(
        wait_for_ever,
        loop="uvloop",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        log_level="critical",
    )
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    _tell(listener.getsockname()[1])
    uvicorn.Server(config).run(sockets=[listener])


def _tell(port: int) -> None:
    print(port, flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["broadcast"]:
            uvloop.run(run_broadcast())
        case ["listen", dsn]:
            uvloop.run(run_listen(dsn))
        case ["idle"]:
            run_idle()
        case _:
            sys.exit(__doc__)
