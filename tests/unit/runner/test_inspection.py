"""Inspection as a process: the report between its markers, and a brief word where the graph is broken."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentic_runner.inspection import BEGIN, END

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


def _inspect(folder: Path, code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "graph.py").write_text(code)
    settings = {"graphs": {"main": "./graph.py:graph"}, "checkpointer": {"path": "./graph.py:saver"}}
    (folder / "langgraph.json").write_text(json.dumps(settings))
    return subprocess.run(
        [sys.executable, "-m", "agentic_runner", *(arguments or ("inspect",))],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "TERMINATION_LOG": str(folder / "termination"), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_good_graph_is_reported_on_one_line_between_the_markers(tmp_path: Path) -> None:
    done = _inspect(tmp_path, GRAPH)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    begin = lines.index(BEGIN)
    assert lines[begin + 2] == END
    report: dict[str, Any] = json.loads(lines[begin + 1])
    assert report["graphs"] == ["main"]
    assert [each["setting"] for each in report["ignored"]] == ["/checkpointer/path"]
    assert report["nodes"] == ["__start__", "load", "good", "bad", "__end__"]
    assert "load -> good" in report["edges"]
    assert "graph TD" in report["mermaid"]
    assert report["inputSchema"]["properties"] == {"rows": {"title": "Rows", "type": "integer"}}
    assert set(report["outputSchema"]["properties"]) == {"rows", "out"}
    assert report["pythonVersion"].startswith("3.")
    assert report["langgraphVersion"]
    assert not (tmp_path / "termination").exists()


def test_the_settings_that_are_the_operators_are_reported_and_embeddings_that_do_not_load_are_named(
    tmp_path: Path,
) -> None:
    code = GRAPH + "\ndef embed(texts): return [[0.0] for text in texts]\n"
    for embed, dims, ignored in (("./graph.py:embed", 1, []), ("./graph.py:nothing", None, ["/store/index/embed"])):
        store, ttl = {"index": {"dims": 1, "embed": embed}}, {"ttl": {"default_ttl": 2}}
        settings = {"graphs": {"main": "./graph.py:graph"}, "store": store, "checkpointer": ttl}
        (tmp_path / "other.json").write_text(json.dumps(settings))
        done = _inspect(tmp_path, code, LANGGRAPH_CONFIG="other.json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout.splitlines()[-2])
        assert report["vectorDims"] == dims
        assert report["checkpointTtl"] == {"strategy": "delete", "seconds": 120}
        assert [each["setting"] for each in report["ignored"]] == ignored


def test_a_type_without_a_schema_is_any_value(tmp_path: Path) -> None:
    code = GRAPH.replace("    rows: int", "    rows: Odd\n    n: int")
    done = _inspect(tmp_path, code.replace("class Input", "class Odd: pass\nclass Input"))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-2])
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


def test_a_schema_that_cannot_be_made_is_noted_and_the_rest_is_reported(tmp_path: Path) -> None:
    done = _inspect(tmp_path, ODD)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-2])
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
    tmp_path: Path, code: str, environment: dict[str, str], words: str
) -> None:
    done = _inspect(tmp_path, code, **environment)
    assert done.returncode == 4
    assert words in done.stderr
    assert words in (tmp_path / "termination").read_text()
    assert BEGIN not in done.stdout


def test_the_command_line_explains_itself(tmp_path: Path) -> None:
    asked = _inspect(tmp_path, "", "--help")
    assert (asked.returncode, asked.stdout.splitlines()[0]) == (0, "usage: python -m agentic_runner [inspect]")
    wrong = _inspect(tmp_path, "", "go")
    assert wrong.returncode == 2
    assert "unknown arguments 'go'" in wrong.stderr
