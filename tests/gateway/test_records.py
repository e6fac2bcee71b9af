"""Events, turns and results of the database: read by whoever may read the session, and by nobody else."""

from collections.abc import AsyncIterator, Callable

import pytest

from agentic_core.lifecycle import Phase
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.records import NewEvent, TurnPhase, TurnRecord
from agentic_store.results.output import encode_output
from tests.support.gateway import Gateway
from tests.support.kube import Space
from tests.support.postgres import PostgresDatabase
from tests.support.streams import record_running
from tests.trust.roles import Client

Somebody = Callable[..., Client]


@pytest.fixture
async def store(events: PostgresDatabase) -> AsyncIterator[Database]:
    async with open_database(Dsn.parse(events.dsn), application_name="test") as made:
        yield made


async def test_events_come_by_pages(gateway: Gateway, space: Space, somebody: Somebody, store: Database) -> None:
    space.define()
    uid = space.start("s1")["metadata"]["uid"]
    await record_running(store, space, uid, "s1")
    await store.events.append(uid, 1, [NewEvent("custom", {"data": number}) for number in range(5)])
    viewer, stranger = somebody("viewer", "agentic-view"), somebody("stranger")
    path = f"/api/v1/agentic-sessions/{space.name}/s1/events"
    first = gateway.call("GET", f"{path}?limit=3", token=viewer.token).body
    assert ([item["seq"] for item in first["items"]], first["last"]) == ([1, 2, 3], 3)
    second = gateway.call("GET", f"{path}?after=3", token=viewer.token).body
    assert ([item["prev"] for item in second["items"]], second["last"]) == ([3, 4], 5)
    assert gateway.call("GET", f"{path}?after=5", token=viewer.token).body == {"items": [], "last": 5}
    assert gateway.call("GET", path, token=stranger.token).code == 403
    assert gateway.call("GET", f"{path}?after=-1", token=viewer.token).code == 400


async def test_a_result_comes_from_the_status_or_from_the_database(
    gateway: Gateway, space: Space, somebody: Somebody, store: Database
) -> None:
    space.define()
    uid = space.start("s1")["metadata"]["uid"]
    await record_running(store, space, uid, "s1")
    viewer, stranger = somebody("viewer", "agentic-view"), somebody("stranger")
    path = f"/api/v1/agentic-sessions/{space.name}/s1/result"
    early = gateway.call("GET", path, token=viewer.token)
    assert (early.code, "Pending" in early.body["detail"]) == (409, True)
    large = {"text": "x" * 300_000, "number": 2**60 + 1}
    await store.sessions.finish(uid, 1, Phase.COMPLETED, output=encode_output(large))
    assert gateway.call("GET", path, token=viewer.token).body == large
    assert gateway.call("GET", path, token=stranger.token).code == 403
    space.report("s1", phase="Creating", run=1)
    space.report("s1", phase="Running")
    space.report("s1", phase="Completed", result=[1, None])
    # The row says it with each digit; the status, where there is no row.
    assert gateway.call("GET", path, token=viewer.token).body == large
    await store.sessions.delete_session(uid)
    assert gateway.call("GET", path, token=viewer.token).body == [1, None]


async def test_every_turn_keeps_its_result(gateway: Gateway, space: Space, somebody: Somebody, store: Database) -> None:
    space.define()
    uid = space.start("talk", mode="Conversation")["metadata"]["uid"]
    await record_running(store, space, uid, "talk")
    for number in (1, 2):
        turn = TurnRecord(
            session_uid=uid,
            number=number,
            name=f"t{number}",
            project_name=space.name,
            session_name="talk",
            author="alice",
            input={"n": number},
            run=1,
        )
        await store.turns.begin(turn)
        await store.sessions.start_run(uid, 1)
        await store.turns.finish(uid, number, 1, TurnPhase.COMPLETED, output=encode_output({"n": number}))
    space.report("talk", turnCount=2)
    viewer = somebody("viewer", "agentic-view")
    path = f"/api/v1/agentic-sessions/{space.name}/talk"
    turns = gateway.call("GET", f"{path}/turns", token=viewer.token).body
    assert [(each["number"], each["name"], each["phase"], each["by"]) for each in turns["items"]] == [
        (1, "t1", "Completed", "alice"),
        (2, "t2", "Completed", "alice"),
    ]
    assert gateway.call("GET", f"{path}/result?turn=1", token=viewer.token).body == {"n": 1}
    assert gateway.call("GET", f"{path}/result", token=viewer.token).body == {"n": 2}
    assert gateway.call("GET", f"{path}/result?turn=3", token=viewer.token).code == 409
