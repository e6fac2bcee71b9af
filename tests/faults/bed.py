"""The test bed: a namespace on a real API server with operators, runners and PostgreSQL, and proxies between them."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentic_core.lifecycle import Phase
from hack.cluster.controlplane import ControlPlane
from hack.cluster.kubeconfig import build_kubeconfig, write_private
from tests.faults.operators import Operator
from tests.support.apiclient import (
    GROUP_PATH,
    ApiClient,
    ApiError,
    Json,
    core_path,
    definitions_path,
    jobs_path,
    open_client,
    sessions_path,
)
from tests.support.commands import OPERATOR, ROOT, clean_environment
from tests.support.faultproxy import FaultProxy, Moment, open_proxy
from tests.support.history import AUDIT, History, Life, find_violations
from tests.support.postgres import PostgresDatabase
from tests.support.process_kubelet import PodProcess, ProcessKubelet
from tests.support.waiting import PATIENCE_SECONDS

SYSTEM = "agentic-system"
IMAGE = "agentic-operator/faults:dev"
PROJECT = ROOT / "tests/e2e/image/app"
API_VERSION = "agentic-operator.dev/v1alpha1"
REST = (Phase.COMPLETED, Phase.FAILED, Phase.STOPPED, Phase.WAITING_FOR_INPUT, Phase.SUSPENDED, Phase.IDLE)
LONG = os.environ.get("CHAOS") == "1"


def seeds(short: int, long: int) -> list[int]:
    """Return the seeds of a randomised test: few in `make test`, many in `make chaos`, one's own with CHAOS_SEED."""
    if chosen := os.environ.get("CHAOS_SEED"):
        return [int(chosen)]
    return list(range(1, (long if LONG else short) + 1))


async def until(
    holds: Callable[[], Any],
    *,
    what: str,
    seconds: float = PATIENCE_SECONDS,
    every: float = 0.05,
    last: Callable[[], Any] = str,
) -> Any:
    """Return the first true value of ``holds``; fail the test after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        value = holds()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} s; last seen: {str(last())[:4000]}")
        await asyncio.sleep(every)


@dataclass(eq=False)
class Bed:
    """One namespace and everything in it."""

    plane: ControlPlane
    client: ApiClient
    database: PostgresDatabase
    kubelet: ProcessKubelet
    history: History
    runners: FaultProxy
    """Between the runners and the API server."""
    namespace: str
    folder: Path
    stack: AsyncExitStack
    operators: list[Operator] = field(default_factory=list)
    namespaces: list[str] = field(default_factory=list)

    async def operator(
        self,
        name: str = "operator",
        *,
        is_started: bool = True,
        account: tuple[str, str] = (SYSTEM, "agentic-operator"),
        **variables: str,
    ) -> Operator:
        """Start an operator with the rights of a service account, its namespace and name: by default its own."""
        proxy = await self.stack.enter_async_context(open_proxy(self.plane))
        token = await asyncio.to_thread(self.plane.service_account_token, *account)
        config = self.folder / f"{name}.kubeconfig"
        write_private(config, build_kubeconfig(proxy.url, self.plane.ca_file.read_bytes(), {"token": token}))
        environment = clean_environment(
            KUBECONFIG=str(config),
            OPERATOR_NAMESPACE=account[0],
            POD_NAME=name,
            POSTGRES_CONNECTION_STRING_FILE=str(self.folder / "operator.dsn"),
            BACKEND_URL=self.runners.url,
            LEADER_ELECTION="false",
            LIVENESS_PORT="0",
            LOG_FORMAT="text",
        )
        operator = Operator(
            name,
            proxy,
            self.folder / f"{name}.log",
            [*OPERATOR],
            {**environment, **variables},
        )
        self.operators.append(operator)
        if is_started:
            operator.start()
        return operator

    async def define(self, graph: str, *, name: str = "", is_awaited: bool = True, **spec: Any) -> str:
        """Register a graph of the test image and wait until the operator takes sessions of it."""
        name = name or graph
        await self.client.create(
            definitions_path(self.namespace),
            {
                "apiVersion": API_VERSION,
                "kind": "WorkflowDefinition",
                "metadata": {"name": name},
                "spec": {"image": IMAGE, "graph": graph, **spec},
            },
        )
        if is_awaited:
            await until(lambda: self._is_ready(name), what=f"definition {name} ready", every=0.1)
        return name

    async def _is_ready(self, name: str) -> bool:
        for operator in self.operators:
            operator.check_alive()
        found = await self.client.get(definitions_path(self.namespace, name))
        conditions = {each["type"]: each for each in (found.get("status") or {}).get("conditions") or ()}
        if conditions.get("Inspected", {}).get("status") == "False":
            raise AssertionError(f"definition {name}: {conditions['Inspected']['message']}")
        return bool(conditions.get("Ready", {}).get("status") == "True")

    async def wait_idle(self, definition: str) -> None:
        """Wait until a definition says that none of its sessions holds a pod."""

        async def is_idle() -> bool:
            found = await self.client.get(definitions_path(self.namespace, definition))
            return not (found.get("status") or {}).get("activeSessions")

        await until(is_idle, what=f"{definition} without active sessions", every=0.2)

    async def start(self, workflow: str, name: str, **spec: Any) -> Json:
        """Make a session."""
        body = {
            "apiVersion": API_VERSION,
            "kind": "AgenticSession",
            "metadata": {"name": name},
            "spec": {"workflowRef": {"name": workflow}, **spec},
        }
        return await self.client.create(sessions_path(self.namespace), body)

    async def session(self, name: str) -> Json:
        return await self.client.get(sessions_path(self.namespace, name))

    async def status(self, name: str) -> Json:
        status: Json = (await self.session(name)).get("status") or {}
        return status

    def life(self, name: str) -> Life | None:
        """Return what was seen of a session that exists."""
        return self.history.find(self.namespace, name)

    def phase(self, name: str) -> Phase | None:
        life = self.life(name)
        return life.last.phase if life is not None else None

    async def wait_phase(self, name: str, *phases: Phase, seconds: float = PATIENCE_SECONDS) -> Json:
        """Wait until a session is in one of ``phases`` and return its status."""
        await until(
            lambda: self.phase(name) in phases,
            what=f"{name} {'/'.join(phases)}",
            seconds=seconds,
            last=lambda: f"{self.life(name)}: {self.life(name).last if self.life(name) else None}",  # type: ignore[union-attr]  # asked before
        )
        return await self.status(name)

    async def wait_rest(self, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until every session is final or waits for somebody, and no runner is left."""

        def unrested() -> list[str]:
            return [
                f"{life} {life.last.phase} {life.last.reason}"
                for life in self.history.lives.values()
                if life.namespace in self.namespaces and not life.is_deleted and life.last.phase not in REST
            ] + [f"pod {p.pod}" for p in self.kubelet.processes if p.is_alive and p.namespace in self.namespaces]

        await until(lambda: not unrested(), what="rest", seconds=seconds, last=unrested)

    async def start_crashing(self, operator: Operator, workflow: str, name: str, number: int, moment: Moment) -> None:
        """Make a session and wait until the operator is killed around its write, or the session ends before."""
        operator.proxy.crash_at(number, moment, operator.kill)
        await self.start(workflow, name, inputs={})
        await self.wait_crash_or(operator, lambda: self.phase(name) in REST)
        if operator.proxy.crashed.is_set():
            await operator.wait()
        else:
            operator.proxy.forget_crashes()

    async def wait_crash_or(self, operator: Operator, is_over: Callable[[], bool]) -> None:
        """Wait until the proxy killed an operator, or something ended and the operator came to rest without that."""
        await until(lambda: operator.proxy.crashed.is_set() or is_over(), what="a crash or an end")
        if not operator.proxy.crashed.is_set():
            await self.settle(operator)

    async def settle(self, operator: Operator, *, quiet_seconds: float = 0.7) -> None:
        """Wait until an operator has sent nothing for a while."""
        seen, since = len(operator.proxy.passed), time.monotonic()

        def is_quiet() -> bool:
            nonlocal seen, since
            if len(operator.proxy.passed) != seen:
                seen, since = len(operator.proxy.passed), time.monotonic()
            return time.monotonic() - since > quiet_seconds

        await until(is_quiet, what=f"{operator.name} at rest", last=lambda: operator.proxy.passed[-10:])

    async def wait_runner(
        self, session: str, *, run: int | None = None, seconds: float = PATIENCE_SECONDS
    ) -> PodProcess:
        """Wait for a living runner of a session."""

        def find() -> PodProcess | None:
            alive = self.kubelet.alive(session, self.namespace)
            return next((p for p in reversed(alive) if run in (None, p.run)), None)

        found: PodProcess = await until(find, what=f"a runner of {session}", seconds=seconds)
        return found

    async def check(self, *, is_contended: bool = False, has_lost: bool = False) -> None:
        """Fail where anything that must hold does not; ``has_lost`` where the database itself lost what it had.

        Rows follow the resources by a moment, and the garbage collector learns of new kinds every 30 seconds.
        """
        violations: list[str] = []

        async def holds() -> bool:
            violations[:] = await find_violations(
                self.history, self.client, self.database, self.namespaces, self.runners, is_contended=is_contended
            )
            if has_lost:
                violations[:] = [each for each in violations if "which is not in the database" not in each]
            return not violations

        await until(holds, what="invariants", every=0.25, last=lambda: "\n".join(violations))

    async def wait_compacted(self) -> None:
        """Wait until etcd has forgotten the present version of everything."""
        path = f"{GROUP_PATH}/agenticsessions"
        version = (await self.client.get(path))["metadata"]["resourceVersion"]

        async def is_compacted() -> bool:
            # Only what is written anew moves the version that may be forgotten.
            note = {"metadata": {"annotations": {"at": str(time.monotonic())}}}
            await self.client.patch(f"/api/v1/namespaces/{self.namespace}", note)
            try:
                await self.client.get(f"{path}?resourceVersion={version}&resourceVersionMatch=Exact&limit=1")
            except ApiError as error:
                return error.code == 410
            return False

        await until(is_compacted, what=f"version {version} compacted", every=0.5)

    def journal(self, name: str) -> list[str]:
        """Return what the nodes of a session noted in its workspace."""
        path = self.folder / "pods/claims" / self.namespace / f"{name}-workspace" / "journal"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def kill_runners(self, name: str) -> None:
        for process in self.kubelet.alive(name, self.namespace):
            process.send(signal.SIGKILL)

    async def delete_pod(self, process: PodProcess) -> None:
        await self.client.delete(core_path(process.namespace, "pods", process.pod))

    async def stop(self, name: str) -> None:
        await self.client.patch(sessions_path(self.namespace, name), {"spec": {"stop": True}})

    def rows_of_threads(self) -> int:
        """Count what the database holds of threads."""
        tables = ("checkpoints", "checkpoint_blobs", "checkpoint_writes", "thread_fences", "session_events")
        return sum(self.database.execute(f"SELECT count(*) FROM {table}")[0][0] for table in tables)

    async def delete(self, name: str) -> None:
        await self.client.delete(sessions_path(self.namespace, name))

    async def wait_gone(self, name: str, *, seconds: float = PATIENCE_SECONDS) -> None:
        async def is_gone() -> bool:
            return await self.client.find(sessions_path(self.namespace, name)) is None

        await until(is_gone, what=f"{name} gone", seconds=seconds)

    async def new_namespace(self, name: str) -> None:
        """Make a namespace that admits restricted pods only."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        await self.client.create("/api/v1/namespaces", body)
        self.namespaces.append(name)

    async def clean(self) -> None:
        """Take everything away that later tests would trip over."""
        for operator in self.operators:
            await operator.kill_and_wait()
        for namespace in self.namespaces:
            for item in await self._list(sessions_path(namespace)):
                path = sessions_path(namespace, item["metadata"]["name"])
                if item["metadata"].get("finalizers"):
                    await self._quietly("PATCH", path, {"metadata": {"finalizers": None}})
                await self._quietly("DELETE", path)
            for item in await self._list(definitions_path(namespace)):
                await self._quietly("DELETE", definitions_path(namespace, item["metadata"]["name"]))
            for item in await self._list(jobs_path(namespace)):
                await self._quietly("DELETE", jobs_path(namespace, item["metadata"]["name"]))
            for item in await self._list(core_path(namespace, "pods")):
                path = core_path(namespace, "pods", item["metadata"]["name"])
                await self._quietly("PATCH", path, {"metadata": {"finalizers": None}})
                await self._quietly("DELETE", path, {"gracePeriodSeconds": 0})
            await self._quietly("DELETE", f"/api/v1/namespaces/{namespace}")

    async def _list(self, path: str) -> list[Json]:
        try:
            return await self.client.list(path)
        except ApiError:
            return []

    async def _quietly(self, method: str, path: str, body: Json | None = None) -> None:
        try:
            await self.client.request(method, path, body)
        except ApiError as error:
            if error.code not in (404, 409):
                raise


def _dsn(database: PostgresDatabase, login: str) -> str:
    return database.server.dsn(database.name, user=login, password=login)


def _prepare_database(database: PostgresDatabase) -> None:
    database.execute(AUDIT)
    for part in ("operator", "runner"):
        login = f"test_{part}"
        database.execute(
            f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{login}')"
            f" THEN CREATE ROLE {login} LOGIN PASSWORD '{login}' IN ROLE agentic_{part}; END IF; END $$"
        )


async def _let_transports_close() -> None:
    """Give the event loop the turns in which aborted TLS connections close their sockets."""
    for _ in range(10):
        await asyncio.sleep(0.01)


@asynccontextmanager
async def open_bed(
    plane: ControlPlane,
    database: PostgresDatabase,
    folder: Path,
    name: str,
    *,
    is_shown: bool = True,
    is_new: bool = True,
) -> AsyncIterator[Bed]:
    """Make a bed with a namespace of its own, which ``is_new`` or there already.

    Everything in it ends with the block, and what was said ``is_shown``.
    """
    await asyncio.to_thread(_prepare_database, database)
    write_private(folder / "operator.dsn", _dsn(database, "test_operator"))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_let_transports_close)
        client = await stack.enter_async_context(open_client(plane))
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "agentic-postgres-runner", "namespace": SYSTEM},
            "stringData": {"dsn": _dsn(database, "test_runner")},
        }
        await client.delete(core_path(SYSTEM, "secrets", "agentic-postgres-runner"))
        await client.create(core_path(SYSTEM, "secrets"), secret)
        runners = await stack.enter_async_context(open_proxy(plane))
        history = await stack.enter_async_context(History(client).record())
        kubelet = ProcessKubelet(client, plane, folder / "pods", {IMAGE: PROJECT})
        await stack.enter_async_context(kubelet.serve())
        bed = Bed(plane, client, database, kubelet, history, runners, name, folder, stack)
        if is_new:
            await bed.new_namespace(name)
        else:
            bed.namespaces.append(name)
        try:
            yield bed
        finally:
            if is_shown:
                show_logs(bed)
            await bed.clean()


def show_logs(bed: Bed) -> None:
    """Print what was said and done last; pytest shows it where a test fails."""
    for operator in bed.operators:
        print(f"--- log of {operator.name}:\n{operator.log[-6000:]}")
        print("\n".join(str(passed) for passed in operator.proxy.mutations[-60:]))
    for process in bed.kubelet.processes[-6:]:
        print(f"--- log of {process.pod} (exit {process.exit_code}):\n{process.log[-3000:]}")


def seeded(seed: int) -> random.Random:
    """Return the randomness of one test, and say its seed so that it can be repeated."""
    print(f"seed {seed}: repeat with CHAOS_SEED={seed}")
    return random.Random(seed)
