"""Watching and waiting over a real API server, with the faults that a long watch meets."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hack.cluster.controlplane import ControlPlane
from tests.support.faultproxy import FaultProxy, Refusal, open_proxy
from tests.support.kube import Space
from tests.support.person import Person
from tests.support.settled import name_account, wait_for_rights
from tests.support.waiting import wait_for

QUESTION = {"id": "q1", "node": "ask", "value": {"prompt": "Approve?", "options": ["approve", "reject"]}}


@pytest.fixture
def person(space: Space) -> Person:
    """An administrator whose context names the test's namespace."""
    return Person.using(
        space.plane.kubeconfig_for_user(f"admin-of-{space.name}", groups=["system:masters"], namespace=space.name)
    )


def test_each_change_is_a_line_and_the_end_an_exit_status(space: Space, person: Person) -> None:
    space.start("s")
    with person.start("watch", "s") as watching:
        watching.expect("Pending\n")
        space.report("s", phase="Running", reason="Running", currentNode="load", steps=1)
        watching.expect("Running step 1 node load\n")
        space.report("s", currentNode="detect", steps=2, progress="40%")
        watching.expect("Running step 2 node detect 40%\n")
        space.report("s", phase="WaitingForInput", reason="WaitingForInput", interrupts=[QUESTION])
        watching.expect("question q1: Approve? [approve/reject]\n")
        space.change("s", responses=[{"interruptId": "q1", "value": "approve"}])
        space.report("s", phase="Running", reason="Running", steps=3)
        space.report("s", phase="Completed", reason="Completed", steps=4, progress="100%", currentNode=None)
        assert watching.end() == 0
    lines = watching.out.splitlines()
    assert lines[-1] == "Completed step 4 100%"
    assert len(lines) == len(set(lines))
    assert watching.err == ""


@pytest.mark.parametrize(("phase", "status"), [("Completed", 0), ("Failed", 1), ("Stopped", 3)])
def test_a_session_that_has_ended_gives_its_status_at_once(
    space: Space, person: Person, phase: str, status: int
) -> None:
    space.start("s")
    space.report("s", phase=phase, reason=phase)
    assert person.run("watch", "s").returncode == status


def test_nobody_to_answer_is_a_status_of_its_own(space: Space, person: Person) -> None:
    space.start("s")
    space.report("s", phase="WaitingForInput", interrupts=[QUESTION])
    done = person.run("watch", "s", "--no-answer")
    assert done.returncode == 4
    assert "question q1: Approve?" in done.stdout


def test_a_limit_on_the_waiting_leaves_the_session_alone(space: Space, person: Person) -> None:
    space.start("s")
    done = person.run("watch", "s", "--timeout", "1")
    assert done.returncode == 124
    assert done.stderr == "error: timed out; the session goes on by itself\n"
    assert "stop" not in space.session("s")["spec"]


def test_ctrl_c_ends_the_watching_alone(space: Space, person: Person) -> None:
    space.start("s")
    with person.start("watch", "s") as watching:
        watching.expect("Pending\n")
        watching.send(signal.SIGINT)
        assert watching.end() == 130
    assert watching.err == f"the session goes on: agentic watch s -n {space.name}\n"


def test_a_deleted_session_ends_the_watching(space: Space, person: Person) -> None:
    space.start("s")
    with person.start("watch", "s") as watching:
        watching.expect("Pending\n")
        space.delete("s")
        assert watching.end() == 1
    assert watching.err == "error: session 's' was deleted\n"


def test_run_and_wait_prints_the_end_alone(space: Space, person: Person) -> None:
    space.define("report")
    with person.start("run", "report", "--name", "s", "--wait") as waiting:
        waiting.expect("agenticsession/s created\n")
        space.report("s", phase="WaitingForInput", interrupts=[QUESTION])
        waiting.expect("s waits: question q1: Approve?")
        space.report("s", phase="Failed", reason="GraphError", message="boom")
        assert waiting.end() == 1
    assert waiting.out == "agenticsession/s created\ns Failed (GraphError) - boom\n"


def test_a_result_can_be_waited_for(space: Space, person: Person) -> None:
    space.start("s")
    with person.start("result", "s", "--wait") as waiting:
        space.report("s", phase="Running")
        space.report("s", phase="Completed", result={"rows": 3})
        assert waiting.end() == 0
    assert json.loads(waiting.out) == {"rows": 3}


# -- faults


@asynccontextmanager
async def behind_a_proxy(space: Space, folder: Path) -> AsyncIterator[tuple[FaultProxy, Person]]:
    """Yield a proxy and a person whose kubeconfig leads through it."""
    plane = space.plane
    await asyncio.to_thread(
        plane.request, "POST", f"/api/v1/namespaces/{space.name}/serviceaccounts", {"metadata": {"name": "cli"}}
    )
    rules = [{"apiGroups": ["agentic-operator.dev"], "resources": ["*"], "verbs": ["*"]}]
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.name}"
    subject = {"kind": "ServiceAccount", "name": "cli", "namespace": space.name}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "cli"}
    await asyncio.to_thread(plane.request, "POST", f"{roles}/roles", {"metadata": {"name": "cli"}, "rules": rules})
    body = {"metadata": {"name": "cli"}, "roleRef": role, "subjects": [subject]}
    await asyncio.to_thread(plane.request, "POST", f"{roles}/rolebindings", body)
    await asyncio.to_thread(wait_for_rights, plane, space.name, name_account(space.name, "cli"))
    token = await asyncio.to_thread(plane.service_account_token, space.name, "cli")
    async with open_proxy(plane) as proxy:
        config: dict[str, Any] = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": space.name}}],
            "clusters": [{"name": "c", "cluster": {"server": proxy.url}}],
            "users": [{"name": "u", "user": {"token": token}}],
        }
        file = folder / "proxied.kubeconfig"
        file.write_text(json.dumps(config), encoding="utf-8")
        yield proxy, Person.using(file)


@pytest.mark.parametrize("fault", ["cut", "expired in the stream", "expired at the start", "server errors"])
async def test_a_watch_survives(space: Space, tmp_path: Path, fault: str) -> None:
    await asyncio.to_thread(space.start, "s")
    async with behind_a_proxy(space, tmp_path) as (proxy, person):
        with person.start("watch", "s") as watching:
            await asyncio.to_thread(watching.expect, "Pending\n")
            await asyncio.to_thread(
                wait_for,
                lambda: [each.path for each in proxy.passed],
                lambda paths: any("watch=true" in path for path in paths),
                what="a watch",
                every=0.02,
            )
            match fault:
                case "cut":
                    proxy.cut()
                case "expired in the stream":
                    await proxy.expire_watches()
                case "expired at the start":
                    proxy.gone_watches = 1
                    proxy.cut_watches()
                case _:
                    refusals = iter(range(3))
                    proxy.choose = lambda *_: Refusal(503) if next(refusals, None) is not None else None
                    proxy.cut_watches()
            await asyncio.to_thread(space.report, "s", phase="Running", steps=1)
            await asyncio.to_thread(watching.expect, "Running step 1\n")
            await asyncio.to_thread(space.report, "s", phase="Completed")
            assert await asyncio.to_thread(watching.end) == 0
        assert watching.out.splitlines() == ["Pending", "Running step 1", "Completed step 1"]


def test_a_watch_survives_a_restart_of_the_api_server(
    tmp_path: Path, control_plane: ControlPlane, space: Space
) -> None:
    person = Person.using(
        control_plane.kubeconfig_for_user(f"admin-of-{space.name}", groups=["system:masters"], namespace=space.name)
    )
    space.start("s")
    with person.start("watch", "s") as watching:
        watching.expect("Pending\n")
        control_plane.kill_apiserver()
        watching.expect("trying again")
        away = person.run("list")
        control_plane.start_apiserver()
        space.report("s", phase="Completed")
        assert watching.end() == 0
    assert watching.out.splitlines() == ["Pending", "Completed"]
    assert away.returncode == 21
    assert f"{control_plane.server} cannot be reached: " in away.stderr
    assert "connection refused" in away.stderr
    assert len(away.stderr.splitlines()) == 1
