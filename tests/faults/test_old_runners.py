"""Runners of the version before, in images that authors built, under the operator and the policies of today.

They run from this repository's history: the last commit whose runner reads answers in the questions alone.
"""

import asyncio
import subprocess
import tarfile
from pathlib import Path

import pytest

from agentic_core.lifecycle import Phase
from tests.faults.bed import Bed, until
from tests.faults.test_people import check_end, wait_no_pods
from tests.support.apiclient import definitions_path, sessions_path
from tests.support.commands import ROOT
from tests.trust.roles import Client, a_user

LAST_OF_CONTRACT_1 = "c4db45f8f05f1b9351ea968c22b90ae4e33a6c68"
PARTS = ("core", "store", "runner")
SECONDS = 120


@pytest.fixture(scope="session")
def old_runner(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the variables with which a pod's process is a runner of the first contract."""
    folder: Path = tmp_path_factory.mktemp("old-runner")
    archive = folder / "old.tar"
    if _git("rev-parse", "--is-shallow-repository") != "false":
        pytest.skip("without the history of the repository there is no old runner: git fetch --unshallow")
    assert _git("archive", f"--output={archive}", LAST_OF_CONTRACT_1, *PARTS) is not None
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return {"PYTHONPATH": ":".join(str(folder / part) for part in PARTS)}


def _git(*arguments: str) -> str | None:
    """Return what git prints; None where it fails."""
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    print(done.stderr)
    return done.stdout.strip() if done.returncode == 0 else None


async def answer(bed: Bed, person: Client, name: str, **answers: int) -> None:
    """Add a person's answers, by node."""
    session = await bed.session(name)
    asked = {each["node"]: each["id"] for each in session["status"]["interrupts"]}
    given = session["spec"].get("responses", [])
    given += [{"interruptId": asked[node], "by": person.name, "value": value} for node, value in answers.items()]
    done = await asyncio.to_thread(
        person.request, "PATCH", sessions_path(bed.namespace, name), {"spec": {"responses": given}}
    )
    assert done.is_done, done


async def wait_for_questions(bed: Bed, *names: str) -> None:
    for name in names:
        await bed.wait_phase(name, Phase.WAITING_FOR_INPUT, seconds=SECONDS)
    await wait_no_pods(bed)


async def is_taken(bed: Bed, name: str) -> bool:
    status = await bed.status(name)
    return status["phase"] == Phase.WAITING_FOR_INPUT and any("resumedAt" in each for each in status["interrupts"])


async def test_sessions_of_old_images_that_wait_across_the_upgrade_are_answered_and_resumed(
    bed: Bed, old_runner: dict[str, str]
) -> None:
    operator = await bed.operator()
    bed.kubelet.starts_cold = True
    bed.kubelet.environment = old_runner
    await bed.define("pair", workspace={"size": "1Mi"})
    found = await bed.client.get(definitions_path(bed.namespace, "pair"))
    assert found["status"].get("runnerContract", 1) == 1, "this is no old runner"
    ann = a_user(bed.plane, bed.namespace, "agentic-edit", "agentic-view", name="ann")
    bob = a_user(bed.plane, bed.namespace, "agentic-edit", "agentic-view", name="bob")
    names = ("stays", "moves", "before")
    for name in names:
        await bed.start("pair", name, inputs={})
    await wait_for_questions(bed, *names)

    # As the operator before accepted it: in the question alone, by the name of a field manager.
    await operator.kill_and_wait()
    asked = (await bed.status("before"))["interrupts"]
    old = {"answer": 3, "answeredAt": "2026-01-01T00:00:00Z", "answeredBy": "kubectl-patch"}
    asked = [{**each, **old} if each["node"] == "ask_left" else each for each in asked]
    await bed.client.patch(sessions_path(bed.namespace, "before", "status"), {"status": {"interrupts": asked}})
    operator.start()
    await answer(bed, ann, "stays", ask_left=1)
    await answer(bed, ann, "moves", ask_left=2)
    for name in names:
        await until(lambda name=name: is_taken(bed, name), what=f"{name} takes its first answer", seconds=SECONDS)  # type: ignore[misc]
    await wait_no_pods(bed)

    await answer(bed, bob, "stays", ask_right=1)
    await check_end(bed, "stays", 1, 1)
    assert [(each["by"], each["value"]) for each in (await bed.status("stays"))["answers"]] == [("ann", 1), ("bob", 1)]
    # The others go on in an image that was built anew.
    bed.kubelet.environment = {}
    await answer(bed, bob, "moves", ask_right=2)
    await answer(bed, bob, "before", ask_right=3)
    await check_end(bed, "moves", 2, 2)
    await check_end(bed, "before", 3, 3)
    assert [each["by"] for each in (await bed.status("before"))["answers"]] == ["bob"]
    await bed.check()


async def test_an_answer_from_before_the_upgrade_starts_a_run_of_a_new_image(
    bed: Bed, old_runner: dict[str, str]
) -> None:
    operator = await bed.operator()
    bed.kubelet.starts_cold = True
    bed.kubelet.environment = old_runner
    await bed.define("pair", workspace={"size": "1Mi"})
    await bed.start("pair", "s", inputs={})
    await wait_for_questions(bed, "s")
    await operator.kill_and_wait()
    old = {"answeredAt": "2026-01-01T00:00:00Z", "answeredBy": "kubectl-patch"}
    asked = [{**each, **old, "answer": 7} for each in (await bed.status("s"))["interrupts"]]
    await bed.client.patch(sessions_path(bed.namespace, "s", "status"), {"status": {"interrupts": asked}})
    bed.kubelet.environment = {}
    operator.start()
    await check_end(bed, "s", 7, 7)
    await bed.check()
