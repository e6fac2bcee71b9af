"""Results are read as the text that the database has, digit by digit, in pieces; requests that come again are known."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest

from agentic_core.lifecycle import Phase
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.records import TurnPhase
from agentic_store.repeated_requests import RequestKey
from agentic_store.results import stored
from agentic_store.results.output import encode_output
from tests.support.postgres import PostgresDatabase
from tests.support.store_conformance import a_record, a_turn

UID = "uid-team-report"
EXACT = '{"b": 1.0, "a": 1e400, "long": 1000000000000000000000000000001, "text": "день \\u0001 🙂"}'


@pytest.fixture
async def store(database: PostgresDatabase) -> AsyncIterator[Database]:
    async with open_database(Dsn.parse(database.dsn), application_name="test") as made:
        await made.sessions.record_sessions([a_record(status=Phase.RUNNING, run=1), a_record(project="other")])
        yield made


async def read(store: Database, turn: int | None = None, *, start: int = 0, stop: int | None = None) -> bytes:
    results = store.view("team").results
    text = await results.measure(UID, turn)
    assert text is not None
    end = text.size if stop is None else stop
    return b"".join([piece async for piece in results.read(UID, turn, start=start, stop=end)])


async def test_a_result_is_the_text_that_the_database_has(store: Database, database: PostgresDatabase) -> None:
    await store.sessions.finish(UID, 1, Phase.COMPLETED, output=encode_output({}))
    database.execute(f"UPDATE workflow_sessions SET output_data = '{EXACT}' WHERE session_uid = '{UID}'")
    ((spelled,),) = database.execute(f"SELECT output_data::text FROM workflow_sessions WHERE session_uid = '{UID}'")
    found = await read(store)
    assert found == spelled.encode()
    assert b"1" + b"0" * 400 in found
    assert b"1000000000000000000000000000001" in found
    assert b"1.0" in found
    text = await store.view("team").results.measure(UID)
    assert text == stored.ResultText(len(found), hashlib.sha256(found).hexdigest())


async def test_a_large_result_comes_in_pieces(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "PIECE", 1000)
    await store.sessions.finish(UID, 1, Phase.COMPLETED, output=encode_output({"text": "aбв🙂" * 1000}))
    whole = await read(store)
    assert len(whole) > 9_000
    assert whole.startswith(b'{"text": "a')
    for start, stop in ((0, 1), (999, 1001), (3, 5004), (len(whole) - 1, len(whole))):
        assert await read(store, start=start, stop=stop) == whole[start:stop]


async def test_a_turn_has_its_own_result(store: Database) -> None:
    await store.turns.begin(a_turn())
    await store.turns.finish(UID, 1, 1, TurnPhase.COMPLETED, output=encode_output([1.5]))
    assert await read(store, 1) == b"[1.5]"
    assert await store.view("team").results.measure(UID, 2) is None


async def test_what_did_not_complete_has_no_result(store: Database) -> None:
    results = store.view("team").results
    assert await results.measure(UID) is None
    await store.sessions.finish(UID, 1, Phase.FAILED, output=encode_output({"half": 1}))
    assert await results.measure(UID) is None
    assert await results.measure("\0") is None
    assert await results.measure("nobody") is None


async def test_namespaces_in_which_somebody_is_waited_for(store: Database) -> None:
    assert await store.fetch_waiting_namespaces() == []
    await store.sessions.change_status(UID, 1, Phase.WAITING_FOR_INPUT)
    assert await store.fetch_waiting_namespaces() == ["team"]


def a_key(key: str = "k", body: bytes = b"1", username: str = "ann") -> RequestKey:
    return RequestKey(username, "POST /x", key, hashlib.sha256(body).digest())


async def test_a_request_is_served_once_and_known_afterwards(store: Database) -> None:
    requests = store.repeated_requests
    assert await requests.begin(a_key()) is None
    again = await requests.begin(a_key())
    assert again is not None
    assert (again.digest, again.response) == (a_key().digest, None)
    await requests.finish(a_key(), {"status": 201, "body": "\\u0000"})
    again = await requests.begin(a_key())
    assert again is not None
    assert again.response == {"status": 201, "body": "\\u0000"}
    other = await requests.begin(a_key(body=b"2"))
    assert other is not None
    assert other.digest == a_key().digest
    assert await requests.begin(a_key(username="bob")) is None


async def test_of_many_at_once_one_is_served(store: Database) -> None:
    found = await asyncio.gather(*(store.repeated_requests.begin(a_key()) for _ in range(20)))
    assert found.count(None) == 1


async def test_a_request_without_an_answer_can_be_served_again(store: Database) -> None:
    requests = store.repeated_requests
    assert await requests.begin(a_key()) is None
    await requests.forget(a_key())
    assert await requests.begin(a_key(), lease_seconds=-1) is None
    # Whoever served it is gone: the same request may be served, another one of its key may not.
    other = await requests.begin(a_key(body=b"2"))
    assert other is not None
    assert await requests.begin(a_key()) is None


async def test_an_answer_that_is_kept_no_longer_is_forgotten(store: Database) -> None:
    requests = store.repeated_requests
    assert await requests.begin(a_key()) is None
    await requests.finish(a_key(), {"status": 200}, keep_seconds=-1)
    assert await requests.begin(a_key(body=b"2")) is None
