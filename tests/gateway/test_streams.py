"""A session's messages over WebSocket and SSE: the same for everybody, from wherever they go on, whatever is cut."""

import asyncio
import base64
import http.client
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.records import NewEvent
from tests.support.frames import read_frame
from tests.support.gateway import Gateway
from tests.support.kube import Space
from tests.support.postgres import PostgresDatabase
from tests.support.streams import start_followed
from tests.support.waiting import PATIENCE_SECONDS
from tests.trust.roles import Client

Somebody = Callable[..., Client]
Json = dict[str, Any]


@pytest.fixture
async def store(events: PostgresDatabase) -> AsyncIterator[Database]:
    async with open_database(Dsn.parse(events.dsn), application_name="test") as made:
        yield made


@pytest.fixture
async def uid(space: Space, store: Database) -> str:
    """A session ``s1`` that is on, with a row."""
    space.define()
    return await start_followed(space, store)


async def append(store: Database, uid: str, *numbers: int) -> None:
    await store.events.append(uid, 1, [NewEvent("custom", {"data": number}) for number in numbers])


@asynccontextmanager
async def following(
    gateway: Gateway, space: Space, client: Client, *, after: int = 0, **query: str
) -> AsyncIterator[ClientConnection]:
    asked = urlencode({"namespace": space.name, "sessionName": "s1", "after": str(after), **query})
    address = f"ws://{urlsplit(gateway.address).netloc}/ws?{asked}"
    headers = {} if "token" in query else {"Authorization": f"Bearer {client.token}"}
    async with connect(address, additional_headers=headers, proxy=None) as found:
        yield found


async def receive(connection: ClientConnection, count: int) -> list[Json]:
    async with asyncio.timeout(20):
        return [read_frame(await connection.recv()) for _ in range(count)]


def seqs(frames: Sequence[Json]) -> list[int]:
    return [frame["seq"] for frame in frames]


async def test_history_and_what_is_new_come_in_order_to_every_client_of_every_replica(
    gateway: Gateway, second_gateway: Gateway, space: Space, somebody: Somebody, store: Database, uid: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    await append(store, uid, *range(3))
    async with (
        following(gateway, space, viewer) as one,
        following(gateway, space, viewer) as two,
        following(second_gateway, space, viewer) as three,
    ):
        await append(store, uid, 3, 4)
        found = [await receive(each, 5) for each in (one, two, three)]
    assert found[0] == found[1] == found[2]
    assert seqs(found[0]) == [1, 2, 3, 4, 5]
    assert [frame["prev"] for frame in found[0]] == [0, 1, 2, 3, 4]
    first = found[0][0]
    assert first.keys() == {"type", "timestamp", "seq", "prev", "data"}
    assert (first["type"], first["data"]["metadata"]["data"]) == ("agent_message", 0)
    assert first["timestamp"].endswith("Z")


async def test_a_stream_that_is_cut_again_and_again_loses_and_doubles_nothing(
    gateway: Gateway, second_gateway: Gateway, space: Space, somebody: Somebody, store: Database, uid: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    got: list[int] = []

    async def write() -> None:
        for number in range(100):
            await append(store, uid, *range(number * 12, number * 12 + 12))

    writing = asyncio.create_task(write())
    for cut in range(6):
        replica = (gateway, second_gateway)[cut % 2]
        async with following(replica, space, viewer, after=got[-1] if got else 0) as connection:
            got += seqs(await receive(connection, 200))
            # As a network would: without a word.
            connection.transport.abort()
    await writing
    assert got == list(range(1, 1201))


async def test_events_that_are_no_longer_kept_are_told_as_a_gap(
    gateway: Gateway, space: Space, somebody: Somebody, store: Database, events: PostgresDatabase, uid: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    await append(store, uid, *range(6))
    events.execute("DELETE FROM session_events WHERE session_uid = %s AND seq BETWEEN 2 AND 4", [uid])
    async with following(gateway, space, viewer) as connection:
        found = await receive(connection, 4)
    assert [(frame["type"], frame["seq"], frame["prev"]) for frame in found] == [
        ("agent_message", 1, 0),
        ("gap", 4, 1),
        ("agent_message", 5, 4),
        ("agent_message", 6, 5),
    ]


async def test_nobody_is_let_in_before_they_are_known_and_may_read(
    gateway: Gateway, space: Space, somebody: Somebody, uid: str
) -> None:
    stranger = somebody("stranger")
    viewer = somebody("viewer", "agentic-view")
    for client, name, code in (
        (stranger, "s1", 403),
        (viewer, "s2", 404),
        (Client(space.plane, "x", "bad"), "s1", 401),
    ):
        with pytest.raises(InvalidStatus) as refused:
            async with following(gateway, space, client, sessionName=name):
                pass
        assert refused.value.response.status_code == code
        assert json.loads(refused.value.response.body or b"")["status"] == code
    path = f"/api/v1/agentic-sessions/{space.name}/s1/stream?after=x"
    assert gateway.call("GET", path, token="bad").code == 401, "whatever else is wrong with the request"
    assert gateway.call("GET", path, token=viewer.token).code == 400


async def test_a_token_comes_by_query_or_subprotocol_and_is_in_no_log(
    gateway: Gateway, space: Space, somebody: Somebody, store: Database, uid: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    await append(store, uid, 1)
    async with following(gateway, space, viewer, token=viewer.token) as connection:
        assert seqs(await receive(connection, 1)) == [1]
    encoded = base64.urlsafe_b64encode(viewer.token.encode()).decode().rstrip("=")
    address = f"ws://{urlsplit(gateway.address).netloc}/ws?sessionName={space.name}/s1"
    protocols: list[Any] = ["agentic.v1", f"agentic.bearer.{encoded}"]
    async with connect(address, subprotocols=protocols, proxy=None) as connection:
        assert connection.subprotocol == "agentic.v1"
        assert seqs(await receive(connection, 1)) == [1]
    assert viewer.token not in gateway.log
    assert encoded not in gateway.log


async def test_a_page_of_another_site_is_refused(gateway: Gateway, space: Space, somebody: Somebody, uid: str) -> None:
    viewer = somebody("viewer", "agentic-view")
    address = f"ws://{urlsplit(gateway.address).netloc}/ws?sessionName={space.name}/s1"
    headers = {"Authorization": f"Bearer {viewer.token}"}
    with pytest.raises(InvalidStatus) as refused:
        async with connect(address, additional_headers=headers, origin="https://evil.example", proxy=None):  # type: ignore[arg-type]
            pass
    assert refused.value.response.status_code == 403


async def test_a_person_answers_over_the_stream_and_is_told_what_came_of_it(
    gateway: Gateway, space: Space, somebody: Somebody, uid: str
) -> None:
    question = {"id": "q1", "prompt": "ok?", "schema": {"type": "boolean"}, "askedAt": "2026-01-01T00:00:00Z"}
    space.report("s1", phase="Creating", run=1)
    space.report("s1", phase="Running")
    space.report("s1", phase="WaitingForInput", interrupts=[question])
    alice = somebody("alice", "agentic-view", "agentic-edit")
    viewer = somebody("viewer", "agentic-view")
    answer = {"type": "user_input", "id": 1, "data": {"response": True, "metadata": {"interrupt_id": "q1"}}}
    async with following(gateway, space, viewer) as connection:
        await connection.send(json.dumps(answer))
        (refused,) = await receive(connection, 1)
        assert (refused["type"], refused["data"]["metadata"]["problem"]["status"]) == ("error", 403)
    async with following(gateway, space, alice) as connection:
        await connection.send("{")
        await connection.send(json.dumps({"type": "nonsense"}))
        await connection.send(json.dumps({**answer, "data": {"interruptId": "q1", "value": "yes"}}))
        await connection.send(json.dumps(answer))
        found = await receive(connection, 4)
    assert [frame["type"] for frame in found] == ["error", "error", "error", "user_input"]
    assert [frame["seq"] for frame in found] == [None] * 4
    assert found[2]["data"]["metadata"]["problem"]["errors"][0]["pointer"] == "/value"
    assert found[3]["data"]["metadata"] == {"id": 1, "interruptId": "q1"}
    assert [each["value"] for each in space.session("s1")["spec"]["responses"]] == [True]


async def test_server_sent_events_are_the_same_messages_and_go_on_after_the_last_id(
    gateway: Gateway, space: Space, somebody: Somebody, store: Database, uid: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    await append(store, uid, *range(4))
    found = await asyncio.to_thread(read_sse, gateway, space, viewer, {"Last-Event-ID": "0-2"}, 2)
    assert [each["id"] for each in found] == ["0-3", "0-4"]
    assert [json.loads(each["data"])["seq"] for each in found] == [3, 4]
    assert found[0]["event"] == "agent_message"


def read_sse(
    gateway: Gateway, space: Space, client: Client, headers: dict[str, str], count: int
) -> list[dict[str, str]]:
    """Read so many events of a session's stream."""
    connection = http.client.HTTPConnection(urlsplit(gateway.address).netloc, timeout=PATIENCE_SECONDS)
    path = f"/api/v1/agentic-sessions/{space.name}/s1/stream"
    connection.request("GET", path, headers={"Authorization": f"Bearer {client.token}", **headers})
    with connection.getresponse() as response:
        assert response.status == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-accel-buffering"] == "no"
        events: list[dict[str, str]] = []
        current: dict[str, str] = {}
        while len(events) < count:
            line = response.readline().decode().rstrip("\n")
            if line.startswith(":"):
                continue
            name, _, value = line.partition(": ")
            if line:
                current[name] = value
            elif "data" in current:
                events.append(current)
                current = {}
            else:
                current = {}
    connection.close()
    return events


async def test_the_database_goes_and_comes_and_the_stream_goes_on(
    gateway: Gateway, space: Space, somebody: Somebody, store: Database, events: PostgresDatabase, uid: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    await append(store, uid, 0)
    async with following(gateway, space, viewer) as connection:
        assert seqs(await receive(connection, 1)) == [1]
        events.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'agentic-gateway%%' AND datname = current_database()"
        )
        await append(store, uid, 1, 2)
        assert seqs(await receive(connection, 2)) == [2, 3]
