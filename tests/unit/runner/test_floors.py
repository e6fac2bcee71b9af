"""Libraries that an author's pins made too old."""

import importlib.metadata
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from agentic_runner.floors import FLOORS, find_outdated

PROJECT = tomllib.loads((Path(__file__).resolve().parents[3] / "pyproject.toml").read_text())["project"]


def test_the_floors_are_those_that_the_runner_is_installed_with() -> None:
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["runner"]]
    bounds = {parsed.name: parsed.specifier for parsed in map(Requirement, wanted)}
    declared = {name: [each.version for each in bound if each.operator == ">="] for name, bound in bounds.items()}
    assert {name: [floor] for name, floor in FLOORS.items()} == declared


def test_what_is_installed_here_is_new_enough() -> None:
    assert find_outdated() is None


def test_every_library_that_is_too_old_is_named_with_both_versions() -> None:
    installed = {**FLOORS, "langgraph": "1.2.9", "psycopg": "3.1.20"}
    said = find_outdated(installed.__getitem__)
    assert said is not None
    assert "langgraph is 1.2.9, 1.2.13 or newer is needed" in said
    assert "psycopg is 3.1.20, 3.3.6 or newer is needed" in said
    assert "pydantic" not in said


def test_versions_are_compared_as_numbers() -> None:
    for version in ("1.2.13", "1.2.13.post1", "1.10", "1.3.0rc1", "2.0.0.dev1"):
        assert find_outdated({**FLOORS, "langgraph": version}.__getitem__) is None
    assert find_outdated({**FLOORS, "langgraph": "1.2.12.post9"}.__getitem__) is not None


def test_a_library_that_is_missing_is_named() -> None:
    def read(name: str) -> str:
        if name == "minio":
            raise importlib.metadata.PackageNotFoundError(name)
        return FLOORS[name]

    assert "minio is not installed" in (find_outdated(read) or "")
