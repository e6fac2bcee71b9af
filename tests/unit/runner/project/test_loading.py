"""Loading graphs in all the forms that the LangGraph CLI takes, and the complaints about those that are none."""

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore

from agentic_core.errors import GraphLoadError
from agentic_runner.execution.given import build_config
from agentic_runner.project.langgraph_json import Project, enter_project, find_target
from agentic_runner.project.loading import import_attribute, open_graph

BUILDER = """
from typing import TypedDict
from langgraph.graph import START, StateGraph
class State(TypedDict):
    x: int
builder = StateGraph(State).add_node("n", lambda state: {"x": state["x"] + 1}).add_edge(START, "n")
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield tmp_path.resolve()
    for name in set(sys.modules) - known:
        if name.startswith(("graph", "pack", "src")):
            del sys.modules[name]


async def _run(root: Path, code: str, target: str = "./graph.py:graph") -> Any:
    (root / "graph.py").write_text(BUILDER + textwrap.dedent(code))
    project = Project(root=root, graphs={"main": target})
    found = find_target(project, None)
    enter_project(project, {})
    config = build_config("t", 1)
    value = import_attribute(project, found)
    saver, store = InMemorySaver(), InMemoryStore()
    async with open_graph(value, found, config, checkpointer=saver, store=store) as graph:
        assert graph.checkpointer is saver
        assert graph.store is store
        return await graph.ainvoke({"x": 1}, config)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("graph = builder", id="a builder"),
        pytest.param("graph = builder.compile()", id="a compiled graph"),
        pytest.param(
            "from langgraph.checkpoint.memory import InMemorySaver\ngraph = builder.compile(InMemorySaver())",
            id="a graph with a checkpointer of its own",
        ),
        pytest.param("graph = builder.compile().with_config(recursion_limit=7)", id="a graph with a config"),
        pytest.param("def graph():\n    return builder", id="a factory"),
        pytest.param("async def graph():\n    return builder.compile()", id="an async factory"),
        pytest.param("def graph(config):\n    return builder if config['configurable'] else None", id="with a config"),
        pytest.param("def graph(config, deep=False):\n    return builder", id="a factory with a default"),
        pytest.param("class graph:\n    def __new__(cls):\n        return builder", id="a class that makes one"),
        pytest.param(
            "import contextlib\n@contextlib.asynccontextmanager\nasync def graph():\n    yield builder",
            id="an async context manager",
        ),
        pytest.param(
            "import contextlib\n@contextlib.contextmanager\ndef graph(config):\n    yield builder.compile()",
            id="a context manager",
        ),
    ],
)
async def test_every_form_of_a_graph_runs_on_our_checkpointer(root: Path, code: str) -> None:
    assert await _run(root, code) == {"x": 2}


async def test_a_file_without_attribute_gives_its_only_graph(root: Path) -> None:
    assert await _run(root, "compiled = builder.compile(); del builder", "./graph.py") == {"x": 2}


async def test_a_package_of_the_project_is_imported_by_name(root: Path) -> None:
    (root / "pack").mkdir()
    (root / "pack" / "__init__.py").write_text("")
    (root / "pack" / "flow.py").write_text("from graph import builder\ngraph = builder")
    assert await _run(root, "", "pack.flow:graph") == {"x": 2}


async def test_a_file_in_a_package_imports_its_siblings_by_their_full_name(root: Path) -> None:
    (root / "src").mkdir()
    (root / "src" / "nodes.py").write_text("from graph import builder")
    (root / "src" / "flow.py").write_text("from src.nodes import builder\ngraph = builder")
    assert await _run(root, "", "./src/flow.py:graph") == {"x": 2}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        pytest.param("graph = 1", "is 'int': it must be a compiled graph", id="a number"),
        pytest.param("other = 1", r"has no attribute 'graph'; graphs there: builder", id="no such name"),
        pytest.param(
            "def graph(a, b):\n    pass", r"wants \(a, b\): it may take the run's config", id="two unknown parameters"
        ),
        pytest.param("def graph():\n    return None", "is 'NoneType'", id="a factory of nothing"),
        pytest.param("def graph():\n    return 1 / 0", "failed: ZeroDivisionError", id="a factory that raises"),
        pytest.param("1 / 0", r"ZeroDivisionError: division by zero \(graph.py:7\)", id="a module that raises"),
        pytest.param("raise SystemExit(3)", r"calls sys.exit\(3\) .* \(graph.py:7\)", id="a module that exits"),
        pytest.param("def graph(:", "SyntaxError", id="a module that is no Python"),
        pytest.param("import nowhere_at_all", "No module named 'nowhere_at_all'", id="a missing dependency"),
        pytest.param("graph = builder.add_edge('n', 'm')", "does not compile: ValueError", id="an edge to nowhere"),
    ],
)
async def test_what_cannot_be_loaded_is_explained(root: Path, code: str, words: str) -> None:
    with pytest.raises(GraphLoadError, match=words):
        await _run(root, code)


async def test_a_file_that_is_no_python_is_refused(root: Path) -> None:
    (root / "graph.txt").write_text("")
    with pytest.raises(GraphLoadError, match="no Python file"):
        await _run(root, "", "./graph.txt:graph")


async def test_a_compiled_graph_keeps_its_own_types_through_strict_deserialization(root: Path) -> None:
    code = """
    import dataclasses
    @dataclasses.dataclass
    class Point:
        x: int
    class Typed(TypedDict):
        point: Point
    def make(state):
        return {"point": Point(1)}
    def use(state):
        assert type(state["point"]) is Point
        return {"point": Point(state["point"].x + 1)}
    graph = (
        StateGraph(Typed).add_node(make).add_node(use).add_edge(START, "make").add_edge("make", "use")
        .compile(interrupt_before=["use"])
    )
    """
    (root / "graph.py").write_text(BUILDER + textwrap.dedent(code))
    project = Project(root=root, graphs={"main": "./graph.py:graph"})
    target = find_target(project, None)
    config = build_config("t", 1)
    value = import_attribute(project, target)
    async with open_graph(value, target, config, checkpointer=InMemorySaver()) as graph:
        await graph.ainvoke({}, config)
        result = await graph.ainvoke(None, config)
    assert result["point"].x == 2
