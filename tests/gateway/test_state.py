"""The state of a session over HTTP: exact, for who has the right to it, and nothing where the definition shows none."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import ormsgpack
import psycopg
import pytest

from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.thread_values import ThreadValues
from tests.support.gateway import Gateway
from tests.support.kube import Space
from tests.support.postgres import PostgresDatabase
from tests.support.streams import start_followed
from tests.trust.roles import Client

CHECKPOINT = "1f000000-0000-6000-8000-000000000001"


@pytest.fixture
async def store(events: PostgresDatabase) -> AsyncIterator[Database]:
    async with open_database(Dsn.parse(events.dsn), application_name="test") as made:
        yield made


@pytest.fixture
def reader(somebody: Callable[..., Client]) -> Client:
    return somebody("reader", "agentic-state")


def path_of(space: Space, query: str = "") -> str:
    return f"/api/v1/agentic-sessions/{space.name}/s1/state{query}"


async def test_the_newest_values_come_byte_for_byte(
    gateway: Gateway, space: Space, reader: Client, somebody: Callable[..., Client], store: Database
) -> None:
    space.define()
    uid = await start_followed(space, store, "s1")
    assert gateway.call("GET", path_of(space), token=reader.token).code == 404
    exact = '{"big": 12345678901234567890123, "one": 1.0, "text": "день"}'
    await store.thread_values.write(uid, ThreadValues(run=1, turn=2, checkpoint_id=CHECKPOINT, state=exact), ["text"])
    found = gateway.call("GET", path_of(space), token=reader.token)
    assert found.code == 200
    at = found.body.pop("at")
    assert at.endswith("+00:00")
    assert found.body == {
        "checkpointId": CHECKPOINT,
        "run": 1,
        "turn": 2,
        "values": {"big": 12345678901234567890123, "one": 1.0, "text": "день"},
    }
    viewer = somebody("viewer", "agentic-view", "agentic-edit", "agentic-audit")
    refused = gateway.call("GET", path_of(space), token=viewer.token)
    assert (refused.code, "agenticsessions/state" in refused.body["detail"]) == (403, True)
    await store.thread_values.write(uid, ThreadValues(run=1, checkpoint_id=CHECKPOINT), ["text"])
    assert gateway.call("GET", path_of(space), token=reader.token).code == 409
    await store.thread_values.withdraw(uid, 1)
    assert gateway.call("GET", path_of(space), token=reader.token).code == 404


async def test_a_checkpoints_values_are_shown_where_the_definition_keeps_a_history(
    gateway: Gateway, space: Space, reader: Client, store: Database, events: PostgresDatabase
) -> None:
    space.define()
    uid = await start_followed(space, store, "s1")
    ((thread,),) = events.execute("SELECT thread_id FROM workflow_sessions WHERE session_uid = %s", [uid])

    def save(channel: str, kind: str, content: bytes) -> None:
        events.execute(
            "INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)"
            " VALUES (%s, '', %s, '1', %s, %s)",
            [thread, channel, kind, content],
        )

    save("messages", "msgpack", ormsgpack.packb([ormsgpack.Ext(5, ormsgpack.packb(("m", "AI", {"content": "hi"})))]))
    save("private", "msgpack", ormsgpack.packb("hidden"))
    versions = {"messages": "1", "private": "1", "count": "1"}
    events.execute(
        "INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, type, checkpoint, metadata)"
        " VALUES (%s, '', %s, NULL, %s, '{}')",
        [thread, CHECKPOINT, psycopg.types.json.Jsonb({"channel_values": {"count": 3}, "channel_versions": versions})],
    )
    query = f"?checkpoint={CHECKPOINT}"
    shown = ["messages", "count"]
    latest = ThreadValues(run=1, checkpoint_id="1f000000-0000-6000-8000-000000000002", state="{}")
    await store.thread_values.write(uid, latest, shown)
    assert gateway.call("GET", path_of(space, query), token=reader.token).code == 404
    history = ThreadValues(run=1, checkpoint_id=latest.checkpoint_id, state="{}", keeps_history=True)
    await store.thread_values.write(uid, history, shown)
    found = gateway.call("GET", path_of(space, query), token=reader.token)
    assert found.body == {"checkpointId": CHECKPOINT, "values": {"count": 3, "messages": [{"content": "hi"}]}}
    for query, code in (("?checkpoint=1f", 404), ("?checkpoint=..%2F", 400), ("?checkpoint=", 400)):
        assert gateway.call("GET", path_of(space, query), token=reader.token).code == code
    events.execute("UPDATE checkpoint_blobs SET type = 'msgpack+aes' WHERE thread_id = %s", [thread])
    sealed: Any = gateway.call("GET", path_of(space, f"?checkpoint={CHECKPOINT}"), token=reader.token)
    assert (sealed.code, "encrypted" in sealed.body["detail"]) == (409, True)
    wide = ormsgpack.packb("x" * 1_100_000)
    events.execute("UPDATE checkpoint_blobs SET type = 'msgpack', blob = %s WHERE thread_id = %s", [wide, thread])
    large = gateway.call("GET", path_of(space, f"?checkpoint={CHECKPOINT}"), token=reader.token)
    assert (large.code, "1 MiB" in large.body["detail"]) == (409, True)
