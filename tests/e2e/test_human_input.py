"""A session that asks, on the real cluster: from the question to the answer, without a pod in between."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from hack.cluster.folders import cluster_folder
from hack.cluster.nodeconfig import runtime_socket
from tests.e2e.conftest import IMAGE, Project
from tests.e2e.test_examples import apply, start_stub
from tests.support.cluster import DEFINITION, JOB, SESSION
from tests.support.waiting import wait_for


@dataclass(frozen=True)
class MovingImage:
    """A tag on the node that stands for the test's image, known by digest as one that was pulled is, until it moves."""

    reference: str
    by_digest: str

    @classmethod
    def make(cls, name: str) -> "MovingImage":
        source = f"docker.io/{IMAGE}"
        listed = ctr("ls", f"name=={source}").splitlines()[1].split()
        (digest,) = (word for word in listed if word.startswith("sha256:"))
        made = cls(f"docker.io/agentic-operator/{name}:1", f"docker.io/agentic-operator/{name}@{digest}")
        for tag in (made.reference, made.by_digest):
            ctr("tag", "--force", source, tag)
        return made

    def move(self, source: str) -> None:
        ctr("tag", "--force", source, self.reference)

    def remove(self) -> None:
        ctr("rm", self.reference, self.by_digest)


def ctr(*arguments: str) -> str:
    """Speak about images to the containerd of the local cluster."""
    socket = runtime_socket(cluster_folder())
    if not socket.exists():
        pytest.fail(f"there is no {socket}: this test needs the one-node cluster")
    command = ["ctr", "--address", str(socket), "--namespace", "k8s.io", "images", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def moving_image(project: Project) -> Iterator[MovingImage]:
    image = MovingImage.make(f"moving-{project.name}")
    yield image
    image.remove()


def running_pods(project: Project) -> list[str]:
    return [pod["metadata"]["name"] for pod in project.pods() if pod["status"]["phase"] in ("Pending", "Running")]


def accepted(project: Project) -> tuple[str, str]:
    found = project.condition(SESSION, "s", "InputAccepted")
    return found.get("status", ""), found.get("reason", "")


def test_a_wrong_answer_starts_no_pod_and_a_right_one_goes_on_though_the_definition_is_gone(project: Project) -> None:
    project.define("asks", workspace={"size": "1Gi"}, env=[{"name": "STYLE", "value": "short"}])
    project.start("asks", inputs={})
    status = project.wait_phase("WaitingForInput")
    (question,) = status["interrupts"]
    assert (question["prompt"], question["schema"]) == ("go on?", {"enum": ["yes", "no"]})
    assert "go on? (yes / no)" in project.run_kubectl("get", "agenticsession", "s")
    project.wait_no_pod()
    assert project.find_all(JOB, labels="agentic-operator.dev/session=s") == []
    project.cluster.delete(DEFINITION, "asks", project.name)

    project.answer({question["id"]: "perhaps"})
    wait_for(lambda: accepted(project), lambda found: found == ("False", "InvalidAnswer"), what="the refusal")
    assert project.status()["phase"] == "WaitingForInput"
    assert not project.pods()

    project.answer({question["id"]: "yes"})
    status = project.wait_phase("Completed")
    assert status["result"]["done"] == ["yes"]
    assert status["result"]["journal"] == ["before"]
    assert status["run"] == 2
    assert accepted(project) == ("True", "Answered")
    (answered,) = status["interrupts"]
    assert "answeredBy" not in answered
    assert [(each["by"], each["value"]) for each in status["answers"]] == [("", "yes")]
    assert answered["answer"] == "yes"
    assert answered["resumedAt"]


def test_a_tag_that_is_moved_while_a_session_waits_does_not_change_what_goes_on(
    project: Project, moving_image: MovingImage
) -> None:
    project.define("asks", image=moving_image.reference, workspace={"size": "1Gi"})
    project.start("asks", inputs={})
    status = project.wait_phase("WaitingForInput")
    assert status["workflow"]["imageDigest"] == moving_image.by_digest
    project.wait_no_pod()
    moving_image.move("docker.io/agentic-operator/postgres:dev")

    project.answer({status["interrupts"][0]["id"]: "yes"})
    (pod,) = wait_for(project.pods, bool, what="the pod that takes the answer")
    assert pod["spec"]["containers"][0]["image"] == moving_image.by_digest
    status = project.wait_phase("Completed")
    assert (status["result"]["done"], status["result"]["journal"]) == (["yes"], ["before"])


def test_a_quick_answer_is_taken_by_the_pod_that_asked(project: Project) -> None:
    project.define("asks", defaults={"keepWarmSeconds": 120, "timeoutSeconds": 300})
    project.start("asks", inputs={})
    (question,) = project.wait_phase("WaitingForInput")["interrupts"]
    (pod,) = running_pods(project)
    project.answer({question["id"]: "no"})
    status = project.wait_phase("Completed")
    assert status["result"]["done"] == ["no"]
    assert status["run"] == 1
    assert [each["metadata"]["name"] for each in project.pods()] == [pod]


def openly(project: Project, session: str) -> dict[str, str]:
    """Return the ids of the open questions by their nodes."""
    interrupts = project.status(session).get("interrupts", [])
    return {each["node"]: each["id"] for each in interrupts if "answeredAt" not in each}


def approve(project: Project, session: str, nodes: set[str]) -> None:
    """Wait for exactly these questions and answer all of them with yes."""
    ids = wait_for(
        lambda: openly(project, session),
        lambda found: set(found) == nodes,
        what=f"questions of {nodes}",
    )
    project.answer({id_: {"approved": True} for id_ in ids.values()}, session=session)


def test_the_approval_chain_asks_two_people_and_then_a_third(project: Project) -> None:
    session = apply(project, "approval-chain")
    project.wait_phase("WaitingForInput", session=session)
    approve(project, session, {"ask_budget", "ask_security"})
    approve(project, session, {"ask_director"})
    result = project.wait_phase("Completed", session=session)["result"]
    assert result["order"] == {"request": "a laptop for 1500.00", "placed": True}


def test_a_refund_of_the_agent_is_paid_as_a_person_edited_it(project: Project) -> None:
    start_stub(project)
    session = apply(project, "tool-approval")
    (question,) = project.wait_phase("WaitingForInput", session=session)["interrupts"]
    assert question["prompt"] == 'may refund({"order": "A-1001", "amount": 79.0}) run?'
    edited = {"name": "refund", "args": {"order": "A-1001", "amount": 40}}
    answer = {"decisions": [{"type": "edit", "edited_action": edited}]}
    project.answer({question["id"]: answer}, session=session)
    result = project.wait_phase("Completed", session=session)["result"]
    assert "40.00 paid back for A-1001" in result["tools_run"][1]["result"]
