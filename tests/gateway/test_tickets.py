"""Tickets: one stream or link, once, for one session, in the name of whoever made it."""

import asyncio
import http.client
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from agentic_store.records import NewEvent
from tests.support.frames import read_frame
from tests.support.gateway import Gateway
from tests.support.kube import Space
from tests.support.postgres import PostgresDatabase
from tests.support.streams import start_followed
from tests.trust.roles import Client

Somebody = Callable[..., Client]


@pytest.fixture
async def uid(space: Space, events: PostgresDatabase) -> str:
    """A session ``s1`` with one event."""
    space.define()
    async with open_database(Dsn.parse(events.dsn), application_name="test") as store:
        uid = await start_followed(space, store)
        await store.events.append(uid, 1, [NewEvent("custom", {"data": 1})])
    return uid


def make(gateway: Gateway, space: Space, client: Client, channel: str, name: str = "s1") -> str:
    path = f"/api/v1/agentic-sessions/{space.name}/{name}/tickets"
    reply = gateway.call("POST", path, {"channel": channel}, token=client.token)
    assert reply.code == 201, reply.body
    assert reply.body["expiresInSeconds"] <= 60
    return str(reply.body["ticket"])


async def follow(gateway: Gateway, space: Space, ticket: str, name: str = "s1") -> int:
    """Open a WebSocket with a ticket; return the status, and see that 101 brings the session's messages."""
    asked = urlencode({"namespace": space.name, "sessionName": name, "ticket": ticket})
    try:
        async with connect(f"ws://{urlsplit(gateway.address).netloc}/ws?{asked}", proxy=None) as connection:
            async with asyncio.timeout(20):
                assert read_frame(await connection.recv())["seq"] == 1
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def test_of_two_replicas_with_one_ticket_one_takes_it(
    gateway: Gateway, second_gateway: Gateway, space: Space, somebody: Somebody, uid: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    for _ in range(3):
        ticket = await asyncio.to_thread(make, gateway, space, viewer, "websocket")
        found = await asyncio.gather(*(follow(each, space, ticket) for each in (gateway, second_gateway) * 3))
        assert sorted(found) == [101, 401, 401, 401, 401, 401]


async def test_a_ticket_is_for_one_session_and_one_channel_and_is_used_up_by_a_wrong_try(
    gateway: Gateway, space: Space, somebody: Somebody, uid: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    space.start("s2")
    for channel, name in (("events", "s1"), ("result", "s1"), ("websocket", "s2")):
        ticket = make(gateway, space, viewer, channel, name)
        assert await follow(gateway, space, ticket) == 401
        assert await follow(gateway, space, ticket, name) == 401
    for wrong in ("", "x", "A" * 43):
        assert await follow(gateway, space, wrong) == 401
    # Longer than the WebSocket's parser takes a line: answered all the same.
    assert await follow(gateway, space, "A" * 10_000) == 400
    ticket = make(gateway, space, viewer, "websocket")
    # Nothing else takes it: not as a token, and not where no ticket is asked for.
    assert gateway.call("GET", f"/api/v1/myself?ticket={ticket}").code == 401
    assert gateway.call("GET", "/api/v1/myself", token=ticket).code == 401
    assert await follow(gateway, space, ticket) == 101


async def test_a_ticket_ends_with_its_time_its_session_and_its_holders_rights(
    gateway: Gateway, space: Space, somebody: Somebody, events: PostgresDatabase, uid: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    late = make(gateway, space, viewer, "websocket")
    events.execute("UPDATE gateway_tickets SET expires_at = now()")
    assert await follow(gateway, space, late) == 401
    other = make(gateway, space, viewer, "websocket")
    events.execute("UPDATE gateway_tickets SET session_uid = 'another'")
    # Its seal does not open for another session.
    assert await follow(gateway, space, other) == 401
    revoked = make(gateway, space, viewer, "websocket")
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.name}/rolebindings"
    for binding in space.plane.request("GET", path)["items"]:
        space.plane.request("DELETE", f"{path}/{binding['metadata']['name']}")
    assert await follow(gateway, space, revoked) == 403
    stranger = somebody("stranger")
    reply = gateway.call(
        "POST", f"/api/v1/agentic-sessions/{space.name}/s1/tickets", {"channel": "events"}, token=stranger.token
    )
    assert reply.code == 403


def test_a_ticket_for_an_earlier_session_of_the_name_is_refused(
    gateway: Gateway, space: Space, somebody: Somebody, uid: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    ticket = make(gateway, space, viewer, "events")
    path = f"/apis/agentic-operator.dev/v1alpha1/namespaces/{space.name}/agenticsessions/s1"
    space.plane.request("DELETE", path)
    space.start("s1")
    assert gateway.call("GET", f"/api/v1/agentic-sessions/{space.name}/s1/stream?ticket={ticket}").code == 401


def test_streams_and_downloads_take_tickets(gateway: Gateway, space: Space, somebody: Somebody, uid: str) -> None:
    viewer = somebody("viewer", "agentic-view")
    ticket = make(gateway, space, viewer, "events")
    path = f"/api/v1/agentic-sessions/{space.name}/s1"
    connection = http.client.HTTPConnection(urlsplit(gateway.address).netloc, timeout=20)
    connection.request("GET", f"{path}/stream?ticket={ticket}")
    with connection.getresponse() as response:
        assert response.status == 200
        while not response.readline().startswith(b"data: "):
            pass
    connection.close()
    assert gateway.call("GET", f"{path}/stream?ticket={ticket}").code == 401
    # It runs: 409 is what its owner would be told.
    ticket = make(gateway, space, viewer, "result")
    assert gateway.call("GET", f"{path}/result?ticket={ticket}").code == 409
    assert gateway.call("GET", f"{path}/result?ticket={ticket}").code == 401


def test_neither_ticket_nor_token_is_in_the_database_or_a_log(
    gateway: Gateway, space: Space, somebody: Somebody, events: PostgresDatabase, uid: str
) -> None:
    viewer = somebody("viewer", "agentic-view")
    ticket = make(gateway, space, viewer, "websocket")
    assert gateway.call("GET", f"/api/v1/myself?ticket={ticket}&token={viewer.token}").code == 401
    # Wherever somebody may put them by mistake, whatever is answered.
    for secret in (ticket, viewer.token):
        for path in (f"/{secret}", f"/api/v1/{secret}?a={secret}", f"/ws?token={secret}&ticket={secret}"):
            gateway.call("GET", path, headers={"Cookie": f"__Host-agentic-login={secret}", "X-Other": secret})
        gateway.call(
            "POST", f"/api/v1/agentic-sessions/{space.name}", data=f'{{"spec": "{secret}"}}'.encode(), token=secret
        )
        gateway.call("POST", f"/api/v1/agentic-sessions/{space.name}", data=secret.encode(), token=viewer.token)
    rows = events.execute("SELECT gateway_tickets::text, sealed FROM gateway_tickets")
    assert rows
    shown = "".join(row[0] + bytes(row[1]).decode("latin-1") for row in rows) + gateway.log
    for secret in (ticket, viewer.token, viewer.token.split(".")[1]):
        assert secret not in shown
