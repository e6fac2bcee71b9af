"""A project's folder becomes an image and resources: the plan, the texts, and what is said of projects that cannot."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from agentic_cli.interaction.project_files import (
    REGISTRY_VARIABLE,
    choose_image,
    find_default_base,
    make_containerfile,
    read_containerfile,
    read_definitions,
)
from agentic_cli.interaction.project_folder import read_folder
from agentic_cli.main import agentic
from agentic_cli.model.containerfile import write_ignore
from agentic_cli.model.langgraph_file import name_definitions, parse_project_file
from agentic_core import __version__
from agentic_core.errors import PermanentError
from agentic_core.names import MAX_DEFINITION_NAME, is_dns_label
from agentic_core.resources.session import SessionSpec
from agentic_core.resources.workflow import WorkflowSpec

GOLDEN = Path(__file__).with_name("containerfiles")
GRAPHS = {"agent": "./agent.py:graph"}
BACKEND = '[build-system]\nrequires = ["setuptools>=61"]\nbuild-backend = "setuptools.build_meta"\n'
LOCK = 'version = 1\n[[package]]\nname = "bot"\nversion = "1"\nsource = { editable = "." }\n'

# Each kind: the files of a repository, and the folder of the project in it.
KINDS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "requirements": (".", {"langgraph.json": "", "requirements.txt": "httpx>=0.27\n"}),
    "requirements-with-files": (".", {"langgraph.json": "", "requirements.txt": "-r base.txt\n-e ./lib\n"}),
    "pep621": (
        ".",
        {"langgraph.json": "", "pyproject.toml": f'[project]\nname = "bot"\ndependencies = ["httpx"]\n{BACKEND}'},
    ),
    "pep621-no-package": (
        ".",
        {"langgraph.json": "", "pyproject.toml": '[project]\nname = "bot"\ndependencies = ["httpx"]\n'},
    ),
    "poetry": (
        ".",
        {
            "langgraph.json": "",
            "pyproject.toml": '[tool.poetry]\nname = "bot"\n[tool.poetry.dependencies]\nhttpx = "*"\n' + BACKEND,
        },
    ),
    "poetry-lock": (
        ".",
        {
            "langgraph.json": "",
            "pyproject.toml": '[tool.poetry]\npackage-mode = false\n[tool.poetry.dependencies]\nhttpx = "*"\n',
            "poetry.lock": "",
        },
    ),
    "uv-lock": (
        ".",
        {
            "langgraph.json": "",
            "pyproject.toml": f'[project]\nname = "bot"\ndependencies = ["httpx"]\n{BACKEND}',
            "uv.lock": LOCK,
        },
    ),
    "uv-workspace": (
        "apps/bot",
        {
            "pyproject.toml": '[tool.uv.workspace]\nmembers = ["apps/*", "libs/*"]\n',
            "uv.lock": LOCK,
            "apps/bot/langgraph.json": "",
            "apps/bot/pyproject.toml": '[project]\nname = "bot"\ndependencies = ["words"]\n',
        },
    ),
    "setup-py": (".", {"langgraph.json": "", "setup.py": "from setuptools import setup\nsetup()\n"}),
    "monorepo": (
        "apps/bot",
        {
            "apps/bot/langgraph.json": json.dumps({"graphs": GRAPHS, "dependencies": [".", "../../libs/words"]}),
            "apps/bot/pyproject.toml": '[project]\nname = "bot"\ndependencies = ["Words>=1"]\n',
            "libs/words/pyproject.toml": '[project]\nname = "words"\n',
        },
    ),
    "index-names": (
        ".",
        {"langgraph.json": json.dumps({"graphs": GRAPHS, "dependencies": [".", "langchain_openai", "httpx[http2]"]})},
    ),
    "system-packages": (
        ".",
        {
            "langgraph.json": json.dumps(
                {
                    "graphs": GRAPHS,
                    "dependencies": ["."],
                    "dockerfile_lines": ["RUN apt-get update && apt-get install -y graphviz"],
                }
            ),
            "requirements.txt": "graphviz\n",
        },
    ),
    "pip-settings": (
        ".",
        {
            "langgraph.json": json.dumps({"graphs": GRAPHS, "dependencies": ["."], "pip_config_file": "./pip.conf"}),
            "pip.conf": "[global]\n",
            "requirements.txt": "httpx\n",
        },
    ),
}


def make(folder: Path, files: Mapping[str, str]) -> None:
    """Write files; an empty langgraph.json is the smallest one."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        plain = json.dumps({"graphs": GRAPHS, "dependencies": ["."]})
        file.write_text(text or (plain if file.name == "langgraph.json" else ""))


def make_kind(folder: Path, kind: str) -> Path:
    """Write the project of a kind, in a repository of its own, and return its folder."""
    place, files = KINDS[kind]
    (folder / ".git").mkdir()
    make(folder, files)
    return folder / place


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_project_has_its_containerfile(tmp_path: Path, kind: str) -> None:
    project = read_folder(make_kind(tmp_path, kind))
    assert make_containerfile(project, "registry.example.com/runner:1") == (GOLDEN / kind).read_text()
    assert {file.name for file in GOLDEN.iterdir()} == set(KINDS)


def test_the_context_reaches_over_everything_that_is_copied(tmp_path: Path) -> None:
    project = read_folder(make_kind(tmp_path, "monorepo"))
    assert project.context == tmp_path
    assert project.plan.project.home == "/app/apps/bot"


def test_a_package_beside_the_project_is_never_asked_of_an_index(tmp_path: Path) -> None:
    lines = make_containerfile(read_folder(make_kind(tmp_path, "monorepo")), None).splitlines()
    (install,) = (line for line in lines if "pip install" in line)
    assert "--editable /app/libs/words" in install
    assert lines.index(install) > lines.index("COPY --chown=65532:65532 libs/words /app/libs/words/")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"graphs": {\n  "agent": ./x\n}}', "langgraph.json:2:12: this is not JSON"),
        ("[]", "holds no JSON object"),
        ("{}", "declares no graphs"),
        ('{"graphs": {"a": 3}}', "graph 'a' is 3"),
        ('{"graphs": {"a": "./src/agent.ts:graph"}}', "graphs in JavaScript do not run here"),
        ('{"graphs": {"a": "./a.py:g"}, "dependencies": "."}', '"dependencies" is no list of texts'),
        ('{"graphs": {"a": "./a.py:g"}, "pip_config_file": 3}', '"pip_config_file" is 3'),
    ],
)
def test_a_wrong_langgraph_json_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(PermanentError) as refused:
        parse_project_file(text, "langgraph.json")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"agent.py": "x"}, "there is no langgraph.json in"),
        ({"langgraph.json": json.dumps({"graphs": GRAPHS, "dependencies": ["./lib"]})}, "'./lib' is no folder"),
        ({"langgraph.json": json.dumps({"graphs": GRAPHS, "pip_config_file": "p"})}, "there is no file 'p'"),
        ({"langgraph.json": "", "pyproject.toml": "[project"}, "pyproject.toml is not TOML"),
    ],
)
def test_a_folder_without_what_it_names_is_refused(tmp_path: Path, files: Mapping[str, str], said: str) -> None:
    make(tmp_path, files)
    with pytest.raises(PermanentError, match=said):
        read_folder(tmp_path)


def test_graphs_in_javascript_are_left_out_beside_others() -> None:
    settings = parse_project_file(json.dumps({"graphs": {**GRAPHS, "ui": {"path": "./ui.mts:graph"}}}), "f")
    assert (dict(settings.graphs), settings.skipped) == (GRAPHS, ("ui",))


@pytest.mark.parametrize(
    ("graphs", "given", "names"),
    [
        (["agent"], None, ["agent"]),
        (["My Agent_2"], None, ["my-agent-2"]),
        (["日本語"], None, ["graph"]),
        (["a b", "a.b", "A B"], None, ["a-b", "a-b-2", "a-b-3"]),
        (["agent"], "weather", ["weather"]),
        (["one", "two"], "weather", ["weather-one", "weather-two"]),
        (["x" * 80, "x" * 81], None, ["x" * MAX_DEFINITION_NAME, "x" * (MAX_DEFINITION_NAME - 2) + "-2"]),
    ],
)
def test_graphs_get_names_that_kubernetes_takes(graphs: list[str], given: str | None, names: list[str]) -> None:
    found = name_definitions(graphs, given)
    assert list(found.values()) == names
    assert all(is_dns_label(name, MAX_DEFINITION_NAME) for name in names)


def run_init(*arguments: str) -> Any:
    return CliRunner().invoke(agentic, ["init", *arguments])


def test_init_writes_what_is_missing_and_overwrites_nothing(tmp_path: Path) -> None:
    make(tmp_path, {"langgraph.json": "", "requirements.txt": "httpx\n"})
    first = run_init(str(tmp_path), "-t", "registry.example.com/team/bot:3")
    assert first.exit_code == 0
    written = ("Containerfile", ".containerignore", "kubernetes/workflow.yaml", "kubernetes/session.yaml")
    assert all(f"wrote {tmp_path / name}" in first.stdout for name in written)
    assert "agentic deploy" in first.stderr
    assert (tmp_path / "Containerfile").read_text().splitlines()[
        1
    ] == f"FROM docker.io/agentic-operator/runner:{__version__}"

    (tmp_path / "Containerfile").write_text("FROM mine\n")
    again = run_init(str(tmp_path))
    assert (again.stdout, "left" in again.stderr) == ("", True)
    assert (tmp_path / "Containerfile").read_text() == "FROM mine\n"
    assert read_containerfile(read_folder(tmp_path), None) == "FROM mine\n"
    assert str(choose_image(read_folder(tmp_path), None)) == "registry.example.com/team/bot:3"

    run_init(str(tmp_path), "--force")
    assert "FROM mine" not in (tmp_path / "Containerfile").read_text()


def test_a_mirror_is_where_the_base_comes_from_by_default_and_changes_no_written_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REGISTRY_VARIABLE, "mirror.example.com:5000/team/")
    make(tmp_path, {"langgraph.json": ""})
    project = read_folder(tmp_path)
    mirrored = f"FROM mirror.example.com:5000/team/agentic-operator/runner:{__version__}"
    assert mirrored in read_containerfile(project, None).splitlines()
    assert "FROM docker.io/own/runner:1" in make_containerfile(project, "own/runner:1").splitlines()
    assert run_init(str(tmp_path)).exit_code == 0
    assert mirrored in (tmp_path / "Containerfile").read_text().splitlines()

    (tmp_path / "Containerfile").write_text("FROM mine\n")
    assert read_containerfile(project, None) == "FROM mine\n"


@pytest.mark.parametrize(
    "mirror", ["team", "https://mirror.example.com", "mirror.example.com/a b", "mirror.io@sha256:0"]
)
def test_a_mirror_that_is_no_registry_is_refused(mirror: str) -> None:
    with pytest.raises(PermanentError):
        find_default_base({REGISTRY_VARIABLE: mirror})


def test_what_init_writes_is_valid_and_starts_as_it_is(tmp_path: Path) -> None:
    graphs = {"an agent: the first": "./a.py:g", "no": "./b.py:g", "日本語": "./c.py:g"}
    make(tmp_path, {"langgraph.json": json.dumps({"graphs": graphs, "env": ".env.local"}), "setup.py": "x"})
    done = run_init(str(tmp_path))
    assert done.exit_code == 0
    assert "'日本語' becomes the definition 'graph'" in done.stderr
    assert ".env.local is no part of the image" in done.stderr
    documents = list(yaml.safe_load_all((tmp_path / "kubernetes/workflow.yaml").read_text()))
    assert [WorkflowSpec.model_validate(each["spec"]).graph for each in documents] == list(graphs)
    assert [each["metadata"]["name"] for each in documents] == ["an-agent-the-first", "no", "graph"]
    session = yaml.safe_load((tmp_path / "kubernetes/session.yaml").read_text())
    assert SessionSpec.model_validate(session["spec"]).workflow_ref.name == "an-agent-the-first"


def test_secrets_and_rubbish_stay_out_of_an_image() -> None:
    settings = parse_project_file(json.dumps({"graphs": GRAPHS, "env": "./keys", "pip_config_file": "pip.conf"}), "f")
    lines = write_ignore(settings).splitlines()
    assert {"**/.env", "**/.env.*", "**/keys", "**/pip.conf", ".git", "**/__pycache__"} <= set(lines)


def test_a_projects_own_ignore_file_is_kept(tmp_path: Path) -> None:
    make(tmp_path, {"langgraph.json": "", ".dockerignore": "data\n"})
    run_init(str(tmp_path))
    assert not (tmp_path / ".containerignore").exists()
    assert read_folder(tmp_path).read_ignore() == "data\n"


def test_without_a_terminal_nothing_is_written_that_was_not_asked_for(tmp_path: Path) -> None:
    make(tmp_path, {"langgraph.json": ""})
    refused = CliRunner().invoke(agentic, ["deploy", str(tmp_path)])
    assert isinstance(refused.exception, PermanentError)
    assert "add --yes" in str(refused.exception)
    assert [file.name for file in tmp_path.iterdir()] == ["langgraph.json"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "is not YAML"), ("", "is empty"), ("kind: Pod\n", "holds something else")],
)
def test_definitions_that_cannot_be_applied_are_refused_with_their_file(tmp_path: Path, text: str, said: str) -> None:
    make(tmp_path, {"langgraph.json": "", "kubernetes/workflow.yaml": text})
    with pytest.raises(PermanentError, match=f"workflow.yaml {said}"):
        read_definitions(read_folder(tmp_path))
