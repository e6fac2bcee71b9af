"""Rows of turns in PostgreSQL: who may write which, under which fence, and that an end stays as it is."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import psycopg
import pytest
from psycopg import errors as pg

from agentic_core.errors import OutputTooLarge, Superseded
from agentic_core.lifecycle import Phase
from agentic_core.names import notify_channel
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.records import TurnPhase
from agentic_store.results.output import EncodedOutput, encode_output
from tests.support.postgres import PostgresDatabase
from tests.support.store_conformance import a_record, a_turn
from tests.support.tenants import dropping_tenants, make_tenant
from tests.support.waiting import PATIENCE_SECONDS

UID = "uid-team-report"


def a_login(database: PostgresDatabase, role: str) -> Iterator[Dsn]:
    name = f"turns_{role}_{os.getpid()}"
    database.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x' IN ROLE {role}")
    yield Dsn.parse(database.server.dsn(database.name, user=name, password="x"))
    database.execute(f"DROP OWNED BY {name}")
    database.execute(f"DROP ROLE {name}")


@pytest.fixture
def as_operator(database: PostgresDatabase) -> Iterator[Dsn]:
    yield from a_login(database, "agentic_operator")


@pytest.fixture
def as_runner(database: PostgresDatabase) -> Iterator[Dsn]:
    yield from a_login(database, "agentic_runner")


@pytest.fixture
async def store(as_operator: Dsn) -> AsyncIterator[Database]:
    """The operator's, with a session whose first turn is on."""
    async with open_database(as_operator, application_name="operator") as opened:
        await opened.sessions.record_sessions([a_record(status=Phase.RUNNING, run=1), a_record(project="other")])
        await opened.turns.record([a_turn()])
        yield opened


def execute(dsn: Dsn, statement: str) -> list[tuple[object, ...]]:
    with closing(psycopg.connect(dsn.conninfo, autocommit=True)) as conn:
        cursor = conn.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


ADD = (
    "INSERT INTO session_turns (session_uid, number, name, project_name, session_name)"
    " VALUES ('{}', {}, '{}', '{}', 's')"
)
FOREIGN = (
    "DELETE FROM session_turns",
    "TRUNCATE session_turns",
    "UPDATE session_turns SET name = 'other'",
    "UPDATE session_turns SET author = 'bob'",
    "UPDATE session_turns SET input = '1'",
    "UPDATE session_turns SET session_uid = 'uid-other-report'",
    "UPDATE session_turns SET number = 9",
    "ALTER TABLE session_turns DISABLE TRIGGER agentic_keep",
)


@pytest.mark.parametrize("statement", FOREIGN)
async def test_a_runner_neither_removes_turns_nor_changes_what_was_asked(
    as_runner: Dsn, store: Database, statement: str
) -> None:
    assert await store.turns.list_turns(UID)
    with pytest.raises(pg.InsufficientPrivilege):
        execute(as_runner, statement)


async def test_a_tenant_writes_turns_of_its_own_sessions_alone(database: PostgresDatabase, store: Database) -> None:
    await store.turns.record([a_turn(session="report", session_uid="uid-other-report", project_name="other")])
    async with dropping_tenants(database):
        tenant = await make_tenant(database, "team")
        assert execute(tenant, "SELECT project_name FROM session_turns") == [("team",)]
        execute(tenant, ADD.format(UID, 2, "t0002", "team"))
        for uid, project in (("uid-other-report", "team"), ("uid-other-report", "other"), (UID, "other")):
            with pytest.raises(pg.InsufficientPrivilege, match="row-level security"):
                execute(tenant, ADD.format(uid, 3, "t0003", project))
        execute(tenant, "UPDATE session_turns SET phase = 'failed', finished_at = now()")
        for statement in FOREIGN:
            with pytest.raises(pg.InsufficientPrivilege):
                execute(tenant, statement)
    found = database.execute("SELECT project_name, number, phase FROM session_turns ORDER BY 1, 2")
    assert found == [("other", 1, "running"), ("team", 1, "failed"), ("team", 2, "failed")]


async def test_an_end_stays_as_it_is_whoever_would_change_it(database: PostgresDatabase, store: Database) -> None:
    await store.turns.finish(UID, 1, 1, TurnPhase.COMPLETED, output=encode_output({"n": 1}))
    for change in ("phase = 'failed'", "output = '2'", "phase = 'running', finished_at = NULL", "run = 9"):
        with pytest.raises(pg.Error, match="turn 1 of session report has ended as completed"):
            database.execute(f"UPDATE session_turns SET {change}")


async def test_a_run_that_was_overtaken_ends_no_turn(as_runner: Dsn, store: Database) -> None:
    async with (
        open_database(as_runner, application_name="run 1", max_size=1) as old,
        open_database(as_runner, application_name="run 2", max_size=1) as new,
    ):
        thread = a_record().thread_id
        for runner, run in ((old, 1), (new, 2)):
            await runner.carry(await runner.fences.take(thread, UID, run, f"pod {run}"))
            if run == 1:
                await runner.turns.begin(a_turn())
        with pytest.raises(Superseded):
            await old.turns.finish(UID, 1, 1, TurnPhase.COMPLETED)
        with pytest.raises(Superseded):
            await old.turns.begin(a_turn(2))
        assert (await new.turns.begin(a_turn(run=2))).run == 2
        await new.turns.finish(UID, 1, 2, TurnPhase.COMPLETED)
    row = await store.turns.get(UID, 1)
    assert row is not None
    assert (row.phase, row.run) == (TurnPhase.COMPLETED, 2)


async def test_whoever_listens_is_told_when_a_turn_begins_and_not_again(as_runner: Dsn, store: Database) -> None:
    with closing(psycopg.connect(as_runner.conninfo, autocommit=True)) as conn:
        conn.execute(f"LISTEN {notify_channel(UID)}".encode())
        await store.turns.record([a_turn(2), a_turn(2)])
        await store.turns.record([a_turn(), a_turn(2)])
        await store.turns.record([a_turn(2, phase=TurnPhase.CANCELED)])
        await store.turns.record([a_turn(3)])
        told = [each.payload for each in conn.notifies(timeout=PATIENCE_SECONDS, stop_after=2)]
    assert told == ["2", "3"]


async def test_a_warm_pod_is_told_of_answers_on_the_same_channel(as_runner: Dsn, store: Database) -> None:
    with closing(psycopg.connect(as_runner.conninfo, autocommit=True)) as conn:
        conn.execute(f"LISTEN {notify_channel(UID)}".encode())
        await store.turns.notify([UID, "uid-other-report"])
        assert len(list(conn.notifies(timeout=PATIENCE_SECONDS, stop_after=1))) == 1


async def test_recording_what_is_known_writes_nothing(database: PostgresDatabase, store: Database) -> None:
    await store.turns.record([a_turn(2, phase=TurnPhase.FAILED, error={"type": "E"})])
    before = database.execute("SELECT number, ctid, xmin, xmax FROM session_turns ORDER BY number")
    await store.turns.record([a_turn(), a_turn(2, phase=TurnPhase.FAILED, error={"type": "E"})])
    assert database.execute("SELECT number, ctid, xmin, xmax FROM session_turns ORDER BY number") == before


async def test_the_operator_and_a_run_that_write_at_once_leave_one_end(as_runner: Dsn, store: Database) -> None:
    async with open_database(as_runner, application_name="runner") as runner:
        for number in range(1, 21):
            await runner.turns.begin(a_turn(number))
            await asyncio.gather(
                runner.turns.finish(UID, number, 1, TurnPhase.COMPLETED, output=encode_output(number)),
                store.turns.record([a_turn(number, phase=TurnPhase.CANCELED)]),
                return_exceptions=True,
            )
            row = await store.turns.get(UID, number, with_output=True)
            assert row is not None
            assert (row.phase, row.output) in ((TurnPhase.COMPLETED, number), (TurnPhase.CANCELED, None))


async def test_an_output_has_the_limit_of_a_sessions(store: Database) -> None:
    text = f'"{"".join(os.urandom(1024).hex() for _ in range(60_000))}"'
    with pytest.raises(OutputTooLarge):
        await store.turns.finish(UID, 1, 1, TurnPhase.COMPLETED, output=EncodedOutput(text, len(text), ""))
    row = await store.turns.get(UID, 1)
    assert row is not None
    assert row.phase is TurnPhase.RUNNING
