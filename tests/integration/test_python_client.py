"""The documented example in Python, by the official client, on a real API server; the test plays the runner."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.support.commands import ROOT, clean_environment
from tests.support.kube import Json, Space
from tests.support.settled import wait_for_rights
from tests.support.waiting import PATIENCE_SECONDS, wait_for

EXAMPLE = ROOT / "examples" / "python-client"
QUESTION = {
    "id": "q1",
    "prompt": "Approve?",
    "value": "?",
    "schema": {"type": "object", "required": ["decision"], "properties": {"decision": {"enum": ["approve", "keep"]}}},
}
APPROVE = {"decision": "approve"}


@pytest.fixture
def kubeconfig(space: Space) -> Path:
    """Return the configuration of a user who has the example's role and no other right."""
    (role,) = yaml.safe_load_all((EXAMPLE / "role.yaml").read_text(encoding="utf-8"))
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.name}"
    space.plane.request("POST", f"{path}/roles", role)
    user = f"driver-of-{space.name}"
    binding = {
        "metadata": {"name": "driver"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role["metadata"]["name"]},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
    space.plane.request("POST", f"{path}/rolebindings", binding)
    wait_for_rights(space.plane, space.name, user)
    return space.plane.kubeconfig_for_user(user, namespace=space.name)


class Driver:
    """The example as a process."""

    def __init__(self, space: Space, kubeconfig: Path, answer: Json) -> None:
        self._is_read = False
        self._process = subprocess.Popen(
            [
                *(sys.executable, str(EXAMPLE / "drive_session.py"), "report", "--namespace", space.name),
                *("--inputs", '{"threshold": 2}', "--answer", json.dumps(answer)),
            ],
            env=clean_environment(KUBECONFIG=str(kubeconfig)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self) -> tuple[int, str, str]:
        """Wait for its end; return exit status, standard output and standard error."""
        out, err = self._process.communicate(timeout=PATIENCE_SECONDS)
        self._is_read = True
        return self._process.returncode, out, err

    def stop(self) -> str:
        """Kill it where it still runs; return what it said since it was last asked."""
        if self._process.poll() is None:
            self._process.kill()
        return "" if self._is_read else "".join(self._process.communicate())


@contextmanager
def drive(space: Space, kubeconfig: Path, answer: Json) -> Iterator[tuple[Driver, str]]:
    """Start the example; yield it and its session, which asks, without a pod."""
    space.operator()
    space.define()
    driver = Driver(space, kubeconfig, answer)
    try:
        (session,) = wait_for(space.sessions, bool, what="the session", every=0.05)
        name = session["metadata"]["name"]
        assert session["spec"]["inputs"] == {"threshold": 2}
        pod = space.wait_pod(f"{name}-r1")
        space.wait_status(name, "Creating")
        space.report(name, phase="Running")
        space.report(name, phase="WaitingForInput", interrupts=[{**QUESTION, "askedAt": "2026-03-01T00:00:00Z"}])
        space.end_pod(pod, 0)
        yield driver, name
    finally:
        print(driver.stop())


def test_the_example_starts_a_session_answers_its_question_and_prints_its_result(
    space: Space, kubeconfig: Path
) -> None:
    with drive(space, kubeconfig, APPROVE) as (driver, name):
        status = space.wait_run(name, 2)
        (accepted,) = status["answers"]
        assert (accepted["value"], accepted["by"]) == (APPROVE, f"driver-of-{space.name}")
        space.wait_pod(f"{name}-r2")
        space.report(name, phase="Running")
        space.report(name, phase="Completed", reason="Completed", result={"rows": 3})
        code, out, err = driver.end()
        assert (code, json.loads(out)) == (0, {"rows": 3}), err
        assert f"{name}: Approve?" in err.splitlines()
        assert f"{name}: Completed Completed" in err.splitlines()


def test_the_example_tells_of_a_refused_answer_by_its_place(space: Space, kubeconfig: Path) -> None:
    with drive(space, kubeconfig, {"decision": "maybe"}) as (driver, _):
        code, _out, err = driver.end()
        assert code == 1
        assert "InvalidAnswer: " in err
        assert "/value/decision" in err
