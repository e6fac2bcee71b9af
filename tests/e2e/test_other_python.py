"""Another Python than that of the machine: every kind of project, and what the LangGraph CLI builds, on the cluster."""

from pathlib import Path

import pytest

from hack.cluster.progress import Progress
from hack.images.build import LANGGRAPH_BASE, OTHER_PYTHON, build_foreign, tag
from tests.e2e.conftest import Project
from tests.e2e.test_projects import BATCHES, check_survival
from tests.projects.cases import Case
from tests.support.langgraph_build import copy_project, find_case, lock_project, write_dockerfile

VERSION = OTHER_PYTHON.removeprefix("py")
IMAGE = f"docker.io/agentic-operator/e2e-projects-{OTHER_PYTHON}:dev"
_SAYS = """\
import os
import sys
from importlib.util import cache_from_source

import iniconfig

IS_COMPILED = os.path.exists(cache_from_source(iniconfig.__file__))
SAID = [f"{sys.version_info.major}.{sys.version_info.minor}", "compiled" if IS_COMPILED else "not compiled"]
"""


@pytest.mark.parametrize("batch", BATCHES, ids=lambda batch: "-".join(case.name for case in batch))
def test_projects_of_each_kind_survive_the_loss_of_their_pod_on_another_python(
    project: Project, batch: list[Case]
) -> None:
    check_survival(project, batch, IMAGE)


# The CLI's own, where it reads what uv is not to copy.
@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")
@pytest.mark.parametrize("is_locked", [False, True], ids=["requirements by pip", "locked by uv"])
def test_an_image_of_the_langgraph_cli_runs_on_another_python(
    project: Project, tmp_path: Path, is_locked: bool
) -> None:
    settings = {"source": {"kind": "uv"}, "dependencies": None} if is_locked else {"pip_installer": "pip"}
    file = copy_project(find_case("flat"), tmp_path, python_version=VERSION, **settings)
    # It says which Python runs it, and whether what the CLI's lines installed is there and compiled.
    agent = file.parent / "agent.py"
    agent.write_text(_SAYS + agent.read_text().replace('"second"]}', "*SAID]}"))
    if is_locked:
        lock_project(file)
    else:
        (file.parent / "requirements.txt").write_text("iniconfig\n")
    progress = Progress()
    written = write_dockerfile(file, tag(f"{LANGGRAPH_BASE}-{OTHER_PYTHON}", VERSION, progress))
    name = f"e2e-cli-{OTHER_PYTHON}{'-locked' if is_locked else ''}"
    image = build_foreign(name, written.dockerfile, written.context, written.contexts, progress)
    project.define("agent", image=image)
    project.wait_ready("agent")
    project.start("agent", inputs={"text": "hello"})
    result = project.wait_phase("Completed")["result"]
    assert result["steps"] == ["first", VERSION, "compiled"]
