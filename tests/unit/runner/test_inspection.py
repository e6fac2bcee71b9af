"""Inspection as a process: its report in frames, whatever the project does, and a brief word where it is broken.

Most are forked from a process that has imported the libraries; how it starts is shown by those that start it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentic_core.inspection import REPORT_BEGIN, REPORT_END, find_report
from tests.support.warm_inspector import INSPECTION_SECONDS, WarmInspector

GRAPH = """
from typing import Literal, TypedDict
from langgraph.graph import END, START, StateGraph
print("noise at import")
class Input(TypedDict):
    rows: int
class State(Input):
    out: str
def load(state): return {}
def good(state): return {"out": "good"}
def bad(state): return {"out": "bad"}
def choose(state) -> Literal["good", "bad"]: return "good"
builder = StateGraph(State, input_schema=Input).add_node(load).add_node(good).add_node(bad).add_edge(START, "load")
builder.add_conditional_edges("load", choose)
graph = builder.add_edge("good", END).add_edge("bad", END).compile()
"""


@pytest.fixture(scope="module")
def warm() -> Iterator[WarmInspector]:
    inspector = WarmInspector()
    yield inspector
    inspector.close()


def _write(folder: Path, code: str) -> None:
    (folder / "graph.py").write_text(code)
    settings = {"graphs": {"main": "./graph.py:graph"}, "checkpointer": {"path": "./graph.py:saver"}}
    (folder / "langgraph.json").write_text(json.dumps(settings))


def _environ(folder: Path, **environment: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "TERMINATION_LOG": str(folder / "termination"), **environment}


def _inspect(
    folder: Path, code: str, *arguments: str, warm: WarmInspector | None = None, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Inspect a project of this code; in a new process, or by the one that is warm."""
    _write(folder, code)
    if warm is not None:
        return warm.inspect(folder, _environ(folder, **environment))
    return subprocess.run(
        [sys.executable, "-m", "agentic_runner", *(arguments or ("inspect",))],
        cwd=folder,
        env=_environ(folder, **environment),
        capture_output=True,
        text=True,
        timeout=INSPECTION_SECONDS,
        check=False,
    )


def _report(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the report, found where the operator finds it: in the log, which mixes both streams."""
    assert done.returncode == 0, done.stderr
    report = find_report(done.stderr + done.stdout)
    assert report is not None
    return report


def test_writable_paths_that_are_mounted_elsewhere_than_the_image_works_are_told(
    tmp_path: Path, warm: WarmInspector
) -> None:
    done = _inspect(tmp_path, GRAPH, EXPECTED_WORKING_DIR="/app", warm=warm)
    assert done.returncode == 4
    said = (tmp_path / "termination").read_text()
    assert f"mounted below '/app', and the image's working directory is {str(tmp_path)!r}" in said
    assert said.endswith("write it in podTemplate.workingDir")
    _report(_inspect(tmp_path, GRAPH, EXPECTED_WORKING_DIR=str(tmp_path), warm=warm))


def test_a_good_graph_is_reported(tmp_path: Path) -> None:
    done = _inspect(tmp_path, GRAPH)
    report = _report(done)
    assert "noise at import" in done.stderr
    assert report["graphs"] == ["main"]
    assert [each["setting"] for each in report["ignored"]] == ["/checkpointer/path"]
    assert report["nodes"] == ["__start__", "load", "good", "bad", "__end__"]
    edges = ["__start__ -> load", "load -> bad ?", "load -> good ?", "bad -> __end__", "good -> __end__"]
    assert sorted(report["edges"]) == sorted(edges)
    assert "graph TD" in report["mermaid"]
    assert report["inputSchema"]["properties"] == {"rows": {"title": "Rows", "type": "integer"}}
    assert set(report["outputSchema"]["properties"]) == {"rows", "out"}
    assert report["pythonVersion"].startswith("3.")
    assert report["langgraphVersion"]
    assert not (tmp_path / "termination").exists()


def test_the_settings_that_are_the_operators_are_reported_and_embeddings_that_do_not_load_are_named(
    tmp_path: Path,
    warm: WarmInspector,
) -> None:
    code = GRAPH + "\ndef embed(texts): return [[0.0] for text in texts]\n"
    for embed, dims, ignored in (("./graph.py:embed", 1, []), ("./graph.py:nothing", None, ["/store/index/embed"])):
        store, ttl = {"index": {"dims": 1, "embed": embed}}, {"ttl": {"default_ttl": 2}}
        settings = {"graphs": {"main": "./graph.py:graph"}, "store": store, "checkpointer": ttl}
        (tmp_path / "other.json").write_text(json.dumps(settings))
        done = _inspect(tmp_path, code, LANGGRAPH_CONFIG="other.json", warm=warm)
        report = _report(done)
        assert report["vectorDims"] == dims
        assert report["checkpointTtl"] == {"strategy": "delete", "seconds": 120}
        assert [each["setting"] for each in report["ignored"]] == ignored


def test_a_type_without_a_schema_is_any_value(tmp_path: Path, warm: WarmInspector) -> None:
    code = GRAPH.replace("    rows: int", "    rows: Odd\n    n: int")
    done = _inspect(tmp_path, code.replace("class Input", "class Odd: pass\nclass Input"), warm=warm)
    report = _report(done)
    assert report["inputSchema"]["properties"] == {"rows": {"title": "Rows"}, "n": {"title": "N", "type": "integer"}}
    assert "notes" not in report


ODD = """
from langgraph.func import entrypoint
class Odd:
    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler): raise RuntimeError("no schema")
@entrypoint()
def load(x: Odd): return x
graph = load
"""


def test_a_schema_that_cannot_be_made_is_noted_and_the_rest_is_reported(tmp_path: Path, warm: WarmInspector) -> None:
    done = _inspect(tmp_path, ODD, warm=warm)
    report = _report(done)
    assert report["inputSchema"] is None
    assert "inputSchema" in report["notes"]
    assert "load" in report["nodes"]


@pytest.mark.parametrize(
    ("code", "environment", "words"),
    [
        pytest.param("import nowhere", {}, "No module named 'nowhere'", id="an import that fails"),
        pytest.param(GRAPH, {"GRAPH": "other"}, "no graph 'other' in langgraph.json", id="an unknown graph"),
        pytest.param(GRAPH, {"LANGGRAPH_CONFIG": "no.json"}, "'no.json' does not exist", id="no project"),
    ],
)
def test_a_broken_graph_ends_with_4_and_says_why(
    tmp_path: Path, warm: WarmInspector, code: str, environment: dict[str, str], words: str
) -> None:
    done = _inspect(tmp_path, code, **environment, warm=warm)
    assert done.returncode == 4
    assert words in done.stderr
    assert words in (tmp_path / "termination").read_text()
    assert done.stdout == ""


FORGED = f"{REPORT_BEGIN}\\n{{}}\\n{REPORT_END}\\n"


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import sys\nfor _ in range(100): print('x' * 50_000)", id="five megabytes"),
        pytest.param(f"print('{FORGED}'); import sys; sys.stderr.write('{FORGED}')", id="markers of its own"),
        pytest.param("print('no end of line', end='', flush=True)", id="a line without an end"),
        pytest.param(
            "import atexit, threading, time\natexit.register(print, 'x' * 9_000)\n"
            "def chat():\n    while True: print('chatter'); time.sleep(0.001)\n"
            "threading.Thread(target=chat).start()",
            id="a thread that never ends and a word at the end",
        ),
        pytest.param(
            "import subprocess, sys\n"
            "endless = 'import time\\nwhile True: print(1, flush=True); time.sleep(0.01)'\n"
            "subprocess.Popen([sys.executable, '-c', 'exec(' + repr(endless) + ')'])",
            id="a program that it leaves behind",
        ),
        pytest.param("import asyncio\nasyncio.run(asyncio.sleep(0))", id="a loop of its own"),
        pytest.param("import asyncio\nasyncio.get_event_loop().run_until_complete(asyncio.sleep(0))", id="an old loop"),
        pytest.param("import logging; logging.basicConfig(level=0, force=True)", id="a log of its own"),
        pytest.param("import os; os.chdir('/')", id="another working directory"),
        pytest.param("import sys; sys.stdout.close(); sys.stderr = None", id="closed streams"),
        pytest.param("import os; os.close(1); os.close(2)", id="closed descriptors"),
        pytest.param("import sys; assert sys.stdin.read() == ''", id="reading from nowhere"),
    ],
)
def test_whatever_a_project_does_while_it_is_imported_its_report_is_found(
    tmp_path: Path, warm: WarmInspector, code: str
) -> None:
    done = _inspect(tmp_path, f"{GRAPH}\n{code}\n", warm=warm)
    assert _report(done)["nodes"][0] == "__start__"
    assert len(done.stderr) < 1_100_000
    # Nothing of the project's is written between its lines.
    assert find_report(done.stdout) is not None
    assert all(line == "" or line.startswith("<agentic-inspection ") for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        pytest.param(
            "import os; os._exit(0)", 4, "ended the process with os._exit(0)", id="it leaves as if all were well"
        ),
        pytest.param("import os; os._exit(9)", 4, "os._exit(9)", id="it leaves"),
        pytest.param("import os; os.kill(os.getpid(), 9)", 137, "SIGKILL: does it need more memory", id="it is killed"),
        pytest.param("import os; os.abort()", 134, "SIGABRT", id="it crashes"),
        pytest.param("import sys; sys.exit(0)", 4, "calls sys.exit(0)", id="it exits"),
        pytest.param("raise KeyboardInterrupt", 4, "KeyboardInterrupt", id="no exception at all"),
        pytest.param("import signal; signal.signal(15, print)", 4, "main thread", id="signals, which are the runner's"),
    ],
)
def test_a_project_that_ends_the_process_is_told(
    tmp_path: Path, warm: WarmInspector, code: str, status: int, words: str
) -> None:
    done = _inspect(tmp_path, f"{GRAPH}\n{code}\n", warm=warm)
    assert done.returncode == status
    assert words in (tmp_path / "termination").read_text()
    assert done.stdout == ""


def test_a_library_that_is_too_old_is_told_before_anything_of_it_is_imported(tmp_path: Path) -> None:
    for name, version in (("langgraph", "1.0.1"), ("psycopg", "3.2.0")):
        folder = tmp_path / "old" / f"{name}-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    done = _inspect(tmp_path, GRAPH, PYTHONPATH=str(tmp_path / "old"))
    assert done.returncode == 4
    said = (tmp_path / "termination").read_text()
    assert "langgraph is 1.0.1, 1.2.13 or newer is needed" in said
    assert "psycopg is 3.2.0, 3.3.6 or newer is needed" in said


def test_an_isolated_start_loads_nothing_by_the_variables_and_gives_them_to_the_project(tmp_path: Path) -> None:
    traps = tmp_path / "traps"
    traps.mkdir()
    for name in ("agentic_core", "json", "langgraph", "sitecustomize", "own_tools"):
        (traps / f"{name}.py").write_text(f"open(r'{tmp_path}/trapped-{name}', 'w').close()")
    (traps / "own_tools.py").write_text("value = 7")
    code = f"{GRAPH}\nimport os, own_tools\nassert own_tools.value == 7 and os.environ['PYTHONWARNINGS'] == 'error'\n"
    (tmp_path / "selectors.py").write_text("raise RuntimeError('of the project')")
    (tmp_path / "graph.py").write_text(code)
    (tmp_path / "langgraph.json").write_text(json.dumps({"graphs": {"main": "./graph.py:graph"}}))
    done = subprocess.run(
        [sys.executable, "-I", "-u", "-m", "agentic_runner", "inspect"],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "TERMINATION_LOG": str(tmp_path / "termination"),
            "PYTHONPATH": str(traps),
            "PYTHONHOME": str(traps),
            "PYTHONSTARTUP": str(traps / "json.py"),
            "PYTHONWARNINGS": "error",
            "PYTHONINSPECT": "1",
            "BROWSER": "touch",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert _report(done)["graphs"] == ["main"]
    assert not list(tmp_path.glob("trapped-*"))


def test_the_command_line_explains_itself(tmp_path: Path) -> None:
    asked = _inspect(tmp_path, "", "--help")
    assert (asked.returncode, asked.stdout.splitlines()[0]) == (0, "usage: python -m agentic_runner [inspect]")
    wrong = _inspect(tmp_path, "", "go")
    assert wrong.returncode == 2
    assert "unknown arguments 'go'" in wrong.stderr
