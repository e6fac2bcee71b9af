"""Event logs in PostgreSQL: joined after their turn, bounded with a gap that is told, whoever works on them at once."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

import psycopg
import pytest

from agentic_core.errors import AgenticError
from agentic_gateway.feeds.hub import build_frames
from agentic_operator.database.event_logs import EventLogs
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.records import Event, Json, NewEvent
from tests.support.frames import read_frame
from tests.support.gateway import make_login
from tests.support.postgres import PostgresDatabase
from tests.support.store_conformance import a_record
from tests.support.tenants import dropping_tenants, make_tenant
from tests.support.waiting import wait_for

UID = "uid-team-report"


@pytest.fixture
async def operator(database: PostgresDatabase) -> AsyncIterator[Database]:
    """An operator with the rights of its role, and a session that runs."""
    async with open_database(make_login(database, "agentic_operator"), application_name="operator") as store:
        await store.sessions.record_session(a_record(run=1))
        yield store


def end_session(database: PostgresDatabase) -> None:
    database.execute("UPDATE workflow_sessions SET status = 'completed', completed_at = now() - interval '90 minutes'")


def say(id_: str, *texts: str) -> list[NewEvent]:
    about: dict[str, Json] = {"message_id": id_, "index": 0}
    return [
        NewEvent("message-start", {"message_id": id_, "role": "ai", "node": "n"}),
        NewEvent("content-block-start", {**about, "block": "text"}),
        *(NewEvent("content-block-delta", {**about, "node": "n", "text": text}) for text in texts),
        NewEvent("content-block-finish", about),
        NewEvent("message-finish", {"message_id": id_}),
    ]


def weave(*lists: Sequence[NewEvent]) -> list[NewEvent]:
    longest = max(len(each) for each in lists)
    return [each[place] for place in range(longest) for each in lists if place < len(each)]


def read_said(events: Sequence[Event]) -> dict[str, str]:
    said: dict[str, str] = {}
    for event in events:
        if event.type not in ("content-block-delta", "message"):
            continue
        id_ = str(event.data["message_id"])
        blocks = event.data["blocks"] if event.type == "message" else [event.data]
        assert isinstance(blocks, list)
        for block in blocks:
            assert isinstance(block, dict)
            said[id_] = said.get(id_, "") + str(block.get("text") or "")
    return said


def a_keeper(store: Database, *, max_rows: int = 0, max_bytes: int = 0) -> EventLogs:
    return EventLogs(store.event_upkeep, (), max_rows=max_rows, max_bytes=max_bytes)


async def test_messages_of_a_session_that_ended_an_hour_ago_become_a_row_each(
    database: PostgresDatabase, operator: Database
) -> None:
    events = weave(say("a", *"abc"), say("b", *"defg"), [NewEvent("node_started", {"node": "n"})])
    await operator.events.append(UID, 1, events)
    before = read_said(await operator.events.read(UID))
    keeper = a_keeper(operator)
    await keeper.run_once()
    assert keeper.progress.messages == 0  # it runs
    end_session(database)
    await keeper.run_once()
    rows = await operator.events.read(UID)
    assert [(row.seq, row.type, row.since) for row in rows] == [
        (3, "node_started", 1),
        (14, "message", 4),
        (16, "message", 15),
    ]
    assert read_said(rows) == before == {"a": "abc", "b": "defg"}
    assert (keeper.progress.messages, keeper.progress.joined_rows) == (2, 13)
    # Numbers go on, and nothing is left to find.
    assert await operator.events.append(UID, 1, [NewEvent("completed", {})]) == 17
    assert await operator.event_upkeep.list_open(seconds=0) == []


async def test_a_client_whose_cursor_is_within_a_joined_message_gets_a_marker_and_the_whole_message(
    database: PostgresDatabase, operator: Database
) -> None:
    await operator.events.append(UID, 1, [NewEvent("node_started", {"node": "n"}), *say("a", "one ", "two")])
    end_session(database)
    await a_keeper(operator).run_once()
    frames = build_frames(await operator.events.read(UID, after=4), 4)
    said = [read_frame(frame.text) for frame in frames]
    assert [(each["type"], each["seq"], each["prev"]) for each in said] == [("agent_message", 7, 4)]
    about = said[0]["data"]["metadata"]
    assert (said[0]["data"]["message"], about["compacted"]) == ("one two", {"from": 5, "to": 6})
    assert (about["event"], about["message_id"], about["is_last"]) == ("message", "a", True)


async def test_only_turns_that_ended_are_joined(database: PostgresDatabase, operator: Database) -> None:
    for turn in (1, 2):
        said = [NewEvent(each.type, each.data, turn=turn) for each in say(f"m{turn}", *"xyz")]
        await operator.events.append(UID, 1, said)
    database.execute(
        "INSERT INTO session_turns (session_uid, number, name, project_name, session_name, phase, finished_at)"
        " VALUES (%s, 1, 't1', 'team', 'report', 'completed', now() - interval '61 minutes'),"
        " (%s, 2, 't2', 'team', 'report', 'completed', now() - interval '59 minutes')",
        [UID, UID],
    )
    await a_keeper(operator).run_once()
    rows = await operator.events.read(UID)
    assert [row.type for row in rows if row.turn == 1] == ["message"]
    assert len([row for row in rows if row.turn == 2]) == 7


async def test_long_turns_are_joined_in_steps_of_bounded_size_and_text_stays_in_order(
    database: PostgresDatabase, operator: Database
) -> None:
    texts = [f"{number} " for number in range(500)]
    await operator.events.append(UID, 1, weave(say("a", *texts), say("b", *texts[:100])))
    end_session(database)
    steps = 0
    while not (await operator.event_upkeep.compact(UID, 0, rows=50)).is_done:
        steps += 1
    assert steps >= 10
    rows = await operator.events.read(UID)
    assert read_said(rows) == {"a": "".join(texts), "b": "".join(texts[:100])}
    assert {row.type for row in rows} == {"message"}
    # By bytes, too.
    database.execute("UPDATE workflow_sessions SET completed_at = NULL, status = 'running'")
    await operator.events.append(UID, 1, say("c", *["x" * 10_000] * 60))
    steps = 0
    while not (await operator.event_upkeep.compact(UID, 0, size=50_000)).is_done:
        steps += 1
    assert steps >= 10
    rows = await operator.events.read(UID)
    assert read_said(rows)["c"] == "x" * 600_000
    assert all(len(json.dumps(row.data)) < 262_144 for row in rows)


async def test_two_operators_at_once_do_what_one_does(database: PostgresDatabase, operator: Database) -> None:
    messages = [say(f"m{number}", *["some", "words", "of", "it"]) for number in range(200)]
    await operator.events.append(UID, 1, [event for each in messages for event in each])
    end_session(database)
    login = make_login(database, "agentic_operator")
    async with open_database(login, application_name="operator") as other:
        keepers = [a_keeper(operator), a_keeper(other)]
        await asyncio.gather(*(keeper.run_once() for keeper in keepers for _ in range(3)))
        assert sum(keeper.progress.messages for keeper in keepers) == 200
        keepers = [a_keeper(operator, max_rows=90), a_keeper(other, max_rows=90)]
        await asyncio.gather(*(keeper.run_once() for keeper in keepers for _ in range(3)))
    rows = await operator.events.read(UID)
    assert rows[0].type == "gap"
    assert len(rows) == 82
    assert rows[0].data == {"from": 1, "to": rows[0].seq, "reason": "limit"}
    assert all(text == "somewordsofit" for text in read_said(rows).values())


@pytest.mark.parametrize(
    "held",
    [
        pytest.param(3, id="while rows are removed"),
        pytest.param(8, id="while the message is written"),
        pytest.param(4, id="while its neighbour is marked"),
    ],
)
async def test_a_kill_at_any_statement_leaves_the_log_as_it_was(
    database: PostgresDatabase, operator: Database, held: int
) -> None:
    """The operator waits for a row that somebody holds, in the middle of its step, and its connection is cut there."""
    events = say("a", *"abc")
    events.insert(3, NewEvent("node_started", {"node": "n"}))
    await operator.events.append(UID, 1, events)
    end_session(database)
    before = await operator.events.read(UID)
    with psycopg.connect(database.dsn) as holder:
        holder.execute("SELECT 1 FROM session_events WHERE seq = %s FOR UPDATE", [held])
        working = asyncio.create_task(operator.event_upkeep.compact(UID, 0))
        blocked = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        found = await asyncio.to_thread(wait_for, lambda: database.execute(blocked), bool, what="a step that waits")
        database.execute("SELECT pg_terminate_backend(%s)", [found[0][0]])
        with pytest.raises(AgenticError):
            await working
    assert await operator.events.read(UID) == before
    await a_keeper(operator).run_once()
    rows = await operator.events.read(UID)
    assert [(row.seq, row.type, row.since) for row in rows] == [(4, "node_started", 1), (8, "message", 5)]


async def test_a_log_that_is_too_long_loses_its_beginning_and_says_so(
    database: PostgresDatabase, operator: Database
) -> None:
    keeper = a_keeper(operator, max_rows=100)
    for _ in range(3):
        await operator.events.append(UID, 1, [NewEvent("custom", {"data": "x"})] * 60)
        await keeper.run_once()
    rows = await operator.events.read(UID)
    assert [row.seq for row in rows] == list(range(rows[0].seq, 181))
    assert (rows[0].type, rows[0].data) == ("gap", {"from": 1, "to": rows[0].seq, "reason": "limit"})
    assert len(rows) <= 101
    # The same by bytes, for whatever a row holds.
    await operator.events.append(UID, 1, [NewEvent("custom", {"data": str(n) * 3000}) for n in range(9)])
    heavy = a_keeper(operator, max_bytes=20_000)
    database.execute("ALTER TABLE session_events ALTER COLUMN data SET STORAGE EXTERNAL")
    await operator.events.append(UID, 1, [NewEvent("custom", {"data": "y" * 3000})] * 9)
    await heavy.run_once()
    rows = await operator.events.read(UID)
    assert (rows[0].type, rows[0].data["from"], rows[-1].seq) == ("gap", 1, 198)
    assert (await operator.event_upkeep.weigh(UID))[1] <= 20_000
    assert await operator.events.append(UID, 1, [NewEvent("completed", {})]) == 199


async def test_the_newest_row_stays_however_small_the_bound_is(operator: Database) -> None:
    await operator.events.append(UID, 1, [NewEvent("custom", {"data": "z" * 3000})] * 5)
    await a_keeper(operator, max_rows=1, max_bytes=1).run_once()
    rows = await operator.events.read(UID)
    assert [(row.seq, row.type) for row in rows] == [(4, "gap"), (5, "custom")]
    assert await operator.events.append(UID, 1, [NewEvent("completed", {})]) == 6


async def test_writers_and_readers_go_on_while_a_log_is_joined(database: PostgresDatabase, operator: Database) -> None:
    """Whoever reads page by page while messages are joined gets every text, and no gap."""
    for number in range(30):
        await operator.events.append(UID, 1, say(f"m{number}", *"abcdef"))
    end_session(database)

    async def read_all() -> dict[str, str]:
        after, said = 0, dict[str, str]()
        while frames := build_frames(await operator.events.read(UID, after=after, limit=7), after):
            for frame in frames:
                body = read_frame(frame.text)
                assert body["prev"] == after
                after = body["seq"]
                about = body["data"]["metadata"]
                assert body["type"] != "gap", body
                if about["event"] == "message":
                    said[about["message_id"]] = body["data"]["message"]
                elif about["event"] == "content-block-delta":
                    said[about["message_id"]] = said.get(about["message_id"], "") + body["data"]["message"]
        return said

    async def write() -> None:
        for _ in range(20):
            await operator.events.append(UID, 1, [NewEvent("custom", {"data": 1})])

    found = await asyncio.gather(read_all(), a_keeper(operator).run_once(), write(), read_all())
    wanted = {f"m{number}": "abcdef" for number in range(30)}
    assert found[0] == found[3] == wanted


async def test_what_a_pod_writes_is_bounded_when_it_is_stored(database: PostgresDatabase) -> None:
    async with open_database(Dsn.parse(database.dsn), application_name="operator") as store:
        await store.sessions.record_session(a_record(run=1))
    async with dropping_tenants(database):
        dsn = await make_tenant(database, "team")
        async with open_database(dsn, application_name="runner") as runner:
            await runner.events.append(
                UID, 1, [NewEvent("custom", {"data": "x" * 300_000}), NewEvent("t" * 999, {}), NewEvent("custom", {})]
            )
            rows = await runner.events.read(UID)
        with psycopg.connect(dsn.conninfo, autocommit=True) as conn:
            conn.execute(
                "INSERT INTO session_events (session_uid, seq, run, type, since) VALUES (%s, 9, 1, 'x', 1)", [UID]
            )
    assert rows[0].data == {
        "message": "this event has 300012 bytes of JSON and is not kept: at most 262144 are",
        "size": 300012,
        "truncated": True,
    }
    assert [len(row.type) for row in rows] == [6, 64, 6]
    # Nobody but the operator says what was joined.
    assert database.execute("SELECT since FROM session_events WHERE seq = 9") == [(None,)]


async def test_an_operator_of_one_namespace_leaves_the_others(database: PostgresDatabase, operator: Database) -> None:
    await operator.events.append(UID, 1, say("a", *"abc"))
    end_session(database)
    other = EventLogs(operator.event_upkeep, ("other",), max_rows=2, max_bytes=0)
    await other.run_once()
    assert len(await operator.events.read(UID)) == 7
    await EventLogs(operator.event_upkeep, ("team",), max_rows=0, max_bytes=0).run_once()
    assert len(await operator.events.read(UID)) == 1
