"""Operator and runner do all of their work with rights to rows alone."""

import os
from collections.abc import Iterator

import psycopg
import pytest
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.store.postgres.aio import AsyncPostgresStore

from agentic_core.errors import PermanentError, TransientError
from agentic_core.lifecycle import Phase
from agentic_store.database import open_database
from agentic_store.dsn import Dsn
from agentic_store.records import NewEvent
from agentic_store.results.output import encode_output
from tests.integration.test_store_fences import CONFIG, THREAD, build_graph
from tests.support.postgres import PostgresDatabase
from tests.support.store_conformance import a_record


def a_login_role(database: PostgresDatabase, *groups: str) -> Iterator[Dsn]:
    name = f"login_{os.getpid()}_{'_'.join(groups) or 'nobody'}"
    database.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    for group in groups:
        database.execute(f"GRANT {group} TO {name}")
    yield Dsn.parse(database.server.dsn(database.name, user=name, password="x"))
    database.execute(f"DROP OWNED BY {name}")
    database.execute(f"DROP ROLE {name}")


@pytest.fixture
def as_operator(database: PostgresDatabase) -> Iterator[Dsn]:
    yield from a_login_role(database, "agentic_operator")


@pytest.fixture
def as_runner(database: PostgresDatabase) -> Iterator[Dsn]:
    yield from a_login_role(database, "agentic_runner")


@pytest.fixture
def as_nobody(database: PostgresDatabase) -> Iterator[Dsn]:
    yield from a_login_role(database)


async def test_a_session_from_record_to_deletion(as_operator: Dsn, as_runner: Dsn) -> None:
    async with open_database(as_operator, application_name="operator") as operator_:
        await operator_.require_schema()
        await operator_.sessions.record_sessions([a_record(uid="old"), a_record(uid="uid")])

        async with open_database(as_runner, application_name="runner") as runner:
            await runner.require_schema(checkpoint_version=len(AsyncPostgresSaver.MIGRATIONS) - 1)
            fence = await runner.fences.take(THREAD, "uid", 1, "pod")
            await runner.carry(fence)
            await runner.sessions.start_run("uid", 1)
            assert await runner.fences.record_failure(fence) == 1
            saver, memory = AsyncPostgresSaver(runner.pool), AsyncPostgresStore(runner.pool)
            await build_graph(saver).ainvoke({"steps": []}, CONFIG, durability="sync")
            await runner.threads.copy_thread(THREAD, f"{THREAD}-fork")
            assert len(await runner.threads.list_checkpoints(f"{THREAD}-fork")) == 4
            await memory.aput(("team",), "key", {"seen": True})
            assert (await memory.aget(("team",), "key")) is not None
            await memory.adelete(("team",), "key")
            await runner.sessions.change_status("uid", 1, Phase.WAITING_FOR_INPUT)
            assert await runner.events.append("uid", 1, [NewEvent("x", {})]) == 1
            assert len(await runner.events.read("uid")) == 1
            await runner.sessions.finish("uid", 1, Phase.COMPLETED, output=encode_output({"rows": 3}))
            await saver.adelete_thread(THREAD)

        row = await operator_.sessions.find("team", "report", with_output=True)
        assert row is not None
        assert row.output_data == {"rows": 3}
        assert len(await operator_.sessions.list_by_project("team")) == 1
        assert await operator_.sessions.find_orphans([], min_age_seconds=-1) == ["uid"]
        assert await operator_.sessions.delete_session("uid")
        assert await operator_.sessions.fetch_session_uids() == frozenset()


async def test_a_runner_may_make_the_row_of_its_session(as_runner: Dsn) -> None:
    async with open_database(as_runner, application_name="runner") as runner:
        assert await runner.sessions.record_session(a_record())
        assert await runner.sessions.record_session(a_record(status=Phase.CREATING, run=1))
        assert not await runner.sessions.record_session(a_record(status=Phase.CREATING, run=1))
        await runner.sessions.start_run("uid-team-report", 1)


async def test_a_runner_waits_for_the_operator_where_an_older_session_has_its_name(
    as_runner: Dsn, as_operator: Dsn
) -> None:
    older, newer = a_record(uid="old"), a_record(uid="new")
    async with (
        open_database(as_operator, application_name="operator") as operator_,
        open_database(as_runner, application_name="runner") as runner,
    ):
        await operator_.sessions.record_session(older)
        with pytest.raises(TransientError, match="'report' is still recorded under another uid"):
            await runner.sessions.record_session(newer)
        await operator_.sessions.record_session(newer)
        assert not await runner.sessions.record_session(newer)


async def test_a_runner_may_empty_the_thread_of_its_predecessor(as_runner: Dsn, database: PostgresDatabase) -> None:
    database.execute("INSERT INTO checkpoint_blobs VALUES (%s, '', 'c', '1', 't', NULL)", (THREAD,))
    async with open_database(as_runner, application_name="runner") as runner:
        await runner.fences.take(THREAD, "old", 1, "pod")
        await runner.fences.take(THREAD, "new", 1, "pod")

    assert database.execute("SELECT count(*) FROM checkpoint_blobs") == [(0,)]


DDL = [
    "CREATE TABLE mine (v int)",
    "ALTER TABLE checkpoints ADD COLUMN v int",
    "DROP TABLE workflow_sessions",
    "TRUNCATE session_events",
    "CREATE INDEX ON checkpoints (type)",
    "ALTER TABLE checkpoints DISABLE TRIGGER agentic_fence",
    "CREATE OR REPLACE FUNCTION agentic_check_fence() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "UPDATE agentic_migrations SET version = 9",
    "SELECT setval('thread_fence_epochs', 1)",
]


@pytest.mark.parametrize("statement", DDL)
async def test_neither_may_change_the_schema(as_operator: Dsn, as_runner: Dsn, statement: str) -> None:
    for dsn in (as_operator, as_runner):
        async with await psycopg.AsyncConnection.connect(dsn.conninfo) as conn:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await conn.execute(statement.encode())


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM workflow_sessions",
        "UPDATE workflow_sessions SET project_name = 'other'",
        "DELETE FROM session_events",
        "UPDATE session_events SET type = 'forged'",
        "DELETE FROM thread_fences",
    ],
)
async def test_a_runner_may_not_rewrite_the_record(as_runner: Dsn, statement: str) -> None:
    async with await psycopg.AsyncConnection.connect(as_runner.conninfo) as conn:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await conn.execute(statement.encode())


async def test_a_role_without_rights_is_told_which_to_ask_for(as_nobody: Dsn) -> None:
    async with open_database(as_nobody, application_name="test") as store:
        with pytest.raises(PermanentError, match="member of `agentic_operator` or `agentic_runner`"):
            await store.require_schema()
