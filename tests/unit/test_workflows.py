"""The workflows of a public forge: what they call exists, and they have no right and no secret beyond their needs."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.full import PARTS
from tests.unit.test_layout import ROOT

Json = dict[str, Any]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
PAGE = (ROOT / "docs" / "releasing.md").read_text(encoding="utf-8")
EXPRESSION = re.compile(r"\$\{\{")
PATH = re.compile(r"\b(?:images|charts|hack|manifests|requirements|docs)/[\w./-]+\w")


def read(file: Path) -> Json:
    workflow: Json = yaml.safe_load(file.read_text(encoding="utf-8"))
    return workflow


def steps_of(workflow: Json) -> list[Json]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def scripts_of(workflow: Json) -> list[str]:
    return [step["run"] for step in steps_of(workflow) if "run" in step]


def expand(name: str, job: Json) -> list[str]:
    """Return a text of a job with each value of its matrix in its place."""
    matrix = job.get("strategy", {}).get("matrix", {})
    texts = [name]
    for key, values in matrix.items():
        pattern = f"${{{{ matrix.{key} }}}}"
        texts = [text.replace(pattern, str(value)) for text in texts for value in (values if pattern in text else [""])]
    return texts


def test_there_are_three_and_the_guide_describes_each() -> None:
    assert [file.name for file in FILES] == ["check.yaml", "release.yaml", "tests.yaml"]
    assert [file.name for file in FILES if f"`{file.name}`" not in PAGE] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_target_part_and_file_that_it_names_exists(file: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    workflow = read(file)
    called = [name for script in scripts_of(workflow) for name in re.findall(r"\bmake ([a-z0-9-]+)", script)]
    assert called
    assert set(called) - targets == set()
    for job in workflow["jobs"].values():
        parts = job.get("strategy", {}).get("matrix", {}).get("part", [])
        assert set(parts) - set(PARTS) == set()
        texts = [text for step in job["steps"] for value in _texts(step) for text in expand(value, job)]
        named = {path for text in texts for path in PATH.findall(text) if "://" not in text}
        assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def _texts(value: object) -> list[str]:
    """Return all texts of a step but what names an action."""
    if isinstance(value, dict):
        return [
            text for key, each in value.items() if key not in ("uses", "tags", "REFERENCE") for text in _texts(each)
        ]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_may_read_and_a_job_that_needs_more_says_so(file: Path) -> None:
    workflow = read(file)
    assert workflow["permissions"] == {"contents": "read"}
    writing = {name for name, job in workflow["jobs"].items() if "write" in job.get("permissions", {}).values()}
    assert writing == ({"images", "chart", "packages"} if file.stem == "release" else set())
    for name, job in workflow["jobs"].items():
        assert "permissions" not in job or name in writing
        assert 0 < job["timeout-minutes"] <= 120
        assert job["runs-on"] == "ubuntu-latest"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_secret_reaches_a_script_and_no_script_is_made_of_an_event(file: Path) -> None:
    workflow = read(file)
    for script in scripts_of(workflow):
        assert not EXPRESSION.search(script), "pass values as variables: text of an event would become code"
        assert not re.search(r"set -[a-z]*x|\bprintenv\b|^\s*env\s*$", script, re.MULTILINE)
    for step in steps_of(workflow):
        assert "secrets." not in str(step.get("env", "")), step
        if "secrets." in str(step):
            assert step["uses"].startswith("docker/login-action@")
        if str(step.get("uses", "")).startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_action_has_a_version(file: Path) -> None:
    used = [step["uses"] for step in steps_of(read(file)) if "uses" in step]
    assert used
    assert [name for name in used if not re.fullmatch(r"[\w-]+/[\w./-]+@(v\d+|[0-9a-f]{40})", name)] == []


def test_unit_tests_run_on_every_supported_python() -> None:
    (matrix,) = [job["strategy"]["matrix"] for job in read(FILES[0])["jobs"].values() if "strategy" in job]
    lowest = re.search(r'requires-python = ">=3\.(\d+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert lowest is not None
    assert matrix["python"] == [f"3.{minor}" for minor in range(int(lowest[1]), 15)]


def test_a_release_stops_where_its_base_has_no_digest_and_signs_what_it_makes() -> None:
    release = read(ROOT / ".github" / "workflows" / "release.yaml")
    assert any('[[ "$BASE" == *@sha256:* ]]' in script for script in scripts_of(release))
    build = next(
        s for s in release["jobs"]["images"]["steps"] if str(s.get("uses", "")).startswith("docker/build-push")
    )
    assert build["with"]["platforms"] == "linux/amd64,linux/arm64"
    assert build["with"]["sbom"] is True
    assert build["with"]["provenance"] == "mode=max"
    assert 'make release PYTHON=python REGISTRY="$REGISTRY"' in scripts_of(release)
    for name in ("images", "chart", "packages"):
        assert any("cosign sign" in script for script in scripts_of({"jobs": {name: release["jobs"][name]}})), name
        assert "verify" in release["jobs"][name]["needs"]
