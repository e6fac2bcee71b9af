"""Images by the lines that the installed LangGraph CLI writes, on our base: inspected and run on the cluster."""

from pathlib import Path

from hack.cluster.progress import Progress
from hack.images.build import build_foreign, tag
from tests.e2e.conftest import Project
from tests.support.cluster import DEFINITION
from tests.support.langgraph_build import copy_project, find_case, write_dockerfile

BASE = "langgraph-base"


# With pip and with a lock of uv: tests/e2e/test_other_python.py.
def test_an_image_of_the_langgraph_cli_is_inspected_and_run(project: Project, tmp_path: Path) -> None:
    case = find_case("monorepo")
    file = copy_project(case, tmp_path, dockerfile_lines=["RUN test $(id -u) = 0"])
    (file.parent / "requirements.txt").write_text("iniconfig\n")
    progress = Progress()
    # The CLI appends the Python of the project, 3.11 where it names none.
    written = write_dockerfile(file, tag(BASE, "3.11", progress))
    image = build_foreign("e2e-cli", written.dockerfile, written.context, written.contexts, progress)

    project.define("agent", image=image)
    project.wait_ready("agent")
    assert project.condition(DEFINITION, "agent", "ProjectSupported")["status"] == "True"
    project.start("agent", inputs=dict(case.inputs))
    case.check(project.wait_phase("Completed")["result"])
