"""Streams whose clients are far behind, while the database does not answer."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psycopg
import pytest

from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from hack.cluster.controlplane import ControlPlane
from tests.support.gateway import running_gateway
from tests.support.kube import Space
from tests.support.postgres import PostgresDatabase
from tests.support.streams import append, open_events, start_followed
from tests.support.waiting import wait_for
from tests.trust.roles import Client


@pytest.fixture
async def store(events: PostgresDatabase) -> AsyncIterator[Database]:
    async with open_database(Dsn.parse(events.dsn), application_name="test") as made:
        yield made


async def test_server_sent_events_go_on_where_the_database_did_not_answer_behind_the_ring(
    control_plane: ControlPlane,
    events: PostgresDatabase,
    space: Space,
    somebody: Callable[..., Client],
    store: Database,
    tmp_path: Path,
) -> None:
    space.define()
    uid = await start_followed(space, store)
    for start in range(1, 1500, 100):
        await append(store, uid, range(start, start + 100), size=2000)
    viewer = somebody("viewer", "agentic-view")
    with (
        running_gateway(control_plane, events, tmp_path) as gateway,
        psycopg.connect(events.dsn) as holder,
        open_events(gateway.address, space, viewer, buffer_bytes=4096) as peer,
    ):
        came = b""
        while b"id: 0-1\n" not in came:
            came += peer.recv(65536)
        # Whatever lies behind the ring cannot be read for longer than a read may take.
        holder.execute("LOCK TABLE session_events IN ACCESS EXCLUSIVE MODE")
        peer.settimeout(60)

        def read_on() -> bool:
            nonlocal came
            came += peer.recv(65536)
            return "the database does not answer a stream" in gateway.log

        wait_for(read_on, bool, what="a read that failed", timeout_seconds=60)
        holder.rollback()
        while b"id: 0-1500\n" not in came or not came.endswith(b"\n\n\r\n"):
            came += peer.recv(65536)
        assert "Traceback" not in gateway.log
    lines = [line for line in came.decode().splitlines() if line.startswith("id: 0-")]
    assert [int(line.removeprefix("id: 0-")) for line in lines] == list(range(1, 1501))
