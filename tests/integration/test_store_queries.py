"""The queries over 100,000 sessions: each uses its index, none sorts or reads what it does not show."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from langgraph.checkpoint.postgres.base import BasePostgresSaver

from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.records import Json
from agentic_store.searches import InvalidSearch
from agentic_store.statements import load_statements
from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import PostgresServer
from tests.support.session_rows import fill_sessions
from tests.support.tenants import drop_tenants, make_tenant
from tests.support.waiting import PATIENCE_SECONDS, wait_for

SESSIONS = 100_000
SQL = load_statements("sessions")
FIRST_PAGE = {"project_name": "project-7", "created_at": "infinity", "session_name": "", "limit": 100}


@pytest.fixture(scope="module")
def filled(postgres_server: PostgresServer, migrated_template: str) -> Iterator[PostgresDatabase]:
    """100 projects of 1,000 sessions, a big one among them; every tenth has a large output."""
    database = PostgresDatabase(postgres_server, f"queries_{os.getpid()}")
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {database.name} TEMPLATE {migrated_template}".encode())
    with psycopg.connect(database.dsn, autocommit=True) as conn:
        fill_sessions(conn, SESSIONS)
    yield database
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as conn:
        conn.execute(f"DROP DATABASE {database.name} WITH (FORCE)".encode())


@pytest.fixture
async def store(filled: PostgresDatabase) -> AsyncIterator[Database]:
    async with open_database(Dsn.parse(filled.dsn), application_name="test") as opened:
        yield opened


def explain(database: PostgresDatabase, statement: str, params: dict[str, Any], *, user: Dsn | None = None) -> str:
    dsn = database.dsn if user is None else user.conninfo
    with psycopg.connect(dsn, autocommit=True) as conn:
        rows = conn.execute(b"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) " + SQL[statement], params)
        return "\n".join(line for (line,) in rows.fetchall())


def test_a_page_is_read_from_the_index_in_its_order(filled: PostgresDatabase) -> None:
    plan = explain(filled, "list", FIRST_PAGE)
    assert "Index Scan using workflow_sessions_list_idx" in plan
    assert "Sort" not in plan
    assert "actual rows=100" in plan


def test_a_later_page_begins_at_its_place(filled: PostgresDatabase) -> None:
    params = {**FIRST_PAGE, "created_at": "2026-01-01 00:08:20+00", "session_name": "s00000500"}
    plan = explain(filled, "list", params)
    assert "workflow_sessions_list_idx" in plan
    assert "Index Cond: ((project_name = 'project-7'::text) AND (ROW(created_at, session_name) < ROW(" in plan
    assert "Sort" not in plan
    assert "Rows Removed" not in plan


def test_a_page_of_a_version_is_read_from_its_index_in_its_order(filled: PostgresDatabase) -> None:
    plan = explain(filled, "list_version", {**FIRST_PAGE, "workflow_version": "1.3"})
    assert "Index Scan using workflow_sessions_version_idx" in plan
    assert "Sort" not in plan
    assert "Rows Removed" not in plan


@pytest.mark.parametrize(
    ("statement", "params", "index"),
    [
        ("get", {"session_uid": "uid-77000", "with_output": False}, "workflow_sessions_pkey"),
        (
            "find",
            {"project_name": "project-7", "session_name": "s00000500", "with_output": True},
            "workflow_sessions_name_key",
        ),
        ("delete_row", {"session_uid": "uid-0"}, "workflow_sessions_pkey"),
    ],
)
def test_a_session_is_one_look_into_an_index(
    filled: PostgresDatabase, statement: str, params: dict[str, Any], index: str
) -> None:
    plan = explain(filled, statement, params)
    assert f"Index Scan using {index}" in plan
    assert "Seq Scan on workflow_sessions" not in plan


def test_what_few_inputs_contain_is_found_by_their_index(filled: PostgresDatabase) -> None:
    plan = explain(filled, "search", {**FIRST_PAGE, "containing": '{"file_path": "data-500.csv"}'})
    assert "Bitmap Index Scan on workflow_sessions_input_data_gin_idx" in plan
    assert "Seq Scan" not in plan


def test_what_many_inputs_contain_is_read_in_the_order_of_the_list(filled: PostgresDatabase) -> None:
    plan = explain(filled, "search", {**FIRST_PAGE, "project_name": "big", "containing": '{"kind": "even"}'})
    assert "workflow_sessions_list_idx" in plan
    assert "Sort" not in plan


def test_neither_lists_nor_searches_read_outputs(filled: PostgresDatabase) -> None:
    blocks = (
        "SELECT pg_stat_get_blocks_fetched(oid), pg_stat_get_blocks_fetched(reltoastrelid)"
        " FROM pg_class WHERE relname = 'workflow_sessions'"
    )

    def read_from_toast(statement: str, params: dict[str, Any]) -> int:
        ((table, toast),) = filled.execute(blocks)
        # A connection tells of what it read when it ends, of both at once.
        with psycopg.connect(filled.dsn, autocommit=True) as conn:
            assert conn.execute(SQL[statement], params).fetchall()
        ((_, after),) = wait_for(
            lambda: filled.execute(blocks), lambda rows: rows[0][0] > table, what="the count of blocks", every=0.02
        )
        return int(after - toast)

    project: dict[str, Any] = {**FIRST_PAGE, "limit": 1000}
    assert read_from_toast("list", project) == 0
    assert read_from_toast("search", {**project, "containing": '{"kind": "even"}'}) == 0
    assert read_from_toast("get", {"session_uid": "uid-70000", "with_output": False}) == 0
    # So that this measures anything at all.
    assert read_from_toast("get", {"session_uid": "uid-70000", "with_output": True}) > 0


async def test_a_twin_in_another_project_is_not_found(store: Database) -> None:
    found = await store.sessions.search("project-7", {"file_path": "data-500.csv"})
    assert [row.session_name for row in found] == ["s00000500"]


@pytest.fixture
async def tenant(filled: PostgresDatabase) -> AsyncIterator[Dsn]:
    yield await make_tenant(filled, "project-7")
    await drop_tenants(filled)


async def test_a_tenant_reads_no_table_from_end_to_end(filled: PostgresDatabase, tenant: Dsn) -> None:
    for statement, params in (
        ("list", FIRST_PAGE),
        ("list_version", {**FIRST_PAGE, "workflow_version": "1.3"}),
        ("search", {**FIRST_PAGE, "containing": '{"file_path": "data-500.csv"}'}),
    ):
        assert "Seq Scan on workflow_sessions" not in explain(filled, statement, params, user=tenant)
    plan = explain(filled, "get", {"session_uid": "uid-7500", "with_output": True}, user=tenant)
    assert "Index Scan using workflow_sessions_pkey" in plan


async def test_a_tenant_searches_its_long_term_memory_by_the_index_of_prefixes(
    filled: PostgresDatabase, tenant: Dsn
) -> None:
    filled.execute(
        "INSERT INTO store (prefix, key, value)"
        " SELECT format('project-project-%s.users.u%s', n % 100, n), 'k', '{}' FROM generate_series(0, 19999) AS n"
    )
    filled.execute("VACUUM ANALYZE store")
    with psycopg.connect(tenant.conninfo, autocommit=True) as conn:
        searched = b"EXPLAIN (ANALYZE, COSTS OFF) SELECT * FROM store WHERE prefix LIKE 'project-project-7.users.u7%'"
        plan = "\n".join(line for (line,) in conn.execute(searched).fetchall())
    assert "Index Scan" in plan
    assert "store_prefix_idx" in plan
    assert "Seq Scan on store" not in plan


def _used(plan: str) -> set[str]:
    """Return the indexes of the checkpoint tables that a plan uses."""
    return set(re.findall(r"checkpoint\w+_(?:pkey|idx)", plan))


async def test_the_savers_statements_use_the_primary_keys_under_row_level_security(
    filled: PostgresDatabase, tenant: Dsn
) -> None:
    threads = "format('project-project-7:session-s%s', n / 50), '', lpad(n::text, 9, '0')"
    filled.execute(
        f'INSERT INTO checkpoints SELECT {threads}, NULL, NULL, \'{{"channel_versions": {{"c": "1"}}}}\', \'{{}}\''
        " FROM generate_series(0, 19999) AS n"
    )
    filled.execute(
        f"INSERT INTO checkpoint_writes SELECT {threads}, 't', 0, 'c', 't', 'x', '' FROM generate_series(0, 19999) AS n"
    )
    filled.execute(
        "INSERT INTO checkpoint_blobs"
        " SELECT format('project-project-7:session-s%s', n / 50), '', 'c', n::text, 't', 'x'"
        " FROM generate_series(0, 19999) AS n"
    )
    filled.execute("ANALYZE checkpoints, checkpoint_writes, checkpoint_blobs")
    thread = "project-project-7:session-s77"
    with psycopg.connect(tenant.conninfo, autocommit=True) as conn, psycopg.connect(filled.dsn) as owner:
        for statement, params, keys in (
            (
                f"{BasePostgresSaver.SELECT_SQL} WHERE thread_id = %s AND checkpoint_ns = %s AND checkpoint_id = %s",
                (thread, "", "000003855"),
                {"checkpoint_writes_pkey"},
            ),
            (
                (
                    f"{BasePostgresSaver.SELECT_SQL} WHERE thread_id = %s AND checkpoint_ns = %s"
                    " ORDER BY checkpoint_id DESC LIMIT 1"
                ),
                (thread, ""),
                {"checkpoint_writes_pkey"},
            ),
            (
                BasePostgresSaver.UPSERT_CHECKPOINTS_SQL,
                (thread, "", "000003855", None, "{}", "{}"),
                {"checkpoints_pkey"},
            ),
            (
                BasePostgresSaver.UPSERT_CHECKPOINT_BLOBS_SQL,
                (thread, "", "c", "3855", "t", b"x"),
                {"checkpoint_blobs_pkey"},
            ),
            (
                BasePostgresSaver.UPSERT_CHECKPOINT_WRITES_SQL,
                (thread, "", "000003855", "t", "", 0, "c", "t", b"x"),
                {"checkpoint_writes_pkey"},
            ),
        ):
            plans = []
            for asking in (conn, owner):
                rows = asking.execute(f"EXPLAIN (COSTS OFF) {statement}".encode(), params).fetchall()
                plans.append("\n".join(line for (line,) in rows))
            assert "Seq Scan on checkpoint" not in plans[0]
            assert _used(plans[0]) == _used(plans[1]) >= keys, plans


async def test_a_search_that_takes_too_long_is_ended_and_says_what_to_do(store: Database) -> None:
    # Every session of the largest project is read, and none is found.
    wanted: dict[str, Json] = {"kind": "even", "number": {}}
    with pytest.raises(InvalidSearch, match=r"took over 0\.001 s: ask for more fields"):
        await store.sessions.search("big", wanted, patience_seconds=0.001)
    async with store.pool.connection() as conn:
        row = await (await conn.execute("SHOW statement_timeout")).fetchone()
    assert row == {"statement_timeout": "0"}


INJECTIONS = [
    "'",
    "' OR '1'='1",
    "'; DROP TABLE workflow_sessions; --",
    "' UNION SELECT session_uid, 1 FROM workflow_sessions --",
    "\"}' OR true --",
    "project-7' AND pg_sleep(10) --",
    "$$; SELECT pg_sleep(10); $$",
    "\\'; SELECT 1; --",
    "%",
    "project-_",
    "project-7%",
    "*",
    "/* */",
    "1;SELECT 1",
    "$.** ? (@ == 1)",
    "{}",
    "[]",
    "null",
    "%(project_name)s",
    "%s",
    "%%",
    "$1",
    "\u02bc; --",
    "\uff07 OR 1=1",
    "\x00",
    "\ud800",
    "\u202e",
    "a" * 5_000,
]


@pytest.mark.parametrize("text", INJECTIONS)
async def test_nothing_in_a_search_is_more_than_a_value(store: Database, text: str) -> None:
    assert await store.sessions.list_by_project(text) == []
    assert await store.sessions.find("project-7", text) is None
    assert await store.sessions.find(text, "s00000500") is None
    assert await store.sessions.get(text) is None
    assert await store.sessions.search(text, {"kind": "even"}) == []
    values: list[Json] = [text, {text: text}, [text], {"a": {text: [text]}}]
    for value in values:
        assert await store.sessions.search("project-7", {"file_path": value}) == []
        assert await store.sessions.search("project-7", {text: value, "kind": "even"}) == []
    if len(text) <= 128:
        assert await store.sessions.list_by_project("project-7", workflow_version=text) == []


DEEP: Json = "x"
for _ in range(150):
    DEEP = [{"a": DEEP}]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(10**4000, id="a number of 4,000 digits"),
        pytest.param(10**5000, id="a number that is too long"),
        pytest.param(float("inf"), id="infinity"),
        pytest.param(float("nan"), id="not a number"),
        pytest.param(1e308, id="a large number"),
        pytest.param(-0.0, id="minus zero"),
        pytest.param(DEEP, id="300 levels"),
        pytest.param([{"k": n} for n in range(5_000)], id="5,000 objects"),
        pytest.param({f"k{n}": n for n in range(5_000)}, id="5,000 keys"),
    ],
)
async def test_values_that_postgresql_has_limits_for_are_searched_for_in_bounded_time(
    store: Database, value: Json
) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await store.sessions.search("project-7", {"file_path": value}) == []
