"""The gateway as a real process, and somebody who calls it with a token."""

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from agentic_store.dsn import Dsn
from hack.cluster.controlplane import ControlPlane
from tests.support.commands import clean_environment
from tests.support.postgres import PostgresDatabase
from tests.support.waiting import PATIENCE_SECONDS, wait_for

Json = dict[str, Any]

SYSTEM = "agentic-system"
# Of what a gateway logged, in the report of a test that failed.
LAST_LINES: Final = 60
_METRICS = re.compile(r"metrics on port (\d+)")
_LISTENING = re.compile(r"listening on (https?://\S+)")


@dataclass(frozen=True)
class Reply:
    """What the gateway answered."""

    code: int
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Gateway:
    """One replica."""

    address: str
    log_file: Path
    process: subprocess.Popen[bytes]

    def read_operations(self, path: str) -> Reply:
        """Return what its own port answers: /healthz, /readyz or /metrics."""
        found = wait_for(lambda: _METRICS.search(self.log), bool, what="its own port")
        assert found is not None
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{found[1]}{path}", timeout=30) as answer:
                return Reply(int(answer.status), answer.read().decode(), _lower(answer.headers))
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.read().decode(), _lower(error.headers))

    @property
    def log(self) -> str:
        """What it logged so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> Reply:
        """Send one request; a refusal is a reply, too."""
        found = {"Content-Type": "application/json", **(headers or {})}
        if token is not None:
            found["Authorization"] = f"Bearer {token}"
        sent = data if data is not None else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data=sent, method=method, headers=found)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE_SECONDS) as answer:
                return Reply(int(answer.status), _parse(answer.read()), _lower(answer.headers))
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, _parse(error.read()), _lower(error.headers))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what a test's gateways logged where it failed: an answer 500 says only that their log says why."""
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, Gateway):
                report.sections.append((f"log of {name}", "\n".join(value.log.splitlines()[-LAST_LINES:])))
    return report


def _parse(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.decode(errors="replace")


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def make_login(database: PostgresDatabase, group: str) -> Dsn:
    """Return the connection string of a login role in a group: one for all databases of the server."""
    name = f"login_{group}"
    database.execute(
        f"DO $$ BEGIN CREATE ROLE {name} LOGIN PASSWORD 'x' IN ROLE {group};"
        " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )
    return Dsn.parse(database.server.dsn(database.name, user=name, password="x"))


@contextmanager
def running_gateway(
    plane: ControlPlane, database: PostgresDatabase, folder: Path, **variables: str
) -> Iterator[Gateway]:
    """Start a gateway beside a test API server and a database, with no more rights there than it needs, and end it."""
    log_file, dsn_file, token_file = folder / "gateway.log", folder / "dsn", folder / "token"
    token_file.write_text(plane.service_account_token(SYSTEM, "agentic-gateway"), encoding="utf-8")
    dsn_file.write_text(make_login(database, "agentic_gateway").conninfo, encoding="utf-8")
    environment = clean_environment(
        PORT="0",
        HOST="127.0.0.1",
        KUBERNETES_API=plane.server,
        KUBERNETES_CA_FILE=str(plane.ca_file),
        KUBERNETES_TOKEN_FILE=str(token_file),
        METRICS_PORT="0",
        DRAIN_SECONDS="0",
        POSTGRES_CONNECTION_STRING_FILE=str(dsn_file),
        LOG_FORMAT="text",
    )
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "agentic_gateway"],
            env={**environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        found = wait_for(
            lambda: _LISTENING.search(log_file.read_text(encoding="utf-8")) or process.poll(),
            lambda value: value is not None,
            what="gateway listening",
        )
        assert isinstance(found, re.Match), log_file.read_text(encoding="utf-8")
        yield Gateway(found[1], log_file, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
