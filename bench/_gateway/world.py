"""A gateway with all that it needs: an API server, PostgreSQL, sessions with rows, and somebody who may watch them."""

import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

from agentic_core.lifecycle import Phase
from agentic_store.database import Database, open_database
from agentic_store.dsn import Dsn
from agentic_store.records import Json, NewEvent, SessionRecord
from hack.cluster.controlplane import ControlPlane
from tests.support.gateway import Gateway, running_gateway
from tests.support.kube import Space, install
from tests.support.postgres import PostgresDatabase, migrated_server
from tests.trust.roles import an_account

NAMESPACE = "bench"
# All clients are one person here, with as much as the limits can be.
LIMITS = {"REQUESTS_PER_SECOND": "100000", "REQUESTS_BURST": "1000000", "STREAMS_PER_PERSON": "100000"}


@dataclass(frozen=True)
class World:
    """What a part of the benchmark works with."""

    space: Space
    database: PostgresDatabase
    token: str
    folder: Path
    gateway: Gateway

    @asynccontextmanager
    async def open_store(self, *, size: int = 4) -> AsyncIterator[Database]:
        """Open the database as a runner would."""
        async with open_database(Dsn.parse(self.database.dsn), application_name="bench", max_size=size) as store:
            yield store

    async def make_sessions(self, store: Database, prefix: str, count: int) -> dict[str, str]:
        """Make sessions that are on, with rows; return their uids by name."""
        found: dict[str, str] = {}
        for number in range(count):
            name = f"{prefix}-{number}"
            found[name] = str(self.space.start(name)["metadata"]["uid"])
            await store.sessions.record_session(
                SessionRecord(
                    project_name=NAMESPACE,
                    session_name=name,
                    session_uid=found[name],
                    workflow_name="report",
                    status=Phase.RUNNING,
                    thread_id=f"project-{NAMESPACE}:session-{name}",
                    created_at=datetime.now(UTC),
                    run=1,
                )
            )
        return found


def watch_path(name: str, after: int = 0) -> str:
    """Return the path of a session's WebSocket."""
    return "/ws?" + urlencode({"namespace": NAMESPACE, "sessionName": name, "after": str(after)})


async def append(store: Database, uid: str, said: Sequence[Json]) -> None:
    """Write a row for each of what was said, in one statement."""
    await store.events.append(uid, 1, [NewEvent("custom", {"data": each}) for each in said])


@contextmanager
def open_world(**variables: str) -> Iterator[World]:
    """Start all of it, and end it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-gateway-")))
        server = stack.enter_context(migrated_server(max_connections=300))
        plane = stack.enter_context(ControlPlane(folder / "plane"))
        install(plane)
        plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        plane.request("POST", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", {"metadata": {"name": "watcher"}})
        for role in ("agentic-view", "agentic-edit"):
            body = {
                "metadata": {"generateName": "watcher-"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": "watcher", "namespace": NAMESPACE}],
            }
            plane.request("POST", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/rolebindings", body)
        space = Space(plane, NAMESPACE, folder)
        space.define()
        database = PostgresDatabase(server, "postgres")
        gateway = stack.enter_context(running_gateway(plane, database, folder, **LIMITS, **variables))
        yield World(space, database, an_account(plane, NAMESPACE, "watcher").token, folder, gateway)


@contextmanager
def running_floor(*arguments: str) -> Iterator[tuple[str, int]]:
    """Start a bare server; give its address and its process id."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench._gateway.floors", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise SystemExit(f"the bare server {arguments[0]!r} did not start")
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait()
