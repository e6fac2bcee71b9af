"""No code is loaded from what is mounted into the pod, however a project or a variable leads there."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentic_core.contract import ExitCode
from tests.support.warm_inspector import WarmInspector

GRAPH = """
import pathlib
pathlib.Path(%r).touch()
from typing import TypedDict
from langgraph.graph import START, StateGraph
class State(TypedDict):
    n: int
graph = StateGraph(State).add_node("a", lambda state: state).add_edge(START, "a").compile()
"""


@pytest.fixture(scope="module")
def warm() -> Iterator[WarmInspector]:
    inspector = WarmInspector()
    yield inspector
    inspector.close()


def inspect(cwd: Path, warm: WarmInspector | None = None, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Inspect a project; in a new process, or by the one that is warm."""
    environ = {"PATH": os.environ["PATH"], **environ}
    if warm is not None:
        return warm.inspect(cwd, environ)
    return subprocess.run(
        [sys.executable, "-I", "-u", "-m", "agentic_runner", "inspect"],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def write(folder: Path, code: str, settings: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "graph.py").write_text(code)
    (folder / "langgraph.json").write_text(json.dumps(settings))


@pytest.mark.parametrize("way", ["config", "link", "file", "dependency", "PYTHONPATH", "LANGSERVE_GRAPHS", "directory"])
def test_what_is_mounted_is_not_loaded(tmp_path: Path, warm: WarmInspector, way: str) -> None:
    image, mounted, ran = tmp_path / "app", tmp_path / "data", tmp_path / "ran"
    hostile = GRAPH % str(ran)
    write(mounted, hostile, {"graphs": {"main": "./graph.py:graph"}})
    (mounted / "evil.py").write_text(hostile)
    settings: dict[str, object] = {"graphs": {"main": "./graph.py:graph"}}
    variables: dict[str, str] = {}
    cwd = image
    match way:
        case "config":
            variables["LANGGRAPH_CONFIG"] = f"{image}/../data/langgraph.json"
        case "link":
            (tmp_path / "link").symlink_to(mounted)
            variables["LANGGRAPH_CONFIG"] = str(tmp_path / "link" / "langgraph.json")
        case "file":
            settings = {"graphs": {"main": "../data/graph.py:graph"}}
        case "dependency":
            settings = {"graphs": {"main": "evil:graph"}, "dependencies": ["../data"]}
        case "PYTHONPATH":
            variables |= {"PYTHONPATH": str(mounted), "GRAPH": "evil:graph"}
        case "LANGSERVE_GRAPHS":
            variables["LANGSERVE_GRAPHS"] = json.dumps({"main": f"{mounted}/graph.py:graph"})
        case _:
            cwd = mounted
    write(image, GRAPH % str(tmp_path / "image ran"), settings)
    # An interpreter reads its own variables when it starts.
    started = None if way == "PYTHONPATH" else warm
    done = inspect(cwd, started, MOUNTED_PATHS=f"/nowhere:{mounted}", **variables)
    assert done.returncode == ExitCode.GRAPH_NOT_LOADED, done.stderr
    assert "code is loaded from the image alone" in done.stderr
    assert not ran.exists()


def test_what_the_image_holds_is_loaded_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "app", GRAPH % str(tmp_path / "ran"), {"graphs": {"main": "./graph.py:graph"}})
    (tmp_path / "app" / "data").mkdir()
    done = inspect(tmp_path / "app", MOUNTED_PATHS=f"{tmp_path}/app/data:/tmp/nothing")
    assert done.returncode == ExitCode.DONE, done.stderr
    assert (tmp_path / "ran").exists()


def test_what_an_inspection_prints_and_reports_shows_no_value_of_a_secret(tmp_path: Path) -> None:
    fails = "import os\nprint('with', os.environ['KEY'])\nraise RuntimeError(os.environ['KEY'])\n"
    write(tmp_path / "app", fails, {"graphs": {"main": "./graph.py:graph"}})
    report = tmp_path / "termination"
    report.touch()
    done = inspect(tmp_path / "app", KEY="hunter2hunter2", SECRET_ENV="KEY", TERMINATION_LOG=str(report))
    assert done.returncode == ExitCode.GRAPH_NOT_LOADED
    assert "with ***" in done.stderr
    told = done.stdout + done.stderr + report.read_text()
    assert "RuntimeError: ***" in told
    assert "hunter2" not in told
