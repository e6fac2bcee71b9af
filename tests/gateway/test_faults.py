"""What networks, machines and servers do to streams: nothing is lost, nothing comes twice, nothing is left behind."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from agentic_core.errors import AgenticError
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
from hack.cluster.controlplane import ControlPlane
from hack.cluster.endpoints import find_free_ports
from tests.faults.bed import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.kube import Space
from tests.support.link import open_link
from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import start_server
from tests.support.postgres_standby import Pair, start_standby
from tests.support.streams import (
    SECONDS,
    append,
    connect_raw,
    count_descriptors,
    follow_through,
    following,
    open_events,
    open_websocket,
    read_memory,
    receive,
    require_whole,
    start_followed,
)
from tests.support.waiting import wait_for
from tests.trust.roles import Client

Somebody = Callable[..., Client]
Json = dict[str, Any]

LONG = os.environ.get("GATEWAY_LONG") == "1"
STREAMS = 200 if LONG else 20
CYCLES = 1000 if LONG else 100
MIB = 1024 * 1024
# One person stands for many here.
UNLIMITED = {"REQUESTS_PER_SECOND": "10000", "REQUESTS_BURST": "10000", "STREAMS_PER_PERSON": "10000"}


@pytest.fixture
async def store(events: PostgresDatabase) -> AsyncIterator[Database]:
    async with open_database(Dsn.parse(events.dsn), application_name="test") as made:
        yield made


@pytest.fixture
async def uid(space: Space, store: Database) -> str:
    """A session ``s1`` that is on, with a row."""
    space.define()
    return await start_followed(space, store)


class Replica:
    """A gateway that comes back at the same address."""

    def __init__(self, plane: ControlPlane, database: PostgresDatabase, folder: Path) -> None:
        self.port = find_free_ports(1)[0]
        self.address = f"http://127.0.0.1:{self.port}"
        self._start = partial(running_gateway, plane, database, folder, PORT=str(self.port), **UNLIMITED)

    @contextmanager
    def running(self) -> Iterator[Gateway]:
        """Run it until the block ends; it may have been killed by then."""
        with self._start() as gateway:
            wait_for(lambda: _is_there(gateway), bool, what="the gateway answers", every=0.05)
            yield gateway


def _is_there(gateway: Gateway) -> bool:
    try:
        return gateway.call("GET", "/healthz").code == 200
    except OSError:
        return False


@pytest.fixture
def replica(control_plane: ControlPlane, events: PostgresDatabase, tmp_path: Path) -> Replica:
    return Replica(control_plane, events, tmp_path)


async def write_slowly(store: Database, uid: str, last: int, *, pause: float = 0.05) -> None:
    """Append events 1 to ``last``, a few at a time, whatever becomes of the server meanwhile."""
    written = 0
    while written < last:
        try:
            written = await store.events.fetch_last(uid)
            if written < last:
                await append(store, uid, range(written + 1, min(written + 5, last) + 1))
        except AgenticError:
            # The server is being restarted; how much was written is asked anew.
            await asyncio.sleep(0.2)
        await asyncio.sleep(pause)


async def wait_written(store: Database, uid: str, seq: int) -> None:
    """Wait until the log is that long."""

    async def is_there() -> bool:
        return await store.events.fetch_last(uid) >= seq

    await until(is_there, what=f"event {seq}", every=0.02)


async def test_a_link_that_is_cut_five_times_loses_and_doubles_nothing(
    gateway: Gateway, second_gateway: Gateway, space: Space, somebody: Somebody, store: Database, uid: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    async with open_link(gateway.address, second_gateway.address) as link:
        following_ = asyncio.create_task(follow_through(link.url, space, viewer, 300))
        writing = asyncio.create_task(write_slowly(store, uid, 300, pause=0.02))
        for number in range(1, 6):
            await wait_written(store, uid, number * 50)
            link.cut()
        async with asyncio.timeout(SECONDS):
            await writing
            require_whole(await following_, 300)
        assert link.connections >= 6


async def test_many_clients_of_two_replicas_see_the_same_messages_in_the_same_order(
    gateway: Gateway, second_gateway: Gateway, space: Space, somebody: Somebody, store: Database, uid: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    async with AsyncExitStack() as stack:
        connections = [
            await stack.enter_async_context(following((gateway, second_gateway)[n % 2].address, space, viewer))
            for n in range(20)
        ]

        async def write(writer: int) -> None:
            for number in range(25):
                await append(store, uid, [writer * 1000 + number])

        writing = [asyncio.create_task(write(writer)) for writer in range(4)]
        got = await asyncio.gather(*(receive(each, 100) for each in connections))
        await asyncio.gather(*writing)
    require_whole(got[0], 100)
    assert all(frames == got[0] for frames in got)


async def follow_all(addresses: Sequence[str], space: Space, client: Client, last: int) -> None:
    """Follow the session with many clients at once, through whatever happens, and require that each gets all."""
    found = await asyncio.gather(
        *(follow_through(addresses[n % len(addresses)], space, client, last) for n in range(STREAMS))
    )
    for frames in found:
        require_whole(frames, last)


async def test_a_gateway_is_killed_and_comes_back_under_open_streams(
    replica: Replica, space: Space, somebody: Somebody, store: Database, uid: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    with replica.running() as first:
        reading = asyncio.create_task(follow_all([replica.address], space, viewer, 200))
        writing = asyncio.create_task(write_slowly(store, uid, 200))
        await wait_streams(first, STREAMS)
        await wait_written(store, uid, 60)
        first.process.kill()
        first.process.wait()
    with replica.running():
        async with asyncio.timeout(3 * SECONDS):
            await writing
            await reading


async def wait_streams(gateway: Gateway, count: int) -> None:
    """Wait until a gateway has so many connections."""
    held = partial(count_descriptors, gateway.process.pid)
    await asyncio.to_thread(wait_for, held, lambda n: n > count, what="the streams are open", every=0.05)


async def test_postgresql_is_killed_and_comes_back_under_open_streams(
    replica: Replica, space: Space, somebody: Somebody, store: Database, events: PostgresDatabase, uid: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    with replica.running() as gateway:
        reading = asyncio.create_task(follow_all([replica.address], space, viewer, 200))
        writing = asyncio.create_task(write_slowly(store, uid, 200))
        await wait_streams(gateway, STREAMS)
        before = count_descriptors(gateway.process.pid)
        await asyncio.to_thread(events.server.kill)
        try:
            reply = await asyncio.to_thread(
                gateway.call, "GET", f"/api/v1/agentic-sessions/{space.name}/s1/events", token=viewer.token
            )
            assert (reply.code, int(reply.headers["retry-after"]) > 0) == (503, True)
            assert count_descriptors(gateway.process.pid) > before - STREAMS // 2, "the streams stay open"
        finally:
            await asyncio.to_thread(events.server.start)
        async with asyncio.timeout(3 * SECONDS):
            await writing
            await reading


async def test_the_api_server_is_killed_and_comes_back_under_open_streams(
    replica: Replica, space: Space, somebody: Somebody, store: Database, uid: str, control_plane: ControlPlane
) -> None:
    viewer = somebody("viewer", "agentic-view")
    with replica.running() as gateway:
        async with AsyncExitStack() as stack:
            connections = [
                await stack.enter_async_context(following(replica.address, space, viewer)) for _ in range(STREAMS)
            ]
            await append(store, uid, range(50))
            await asyncio.to_thread(control_plane.kill_apiserver)
            try:
                # Who may read was asked before: what is new still comes.
                await append(store, uid, range(50, 100))
                for connection in connections:
                    require_whole(await receive(connection, 100), 100)
                with pytest.raises(InvalidStatus) as refused:
                    async with following(replica.address, space, viewer):
                        pass
                assert refused.value.response.status_code == 503
                assert int(refused.value.response.headers["Retry-After"]) > 0
                reply = await asyncio.to_thread(
                    gateway.call, "GET", f"/api/v1/agentic-sessions/{space.name}", token=viewer.token
                )
                assert reply.code == 503
            finally:
                await asyncio.to_thread(control_plane.start_apiserver)
            await append(store, uid, [100])
            assert [(await receive(each, 1))[0]["seq"] for each in connections] == [101] * STREAMS
        reply = await asyncio.to_thread(
            gateway.call, "GET", f"/api/v1/agentic-sessions/{space.name}/s1", token=viewer.token
        )
        assert reply.code == 200


@pytest.fixture
def pair() -> Iterator[Pair]:
    with start_server() as primary:
        asyncio.run(migrate.up(Dsn.parse(primary.dsn())))
        with start_standby(primary) as made:
            yield made


def test_a_failover_that_loses_rows_under_a_stream_is_told_to_whoever_lacks_them(
    control_plane: ControlPlane, pair: Pair, space: Space, somebody: Somebody, tmp_path: Path
) -> None:
    # Both servers look like one to whoever has the connection string.
    database = PostgresDatabase(pair, "postgres")  # type: ignore[arg-type]  # only its connection string is used
    viewer = somebody("viewer", "agentic-view")
    space.define()
    with running_gateway(control_plane, database, tmp_path) as gateway:
        asyncio.run(_lose_rows(gateway, database, pair, space, viewer))
    folder = tmp_path / "second"
    folder.mkdir()
    # A replica that never saw what was lost tells what is missing; also to who has a part of it.
    with running_gateway(control_plane, database, folder) as gateway:
        for after, count in ((0, 13), (15, 3)):
            frames = asyncio.run(_read_after(gateway, space, viewer, after, count))
            assert [(frame["type"], frame["seq"], frame["prev"]) for frame in frames[-3:]] == [
                ("gap", 20, max(after, 10)),
                ("agent_message", 21, 20),
                ("agent_message", 22, 21),
            ]


async def _lose_rows(gateway: Gateway, database: PostgresDatabase, pair: Pair, space: Space, viewer: Client) -> None:
    async with open_database(Dsn.parse(database.dsn), application_name="test") as store:
        uid = await start_followed(space, store)
        async with following(gateway.address, space, viewer) as connection:
            await append(store, uid, range(1, 11))
            await receive(connection, 10)
            await asyncio.to_thread(pair.wait_replayed)
            await asyncio.to_thread(pair.cut)
            await append(store, uid, range(11, 21))
            assert (await receive(connection, 10))[-1]["seq"] == 20
            await asyncio.to_thread(pair.fail_over)
            # A writer goes on after the last number that was confirmed to it.
            insert = "INSERT INTO session_events (session_uid, seq, run, type, data) VALUES (%s, %s, 1, 'custom', '{}')"
            for seq in (21, 22):
                await asyncio.to_thread(database.execute, insert, [uid, seq])
            found = await receive(connection, 2)
            assert [(frame["seq"], frame["prev"]) for frame in found] == [(21, 20), (22, 21)]


async def _read_after(gateway: Gateway, space: Space, viewer: Client, after: int, count: int) -> list[Json]:
    async with following(gateway.address, space, viewer, after=after) as connection:
        return await receive(connection, count)


async def test_clients_that_connect_and_die_leave_nothing_behind(
    replica: Replica, space: Space, somebody: Somebody, store: Database, uid: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    await append(store, uid, range(50), size=500)
    with replica.running() as gateway:
        pid = gateway.process.pid

        def connect_and_die(number: int) -> None:
            match number % 4:
                case 0:
                    open_websocket(replica.address, space, viewer)[0].close()
                case 1:
                    open_events(replica.address, space, viewer).close()
                case 2:
                    peer, _ = open_websocket(replica.address, space, viewer)
                    peer.recv(100)
                    # Closed with much unread: a reset.
                    peer.close()
                case _:
                    connect_raw(replica.address).close()

        async def run(cycles: int) -> None:
            for number in range(cycles):
                await asyncio.to_thread(connect_and_die, number)

        def is_quiet(descriptors: int) -> bool:
            return descriptors <= quiet

        # One stream stays, so that the feed is the same before and after.
        async with following(replica.address, space, viewer) as connection:
            await receive(connection, 50)
            quiet = 1 << 20
            await run(80)
            await asyncio.sleep(1)
            quiet, before = count_descriptors(pid) + 2, read_memory(pid)
            await run(CYCLES)
            held = partial(count_descriptors, pid)
            await asyncio.to_thread(wait_for, held, is_quiet, what="descriptors as before", every=0.1)
            assert read_memory(pid) - before < 4 * MIB
            await append(store, uid, [1])
            assert (await receive(connection, 1))[0]["seq"] == 51
