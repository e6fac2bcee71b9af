"""Streams through a real nginx: it takes them for idle after a while, so that something has to pass before that.

The proxy's patience is 8 seconds here in place of the 60 that it has by default, and heartbeats are more frequent by as
much; with a patience below them streams are cut, which shows that the proxy is what it is taken for.
"""

import asyncio
import json
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from hack.cluster.controlplane import ControlPlane
from hack.cluster.endpoints import find_free_ports
from tests.support.gateway import running_gateway
from tests.support.kube import Space
from tests.support.postgres import PostgresDatabase
from tests.support.streams import append, following, open_events, receive, start_followed
from tests.support.waiting import wait_for
from tests.trust.roles import Client

Somebody = Callable[..., Client]

PATIENCE = 8
# A ping each six seconds, and a comment each five.
PEER_SECONDS = "9"
IDLE = 3 * PATIENCE

CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/a;
  uwsgi_temp_path {folder}/b; scgi_temp_path {folder}/c;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {upstream};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_read_timeout {patience}s;
    }}
  }}
}}
"""


def find_nginx() -> str:
    """Return the program; fail with what to install where there is none."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    assert found is not None, "nginx is not installed: `apt-get install nginx`, or put it on the PATH"
    return found


@contextmanager
def running_nginx(folder: Path, upstream: str, *, patience: int) -> Iterator[str]:
    """Run nginx before a gateway, with its defaults but for its patience; give its address."""
    folder.mkdir()
    port = find_free_ports(1)[0]
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, upstream=upstream, patience=patience), encoding="utf-8")
    command = [find_nginx(), "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(config)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def answers() -> bool:
        assert process.poll() is None, (folder / "error.log").read_text(encoding="utf-8")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    try:
        wait_for(answers, bool, what="nginx listens", every=0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
async def store(events: PostgresDatabase) -> AsyncIterator[Database]:
    async with open_database(Dsn.parse(events.dsn), application_name="test") as made:
        yield made


async def test_idle_streams_stay_open_through_nginx_and_what_comes_passes_at_once(
    control_plane: ControlPlane,
    events: PostgresDatabase,
    space: Space,
    somebody: Somebody,
    store: Database,
    tmp_path: Path,
) -> None:
    viewer = somebody("viewer", "agentic-view")
    space.define()
    uid = await start_followed(space, store)
    with (
        running_gateway(control_plane, events, tmp_path, PEER_SECONDS=PEER_SECONDS) as gateway,
        running_nginx(tmp_path / "patient", gateway.address, patience=PATIENCE) as patient,
        running_nginx(tmp_path / "hasty", gateway.address, patience=2) as hasty,
    ):
        # The client itself says nothing: all that passes is the gateway's.
        async with following(patient, space, viewer, ping_interval=None) as connection:
            with await asyncio.to_thread(open_events, patient, space, viewer) as peer:
                with pytest.raises(ConnectionClosed):
                    async with following(hasty, space, viewer, ping_interval=None) as cut:
                        await asyncio.wait_for(cut.recv(), 20)
                await asyncio.sleep(IDLE)
                await append(store, uid, [1])
                assert (await receive(connection, 1))[0]["seq"] == 1
                found = await asyncio.to_thread(_read_message, peer)
    assert found["seq"] == 1


def _read_message(peer: socket.socket) -> dict[str, object]:
    came = b""
    while b"data: " not in came or not came.endswith(b"\n\n\r\n"):
        piece = peer.recv(4096)
        assert piece, came
        came += piece
    line = next(line for line in came.decode().splitlines() if line.startswith("data: "))
    found: dict[str, object] = json.loads(line.removeprefix("data: "))
    return found
