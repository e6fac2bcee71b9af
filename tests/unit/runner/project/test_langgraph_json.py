"""The author's langgraph.json, and files that lead out of the project."""

import json
import sys
from pathlib import Path

import pytest

from agentic_core.errors import GraphLoadError
from agentic_runner.project.folders import find_import_folders
from agentic_runner.project.langgraph_json import (
    Project,
    confine,
    enter_project,
    find_target,
    read_env_file,
    read_project,
)


def _write(folder: Path, document: object) -> Path:
    file = folder / "langgraph.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return file


def test_a_project_has_graphs_dependencies_and_variables(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\n")
    project = read_project(
        _write(
            tmp_path,
            {
                "graphs": {"one": "./one.py:graph", "two": {"path": "pack.mod:make", "description": "the second"}},
                "dependencies": [".", "langchain"],
                "env": ".env",
            },
        )
    )
    assert project.graphs == {"one": "./one.py:graph", "two": "pack.mod:make"}
    assert project.dependencies == (".", "langchain")
    assert project.env == {"A": "1"}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        pytest.param("{", "is not JSON", id="broken"),
        pytest.param("[" * 100_000, "is not JSON", id="nested without end"),
        pytest.param([], "must hold a JSON object", id="a list"),
        pytest.param({}, "declares no graphs", id="empty"),
        pytest.param({"graphs": {}}, "declares no graphs", id="no graph"),
        pytest.param({"graphs": {"a": 7}}, "graph 'a'", id="a number for a graph"),
        pytest.param("x" * 1_100_000, "over 1 MiB", id="huge"),
    ],
)
def test_a_wrong_langgraph_json_is_explained(tmp_path: Path, document: object, words: str) -> None:
    with pytest.raises(GraphLoadError, match=words):
        read_project(_write(tmp_path, document))


def test_a_missing_langgraph_json_says_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(GraphLoadError, match="LANGGRAPH_CONFIG"):
        read_project(tmp_path / "langgraph.json")


ONE = Project(root=Path("/"), graphs={"only": "./a.py:graph"})
TWO = Project(root=Path("/"), graphs={"a": "./a.py:graph", "b": "pack.b:graph"})


def test_the_only_graph_needs_no_name() -> None:
    target = find_target(ONE, None)
    assert (target.name, target.path, target.module, target.attribute) == ("only", "./a.py", None, "graph")


@pytest.mark.parametrize(
    ("project", "wanted", "words"),
    [
        pytest.param(TWO, None, r"declares 2 graphs \(a, b\)", id="two and no name"),
        pytest.param(TWO, "c", "no graph 'c' in langgraph.json: it declares a, b", id="an unknown name"),
        pytest.param(TWO, "os:system", "no module of the project", id="the standard library"),
        pytest.param(TWO, "builtins:eval", "no module of the project", id="the builtins"),
        pytest.param(TWO, "agentic_runner.run:run_session", "no module of the project", id="the runner itself"),
        pytest.param(TWO, "pack:__import__('os')", "write './file.py:attribute'", id="an expression"),
    ],
)
def test_a_wrong_name_is_explained(project: Project, wanted: str | None, words: str) -> None:
    with pytest.raises(GraphLoadError, match=words):
        find_target(project, wanted)


def test_a_module_and_attribute_name_a_graph_that_langgraph_json_does_not() -> None:
    target = find_target(TWO, "pack.c:build")
    assert (target.module, target.attribute) == ("pack.c", "build")


@pytest.fixture
def fenced(tmp_path: Path) -> Path:
    """A project beside a secret, with ways out of it."""
    (tmp_path / "secret.py").write_text("graph = 1")
    root = tmp_path / "project"
    (root / "inside").mkdir(parents=True)
    (root / "inside" / "a.py").write_text("graph = 1")
    (root / "link.py").symlink_to(tmp_path / "secret.py")
    (root / "folder").symlink_to(tmp_path)
    (root / "loop.py").symlink_to(root / "loop.py")
    (root / "fine.py").symlink_to(root / "inside" / "a.py")
    return root.resolve()


@pytest.mark.parametrize(
    "path", ["../secret.py", "link.py", "folder/secret.py", "inside/../../secret.py", "/etc/hosts"]
)
def test_a_path_out_of_the_project_is_refused(fenced: Path, path: str) -> None:
    with pytest.raises(GraphLoadError, match="leads out of the project"):
        confine(fenced, path)


@pytest.mark.parametrize("path", ["loop.py", "missing.py"])
def test_a_path_to_nothing_is_refused(fenced: Path, path: str) -> None:
    with pytest.raises(GraphLoadError, match="cannot be opened"):
        confine(fenced, path)


def test_a_link_within_the_project_is_followed(fenced: Path) -> None:
    assert confine(fenced, "fine.py") == fenced / "inside" / "a.py"


def test_env_files_are_read_by_the_library_that_langgraph_reads_them_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTSIDE", "there")
    (tmp_path / ".env").write_text(
        "\ufeff# comment\nA=1\nexport B = two words \nC='#no comment' # one\nD=\"x=y\\nz\"\nE=1 # why\nnothing\nF=\n"
        "G=${A}-${OUTSIDE}-${NOWHERE:-else}\nH='${A}'\nI=\"two\nlines\"\n"
    )
    assert read_env_file(tmp_path / ".env") == {
        "A": "1",
        "B": "two words",
        "C": "#no comment",
        "D": "x=y\nz",
        "E": "1",
        "F": "",
        "G": "1-there-else",
        "H": "1",
        "I": "two\nlines",
    }


def test_an_env_file_may_lie_outside_of_the_folder_and_may_be_missing(tmp_path: Path) -> None:
    (tmp_path / "shared.env").write_text("A=1")
    (tmp_path / "app").mkdir()
    graphs = {"graphs": {"a": "./a.py:g"}}
    assert read_project(_write(tmp_path / "app", {**graphs, "env": "../shared.env"})).env == {"A": "1"}
    assert read_project(_write(tmp_path / "app", {**graphs, "env": "../no.env"})).env == {}


def test_graphs_of_a_built_image_come_from_its_variables(tmp_path: Path) -> None:
    environ = {
        "LANGSERVE_GRAPHS": json.dumps({"my agent": {"path": "/deps/outer-app/src/agent.py:graph"}}),
        "LANGGRAPH_HTTP": json.dumps({"app": "./x.py:app"}),
    }
    built = read_project(tmp_path / "langgraph.json", environ)
    assert built.graphs == {"my agent": "/deps/outer-app/src/agent.py:graph"}
    assert built.settings["http"] == {"app": "./x.py:app"}
    # The file beside them still says the rest.
    file = _write(tmp_path, {"graphs": {"my agent": "./agent.py:graph"}, "env": {"A": "1"}})
    both = read_project(file, environ)
    assert (both.graphs, both.env) == (built.graphs, {"A": "1"})
    with pytest.raises(GraphLoadError, match="variable LANGSERVE_GRAPHS is not JSON"):
        read_project(tmp_path / "none.json", {"LANGSERVE_GRAPHS": "{"})


def test_dependencies_of_a_built_image_lie_where_the_build_put_them(tmp_path: Path) -> None:
    root, words = tmp_path / "deps" / "outer-agent" / "src", tmp_path / "deps" / "words"
    (root / "here").mkdir(parents=True)
    (words / "src").mkdir(parents=True)
    for folder in (words, root.parent):
        (folder / "pyproject.toml").write_text("[project]\nname = 'x'\nversion = '1'\n")
    settings = {
        "graphs": {"a": "./agent.py:graph"},
        "dependencies": [".", "./here", "../../libs/words", "langchain"],
        "source": {"kind": "uv", "root": "../../.."},
    }
    file = _write(root, settings)
    with pytest.raises(GraphLoadError, match="is no folder of the image"):
        enter_project(read_project(file, {}), {})
    built = read_project(file, {"LANGSERVE_GRAPHS": '{"a": "./agent.py:graph"}'}, built_folder=tmp_path / "deps")
    folders = find_import_folders(built.root, built.dependencies, built.settings)
    assert folders == [root, root / "here", root.parent, words / "src", words]


@pytest.mark.parametrize("name", ["my agent", "日本語: エージェント", "a/b\\c", "x:y", "--help", "'; drop"])
def test_a_graph_may_be_called_anything(name: str) -> None:
    project = Project(root=Path("/"), graphs={name: "./a.py:graph", "other": "./b.py:graph"})
    target = find_target(project, name)
    assert (target.name, target.path, target.attribute) == (name, "./a.py", "graph")


def test_what_the_pod_sets_wins_over_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "lib").mkdir()
    project = Project(
        root=tmp_path.resolve(),
        dependencies=(".", "./lib", "langchain"),
        env={"MODEL": "small", "LANG_OF": "project", "LD_PRELOAD": "evil.so", "SESSION_NAME": "x"},
    )
    environ = {"MODEL": "large"}
    enter_project(project, environ)
    assert environ == {"MODEL": "large", "LANG_OF": "project"}
    # Behind what is installed: a module of the project takes no other one's place.
    assert sys.path[-2:] == [str(tmp_path.resolve()), str(tmp_path.resolve() / "lib")]


def test_a_local_dependency_that_is_not_in_the_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(GraphLoadError, match=r"dependency '\./missing' .* copy it"):
        enter_project(Project(root=tmp_path.resolve(), dependencies=("./missing",)), {})
