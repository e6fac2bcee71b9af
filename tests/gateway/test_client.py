"""The Python client against real gateways: nothing lost or doubled, whatever is cut; refusals as exceptions."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest

from agentic_client import (
    AsyncClient,
    Client,
    Conflict,
    ConnectionState,
    Forbidden,
    Gap,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    Numbers,
    Unreachable,
    WaitTimeout,
)
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.records import NewEvent
from hack.cluster.controlplane import ControlPlane
from hack.cluster.endpoints import find_free_ports
from tests.support.gateway import Gateway, running_gateway
from tests.support.kube import Space
from tests.support.link import Link, open_link
from tests.support.postgres import PostgresDatabase
from tests.support.streams import record_running
from tests.support.waiting import wait_for
from tests.trust.roles import Client as Role

Somebody = Callable[..., Role]
QUESTION = {"id": "q1", "prompt": "ok?", "schema": {"type": "boolean"}, "askedAt": "2026-01-01T00:00:00Z"}
SCHEMA = {"type": "object", "properties": {"pages": {"type": "integer", "maximum": 9}}}


@pytest.fixture
async def store(events: PostgresDatabase) -> AsyncIterator[Database]:
    async with open_database(Dsn.parse(events.dsn), application_name="test") as made:
        yield made


@pytest.fixture
async def uid(space: Space, store: Database) -> str:
    """A session ``s1`` that runs, with a row."""
    space.define()
    made = space.start("s1")
    space.report("s1", phase="Creating", run=1)
    space.report("s1", phase="Running")
    await record_running(store, space, made["metadata"]["uid"])
    return str(made["metadata"]["uid"])


@pytest.fixture
def alice(somebody: Somebody) -> Role:
    """Somebody who may read, start and answer."""
    return somebody("alice", "agentic-view", "agentic-edit")


def open_client(url: str, space: Space, role: Role) -> AsyncClient:
    return AsyncClient(url, token=role.token, namespace=space.name)


async def append(store: Database, uid: str, count: int, type_: str = "custom") -> None:
    await store.events.append(uid, 1, [NewEvent(type_, {"data": "x"}) for _ in range(count)])


async def end(store: Database, space: Space, uid: str) -> None:
    """End the session as its runner does: the last event, then the status."""
    await append(store, uid, 1, "completed")
    await asyncio.to_thread(space.report, "s1", phase="Completed", result={"n": 1})


async def test_a_session_is_started_answered_and_read(gateway: Gateway, space: Space, alice: Role) -> None:
    await asyncio.to_thread(space.define, "report", inputSchema=SCHEMA)
    async with open_client(gateway.address, space, alice) as client:
        with pytest.raises(InvalidInput) as refused:
            await client.start("report", {"pages": 10})
        assert [(each.pointer, each.keyword) for each in refused.value.errors] == [("/spec/inputs/pages", "maximum")]
        made = await client.start("report", {"pages": 3}, name="s1", labels={"team": "red"}, spec={"retries": 1})
        assert (made.name, made.phase, made.raw["spec"]["inputs"]) == ("s1", "Pending", {"pages": 3})
        with pytest.raises(Conflict):
            await client.start("report", {"pages": 3}, name="s1")
        assert [each.name async for each in client.list(label_selector="team=red")] == ["s1"]
        assert [each.name async for each in client.list(label_selector="team=blue")] == []
        waiting = asyncio.create_task(client.wait("s1", until=lambda session: session.is_waiting, timeout=60))
        await asyncio.to_thread(space.report, "s1", phase="Creating", run=1)
        await asyncio.to_thread(space.report, "s1", phase="Running")
        await asyncio.to_thread(space.report, "s1", phase="WaitingForInput", interrupts=[QUESTION])
        (question,) = (await waiting).questions
        assert (question.id, question.prompt) == ("q1", "ok?")
        with pytest.raises(InvalidInput) as refused:
            await client.answer("s1", "q1", "yes")
        assert refused.value.errors[0].pointer == "/value"
        with pytest.raises(NotFound, match="open questions: 'q1'"):
            await client.answer("s1", "q2", True)
        await client.answer("s1", "q1", True)
        with pytest.raises(Conflict, match="there is no result: the session is WaitingForInput"):
            await client.result("s1")
        with pytest.raises(WaitTimeout, match="it goes on"):
            await client.wait("s1", timeout=0.2)
    assert [each["value"] for each in space.session("s1")["spec"]["responses"]] == [True]


async def test_turns_are_added_listed_and_canceled(gateway: Gateway, space: Space, alice: Role) -> None:
    await asyncio.to_thread(space.define)
    async with open_client(gateway.address, space, alice) as client:
        await client.start("report", name="c", conversation=True)
        # Their names follow from the key by which a request that is sent again is known.
        first = (await client.add_turn("c", message="hi")).name
        second = (await client.add_turn("c", {"n": 1})).name
        session = await client.get("c")
        assert [(turn.name, turn.phase) for turn in session.turns] == [(first, "Pending"), (second, "Pending")]
        canceled = await client.cancel("c", second)
        assert canceled.raw["spec"]["turns"][1]["cancel"]
        with pytest.raises(WaitTimeout):
            await client.wait_turn("c", first, timeout=0.2)
        assert (await client.close_conversation("c")).raw["spec"]["close"]
        with pytest.raises(Conflict, match="takes no further turn"):
            await client.add_turn("c", message="more")
    said = space.session("c")["spec"]["turns"][0]["input"]["messages"]
    assert said == [{"role": "user", "content": "hi"}]


@dataclass
class Cuts:
    """Messages as they come, and a link that is cut amid them."""

    link: Link
    got: list[int] = field(default_factory=list)
    states: list[ConnectionState] = field(default_factory=list)

    async def write(self, store: Database, space: Space, uid: str) -> None:
        """Write messages, and cut the link five times while they are on their way; then end the session."""
        for cut in range(5):
            await append(store, uid, 200)
            await self._until(lambda: len(self.got) > cut * 200 + 50)  # noqa: B023  (awaited here)
            self.link.cut()
            await self._until(lambda: self.states.count(ConnectionState.DISCONNECTED) > cut)  # noqa: B023
        await end(store, space, uid)

    async def _until(self, holds: Callable[[], bool]) -> None:
        await asyncio.to_thread(wait_for, holds, bool, what="the stream", every=0.002)

    def check(self) -> None:
        """Each message came once and in order."""
        assert self.got == list(range(1, 1002))
        assert self.states.count(ConnectionState.CONNECTED) >= 5
        assert self.states[-1] is ConnectionState.CLOSED


async def test_a_link_that_is_cut_five_times_between_two_replicas_loses_and_doubles_nothing(
    gateway: Gateway, second_gateway: Gateway, space: Space, alice: Role, store: Database, uid: str
) -> None:
    async with (
        open_link(gateway.address, second_gateway.address) as link,
        open_client(link.url, space, alice) as client,
    ):
        cuts = Cuts(link)
        writing = asyncio.create_task(cuts.write(store, space, uid))
        async with client.stream("s1", on_state=cuts.states.append) as stream:
            async for message in stream:
                cuts.got.append(message.seq or 0)
        await writing
    cuts.check()
    assert stream.after == 1001


async def test_without_an_event_loop_it_is_the_same(
    gateway: Gateway, second_gateway: Gateway, space: Space, alice: Role, store: Database, uid: str
) -> None:
    """The blocking client in a thread, the cuts from here."""
    async with open_link(gateway.address, second_gateway.address) as link:
        cuts = Cuts(link)

        def follow() -> None:
            with (
                Client(link.url, token=alice.token, namespace=space.name) as client,
                client.stream("s1", on_state=cuts.states.append) as stream,
            ):
                for message in stream:
                    cuts.got.append(message.seq or 0)
                waited = client.wait("s1", timeout=60)
                assert (waited.phase, client.result("s1")) == ("Completed", {"n": 1})
                assert [each.name for each in client.list(phase="Completed")] == ["s1"]

        following = asyncio.create_task(asyncio.to_thread(follow))
        await cuts.write(store, space, uid)
        await following
    cuts.check()


async def test_a_gateway_that_goes_away_and_comes_back_is_found_again(
    control_plane: ControlPlane, events: PostgresDatabase, tmp_path: Path, space: Space, alice: Role,
    store: Database, uid: str,
) -> None:  # fmt: skip
    (port,) = find_free_ports(1)
    got: list[int] = []
    states: list[ConnectionState] = []
    seen = asyncio.Event()
    lost = asyncio.Event()

    def note(state: ConnectionState) -> None:
        states.append(state)
        if state is ConnectionState.DISCONNECTED:
            lost.set()

    async def follow(client: AsyncClient) -> None:
        async for message in client.stream("s1", on_state=note):
            got.append(message.seq or 0)
            seen.set()

    async with open_client(f"http://127.0.0.1:{port}", space, alice) as client:
        with pytest.raises(Unreachable) as refused:
            await client.add_turn("s1", message="hi")
        assert not refused.value.is_sent
        with running_gateway(control_plane, events, tmp_path, PORT=str(port)):
            following = asyncio.create_task(follow(client))
            await append(store, uid, 3)
            await seen.wait()
        await lost.wait()
        await append(store, uid, 3)
        (tmp_path / "gateway.log").unlink()
        with running_gateway(control_plane, events, tmp_path, PORT=str(port)):
            await end(store, space, uid)
            await following
    assert got == list(range(1, 8))
    assert states[-1] is ConnectionState.CLOSED


async def test_a_stream_ends_with_a_session_that_was_stopped_or_is_over(
    gateway: Gateway, space: Space, alice: Role, store: Database, uid: str
) -> None:
    async with open_client(gateway.address, space, alice) as client:
        await append(store, uid, 2)
        async with client.stream("s1") as stream:
            assert (await anext(stream)).seq == 1
            await client.stop("s1")
            await asyncio.to_thread(space.report, "s1", phase="Stopped")
            assert [message.seq async for message in stream] == [2]
        assert [message.seq async for message in client.stream("s1")] == [1, 2]
        assert [message.seq async for message in client.stream("s1", after=1)] == [2]


async def test_messages_that_are_no_longer_kept_are_told_as_a_gap(
    gateway: Gateway, space: Space, alice: Role, store: Database, events: PostgresDatabase, uid: str
) -> None:
    await append(store, uid, 6)
    await end(store, space, uid)
    events.execute("DELETE FROM session_events WHERE session_uid = %s AND seq BETWEEN 2 AND 4", [uid])
    async with open_client(gateway.address, space, alice) as client:
        found = [message async for message in client.stream("s1")]
    assert [(message.seq, message.gap) for message in found] == [
        (1, None),
        (4, Gap(2, 4)),
        (5, None),
        (6, None),
        (7, None),
    ]


async def test_refusals_are_exceptions_and_the_token_is_asked_for_again(
    gateway: Gateway, space: Space, somebody: Somebody, alice: Role, uid: str
) -> None:
    stranger = somebody("stranger")
    async with open_client(gateway.address, space, stranger) as client:
        with pytest.raises(Forbidden):
            await client.get("s1")
        with pytest.raises(Forbidden):
            await anext(client.stream("s1"))
    async with AsyncClient(gateway.address, token="bad", namespace=space.name) as client:
        with pytest.raises(NotAuthenticated):
            await anext(client.stream("s1"))
    async with open_client(gateway.address, space, alice) as client:
        with pytest.raises(NotFound):
            await client.get("s2")
    tokens = iter(["expired", alice.token])
    async with AsyncClient(gateway.address, token=lambda: next(tokens), namespace=space.name) as client:
        assert (await client.get("s1")).name == "s1"


async def test_a_result_keeps_its_digits(
    gateway: Gateway, space: Space, alice: Role, store: Database, uid: str
) -> None:
    await asyncio.to_thread(space.report, "s1", phase="Completed", result={"n": 12345678901234567, "text": "é"})
    async with open_client(gateway.address, space, alice) as client:
        assert await client.result("s1", numbers=Numbers.TEXT) == {"n": "12345678901234567", "text": "é"}
        assert (await client.result("s1", numbers=Numbers.DECIMAL))["n"] == Decimal(12345678901234567)
        file = io.BytesIO()
        assert await client.save_result("s1", file) == len(file.getvalue()) > 10
