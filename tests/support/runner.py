"""The runner as a real process, against a real API server and PostgreSQL, with projects and sessions to run."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agentic_core.names import API_VERSION, RUNNER_SERVICE_ACCOUNT, job_name
from agentic_core.threads import thread_id
from agentic_store.dsn import Dsn
from agentic_store.schema_migrations import migrate
from hack.cluster.controlplane import ControlPlane
from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import start_server
from tests.support.waiting import PATIENCE_SECONDS, wait_for

Json = dict[str, Any]

SESSIONS = "/apis/agentic-operator.dev/v1alpha1/namespaces/{}/agenticsessions"
ROOT = Path(__file__).resolve().parents[2]
CRDS = ROOT / "crds"
NAMESPACE = "runners"

# Every node notes its name in a file: what ran, how often and in which order.
PRELUDE = '''
import operator, os, pathlib, time
from typing import Annotated, Any, TypedDict
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

HERE = pathlib.Path(__file__).parent

def note(name):
    with (HERE / "ran").open("a") as file:
        file.write(name + "\\n")

def hold(name):
    """Say that this point is reached, and wait until the test lets it go on."""
    (HERE / f"{name}.reached").touch()
    while not (HERE / f"{name}.go").exists():
        time.sleep(0.01)
'''


def read_entry_point() -> list[str]:
    """Return how the runner's image starts it, with this interpreter in the place of the image's."""
    text = (ROOT / "images/runner/Containerfile").read_text(encoding="utf-8").replace("\\\n", "")
    (line,) = (line for line in text.splitlines() if line.startswith("ENTRYPOINT "))
    command: list[str] = json.loads(line.removeprefix("ENTRYPOINT "))
    return [sys.executable if word == "/opt/agentic/bin/python" else word for word in command]


@dataclass
class Runner:
    """One runner process."""

    process: subprocess.Popen[bytes]
    folder: Path

    def wait(self, timeout_seconds: float = PATIENCE_SECONDS) -> int:
        """Return the exit code; fail the test where the process does not end."""
        try:
            return self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the runner did not end within {timeout_seconds:g} s:\n{self.output}") from None

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    @property
    def output(self) -> str:
        return (self.folder / "out").read_text(errors="replace") + (self.folder / "err").read_text(errors="replace")

    @property
    def errors(self) -> str:
        return (self.folder / "err").read_text(errors="replace")

    @property
    def termination(self) -> str:
        path = self.folder / "termination"
        return path.read_text() if path.exists() else ""

    @property
    def log(self) -> list[Json]:
        lines = (self.folder / "out").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


@dataclass
class Session:
    """A session on the API server, its project, and the runners started for it."""

    bench: "RunnerBench"
    name: str
    uid: str
    project: Path
    environment: dict[str, str] = field(default_factory=dict)
    is_isolated: bool = False
    """Whether runners start as the image's entry point starts them."""
    program: Sequence[str] = ()
    """What is started instead of our runner."""

    @property
    def path(self) -> str:
        return f"{SESSIONS.format(NAMESPACE)}/{self.name}"

    @property
    def thread_id(self) -> str:
        return thread_id(NAMESPACE, self.name)

    def read(self) -> Json:
        return self.bench.plane.request("GET", self.path)

    @property
    def status(self) -> Json:
        status: Json = self.read().get("status", {})
        return status

    @property
    def ran(self) -> list[str]:
        """The nodes that ran, in their order."""
        file = self.project / "ran"
        return file.read_text().split() if file.exists() else []

    def patch(self, body: Json) -> None:
        self.bench.plane.request("PATCH", self.path, body)

    def answer(self, run: int | None = None, **answers: Any) -> None:
        """Accept answers as the operator does: by node, to its question; ``run`` makes the next run."""
        status = self.status
        interrupts, recorded = status["interrupts"], status.get("answers", [])
        for each in interrupts:
            if each["node"] in answers and "answeredAt" not in each:
                value = answers[each["node"]]
                each.update(answer=value, answeredAt="2026-03-01T12:00:00Z", answeredBy="a test")
                recorded.append({"interruptId": each["id"], "by": "a test", "value": value})
        self.set_status(interrupts=interrupts, answers=recorded, **({"phase": "Creating", "run": run} if run else {}))

    def set_status(self, **status: Any) -> None:
        """Write the status as the operator does."""
        self.bench.plane.request("PATCH", f"{self.path}/status", {"status": status})

    def start(self, run: int = 1, *, unset: Sequence[str] = (), **environment: str) -> Runner:
        """Start a runner for a run of this session."""
        folder = self.bench.folder / f"{self.name}-r{run}-{uuid.uuid4().hex[:6]}"
        folder.mkdir()
        values = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "SESSION_NAME": self.name,
            "SESSION_UID": self.uid,
            "NAMESPACE": NAMESPACE,
            "RUN": str(run),
            "JOB_NAME": job_name(self.name, run),
            "THREAD_ID": self.thread_id,
            "BACKEND_URL": self.bench.plane.server,
            "TOKEN_FILE": str(self.bench.token_file),
            "API_CA_FILE": str(self.bench.plane.ca_file),
            "POSTGRES_CONNECTION_STRING_FILE": str(self.bench.dsn_file),
            "TERMINATION_LOG": str(folder / "termination"),
            "HOSTNAME": f"{self.name}-r{run}-{folder.name[-5:]}",
            **self.environment,
            **environment,
        }
        for name in unset:
            values.pop(name)
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            own = read_entry_point() if self.is_isolated else [sys.executable, "-m", "agentic_runner"]
            command = list(self.program) or own
            process = subprocess.Popen(command, cwd=self.project, env=values, stdout=out, stderr=err)
        runner = Runner(process, folder)
        self.bench.runners.append(runner)
        return runner

    def run(self, run: int = 1, *, timeout_seconds: float = PATIENCE_SECONDS, **environment: str) -> int:
        """Start a runner and return its exit code."""
        return self.start(run, **environment).wait(timeout_seconds)

    def wait_until_reached(self, point: str, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait for a node to come to ``hold(point)``."""
        file = self.project / f"{point}.reached"
        wait_for(file.exists, bool, what=f"reaching {point}", timeout_seconds=timeout_seconds, every=0.02)

    def let_go(self, point: str) -> None:
        (self.project / f"{point}.go").touch()

    def wait_for_status(self, holds: Any, *, what: str, timeout_seconds: float = PATIENCE_SECONDS) -> Json:
        return wait_for(lambda: self.status, holds, what=what, timeout_seconds=timeout_seconds, every=0.05)


@dataclass
class RunnerBench:
    """Makes projects and sessions for runners on one control plane and one database."""

    plane: ControlPlane
    database: PostgresDatabase
    folder: Path
    token_file: Path
    dsn_file: Path
    runners: list[Runner] = field(default_factory=list)

    def build_project(self, code: str, *, graphs: Mapping[str, str] | None = None) -> Path:
        """Write a project whose ``graph.py`` is ``code``, after the prelude."""
        project = self.folder / f"project-{uuid.uuid4().hex[:8]}"
        project.mkdir()
        (project / "graph.py").write_text(PRELUDE + textwrap.dedent(code))
        (project / "langgraph.json").write_text(
            json.dumps({"graphs": dict(graphs or {"main": "./graph.py:graph"}), "dependencies": ["."]})
        )
        return project

    def session(
        self,
        code: str,
        inputs: Any = None,
        *,
        phase: str | None = "Creating",
        spec: Mapping[str, Any] | None = None,
        name: str = "",
        **environment: str,
    ) -> Session:
        """Create a session on a new project, as far as the operator brings it before its first run."""
        name = name or f"s-{uuid.uuid4().hex[:10]}"
        # Conversations take their inputs in turns.
        given = {} if (spec or {}).get("mode") == "Conversation" else {"inputs": {} if inputs is None else inputs}
        created = self.plane.request(
            "POST",
            SESSIONS.format(NAMESPACE),
            {
                "apiVersion": API_VERSION,
                "kind": "AgenticSession",
                "metadata": {"name": name},
                "spec": {"workflowRef": {"name": "flow"}, **given, **(spec or {})},
            },
        )
        session = Session(self, name, created["metadata"]["uid"], self.build_project(code), dict(environment))
        if phase:
            session.set_status(phase=phase, run=1, jobName=job_name(name, 1), threadId=session.thread_id)
        return session

    def row(self, session: Session) -> Any:
        """Return status, output and error of the session's row."""
        rows = self.database.execute(
            "SELECT status, output_data, error FROM workflow_sessions WHERE session_uid = %s", [session.uid]
        )
        return rows[0] if rows else None

    def events(self, session: Session) -> list[tuple[str, Json]]:
        return [
            (type_, data)
            for type_, data in self.database.execute(
                "SELECT type, data FROM session_events WHERE session_uid = %s ORDER BY seq", [session.uid]
            )
        ]

    def checkpoints(self, session: Session) -> int:
        """Return how many checkpoints the session's thread has."""
        statement = "SELECT count(*) FROM checkpoints WHERE thread_id = %s"
        count: int = self.database.execute(statement, [session.thread_id])[0][0]
        return count


def _create(plane: ControlPlane, path: str, body: Json) -> None:
    plane.request("POST", path, body)


def prepare_plane(plane: ControlPlane) -> None:
    """Install the CRDs and a runner's rights."""
    for file in ("agenticsessions.yaml", "workflowdefinitions.yaml"):
        crd = load_yaml(CRDS / file)
        _create(plane, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
        name = crd["metadata"]["name"]
        wait_for(
            lambda name=name: plane.request("GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"),  # type: ignore[misc]
            lambda found: any(
                each["type"] == "Established" and each["status"] == "True"
                for each in found.get("status", {}).get("conditions") or ()
            ),
            what=f"{name} established",
            every=0.05,
        )
    _create(plane, "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
    _create(
        plane,
        f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts",
        {"metadata": {"name": RUNNER_SERVICE_ACCOUNT}},
    )
    _create(
        plane,
        f"{rbac}/roles",
        {
            "metadata": {"name": "runner"},
            "rules": [
                {"apiGroups": ["agentic-operator.dev"], "resources": ["agenticsessions"], "verbs": ["get"]},
                {"apiGroups": ["agentic-operator.dev"], "resources": ["agenticsessions/status"], "verbs": ["patch"]},
            ],
        },
    )
    _create(
        plane,
        f"{rbac}/rolebindings",
        {
            "metadata": {"name": "runner"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "runner"},
            "subjects": [{"kind": "ServiceAccount", "name": RUNNER_SERVICE_ACCOUNT, "namespace": NAMESPACE}],
        },
    )


def load_yaml(path: Path) -> Json:
    import yaml

    document: Json = yaml.safe_load(path.read_text())
    return document


@pytest.fixture(scope="session")
def runner_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One control plane for all tests of the runner. A test that kills its API server starts it again."""
    with ControlPlane(tmp_path_factory.mktemp("runner-plane")) as plane:
        prepare_plane(plane)
        yield plane


@pytest.fixture
def runners(runner_plane: ControlPlane, database: PostgresDatabase, tmp_path: Path) -> Iterator[RunnerBench]:
    """Projects, sessions and runners for one test; its processes end with it."""
    with open_bench(runner_plane, database, tmp_path) as bench:
        yield bench


@contextmanager
def open_bench(plane: ControlPlane, database: PostgresDatabase, folder: Path) -> Iterator[RunnerBench]:
    """Give runners what they need of a prepared control plane and a database; their processes end with the block."""
    token_file = folder / "token"
    token_file.write_text(plane.service_account_token(NAMESPACE, RUNNER_SERVICE_ACCOUNT))
    dsn_file = folder / "dsn"
    dsn_file.write_text(database.dsn)
    bench = RunnerBench(plane, database, folder, token_file, dsn_file)
    try:
        yield bench
    finally:
        for runner in bench.runners:
            if runner.process.poll() is None:
                runner.process.kill()
                runner.process.wait()


@contextmanager
def open_standalone_bench() -> Iterator[RunnerBench]:
    """Start a control plane and PostgreSQL for runners, outside of pytest, and end them with the block."""
    with tempfile.TemporaryDirectory() as name, start_server() as server:
        folder = Path(name)
        asyncio.run(migrate.up(Dsn.parse(server.dsn("postgres"))))
        with ControlPlane(folder / "plane") as plane:
            prepare_plane(plane)
            (folder / "bench").mkdir()
            with open_bench(plane, PostgresDatabase(server, "postgres"), folder / "bench") as bench:
                yield bench
