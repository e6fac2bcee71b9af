"""The migration Job on the real cluster, in a namespace that admits restricted pods and on a database of its own."""

import base64
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentic_store.schema_migrations.migration_files import discover
from agentic_store.schema_migrations.schema import SCHEMA_VERSION
from hack.kubectl import ROOT
from tests.e2e.conftest import SYSTEM, Project
from tests.support.cluster import JOB, POD, SECRET, Json
from tests.support.guide import read_consoles, reads_like
from tests.support.waiting import wait_for

PSQL = 'PGPASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")" exec psql -q -A -t -h 127.0.0.1 -U postgres -v ON_ERROR_STOP=1'


def run_psql(project: Project, database: str, statement: str) -> str:
    return project.cluster.run("postgres-0", SYSTEM, "sh", "-c", f"{PSQL} -d {database}", stdin=statement)


def make_secret(project: Project, dsn: str) -> None:
    project.apply(SECRET, "agentic-postgres-owner", stringData={"dsn": dsn})


@pytest.fixture
def database(project: Project) -> Iterator[str]:
    """An empty database, and the Secret that leads its owner there."""
    name = project.name.replace("-", "_")
    run_psql(project, "postgres", f"CREATE DATABASE {name}")
    secret = project.cluster.get(SECRET, "agentic-postgres-owner", SYSTEM)
    dsn = base64.b64decode(secret["data"]["dsn"]).decode().rsplit("/", 1)[0]
    make_secret(project, f"{dsn}/{name}")
    yield name
    run_psql(project, "postgres", f"DROP DATABASE {name} WITH (FORCE)")


def apply_job(project: Project, folder: Path, **more: Any) -> None:
    """Apply the manifests in the project's namespace, with what an overlay says beyond that."""
    overlay = {"resources": [os.path.relpath(ROOT / "manifests/migrate", folder)], "namespace": project.name, **more}
    (folder / "kustomization.yaml").write_text(json.dumps(overlay))
    project.kubectl.run("apply", "--server-side", "-k", str(folder))


def run_job(project: Project, folder: Path) -> list[str]:
    """Apply the manifests, wait for the Job and return its log."""
    apply_job(project, folder)
    project.wait_condition(JOB, "agentic-migrate", "Complete")
    return [line for pod in find_pods(project) for line in project.read_log(pod["metadata"]["name"]).splitlines()]


def find_pods(project: Project) -> list[Json]:
    return project.find_all(POD, labels="batch.kubernetes.io/job-name=agentic-migrate")


def test_the_job_migrates_once_says_so_in_order_and_a_second_one_changes_nothing(
    project: Project, database: str, tmp_path: Path
) -> None:
    first = run_job(project, tmp_path)
    job = project.get(JOB, "agentic-migrate")
    assert (job["status"]["succeeded"], job["spec"]["completions"]) == (1, 1)
    assert (job["spec"]["backoffLimit"], job["spec"]["ttlSecondsAfterFinished"]) == (3, 86400)
    described = project.run_kubectl("describe", "job", "agentic-migrate")
    assert re.search(r"Normal +SuccessfulCreate .* Created pod: agentic-migrate-", described)
    assert re.search(r"Normal +Completed .* Job completed", described)
    assert "c4nary" not in described
    # Its time to live, cut short.
    project.cluster.patch(JOB, "agentic-migrate", {"spec": {"ttlSecondsAfterFinished": 1}}, project.name)
    project.cluster.wait_gone(JOB, "agentic-migrate", project.name)
    wait_for(lambda: find_pods(project), lambda pods: not pods, what="no pod left")
    again = run_job(project, tmp_path)

    begin = [f"==> migrating postgres@postgres.{SYSTEM}:5432/{database}"]
    end = ["==> verifying tables, columns, keys, indexes, rules and versions", "==> verified: all 7 checks passed"]
    assert re.fullmatch(r"==> connected to PostgreSQL \d+", first[1])
    assert [line for line in first if line != first[1]] == [
        *begin,
        f"==> checking what is applied: version 0 of {SCHEMA_VERSION}",
        *(f"==> applying {migration.version:03} {migration.name}" for migration in discover()),
        *end,
        f"==> done: database is at version {SCHEMA_VERSION}",
    ]
    assert again == [
        *begin,
        first[1],
        f"==> checking what is applied: version {SCHEMA_VERSION} of {SCHEMA_VERSION}",
        f"==> already applied: database is at version {SCHEMA_VERSION}",
        *end,
    ]
    assert run_psql(project, database, "SELECT max(v) FROM checkpoint_migrations").strip() == "9"


def test_without_a_database_four_pods_are_tried_and_the_job_fails_with_the_reason(
    project: Project, tmp_path: Path
) -> None:
    """The Job's own pauses make 70 seconds of it; a pod waits two seconds instead of 300."""
    make_secret(project, f"postgresql://owner:c4nary@postgres.{project.name}:5432/agentic")
    patient = [{"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": ["--wait", "2"]}]
    apply_job(project, tmp_path, patches=[{"target": {"kind": "Job"}, "patch": json.dumps(patient)}])
    project.wait_condition(JOB, "agentic-migrate", "Failed", reason="BackoffLimitExceeded")

    (get, shown), (logs, told) = next(
        block
        for block in read_consoles("migrations.md")
        if any("Failed" in line for _, lines in block for line in lines)
    )
    here = f"kubectl -n {SYSTEM} "
    found_rows = project.run_kubectl(*get.removeprefix(here).split()).splitlines()
    # But for the two times.
    assert [row.split()[:3] for row in found_rows] == [row.split()[:3] for row in shown]
    described = project.run_kubectl("describe", "job", "agentic-migrate")
    assert re.search(r"Warning +BackoffLimitExceeded ", described)
    assert "c4nary" not in described
    said = [project.read_log(pod["metadata"]["name"]) for pod in find_pods(project)]
    ends = [pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] for pod in find_pods(project)]
    assert ends == [20] * 4, said
    host = re.escape(f"owner@postgres.{project.name}:5432/agentic")
    unreachable = rf"cannot connect to PostgreSQL at {host}: failed to resolve host 'postgres\.{project.name}'.*"
    printed = project.run_kubectl(*logs.removeprefix(here).split())
    assert reads_like(printed.replace(f"postgres.{project.name}", "postgres.example"), told)
    wanted = (rf"==> migrating {host}", rf"==> waiting for the database: {unreachable}", rf"error: {unreachable}")
    for log in said:
        for line, pattern in zip(log.splitlines(), wanted, strict=True):
            assert re.fullmatch(pattern, line)
