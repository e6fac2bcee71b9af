"""What people say over a stream while runners and replicas come and go: accepted once, or told why not."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from websockets.asyncio.client import ClientConnection, connect

from hack.cluster.controlplane import ControlPlane
from tests.gateway.test_runners import AUDIENCE, a_token
from tests.support.frames import read_frame
from tests.support.gateway import Gateway, Reply, running_gateway
from tests.support.kube import Space
from tests.support.postgres import PostgresDatabase
from tests.support.waiting import wait_for
from tests.trust.roles import Client

Json = dict[str, Any]


@pytest.fixture
def alice(somebody: Callable[..., Client]) -> Client:
    return somebody("alice", "agentic-view", "agentic-edit")


@asynccontextmanager
async def speaking(gateway: Gateway, space: Space, client: Client, name: str) -> AsyncIterator[ClientConnection]:
    query = urlencode({"namespace": space.name, "sessionName": name})
    headers = {"Authorization": f"Bearer {client.token}"}
    address = f"ws://{urlsplit(gateway.address).netloc}/ws?{query}"
    async with connect(address, additional_headers=headers, proxy=None) as found:
        yield found


async def say(gateway: Gateway, space: Space, client: Client, name: str, message: Json) -> Json:
    """Send a message and return what its sender is told of it."""
    async with speaking(gateway, space, client, name) as connection:
        await connection.send(json.dumps({"id": "mine", **message}))
        while True:
            frame: Json = read_frame(await connection.recv())
            if frame["data"]["metadata"].get("id") == "mine":
                return frame


def read_status(frame: Json) -> int:
    """Return the HTTP status of the problem that a message is."""
    assert frame["type"] == "error"
    return int(frame["data"]["metadata"]["problem"]["status"])


async def test_what_a_person_says_is_a_turn_or_they_are_told_why_not(
    gateway: Gateway, space: Space, alice: Client, somebody: Callable[..., Client]
) -> None:
    space.define()
    space.start("talks", mode="Conversation")
    space.start("closed", mode="Conversation", close=True)
    space.start("once", inputs={})
    message = {"type": "user_message", "data": {"message": "hello"}}
    accepted = await say(gateway, space, alice, "talks", message)
    (turn,) = space.session("talks")["spec"]["turns"]
    assert (accepted["type"], accepted["data"]["metadata"]["turn"]) == ("user_message", turn["name"])
    assert turn["input"] == {"messages": [{"role": "user", "content": "hello"}]}
    assert turn["by"] == f"system:serviceaccount:{space.name}:alice"
    for name in ("closed", "once"):
        assert read_status(await say(gateway, space, alice, name, message)) in (409, 422), name
        assert not space.session(name)["spec"].get("turns"), name
    assert read_status(await say(gateway, space, somebody("viewer", "agentic-view"), "talks", message)) == 403
    assert read_status(await say(gateway, space, alice, "talks", {"type": "user_message", "data": []})) == 400
    too_long = {"type": "user_message", "data": {"message": "x" * 40_000}}
    assert read_status(await say(gateway, space, alice, "talks", too_long)) in (400, 413, 422)
    assert len(space.session("talks")["spec"]["turns"]) == 1
    space.define("strict", inputSchema={"type": "object", "required": ["question"]})
    space.start("asks", "strict", mode="Conversation")
    unfit = await say(gateway, space, alice, "asks", message)
    assert read_status(unfit) == 400
    assert [each["pointer"] for each in unfit["data"]["metadata"]["problem"]["errors"]] == ["/input"]
    assert "turns" not in space.session("asks")["spec"]


async def test_an_answer_over_a_replica_that_dies_reaches_the_runner_over_the_next_one_and_acts_once(
    control_plane: ControlPlane, events: PostgresDatabase, gateway: Gateway, space: Space, alice: Client, tmp_path: Path
) -> None:
    space.define(reportsTo="Gateway")
    space.operator(GATEWAY_URL=gateway.address)
    space.start("s1", inputs={})
    pod = space.wait_pod("s1-r1")
    uid = str(space.plane.request("GET", f"/api/v1/namespaces/{space.name}/pods/{pod}")["metadata"]["uid"])
    token = a_token(space, pod, uid, audience=AUDIENCE)

    def call(at: Gateway, method: str, part: str, body: object = None) -> Reply:
        return at.call(method, f"/api/v1/agentic-sessions/{space.name}/s1/{part}", body, token=token)

    # Until the operator has recorded the pod, it may ask again.
    wait_for(lambda: call(gateway, "POST", "status", {"phase": "Running"}).code, lambda code: code == 200, what="on")
    early = {"type": "user_input", "data": {"interruptId": "q1", "value": "early"}}
    assert read_status(await say(gateway, space, alice, "s1", early)) in (404, 409)
    question = {"id": "q1", "prompt": "pay?"}
    assert call(gateway, "POST", "status", {"phase": "WaitingForInput", "interrupts": [question]}).code == 200
    # Whoever looks now sees it: the report was answered once it was written.
    assert space.status("s1")["phase"] == "WaitingForInput"
    with running_gateway(control_plane, events, tmp_path) as replica:
        given = {"type": "user_input", "data": {"response": "yes", "metadata": {"interrupt_id": "q1"}}}
        accepted = await say(replica, space, alice, "s1", given)
        replica.process.kill()
        replica.process.wait(30)
    assert (accepted["type"], accepted["data"]["metadata"]["interruptId"]) == ("user_input", "q1")
    found = wait_for(
        lambda: call(gateway, "GET", "input?interruptId=q1&wait=20"), lambda reply: reply.code == 200, what="the answer"
    )
    assert [(each["interruptId"], each["value"]) for each in found.body["answers"]] == [("q1", "yes")]
    again = {"type": "user_input", "data": {"interruptId": "q1", "value": "no"}}
    assert read_status(await say(gateway, space, alice, "s1", again)) == 409
    assert call(gateway, "POST", "status", {"phase": "Running"}).code == 200
    assert read_status(await say(gateway, space, alice, "s1", again)) == 409
    assert [each["value"] for each in space.session("s1")["spec"]["responses"]] == ["yes"]
