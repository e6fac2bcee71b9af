"""What finding sessions costs among 100,000, or as many as ``--sessions`` says.

``python -m bench.data_queries`` fills a real PostgreSQL and asks each question of the store in turn, beside the
cheapest there is: one session by its key, through the same pool. Printed are medians, their ratio to that floor, what
the indexes weigh, and what a change of status does to them.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg

from agentic_core.lifecycle import Phase
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.records import PageKey
from agentic_store.schema_migrations import migrate
from tests.support.postgres_server import start_server
from tests.support.session_rows import fill_sessions
from tests.support.store_conformance import a_record

ROUNDS = 30
Question = Callable[[], Awaitable[Any]]

_SIZES = """
SELECT c.relname, pg_relation_size(c.oid)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = 'workflow_sessions'::regclass
ORDER BY 2 DESC
"""


def build_questions(store: Database, middle: PageKey, sessions: int) -> dict[str, Question]:
    """Return what is asked, by name; the floor first."""
    rows = store.sessions
    big = f"data-{sessions % 1000}.csv"
    return {
        "one session by uid (the floor)": lambda: rows.get("uid-7500"),
        "one session by name": lambda: rows.find("project-7", "s00000500"),
        "one session with its output": lambda: rows.get("uid-7500", with_output=True),
        "first 100 of 1,000": lambda: rows.list_by_project("project-7"),
        "first 100 of the largest project": lambda: rows.list_by_project("big"),
        "100 from the middle of it": lambda: rows.list_by_project("big", before=middle),
        "100 of a version in it": lambda: rows.list_by_project("big", workflow_version="1.3"),
        "search: one session has it": lambda: rows.search("project-7", {"file_path": "data-500.csv"}),
        "search: nobody has it": lambda: rows.search("big", {"file_path": "none.csv"}),
        "search: one in 1,000 of the largest": lambda: rows.search("big", {"file_path": big}),
        "search: every second has it": lambda: rows.search("big", {"kind": "even"}),
    }


async def measure(questions: dict[str, Question], rounds: int = ROUNDS) -> dict[str, float]:
    """Return the median milliseconds of each question; they take turns, so that all meet the same weather."""
    took: dict[str, list[float]] = {name: [] for name in questions}
    for number in range(rounds + 3):
        for name, ask in questions.items():
            began = time.perf_counter()
            await ask()
            if number >= 3:
                took[name].append((time.perf_counter() - began) * 1000)
    return {name: statistics.median(times) for name, times in took.items()}


async def measure_changes(store: Database, count: int = 300) -> float:
    """Return the milliseconds of a session's record and two changes of its status, on average."""
    began = time.perf_counter()
    for number in range(count):
        record = a_record(f"n{number}", project="new", input_data={"file_path": f"{number}.csv", "n": number})
        await store.sessions.record_session(record)
        await store.sessions.start_run(record.session_uid, 1)
        await store.sessions.change_status(record.session_uid, 1, Phase.WAITING_FOR_INPUT)
    return (time.perf_counter() - began) * 1000 / count


async def run(dsn: str, sessions: int) -> None:
    """Measure and print."""
    async with open_database(Dsn.parse(dsn), application_name="bench") as store:
        first = await store.sessions.list_by_project("big", limit=1)
        newest = first[0].created_at.timestamp()
        middle = PageKey(type(first[0].created_at).fromtimestamp(newest - 500, first[0].created_at.tzinfo), "")
        found = await measure(build_questions(store, middle, sessions))
        floor = next(iter(found.values()))
        print(f"{'among ' + format(sessions, ',') + ' sessions':42} {'ms':>8} {'ratio':>7}")
        for name, took in found.items():
            print(f"{name:42} {took:8.2f} {took / floor:6.1f}x")
        with_index = await measure_changes(store)
    with psycopg.connect(dsn, autocommit=True) as conn:
        counts = conn.execute(
            "SELECT pg_stat_force_next_flush(), n_tup_hot_upd, n_tup_upd FROM pg_stat_user_tables"
            " WHERE relname = 'workflow_sessions'"
        ).fetchone()
        table = conn.execute("SELECT pg_relation_size('workflow_sessions')").fetchone()
        assert counts is not None
        assert table is not None
        print(f"\n{'table without outputs':42} {table[0] / 2**20:8.1f} MiB")
        for name, size in conn.execute(_SIZES.encode()).fetchall():
            print(f"{name:42} {size / 2**20:8.1f} MiB")
        conn.execute("DROP INDEX workflow_sessions_input_data_gin_idx")
        conn.execute("DELETE FROM workflow_sessions WHERE project_name = 'new'")
    async with open_database(Dsn.parse(dsn), application_name="bench") as store:
        without = await measure_changes(store)
    print(f"\nrecording a session and two changes of status: {with_index:.2f} ms")
    print(f"the same without the index of inputs: {without:.2f} ms")
    print(f"changes of status that touched no index: {counts[1]} of {counts[2]}")


def main() -> None:
    """Run on a server of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench.data_queries", description=__doc__)
    parser.add_argument("--sessions", type=int, default=100_000, help="how many there are (default 100000)")
    sessions = parser.parse_args().sessions
    with start_server(shared_buffers="256MB") as server:
        dsn = server.dsn("postgres")
        asyncio.run(migrate.up(Dsn.parse(dsn)))
        with psycopg.connect(dsn, autocommit=True) as conn:
            fill_sessions(conn, sessions)
        asyncio.run(run(dsn, sessions))


if __name__ == "__main__":
    main()
