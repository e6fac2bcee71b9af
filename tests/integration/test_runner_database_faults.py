"""The database of a running session is full, has no connection left, only reads, or is locked by somebody else.

The session says so, waits, and goes on where it was: no super-step that was saved is done again.
"""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import server_account
from tests.support.runner import RunnerBench, Session
from tests.support.waiting import wait_for

# As much random text as no page has room for.
LARGE = """
class State(TypedDict, total=False):
    x: int
    text: str

def grow(name, by):
    def node(state):
        note(name)
        if name == "second":
            hold(name)
        return {"x": state.get("x", 0) + by, "text": os.urandom(500_000).hex()}
    return node

builder = StateGraph(State)
for name, by in (("first", 1), ("second", 10), ("third", 100)):
    builder.add_node(name, grow(name, by))
builder.add_edge(START, "first")
builder.add_edge("first", "second")
builder.add_edge("second", "third")
builder.add_edge("third", END)
graph = builder.compile()
"""
Heal = Callable[[], None]
Fault = Callable[[PostgresDatabase], AbstractContextManager[Heal]]


def disconnect(database: PostgresDatabase) -> None:
    """End the connections of runners, as an administrator or a restart would."""
    with psycopg.connect(database.server.dsn(), autocommit=True) as conn:
        conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database.name])


@contextmanager
def a_server_that_only_reads(database: PostgresDatabase) -> Iterator[Heal]:
    def change(how: str) -> None:
        with psycopg.connect(database.server.dsn(), autocommit=True) as conn:
            conn.execute(f"ALTER DATABASE {database.name} {how}".encode())
        disconnect(database)

    change("SET default_transaction_read_only = on")
    yield lambda: change("RESET default_transaction_read_only")


@contextmanager
def a_server_without_a_free_connection(database: PostgresDatabase) -> Iterator[Heal]:
    held: list[psycopg.Connection] = []

    def heal() -> None:
        while held:
            held.pop().close()

    def take() -> bool:
        """Take what is free; say whether the runners have none left."""
        with suppress(psycopg.OperationalError):
            while True:
                held.append(psycopg.connect(database.server.dsn()))
        counted = held[0].execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [database.name])
        held[0].rollback()
        return counted.fetchone() == (0,)

    disconnect(database)
    try:
        wait_for(lambda: take() or disconnect_by(held[0], database), bool, what="all connections", every=0.02)
        yield heal
    finally:
        heal()


def disconnect_by(conn: psycopg.Connection, database: PostgresDatabase) -> bool:
    conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database.name])
    conn.rollback()
    return False


@contextmanager
def a_disk_that_is_full(database: PostgresDatabase) -> Iterator[Heal]:
    tables = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
    with tempfile.TemporaryDirectory(prefix="agentic-disk-") as name:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", name], check=True)
        try:
            if os.geteuid() == 0:
                account = server_account()
                os.chown(name, account.pw_uid, account.pw_gid)
            space, ballast = f"small_{database.name}", Path(name) / "ballast"
            database.execute(f"CREATE TABLESPACE {space} LOCATION '{name}'")
            for table in tables:
                database.execute(f"ALTER TABLE {table} SET TABLESPACE {space}")
            ballast.write_bytes(b"\0" * (os.statvfs(name).f_bavail * os.statvfs(name).f_frsize))
            yield ballast.unlink
            for table in tables:
                database.execute(f"ALTER TABLE {table} SET TABLESPACE pg_default")
            database.execute(f"DROP TABLESPACE {space}")
        finally:
            subprocess.run(["umount", name], check=True)


def assert_whole(runners: RunnerBench, session: Session) -> None:
    assert session.status["phase"] == "Completed"
    assert runners.row(session)[1]["x"] == 111
    # Only the super-step that could not be saved is done again, at most three times a pod.
    repeated = session.ran[1:-1]
    assert session.ran == ["first", *repeated, "third"]
    assert repeated == ["second"] * len(repeated)
    assert 1 <= len(repeated) <= 5


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(a_disk_that_is_full, id="full"),
        pytest.param(a_server_without_a_free_connection, id="no connection left"),
        pytest.param(a_server_that_only_reads, id="only reads"),
    ],
)
def test_the_session_says_so_and_goes_on_afterwards_in_the_same_pod(runners: RunnerBench, fault: Fault) -> None:
    session = runners.session(LARGE, {}, DATABASE_PATIENCE_SECONDS="40")
    runner = session.start()
    session.wait_until_reached("second")
    with fault(runners.database) as heal:
        session.let_go("second")
        session.wait_for_status(lambda status: status.get("reason") == "DatabaseUnavailable", what="the reason")
        assert session.status["phase"] == "Running"
        heal()
        assert runner.wait() == 0, runner.output
        assert_whole(runners, session)


def test_a_disk_that_stays_full_ends_the_pod_and_the_next_one_goes_on(runners: RunnerBench) -> None:
    session = runners.session(LARGE, {}, DATABASE_PATIENCE_SECONDS="1")
    runner = session.start()
    session.wait_until_reached("second")
    with a_disk_that_is_full(runners.database) as heal:
        session.let_go("second")
        assert runner.wait() == 20, runner.output
        status = session.status
        assert (status["phase"], status["reason"]) == ("Running", "DatabaseUnavailable")
        assert "No space left on device" in status["message"]
        heal()
        assert session.run() == 0
        assert_whole(runners, session)


def test_a_table_that_another_client_has_locked_is_waited_for(runners: RunnerBench) -> None:
    session = runners.session(LARGE, {})
    runner = session.start()
    session.wait_until_reached("second")
    with psycopg.connect(runners.database.dsn) as holder:
        holder.execute("LOCK TABLE checkpoints IN ACCESS EXCLUSIVE MODE")
        session.let_go("second")
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'checkpoints'::regclass"
        wait_for(lambda: runners.database.execute(waiting)[0][0], bool, what="a writer that waits", every=0.05)
        assert runner.process.poll() is None
    assert runner.wait() == 0, runner.output
    assert_whole(runners, session)
    assert session.ran == ["first", "second", "third"]
