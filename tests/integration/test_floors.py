"""The lowest versions that are allowed are resolved as they are declared; `make test-floors` runs the tests on them."""

import subprocess
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from agentic_runner.floors import FLOORS
from hack.floors import build_compile_command
from hack.kubectl import ROOT


def read_floors() -> dict[NormalizedName, Version]:
    """Return the lowest version that any of our extras allows of what it names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    floors: dict[NormalizedName, Version] = {}
    for text in (
        *project.get("dependencies", ()),
        *(one for part in project["optional-dependencies"].values() for one in part),
    ):
        requirement = Requirement(text)
        lowest = [Version(each.version) for each in requirement.specifier if each.operator in (">=", "==", "~=")]
        if lowest and (requirement.marker is None or requirement.marker.evaluate()):
            name = canonicalize_name(requirement.name)
            floors[name] = max(max(lowest), floors.get(name, max(lowest)))
    return floors


def test_the_lowest_versions_resolve_to_what_is_declared(tmp_path: Path) -> None:
    target = tmp_path / "lowest.txt"
    done = subprocess.run(
        build_compile_command(target), cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    resolved = {}
    for line in target.read_text(encoding="utf-8").splitlines():
        if "==" in line and not line.startswith("#"):
            requirement = Requirement(line)
            (pin,) = requirement.specifier
            resolved[canonicalize_name(requirement.name)] = Version(pin.version)
    declared = read_floors()
    assert set(declared) <= set(resolved)
    # But for a patch release, which may have been withdrawn, or be too old for another requirement.
    found = {name: (resolved[name].major, resolved[name].minor) for name in declared}
    assert found == {name: (floor.major, floor.minor) for name, floor in declared.items()}
    assert all(resolved[name] >= floor for name, floor in declared.items())
    # What a run compares the image with is the same.
    for name, floor in FLOORS.items():
        assert resolved[canonicalize_name(name)] >= Version(floor), name
