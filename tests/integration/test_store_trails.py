"""The trail in PostgreSQL: added once, never changed, removed whole, and in nobody's reach but the operator's."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import psycopg
import pytest
from psycopg import errors as pg

from agentic_core import trail as chain
from agentic_core.errors import AgenticError
from agentic_core.trail import ChainReader, Trail
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.records import TrailRow
from tests.support.postgres import PostgresDatabase
from tests.support.store_conformance import a_record
from tests.support.tenants import dropping_tenants, make_tenant


def build_rows(*values: object, uid: str = "uid-s", project: str = "team", name: str = "s") -> list[TrailRow]:
    """Return the chain of a session with an accepted answer for each value."""
    trail, root = Trail(), chain.find_root(project, name, uid)
    for n, value in enumerate(values):
        members = {"kind": "Accepted", "at": "2026-03-01T12:00:00Z", "interruptId": f"q{n}", "by": "ann"}
        trail = chain.append(trail, root, members, value=chain.spell(value), message="said")
    return [
        TrailRow(
            project_name=project,
            session_name=name,
            session_uid=uid,
            seq=each.seq,
            entry=each.entry,
            hash=each.hash,
            value=each.value,
            message=each.message,
        )
        for each in trail.pending
    ]


def a_login(database: PostgresDatabase, kind: str, *grants: str) -> Iterator[Dsn]:
    name = f"{kind}_{os.getpid()}"
    database.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    for grant in grants:
        database.execute(grant.format(name))
    yield Dsn.parse(database.server.dsn(database.name, user=name, password="x"))
    database.execute(f"DROP OWNED BY {name}")
    database.execute(f"DROP ROLE {name}")


@pytest.fixture
def as_operator(database: PostgresDatabase) -> Iterator[Dsn]:
    yield from a_login(database, "trail_operator", "GRANT agentic_operator TO {}")


@pytest.fixture
def as_runner(database: PostgresDatabase) -> Iterator[Dsn]:
    yield from a_login(database, "trail_runner", "GRANT agentic_runner TO {}")


@pytest.fixture
def as_auditor(database: PostgresDatabase) -> Iterator[Dsn]:
    """A role as the guide makes it."""
    yield from a_login(
        database, "auditor", "GRANT USAGE ON SCHEMA public TO {}", "GRANT SELECT ON session_answers TO {}"
    )


@pytest.fixture
async def store(as_operator: Dsn) -> AsyncIterator[Database]:
    async with open_database(as_operator, application_name="operator") as opened:
        yield opened


@pytest.fixture
async def kept(store: Database) -> list[TrailRow]:
    rows = build_rows({"ok": True}, 1e22, None)
    await store.trails.store(rows)
    return rows


async def read(store: Database, projects: list[str] | None = None, sessions: list[str] | None = None) -> list[TrailRow]:
    return [row async for row in store.trails.export(projects=projects, sessions=sessions)]


def execute(dsn: Dsn, statement: str) -> list[tuple[object, ...]]:
    with closing(psycopg.connect(dsn.conninfo, autocommit=True)) as conn:
        cursor = conn.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


async def test_entries_are_stored_once_and_come_back_to_the_byte(store: Database) -> None:
    rows = build_rows({"ok": None, "ä": "\0"}, 1e22, 1.5, None)
    assert await store.trails.store(rows[:2]) == {}
    assert await store.trails.store(rows) == {}
    assert await store.trails.store(rows[1:3]) == {}
    assert await read(store) == rows
    reader = ChainReader()
    for row in rows:
        names = {"namespace": row.project_name, "session": row.session_name, "uid": row.session_uid}
        line = chain.spell_line(**names, entry=row.entry, hash_=row.hash, value=row.value, message=row.message)
        assert reader.read(line) == []


async def test_another_entry_in_the_same_place_is_told_and_changes_nothing(
    store: Database, kept: list[TrailRow]
) -> None:
    others = build_rows({"ok": True}, 2, 3)
    assert await store.trails.store([*others, *build_rows(1, uid="uid-t", name="t")]) == {"uid-s": 2}
    assert await read(store, sessions=["s"]) == kept
    assert len(await read(store)) == 4


async def test_an_entry_that_does_not_have_its_hash_or_number_is_refused(store: Database) -> None:
    (row,) = build_rows(1)
    for changed in (
        TrailRow(**{**vars(row), "hash": "0" * 64}),
        TrailRow(**{**vars(row), "seq": 2}),
        TrailRow(**{**vars(row), "entry": row.entry.replace("ann", "bob")}),
    ):
        with pytest.raises(AgenticError):
            await store.trails.store([changed])
    assert await read(store) == []


async def test_the_trail_outlives_the_row_of_its_session(store: Database, kept: list[TrailRow]) -> None:
    await store.sessions.record_session(a_record("s", uid="uid-s"))
    await store.sessions.delete_session("uid-s")
    assert await read(store) == kept


async def test_an_export_takes_what_was_asked_for(store: Database, database: PostgresDatabase) -> None:
    one, other = build_rows(1, 2), build_rows(1, uid="uid-o", project="other", name="s")
    second = build_rows(1, uid="uid-2", name="second")
    await store.trails.store([*other, *one, *second])
    assert {row.session_uid for row in await read(store, projects=["team"])} == {"uid-s", "uid-2"}
    assert {row.session_uid for row in await read(store, projects=["team"], sessions=["s"])} == {"uid-s"}
    assert [row.session_uid for row in await read(store)] == ["uid-o", "uid-s", "uid-s", "uid-2"]
    database.execute("ALTER TABLE session_answers DISABLE TRIGGER agentic_keep")
    database.execute("UPDATE session_answers SET stored_at = now() - interval '3 days' WHERE seq = 1")
    (now,) = database.execute("SELECT now() - interval '1 day'")[0]
    # Chains are exported whole: what grew since then, from its beginning.
    assert [row async for row in store.trails.export(since=now)] == one


# Who may not.

CHANGES = (
    (
        "INSERT INTO session_answers (session_uid, seq, project_name, session_name, entry, hash)"
        " VALUES ('u', 1, 'team', 's', '{\"seq\":1}', encode(sha256('{\"seq\":1}'), 'hex'))"
    ),
    "UPDATE session_answers SET value = '\"forged\"'",
    "UPDATE session_answers SET value = NULL",
    "DELETE FROM session_answers",
    "TRUNCATE session_answers",
    "ALTER TABLE session_answers DISABLE TRIGGER agentic_keep",
    "DROP TABLE session_answers",
    "SELECT agentic_remove_answers(NULL, 1, 10)",
    "BEGIN; LOCK TABLE session_answers",
)


@pytest.mark.parametrize("statement", ["SELECT count(*) FROM session_answers", *CHANGES])
async def test_runners_neither_read_nor_write_it(as_runner: Dsn, kept: list[TrailRow], statement: str) -> None:
    assert kept
    with pytest.raises(pg.InsufficientPrivilege):
        execute(as_runner, statement)


@pytest.mark.parametrize("statement", ["SELECT count(*) FROM session_answers", *CHANGES])
async def test_tenants_neither_read_nor_write_it(
    database: PostgresDatabase, kept: list[TrailRow], statement: str
) -> None:
    assert kept
    async with dropping_tenants(database):
        tenant = await make_tenant(database, "team")
        with pytest.raises(pg.InsufficientPrivilege):
            execute(tenant, statement)


async def test_a_tenant_that_is_given_the_right_by_mistake_sees_its_own_and_changes_none(
    database: PostgresDatabase, store: Database
) -> None:
    await store.trails.store([*build_rows(1), *build_rows(1, uid="uid-o", project="other", name="s")])
    async with dropping_tenants(database):
        tenant = await make_tenant(database, "team")
        database.execute("GRANT ALL ON session_answers TO agentic_tenant")
        try:
            assert execute(tenant, "SELECT project_name FROM session_answers") == [("team",)]
            with pytest.raises(pg.InsufficientPrivilege):
                execute(tenant, CHANGES[0])
            execute(tenant, "DELETE FROM session_answers")
            execute(tenant, "UPDATE session_answers SET value = NULL")
        finally:
            database.execute("REVOKE ALL ON session_answers FROM agentic_tenant")
    assert len(await read(store)) == 2
    assert all(row.value == "1" for row in await read(store))


@pytest.mark.parametrize(
    "statement", [each for each in CHANGES if "INSERT" not in each and "agentic_remove" not in each]
)
async def test_the_operator_adds_and_changes_nothing(as_operator: Dsn, kept: list[TrailRow], statement: str) -> None:
    assert kept
    with pytest.raises(pg.InsufficientPrivilege):
        execute(as_operator, statement)


async def test_the_operator_does_not_say_when_an_entry_was_stored(as_operator: Dsn) -> None:
    with pytest.raises(pg.InsufficientPrivilege):
        execute(as_operator, CHANGES[0].replace("hash)", "hash, stored_at)").replace("'hex'))", "'hex'), now())"))


@pytest.mark.parametrize("statement", CHANGES)
async def test_an_auditor_reads_all_and_changes_nothing(as_auditor: Dsn, kept: list[TrailRow], statement: str) -> None:
    assert execute(as_auditor, "SELECT count(*), min(kind), min(answered_by) FROM session_answers") == [
        (len(kept), "Accepted", "ann")
    ]
    with pytest.raises(pg.InsufficientPrivilege):
        execute(as_auditor, statement)


async def test_even_the_owner_takes_away_values_alone(database: PostgresDatabase, kept: list[TrailRow]) -> None:
    for change in (
        "value = '\"forged\"'",
        "message = 'forged'",
        "entry = '{\"seq\":1}', hash = encode(sha256('{\"seq\":1}'), 'hex')",
        "session_name = 'other'",
        "stored_at = now()",
    ):
        with pytest.raises(pg.Error, match="the trail is not changed"):
            database.execute(f"UPDATE session_answers SET {change} WHERE seq = 1")
    database.execute("UPDATE session_answers SET value = NULL, message = NULL WHERE seq = 2")
    assert database.execute("SELECT seq, value, hash FROM session_answers ORDER BY seq") == [
        (row.seq, None if row.seq == 2 else row.value, row.hash) for row in kept
    ]


# How long it stays.


def age(database: PostgresDatabase, where: str, days: int) -> None:
    """Let rows be older; nobody but who owns the table could."""
    database.execute("ALTER TABLE session_answers DISABLE TRIGGER agentic_keep")
    database.execute(f"UPDATE session_answers SET stored_at = now() - interval '{days} days' WHERE {where}")
    database.execute("ALTER TABLE session_answers ENABLE TRIGGER agentic_keep")


async def test_only_whole_chains_go_of_sessions_that_are_gone(store: Database, database: PostgresDatabase) -> None:
    for uid in ("lives", "grew", "old", "young", "elsewhere"):
        project = "elsewhere" if uid == "elsewhere" else "team"
        await store.trails.store(build_rows(1, 2, uid=uid, name=uid, project=project))
    await store.sessions.record_session(a_record("lives", uid="lives"))
    age(database, "session_uid IN ('lives', 'old', 'elsewhere')", 11)
    age(database, "session_uid = 'grew' AND seq = 1", 11)
    age(database, "session_uid = 'young'", 9)
    assert await store.trails.remove_old(10, ["team"]) == 1
    assert {row.session_uid for row in await read(store)} == {"lives", "grew", "young", "elsewhere"}
    assert len(await read(store)) == 8
    assert await store.trails.remove_old(10) == 1
    assert await store.trails.remove_old(10) == 0


async def test_the_operator_cannot_remove_what_is_younger_than_a_day(
    store: Database, kept: list[TrailRow], as_operator: Dsn
) -> None:
    for days in (0, -1):
        with pytest.raises(AgenticError):
            await store.trails.remove_old(days)
        with pytest.raises(pg.InvalidParameterValue):
            execute(as_operator, f"SELECT agentic_remove_answers(NULL, {days}, 10)")
    with pytest.raises(pg.InvalidParameterValue):
        execute(as_operator, "SELECT agentic_remove_answers(NULL, NULL, 10)")
    assert await store.trails.remove_old(1) == 0
    assert await read(store) == kept
