"""A real PgBouncer before a test's PostgreSQL, ended by its process id."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from hack.cluster.endpoints import find_free_ports
from tests.support.postgres_server import SUPERUSER, PostgresServer, server_account, wait_until
from tests.support.waiting import PATIENCE_SECONDS


@dataclass(frozen=True)
class PgBouncer:
    """One pooler on a loopback port."""

    port: int

    def dsn(self, dbname: str) -> str:
        return f"host=127.0.0.1 port={self.port} dbname={dbname} user={SUPERUSER} connect_timeout=10"


def find_pgbouncer() -> str:
    """Return the program; say what to install where there is none."""
    if found := shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
        return found
    raise RuntimeError(
        "PgBouncer is not installed: these tests run through a real one; install it (`apt-get install pgbouncer`)"
    )


@contextlib.contextmanager
def start_pgbouncer(server: PostgresServer, *, pool_mode: str, pool_size: int, more: str = "") -> Iterator[PgBouncer]:
    """Run a pooler of ``server`` that lets the superuser in without a password; ``more`` are lines of its settings."""
    bouncer = PgBouncer(find_free_ports(1)[0])
    account = server_account() if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="agentic-pgbouncer-") as folder:
        users, settings = Path(folder, "users"), Path(folder, "pgbouncer.ini")
        users.write_text(f'"{SUPERUSER}" ""\n')
        settings.write_text(
            f"[databases]\n* = host=127.0.0.1 port={server.port}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {bouncer.port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {users}\npool_mode = {pool_mode}\n"
            f"default_pool_size = {pool_size}\nmax_client_conn = 1000\nserver_round_robin = 1\n{more}\n"
        )
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        with Path(folder, "log").open("ab") as log:
            process = subprocess.Popen(
                [find_pgbouncer(), str(settings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=None if account is None else account.pw_uid,
                group=None if account is None else account.pw_gid,
                extra_groups=None if account is None else [],
                start_new_session=True,
            )
        try:
            wait_until(lambda: _answers(bouncer, process), what=f"PgBouncer on port {bouncer.port}")
            yield bouncer
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE_SECONDS)


def _answers(bouncer: PgBouncer, process: "subprocess.Popen[bytes]") -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"PgBouncer did not start: it ended with {process.returncode}")
    try:
        psycopg.connect(bouncer.dsn("postgres")).close()
    except psycopg.OperationalError:
        return False
    return True
