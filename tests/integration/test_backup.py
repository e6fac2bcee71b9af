"""The backup that is delivered, run as its manifest says, and a restore elsewhere from which a session goes on."""

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentic_core.contract import ExitCode
from hack.kubectl import Kubectl
from tests.support.commands import ROOT, clean_environment, run_agentic
from tests.support.guide import find_console
from tests.support.kube import SYSTEM, Space
from tests.support.postgres import PostgresDatabase
from tests.support.postgres_server import PostgresServer, start_server
from tests.support.runner import RunnerBench
from tests.support.waiting import wait_for

BACKUP = ROOT / "manifests/backup"
ASKING = """
class State(TypedDict, total=False):
    said: str

def before(state):
    note("before")
    return {}

def gate(state):
    said = interrupt("approve?")
    note(f"gate:{said}")
    return {"said": said}

def after(state):
    note("after")
    return {}

builder = StateGraph(State)
for node in (before, gate, after):
    builder.add_node(node)
builder.add_edge(START, "before")
builder.add_edge("before", "gate")
builder.add_edge("gate", "after")
graph = builder.compile()
"""


def pod_spec() -> dict[str, Any]:
    """Return the pod that the CronJob makes."""
    manifest = yaml.safe_load((BACKUP / "cronjob.yaml").read_text())
    spec: dict[str, Any] = manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """The folder of scripts as the pod sees it."""
    folder = tmp_path / "scripts"
    folder.mkdir()
    for source in (BACKUP / "backup.sh", BACKUP / "restore.sh", ROOT / "migrations/lib.sh"):
        (folder / source.name).write_bytes(source.read_bytes())
    return folder


def run_as_the_pod(scripts: Path, dsn: str, folder: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the container's command with its environment, with the pod's folders where they are here."""
    container = pod_spec()["containers"][0]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    secret = scripts.parent / "dsn"
    secret.write_text(dsn)
    environment |= {"POSTGRES_CONNECTION_STRING_FILE": str(secret), "BACKUP_DIR": str(folder), **changes}
    command = [part.replace("/scripts", str(scripts)) for part in container["command"]]
    return subprocess.run(
        command, env={"PATH": os.environ["PATH"], **environment}, capture_output=True, text=True, check=False
    )


def restore(scripts: Path, dsn: str, dump: Path) -> subprocess.CompletedProcess[str]:
    secret = scripts.parent / "target"
    secret.write_text(dsn)
    return subprocess.run(
        ["sh", str(scripts / "restore.sh"), str(dump)],
        env={"PATH": os.environ["PATH"], "POSTGRES_CONNECTION_STRING_FILE": str(secret)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def other_server() -> Iterator[PostgresServer]:
    with start_server() as server:
        yield server


def test_a_session_that_waits_is_restored_on_another_server_and_its_answer_acts_once(
    runners: RunnerBench, scripts: Path, tmp_path: Path, other_server: PostgresServer
) -> None:
    session = runners.session(ASKING, {})
    assert session.run() == 0
    assert session.status["phase"] == "WaitingForInput"
    dumps = tmp_path / "dumps"
    dumps.mkdir()
    # An owner that is no superuser, with a password that needs every kind of quoting.
    owner = f"owner_{runners.database.name}"
    runners.database.execute(f"CREATE ROLE {owner} LOGIN BYPASSRLS PASSWORD 'a:b\\c@d%41'")
    runners.database.execute(f"GRANT pg_read_all_data TO {owner}")
    dsn = runners.database.server.dsn(runners.database.name, user=owner, password=r"a:b\\c@d%41")
    done = run_as_the_pod(scripts, dsn, dumps)
    runners.database.execute(f"DROP ROLE {owner}")
    assert done.returncode == 0, done.stderr
    assert "b\\c" not in done.stdout + done.stderr
    (dump,) = dumps.iterdir()
    assert dump.stat().st_mode & 0o077 == 0

    # What happened after the dump is lost with the server.
    runners.database.execute("DELETE FROM workflow_sessions")
    runners.database.execute("DELETE FROM checkpoints")
    restored = restore(scripts, other_server.dsn(), dump)
    assert restored.returncode == 0, restored.stderr
    assert "restored 1 sessions" in restored.stdout
    verified = subprocess.run(
        ["sh", str(ROOT / "migrations/verify_migration.sh"), other_server.dsn()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr

    runners.dsn_file.write_text(other_server.dsn())
    session.answer(run=2, gate="yes")
    assert session.run(2) == 0
    assert session.status["phase"] == "Completed"
    assert session.status["result"]["said"] == "yes"
    assert session.ran == ["before", "gate:yes", "after"]
    # Another pod of the run that is over, and the same answer.
    assert session.run(2) != 1
    assert session.ran == ["before", "gate:yes", "after"]

    again = restore(scripts, other_server.dsn(), dump)
    assert again.returncode == 1
    assert "restore into an empty one" in again.stderr


def test_a_session_that_waits_goes_on_after_a_rollback_by_the_guide_and_the_migrations_again(
    runners: RunnerBench,
) -> None:
    session = runners.session(ASKING, {})
    assert session.run() == 0
    assert session.status["phase"] == "WaitingForInput"
    kept = "SELECT (SELECT count(*) FROM checkpoints), (SELECT count(*) FROM workflow_sessions)"
    before = runners.database.execute(kept)
    (written,) = (text for text, _ in find_console("operations.md", "migrate down") if text.startswith("agentic"))
    command = shlex.split(written.replace("--confirm agentic", f"--confirm {runners.database.name}"))[1:]
    env = clean_environment(POSTGRES_CONNECTION_STRING=runners.database.dsn)

    down = run_agentic(*command, env=env)
    assert down.returncode == 0, down.stderr
    assert runners.database.execute(kept) == before
    assert runners.session(ASKING, {}).run() == ExitCode.SCHEMA_MISMATCH
    up = run_agentic("migrate", "up", env=env)
    assert up.returncode == 0, up.stderr

    session.answer(run=2, gate="yes")
    assert session.run(2) == 0
    assert session.status["phase"] == "Completed"
    assert session.ran == ["before", "gate:yes", "after"]


def test_the_newest_dumps_are_kept_and_one_that_fails_leaves_them_alone(
    database: PostgresDatabase, scripts: Path, tmp_path: Path
) -> None:
    dumps = tmp_path / "dumps"
    dumps.mkdir()
    for day in range(1, 4):
        (dumps / f"agentic-2026030{day}T021700Z.dump").touch()
    (dumps / "notes.txt").touch()
    done = run_as_the_pod(scripts, database.dsn, dumps, BACKUP_KEEP="2")
    assert done.returncode == 0, done.stderr
    kept = sorted(path.name for path in dumps.glob("*.dump"))
    assert len(kept) == 2
    assert kept[0] == "agentic-20260303T021700Z.dump"
    assert (dumps / "notes.txt").exists()

    wrong = database.dsn.replace(f"dbname={database.name}", "dbname=nowhere")
    failed = run_as_the_pod(scripts, wrong, dumps, BACKUP_KEEP="2")
    assert failed.returncode != 0
    assert "nowhere" in failed.stderr
    assert sorted(path.name for path in dumps.glob("*.dump")) == kept
    assert not [path for path in dumps.iterdir() if path.name.startswith(".")]
    for keep in ("0", "many", "-1"):
        refused = run_as_the_pod(scripts, database.dsn, dumps, BACKUP_KEEP=keep)
        assert refused.returncode == 2
        assert "BACKUP_KEEP" in refused.stderr


def test_a_restore_that_fails_half_way_leaves_the_database_empty(
    database: PostgresDatabase, empty_database: PostgresDatabase, scripts: Path, tmp_path: Path
) -> None:
    dumps = tmp_path / "dumps"
    dumps.mkdir()
    assert run_as_the_pod(scripts, database.dsn, dumps).returncode == 0
    (dump,) = dumps.iterdir()
    dump.write_bytes(dump.read_bytes()[:-2000])
    assert restore(scripts, empty_database.dsn, dump).returncode == 1
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert empty_database.execute(tables) == [(0,)]


def test_without_a_dump_a_restore_says_so(empty_database: PostgresDatabase, scripts: Path, tmp_path: Path) -> None:
    done = restore(scripts, empty_database.dsn, tmp_path)
    assert (done.returncode, done.stderr.splitlines()) == (
        2,
        [f"error: there is no dump in '{tmp_path}': name the folder of backup.sh, or a dump"],
    )


def test_a_folder_stands_for_its_newest_dump(
    database: PostgresDatabase, empty_database: PostgresDatabase, scripts: Path, tmp_path: Path
) -> None:
    dumps = tmp_path / "dumps"
    dumps.mkdir()
    assert run_as_the_pod(scripts, database.dsn, dumps).returncode == 0
    (newest,) = dumps.iterdir()
    (dumps / "agentic-20250301T021700Z.dump").write_bytes(b"an old one")
    done = restore(scripts, empty_database.dsn, dumps)
    assert done.returncode == 0, done.stderr
    assert f"==> restoring {newest.name}" in done.stdout


def test_the_api_server_takes_the_manifests_and_the_restricted_standard_admits_the_pod(space: Space) -> None:
    kubectl = Kubectl(space.plane.kubeconfig)
    kubectl.run("apply", "--server-side", "-k", str(BACKUP))
    try:
        kubectl.run("-n", SYSTEM, "create", "job", "backup-now", "--from=cronjob/agentic-backup")

        def pods() -> list[dict[str, Any]]:
            path = f"/api/v1/namespaces/{SYSTEM}/pods?labelSelector=batch.kubernetes.io/job-name=backup-now"
            found: list[dict[str, Any]] = space.plane.request("GET", path)["items"]
            return found

        kubectl.run("apply", "--server-side", "--dry-run=server", "-k", str(ROOT / "manifests/restore"))
        (pod,) = wait_for(pods, bool, what="the pod of the backup", every=0.05)
        assert pod["spec"]["containers"][0]["command"] == pod_spec()["containers"][0]["command"]
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert not any("valueFrom" in entry for entry in pod["spec"]["containers"][0]["env"])
    finally:
        kubectl.run("-n", SYSTEM, "delete", "job", "backup-now", "--ignore-not-found", "--wait=false")
        kubectl.run("delete", "-k", str(BACKUP), "--wait=false")
