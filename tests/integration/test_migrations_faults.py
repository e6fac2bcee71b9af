"""``agentic migrate`` as a process: killed at every point, against servers that are away, and what it prints."""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from agentic_core.contract import ExitCode
from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
from agentic_store.schema_migrations.schema import SCHEMA_VERSION
from hack.cluster.endpoints import find_free_ports
from tests.support.catalog import describe_tables
from tests.support.commands import clean_environment, run_agentic
from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import PostgresServer, start_server, wait_until
from tests.support.waiting import PATIENCE_SECONDS

PASSWORD = "p@ss/w%rd#1?:x"
ENCODED = "p%40ss%2Fw%25rd%231%3F%3Ax"


class KillingProxy:
    """Passes one connection on and kills a process as soon as the n-th piece of what it sends has gone through."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def serve(self, process: "subprocess.Popen[bytes]", kill_after: int | None) -> int:
        """Serve until either side hangs up; return how many messages of the client went through."""
        self._listener.settimeout(30)
        client, _ = self._listener.accept()
        with client, socket.create_connection(("127.0.0.1", self._target_port)) as server:
            back = threading.Thread(target=_pump, args=(server, client))
            back.start()
            passed = 0
            with contextlib.suppress(OSError):
                while data := client.recv(65536):
                    server.sendall(data)
                    passed += 1
                    if passed == kill_after:
                        process.kill()
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            back.join()
        return passed

    def close(self) -> None:
        self._listener.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)


def start_up(dsn: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "agentic_cli", "migrate", "up", "--wait", "0", "--to", str(SCHEMA_VERSION)],
        env=clean_environment(POSTGRES_CONNECTION_STRING=dsn),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_killed_at_ten_random_points_the_next_attempt_converges(
    postgres_server: PostgresServer, database: PostgresDatabase, empty_database: PostgresDatabase
) -> None:
    expected = describe_tables(database)
    messages, killed = _run_and_kill(postgres_server, empty_database, kill_after=None)
    assert not killed
    assert describe_tables(empty_database) == expected
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    found = set()
    for kill_after in random.Random(seed).sample(range(1, messages), 10):
        _reset(empty_database)
        _, killed = _run_and_kill(postgres_server, empty_database, kill_after=kill_after)
        assert killed
        versions = [version for (version,) in _applied_versions(empty_database)]
        assert versions == list(range(1, len(versions) + 1))
        found.add(len(versions))

        asyncio.run(migrate.up(Dsn.parse(empty_database.dsn)))

        assert describe_tables(empty_database) == expected
    assert len(found) >= 3


def _run_and_kill(server: PostgresServer, database: PostgresDatabase, *, kill_after: int | None) -> tuple[int, bool]:
    """Migrate through a proxy that kills after so many messages; return how many went through, and whether it did."""
    proxy = KillingProxy(server.port)
    through_proxy = database.dsn.replace(f"port={server.port}", f"port={proxy.port}")
    process = start_up(f"{through_proxy} gssencmode=disable sslmode=disable")
    with contextlib.closing(proxy):
        passed = proxy.serve(process, kill_after=kill_after)
    assert process.wait(timeout=PATIENCE_SECONDS) in (0, -signal.SIGKILL)
    return passed, process.returncode != 0


def _applied_versions(database: PostgresDatabase) -> list[tuple[int]]:
    if database.execute("SELECT to_regclass('agentic_migrations')") == [(None,)]:
        return []
    return [(int(version),) for (version,) in database.execute("SELECT version FROM agentic_migrations ORDER BY 1")]


def _reset(database: PostgresDatabase) -> None:
    database.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    database.execute("DROP SCHEMA public CASCADE")
    database.execute("CREATE SCHEMA public")


def test_the_server_dying_in_the_middle_is_reported_and_repeated() -> None:
    with start_server() as server:
        env = clean_environment(POSTGRES_CONNECTION_STRING=server.dsn())
        blocker = psycopg.connect(server.dsn())
        blocker.execute("CREATE TABLE checkpoints (thread_id text)")
        blocker.commit()
        blocker.execute("LOCK TABLE checkpoints IN ACCESS EXCLUSIVE MODE")
        process = subprocess.Popen(
            [sys.executable, "-m", "agentic_cli", "migrate", "up"], env=env, stderr=subprocess.PIPE, text=True
        )
        # The first migration waits for a table in use, long enough for the server to die meanwhile.
        with contextlib.closing(blocker), psycopg.connect(server.dsn(), autocommit=True) as watcher:
            waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            wait_until(lambda: watcher.execute(waiting).fetchone() is not None, what="a lock wait")
            server.kill()
        _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == ExitCode.DATABASE_UNAVAILABLE
        assert "the database is not available" in stderr

        server.start()
        with psycopg.connect(server.dsn(), autocommit=True) as conn:
            conn.execute("DROP TABLE checkpoints")
        assert run_agentic("migrate", "up", env=env).returncode == 0


def test_it_waits_for_a_database_that_is_still_coming_up_and_says_so() -> None:
    with start_server() as server:
        server.stop()
        env = clean_environment(POSTGRES_CONNECTION_STRING=server.dsn())
        process = subprocess.Popen(
            [sys.executable, "-m", "agentic_cli", "migrate", "up", "--wait", "60"],
            env=env,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        said = [process.stderr.readline(), process.stderr.readline()]
        server.start()
        said += process.stderr.readlines()
        process.stderr.close()

    assert process.wait(timeout=PATIENCE_SECONDS) == 0
    assert said[0] == f"==> migrating postgres@127.0.0.1:{server.port}/postgres\n"
    assert said[1].startswith("==> waiting for the database: cannot connect to PostgreSQL at postgres@127.0.0.1")
    assert "refused" in said[1]
    assert said[-1] == f"==> done: database is at version {SCHEMA_VERSION}\n"


def test_without_patience_a_missing_server_is_one_line_and_its_own_exit_status() -> None:
    env = clean_environment(POSTGRES_CONNECTION_STRING=f"postgresql://u:{ENCODED}@127.0.0.1:{find_free_ports(1)[0]}/db")

    done = run_agentic("migrate", "status", "--wait", "0", env=env)

    assert done.returncode == ExitCode.DATABASE_UNAVAILABLE
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: cannot connect to PostgreSQL at u@127.0.0.1")


@pytest.fixture
def owner(database: PostgresDatabase) -> Iterator[str]:
    """A login role with a password that is awkward in a URI; it may make tables in the test's database."""
    name = f"owner_{os.getpid()}"
    database.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    database.execute(f"GRANT ALL ON SCHEMA public TO {name}")
    database.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
    yield name
    database.execute(f"DROP OWNED BY {name}")
    database.execute(f"DROP ROLE {name}")


def test_an_awkward_password_works_in_every_form_and_is_never_printed(
    database: PostgresDatabase, owner: str, tmp_path: Path
) -> None:
    place = f"127.0.0.1:{database.server.port}/{database.name}"
    dsn_file = tmp_path / "dsn"
    dsn_file.write_text(f"postgresql://{owner}:{PASSWORD}@{place}\n")
    pg_variables = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(database.server.port),
        "PGDATABASE": database.name,
        "PGUSER": owner,
        "PGPASSWORD": PASSWORD,
    }
    forms = {
        "a URI, percent-encoded": {"POSTGRES_CONNECTION_STRING": f"postgresql://{owner}:{ENCODED}@{place}"},
        "a URI, pasted as it is": {"POSTGRES_CONNECTION_STRING": f"postgresql://{owner}:{PASSWORD}@{place}"},
        "a file": {"POSTGRES_CONNECTION_STRING_FILE": str(dsn_file)},
        "key=value": {
            "POSTGRES_CONNECTION_STRING": f"host=127.0.0.1 port={database.server.port} dbname={database.name}"
            f" user={owner} password='{PASSWORD}'"
        },
        "libpq's variables": pg_variables,
    }
    for form, variables in forms.items():
        done = run_agentic("migrate", "status", "-o", "json", env=clean_environment(**variables))

        assert done.returncode == 0, f"{form}: {done.stderr}"
        assert json.loads(done.stdout)["current"], form
        for secret in (PASSWORD, ENCODED):
            assert secret not in done.stdout + done.stderr, form


def test_no_failure_prints_the_password(database: PostgresDatabase, owner: str) -> None:
    place = f"127.0.0.1:{database.server.port}/{database.name}"
    broken = {
        "wrong password": f"postgresql://{owner}:wr{ENCODED}@{place}",
        "server without TLS": f"postgresql://{owner}:{ENCODED}@{place}?sslmode=require",
        "no such database": f"postgresql://{owner}:{ENCODED}@127.0.0.1:{database.server.port}/nowhere",
        "unknown option": f"postgresql://{owner}:{ENCODED}@{place}?colour=blue",
        "not a connection string": f"{PASSWORD}",
        "broken quoting": f"host=127.0.0.1 password='{PASSWORD}",
        "no right to the tables": f"postgresql://{owner}:{ENCODED}@{place}?options=-csearch_path%3Dpg_catalog",
    }
    for what, dsn in broken.items():
        done = run_agentic("migrate", "up", "--wait", "0", env=clean_environment(POSTGRES_CONNECTION_STRING=dsn))

        said = done.stdout + done.stderr
        assert done.returncode, f"{what}: {said}"
        assert len(done.stderr.splitlines()) <= 3, f"{what}: {said}"
        assert "Traceback" not in said, f"{what}: {said}"
        assert PASSWORD not in said, f"{what}: {said}"
        assert ENCODED not in said, f"{what}: {said}"


def test_a_wrong_password_is_not_tried_for_a_minute(database: PostgresDatabase, owner: str) -> None:
    dsn = f"postgresql://{owner}:wrong@127.0.0.1:{database.server.port}/{database.name}"

    done = run_agentic("migrate", "status", env=clean_environment(POSTGRES_CONNECTION_STRING=dsn))

    assert done.returncode == 1
    assert "password authentication failed" in done.stderr


def test_tls_can_be_required(tmp_path: Path) -> None:
    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
    subprocess.run(
        [
            *["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"],
            "-out",
            certificate,
            "-keyout",
            key,
        ],
        check=True,
        capture_output=True,
    )
    with start_server() as server:
        server.stop()
        server.install("server.crt", certificate.read_bytes())
        server.install("server.key", key.read_bytes())
        server.set("ssl", "on")
        server.start()
        with psycopg.connect(server.dsn(), autocommit=True) as conn:
            conn.execute(f"CREATE ROLE owner LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
        dsn = f"postgresql://owner:{PASSWORD}@127.0.0.1:{server.port}/postgres?sslmode=require"

        done = run_agentic("migrate", "up", env=clean_environment(POSTGRES_CONNECTION_STRING=dsn))

    assert done.returncode == 0, done.stderr
    assert PASSWORD not in done.stderr


def test_a_role_that_may_not_create_roles_is_told_what_to_do() -> None:
    with start_server() as server:
        with psycopg.connect(server.dsn(), autocommit=True) as conn:
            conn.execute("CREATE ROLE owner LOGIN PASSWORD 'x'")
            conn.execute("CREATE DATABASE app OWNER owner")
        env = clean_environment(POSTGRES_CONNECTION_STRING=server.dsn("app", user="owner", password="x"))

        done = run_agentic("migrate", "up", env=env)

        assert done.returncode == 0
        assert (
            "==> WARNING: role agentic_runner is missing and owner may not create it: run `CREATE ROLE" in done.stderr
        )
