"""A project of one's own on the real cluster, by one command: from its folder to the result of its first session."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hack.cluster.progress import Progress
from hack.images.build import RUNNER, reference
from hack.images.builders import find_builder
from hack.kubectl import Kubectl
from tests.e2e.conftest import Project, read_environment
from tests.projects.cases import Case
from tests.support.cluster import DEFINITION
from tests.support.commands import clean_environment, run_agentic
from tests.support.langgraph_build import copy_project, find_case, lock_project

SESSION_INPUT = ("-p", "text=hello")


def _with_requirements(folder: Path) -> tuple[Case, Path]:
    """Write a project with a requirements.txt, a line of the build, and a graph whose name Kubernetes does not take."""
    case = find_case("flat")
    file = copy_project(
        case, folder, graphs={"My Agent": "./agent.py:graph"}, dockerfile_lines=["RUN test $(id -u) = 0"]
    )
    (file.parent / "requirements.txt").write_text("iniconfig\n")
    return case, file.parent


def _with_a_lock(folder: Path) -> tuple[Case, Path]:
    case = find_case("flat")
    file = copy_project(case, folder)
    lock_project(file)
    return case, file.parent


def _with_folders_beside(folder: Path) -> tuple[Case, Path]:
    case = find_case("monorepo")
    return case, copy_project(case, folder).parent


@pytest.mark.parametrize(
    ("make", "workflow"),
    [(_with_requirements, "my-agent"), (_with_a_lock, "agent"), (_with_folders_beside, "agent")],
    ids=["requirements", "uv-lock", "monorepo"],
)
def test_a_project_is_deployed_from_its_folder_and_runs(
    project: Project,
    kubectl: Kubectl,
    tmp_path: Path,
    make: Callable[[Path], tuple[Case, Path]],
    workflow: str,
) -> None:
    case, folder = make(tmp_path)
    builder = find_builder(Progress())
    options = [f"--build-option={option}" for option in builder.find_options()]
    env = clean_environment(**{**read_environment(kubectl), "BUILDAH_ISOLATION": "chroot"})

    done = run_agentic(
        *("deploy", str(folder), "--yes", "--base", reference(RUNNER), "--builder", builder.name, *options),
        *("-n", project.name, *SESSION_INPUT),
        env=env,
    )

    assert done.returncode == 0, done.stderr
    assert f"workflowdefinition/{workflow} is ready" in done.stdout
    session = done.stdout.split()[-2].removeprefix("agenticsession/")
    case.check(project.wait_phase("Completed", session=session)["result"])
    # Built for this test alone.
    image = project.get(DEFINITION, workflow)["spec"]["image"]
    assert subprocess.run([builder.name, "rmi", image], capture_output=True, check=False).returncode == 0
