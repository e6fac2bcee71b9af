"""A streaming standby of a test server, cut off from its primary, and promoted in its place."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.support.postgres_server import SUPERUSER, PostgresServer, find_binaries, wait_until


def query(server: PostgresServer, statement: str) -> object:
    """Return the first value of a statement's first row; None where it has none."""
    with psycopg.connect(server.dsn(), autocommit=True) as conn:
        cursor = conn.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None


@dataclass(frozen=True)
class Pair:
    """A primary and its standby behind one connection string: whoever connects finds the one that can be written."""

    primary: PostgresServer
    standby: PostgresServer

    def dsn(self, dbname: str = "postgres", *, user: str = SUPERUSER, password: str | None = None) -> str:
        secret = "" if password is None else f" password='{password}'"
        ports = f"{self.primary.port},{self.standby.port}"
        return (
            f"host=127.0.0.1,127.0.0.1 port={ports} target_session_attrs=read-write dbname={dbname} user={user}{secret}"
            " connect_timeout=10"
        )

    def wait_replayed(self) -> None:
        """Wait until the standby has everything that was committed so far."""
        at = query(self.primary, "SELECT pg_current_wal_flush_lsn()::text")
        statement = f"SELECT pg_last_wal_replay_lsn() >= '{at}'::pg_lsn"
        wait_until(lambda: query(self.standby, statement) is True, what=f"replay up to {at}")

    def cut(self) -> None:
        """Let nothing more come to the standby; the primary does not care."""
        query(self.standby, "ALTER SYSTEM SET primary_conninfo = ''")
        query(self.standby, "SELECT pg_reload_conf()")
        receiving = "SELECT count(*) FROM pg_stat_wal_receiver"
        wait_until(lambda: query(self.standby, receiving) == 0, what="the end of streaming")

    def fail_over(self) -> None:
        """Kill the primary and let the standby take its place, with what it has."""
        self.primary.kill()
        assert query(self.standby, "SELECT pg_promote()") is True


@contextmanager
def start_standby(primary: PostgresServer) -> Iterator[Pair]:
    """Run a standby of a server, asynchronous, as most are."""
    access = (primary.folder / "data" / "pg_hba.conf").read_text()
    primary.install("pg_hba.conf", f"host replication {SUPERUSER} 127.0.0.1/32 trust\n{access}".encode())
    query(primary, "SELECT pg_reload_conf()")
    folder = Path(tempfile.mkdtemp(prefix="agentic-pg-standby-"))
    standby = PostgresServer(folder, {})
    try:
        source = f"host=127.0.0.1 port={primary.port} user={SUPERUSER}"
        command = ["-d", source, "-D", "data", "-R", "-X", "stream", "-c", "fast", "--no-sync"]
        subprocess.run(
            [str(find_binaries() / "pg_basebackup"), *command],
            cwd=folder,
            check=True,
            env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
            **standby.account,
        )
        standby.start()
        try:
            yield Pair(primary, standby)
        finally:
            standby.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
