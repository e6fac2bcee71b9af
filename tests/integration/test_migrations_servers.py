"""Migrations against servers in trouble: full, read-only, busy, without a place, or of another name than they say."""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from agentic_core.contract import ExitCode
from agentic_core.errors import PermanentError, TransientError
from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
from agentic_store.schema_migrations.migration_files import discover, find_directory
from agentic_store.schema_migrations.schema import SCHEMA_VERSION
from hack.cluster.certificates import Authority
from tests.support.catalog import describe_tables
from tests.support.commands import clean_environment, run_agentic
from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import PostgresServer, server_account, start_server, wait_until
from tests.support.waiting import PATIENCE_SECONDS

NEXT = discover()[-1].version + 1
DONE = f"==> done: database is at version {SCHEMA_VERSION}"


def environment(database: PostgresDatabase, options: str = "") -> dict[str, str]:
    return clean_environment(POSTGRES_CONNECTION_STRING=f"{database.dsn} {options}")


def test_a_database_that_does_not_exist_is_named(database: PostgresDatabase) -> None:
    dsn = database.server.dsn("nowhere")

    done = run_agentic("migrate", "up", "--wait", "0", env=clean_environment(POSTGRES_CONNECTION_STRING=dsn))

    assert done.returncode == ExitCode.DATABASE_UNAVAILABLE
    assert 'database "nowhere" does not exist' in done.stderr


def test_a_server_that_only_reads_is_named_as_such(empty_database: PostgresDatabase) -> None:
    done = run_agentic(
        "migrate", "up", "--wait", "0", env=environment(empty_database, "options='-c default_transaction_read_only=on'")
    )

    assert done.returncode == ExitCode.DATABASE_UNAVAILABLE
    assert "RESET default_transaction_read_only" in done.stderr
    assert describe_tables(empty_database) == {}


def test_a_server_out_of_connections_is_waited_for_and_named() -> None:
    with start_server(max_connections=4, superuser_reserved_connections=1, max_wal_senders=0) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as conn:
            conn.execute("CREATE ROLE owner LOGIN CREATEROLE PASSWORD 'x'")
            conn.execute("CREATE DATABASE app OWNER owner")
        env = clean_environment(POSTGRES_CONNECTION_STRING=server.dsn("app", user="owner", password="x"))
        with contextlib.ExitStack() as others:
            for _ in range(3):
                others.enter_context(psycopg.connect(server.dsn("app", user="owner", password="x")))
            at_once = run_agentic("migrate", "up", "--wait", "0", env=env)
            waiting = subprocess.Popen(
                [sys.executable, "-m", "agentic_cli", "migrate", "up", "--wait", "60"],
                env=env,
                stderr=subprocess.PIPE,
                text=True,
            )
            assert waiting.stderr is not None
            said = [waiting.stderr.readline(), waiting.stderr.readline()]
        said += waiting.stderr.readlines()
        waiting.stderr.close()

        assert waiting.wait(timeout=PATIENCE_SECONDS) == 0
    assert at_once.returncode == ExitCode.DATABASE_UNAVAILABLE
    for text in (at_once.stderr, said[1]):
        assert "connection slots are reserved" in text or "too many clients" in text
    assert said[-1].strip() == DONE


@pytest.fixture
def small_disk(postgres_server: PostgresServer) -> Iterator[Path]:
    """A tablespace of 12 MB named small; a database without tables takes most of it."""
    with tempfile.TemporaryDirectory(prefix="agentic-disk-") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], check=True)
        try:
            if os.geteuid() == 0:
                account = server_account()
                os.chown(folder, account.pw_uid, account.pw_gid)
            with psycopg.connect(postgres_server.dsn(), autocommit=True) as conn:
                conn.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
                conn.execute("CREATE DATABASE on_a_small_disk TEMPLATE template0 TABLESPACE small")
                try:
                    yield Path(folder)
                finally:
                    conn.execute("DROP DATABASE on_a_small_disk WITH (FORCE)")
                    conn.execute("DROP TABLESPACE small")
        finally:
            subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_named_changes_nothing_and_is_repeated(
    postgres_server: PostgresServer, small_disk: Path
) -> None:
    database = PostgresDatabase(postgres_server, "on_a_small_disk")
    # The first connection writes a file of its own.
    assert describe_tables(database) == {}
    ballast = small_disk / "ballast"
    left = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    ballast.write_bytes(b"\0" * (left - 96 * 1024))

    full = run_agentic("migrate", "up", "--wait", "0", env=environment(database))

    assert full.returncode == 21
    assert "No space left on device: make room on the server's disk and run this again" in full.stderr
    tables = describe_tables(database).keys()
    ballast.unlink()
    again = run_agentic("migrate", "up", env=environment(database))
    assert again.returncode == 0, again.stderr
    assert DONE in again.stderr
    # What was applied before is whole, what failed left nothing.
    assert tables < describe_tables(database).keys()


def test_a_lock_of_another_client_is_waited_for_and_its_holder_named(database: PostgresDatabase) -> None:
    asyncio.run(migrate.down(Dsn.parse(database.dsn), to=1, confirm=None))
    said: list[str] = []
    with psycopg.connect(database.dsn, application_name="a long report") as other:
        other.execute("LOCK TABLE checkpoints IN SHARE MODE")

        with pytest.raises(TransientError) as refused:
            asyncio.run(migrate.up(Dsn.parse(database.dsn), patience_seconds=2, report=said.append))

        waiting = [line for line in said if line.startswith("waiting to run 002_sessions.up.sql: ")]
        assert len(waiting) == 1
        assert "a long report (process" in waiting[0]
        assert "holds checkpoints" in waiting[0]
        assert "found the database busy for 2 s (a long report" in str(refused.value)

        def let_go() -> None:
            wait_until(lambda: len(said) > len(waiting) + 3, what="a second wait")
            other.rollback()

        thread = threading.Thread(target=let_go)
        thread.start()
        applied = asyncio.run(migrate.up(Dsn.parse(database.dsn), report=said.append))
        thread.join()

    assert applied[-1].version == SCHEMA_VERSION


def test_a_migration_that_waits_for_a_lock_holds_nobody_up_for_long(database: PostgresDatabase) -> None:
    asyncio.run(migrate.down(Dsn.parse(database.dsn), to=1, confirm=None))
    longest = 0.0
    with psycopg.connect(database.dsn) as reader, psycopg.connect(database.dsn, autocommit=True) as writer:
        # A long transaction that has read; creating a trigger wants nobody else to write meanwhile.
        reader.execute("LOCK TABLE checkpoints IN ROW EXCLUSIVE MODE")
        migration = asyncio.to_thread

        async def migrate_beside_a_writer() -> None:
            nonlocal longest
            task = asyncio.create_task(
                migration(asyncio.run, migrate.up(Dsn.parse(database.dsn), patience_seconds=2.5))
            )
            while not task.done():
                began = time.monotonic()
                await asyncio.to_thread(writer.execute, "DELETE FROM checkpoints")
                longest = max(longest, time.monotonic() - began)
                await asyncio.wait([task], timeout=0.01)
            with pytest.raises(TransientError):
                await task

        asyncio.run(migrate_beside_a_writer())

    assert 0.1 < longest < 1.5


INDEX = "CREATE INDEX CONCURRENTLY IF NOT EXISTS big_idx ON big (v);\n"


def a_folder_with_an_index(folder: Path) -> Path:
    for path in find_directory({}).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    name = f"{NEXT:03}_big"
    (folder / f"{name}.up.sql").write_text(f"-- outside a transaction\n{INDEX}")
    (folder / f"{name}.down.sql").write_text("-- outside a transaction\nDROP INDEX CONCURRENTLY IF EXISTS big_idx;\n")
    return folder


@pytest.mark.parametrize("with_psql", [False, True], ids=["the command", "psql alone"])
def test_an_index_whose_build_was_killed_is_built_again(
    database: PostgresDatabase, tmp_path: Path, with_psql: bool
) -> None:
    folder = a_folder_with_an_index(tmp_path)
    database.execute("CREATE TABLE big (v int)")
    env = {
        "the command": environment(database) | {"AGENTIC_MIGRATIONS_DIR": str(folder)},
        "psql": environment(database),
    }
    with psycopg.connect(database.dsn) as other:
        # The build waits for this transaction to end, after it has made the index's entry.
        other.execute("INSERT INTO big VALUES (1)")
        building = threading.Thread(
            target=lambda: run_agentic("migrate", "up", "--to", str(NEXT), env=env["the command"])
        )
        building.start()
        invalid = "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('big_idx') AND NOT indisvalid"
        wait_until(lambda: database.execute(invalid) == [(1,)], what="the index's entry")
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE '%CREATE INDEX CONC%' AND pid <> pg_backend_pid()"
        )
        building.join()
        assert database.execute(invalid) == [(1,)]

    if with_psql:
        done = subprocess.run(
            ["sh", str(folder / "apply.sh")], env=env["psql"], capture_output=True, text=True, check=False
        )
    else:
        done = run_agentic("migrate", "up", "--to", str(NEXT), env=env["the command"])

    assert done.returncode == 0, done.stderr
    assert database.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'big_idx'::regclass") == [(True,)]
    assert database.execute("SELECT max(version) FROM agentic_migrations") == [(NEXT,)]


def test_an_index_is_built_while_writers_write(database: PostgresDatabase, tmp_path: Path) -> None:
    folder = a_folder_with_an_index(tmp_path)
    database.execute("CREATE TABLE big AS SELECT i AS v FROM generate_series(1, 300000) AS i")
    waits: list[float] = []
    done = threading.Event()

    def write() -> None:
        with psycopg.connect(database.dsn, autocommit=True) as conn:
            while not done.is_set():
                began = time.monotonic()
                conn.execute("INSERT INTO big VALUES (0)")
                waits.append(time.monotonic() - began)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    asyncio.run(migrate.up(Dsn.parse(database.dsn), directory=folder))
    done.set()
    for writer in writers:
        writer.join()

    assert len(waits) > 20
    assert max(waits) < 1.0
    assert database.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'big_idx'::regclass") == [(True,)]


async def test_eight_at_once_build_an_index_once(database: PostgresDatabase, tmp_path: Path) -> None:
    folder = a_folder_with_an_index(tmp_path)
    database.execute("CREATE TABLE big AS SELECT i AS v FROM generate_series(1, 50000) AS i")

    applied = await asyncio.gather(*(migrate.up(Dsn.parse(database.dsn), directory=folder) for _ in range(8)))

    assert sorted(len(one) for one in applied) == [0] * 7 + [1]


@pytest.fixture(scope="module")
def secure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PostgresServer, Path]]:
    """A server whose certificate, of an authority of its own, is for the name localhost alone."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    authority.create()
    pair = authority.issue("server", "localhost", names=["localhost"])
    with start_server() as server:
        server.stop()
        server.install("server.crt", pair.certificate.read_bytes())
        server.install("server.key", pair.key.read_bytes())
        server.set("ssl", "on")
        server.start()
        yield server, authority.pair.certificate


def test_verify_full_takes_the_server_of_the_authority_and_name(secure_server: tuple[PostgresServer, Path]) -> None:
    server, authority = secure_server
    dsn = f"postgresql://postgres@localhost:{server.port}/postgres?sslmode=verify-full&sslrootcert={authority}"

    done = run_agentic("migrate", "up", env=clean_environment(POSTGRES_CONNECTION_STRING=dsn))

    assert done.returncode == 0, done.stderr
    script = find_directory({}) / "verify_migration.sh"
    verified = subprocess.run(
        ["sh", str(script), dsn], env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert verified.returncode == 0, verified.stdout


def test_verify_full_refuses_another_name_and_another_authority(
    secure_server: tuple[PostgresServer, Path], tmp_path: Path
) -> None:
    server, authority = secure_server
    stranger = Authority(tmp_path)
    stranger.create()
    stranger.issue("server", "localhost", names=["localhost"])
    for host, root, reason in (
        ("127.0.0.1", authority, 'does not match host name "127.0.0.1"'),
        ("localhost", stranger.pair.certificate, "certificate verify failed"),
    ):
        dsn = f"postgresql://postgres@{host}:{server.port}/postgres?sslmode=verify-full&sslrootcert={root}"
        done = run_agentic("migrate", "up", env=clean_environment(POSTGRES_CONNECTION_STRING=dsn))

        assert done.returncode == 1
        assert reason in done.stderr
        assert "correct the connection string" in done.stderr


def test_down_asks_warns_and_takes_no_for_an_answer(database: PostgresDatabase) -> None:
    command = ("migrate", "down", "--to", "0")

    unasked = run_agentic(*command, env=environment(database))
    wrong = run_agentic(*command, "--confirm", "production", env=environment(database))

    assert unasked.returncode == 2
    assert "==> 001_checkpoints.down.sql: WARNING: deletes every checkpoint" in unasked.stderr
    assert "say --confirm with the database's name, or --yes" in unasked.stderr
    assert wrong.returncode == 1
    assert "'production' is not the name of this database" in wrong.stderr
    assert "checkpoints" in describe_tables(database)

    done = run_agentic(*command, "--yes", env=environment(database))

    assert done.returncode == 0, done.stderr
    assert "==> 001_checkpoints.down.sql: WARNING: deletes every checkpoint" in done.stderr
    assert describe_tables(database).keys() == {"agentic_migrations"}


async def test_a_changed_file_is_refused_also_on_the_way_down(database: PostgresDatabase, tmp_path: Path) -> None:
    folder = a_folder_with_an_index(tmp_path)
    changed = folder / "001_checkpoints.up.sql"
    changed.write_text(changed.read_text() + "-- an afterthought\n")

    with pytest.raises(PermanentError, match=r"'001_checkpoints\.up\.sql' was changed after it was applied"):
        await migrate.down(Dsn.parse(database.dsn), to=0, confirm=None, directory=folder)
