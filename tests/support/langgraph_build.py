"""Writes what ``langgraph build`` would build, by the installed LangGraph CLI, for projects of the tests."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langgraph_cli.config import config_to_docker, validate_config_file

from tests.projects.cases import CASES, FOLDER, GATE, Case


@dataclass(frozen=True)
class Written:
    """A Dockerfile, and the folders beside its context that it copies from."""

    dockerfile: Path
    contexts: Mapping[str, Path]

    @property
    def context(self) -> Path:
        return self.dockerfile.parent


def find_case(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def copy_project(case: Case, folder: Path, **settings: Any) -> Path:
    """Copy a project with what surrounds it, put ``settings`` into its langgraph.json; return that file.

    A setting that is None is taken out.
    """
    top = (case.folder or case.name).partition("/")[0]
    shutil.copytree(FOLDER / top, folder / top, ignore=shutil.ignore_patterns("__pycache__"))
    root = folder / (case.folder or case.name)
    # Where a test lets graphs wait; images of the CLI take nothing from outside.
    shutil.copy(GATE / "gate.py", root)
    file = root / "langgraph.json"
    merged = {**json.loads(file.read_text()), **settings}
    file.write_text(json.dumps({key: value for key, value in merged.items() if value is not None}))
    return file


def lock_project(file: Path) -> None:
    """Turn a project into one that is locked by uv."""
    (file.parent / "pyproject.toml").write_text(
        '[project]\nname = "locked"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["iniconfig"]\n'
        '[build-system]\nrequires = ["setuptools>=61"]\nbuild-backend = "setuptools.build_meta"\n'
        '[tool.setuptools]\npy-modules = ["agent", "gate"]\n'
    )
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "lock", "--quiet", "--no-config"], cwd=file.parent, check=True)


def write_dockerfile(file: Path, base: str) -> Written:
    """Write the Dockerfile beside a langgraph.json, as ``langgraph dockerfile --base-image`` does."""
    text, contexts = config_to_docker(file, validate_config_file(file), base_image=base)
    dockerfile = file.parent / "Dockerfile"
    dockerfile.write_text(text)
    return Written(dockerfile, {name: Path(path) for name, path in contexts.items()})
