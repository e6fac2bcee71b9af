"""Every kind of project on the real cluster: registered, run, its pod killed in the middle, continued to its end."""

from typing import Any

import pytest

from tests.e2e.conftest import Project
from tests.projects.cases import CASES, Case
from tests.support.cluster import DEFINITION
from tests.support.waiting import wait_for

IMAGE = "docker.io/agentic-operator/e2e-projects:dev"
# What only an image may say (LANGSERVE_GRAPHS) is run as a process in tests/integration.
CASES_OF_THE_IMAGE = [case for case in CASES if not case.variables]
# As many at a time as one node of two cores takes.
BATCHES = [CASES_OF_THE_IMAGE[start : start + 5] for start in range(0, len(CASES_OF_THE_IMAGE), 5)]


def _name(case: Case) -> str:
    return case.name.replace("_", "-")


def _define(project: Project, case: Case, image: str) -> None:
    project.define(
        case.graph or "agent",
        name=_name(case),
        image=image,
        env=[
            {"name": "LANGGRAPH_CONFIG", "value": f"/projects/{case.folder or case.name}/langgraph.json"},
            {"name": "GATE", "value": "/tmp"},
        ],
    )


def _pod_in_the_middle(project: Project, session: str, *, but: str = "") -> str:
    """Return the pod of a session once its graph waits in the middle; ``but`` is one that was killed."""

    def find() -> str:
        for pod in project.pods(session):
            name: str = pod["metadata"]["name"]
            if name != but and pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]:
                said = project.run_in(name, "python", "-c", _LOOK)
                return name if said.strip() == "True" else ""
        return ""

    return wait_for(find, bool, what=f"the middle of {session}", every=0.5)


_LOOK = "import os; print(os.path.exists('/tmp/reached'))"
_LET_GO = "open('/tmp/go', 'w').close()"


@pytest.mark.parametrize("batch", BATCHES, ids=lambda batch: "-".join(case.name for case in batch))
def test_projects_of_each_kind_survive_the_loss_of_their_pod(project: Project, batch: list[Case]) -> None:
    check_survival(project, batch, IMAGE)


def check_survival(project: Project, batch: list[Case], image: str) -> None:
    """Register projects of an image, run them, kill their pods in the middle and compare what they give at the end."""
    for case in batch:
        _define(project, case, image)
    for case in batch:
        project.wait_ready(_name(case))
        assert project.condition(DEFINITION, _name(case), "ProjectSupported")["status"] == "True"
    for case in batch:
        project.start(_name(case), name=_name(case), inputs=dict(case.inputs), **case.settings)
    for case in batch:
        killed = _pod_in_the_middle(project, _name(case))
        project.kill_pod(killed)
        successor = _pod_in_the_middle(project, _name(case), but=killed)
        project.run_in(successor, "python", "-c", _LET_GO)
    for case in batch:
        if case.answer is not None:
            (question,) = project.wait_phase("WaitingForInput", session=_name(case))["interrupts"]
            project.answer({question["id"]: case.answer}, session=_name(case))
    for case in batch:
        status: dict[str, Any] = project.wait_phase("Completed", session=_name(case))
        case.check(status["result"])
