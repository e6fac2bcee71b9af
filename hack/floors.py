"""``make test-floors``: the unit and integration tests on the lowest versions that ``pyproject.toml`` names.

The lock files hold the newest ones; a floor that nobody runs is a guess. What our own requirements need in turn is
taken as new as they allow, because that is what an installer picks.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hack.kubectl import ROOT
from hack.steps import step

# Below .venv, so that it is ignored, and removed with it.
FOLDER = ROOT / ".venv" / "floors"
PYTHON = FOLDER / "bin" / "python"
LISTED = FOLDER / "requirements.txt"
TESTS = ("tests/unit", "tests/integration")


def build_compile_command(target: Path) -> list[str]:
    """Return the command that writes the lowest versions, for this Python."""
    extras = (
        part
        for name in ("operator", "runner", "gateway", "client", "migrate", "cli", "vault")
        for part in ("--extra", name)
    )
    return [
        str(Path(sys.executable).parent / "uv"),
        *("pip", "compile", "-q", "pyproject.toml", "--resolution", "lowest-direct"),
        *extras,
        *("--group", "dev", "--no-emit-index-url", "--no-header", "--no-annotate", "-o", str(target)),
    ]


def require(title: str, command: Sequence[str]) -> None:
    """Take one step; end with its status where it fails."""
    if status := step(title, command):
        raise SystemExit(status)


def main() -> None:
    """Make the environment anew where the versions changed, and run the tests in it."""
    parser = argparse.ArgumentParser(prog="python -m hack.floors", description=__doc__)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="for pytest, instead of all")
    arguments: list[str] = parser.parse_args().arguments or ["-n", "2", "--dist", "loadfile", *TESTS]
    if not PYTHON.exists():
        require("a second environment", [sys.executable, "-m", "venv", str(FOLDER)])
    require("lowest versions", build_compile_command(LISTED))
    pip = [str(PYTHON), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    require("install them", [*pip, "-r", str(LISTED)])
    require("install this project", [*pip, "--no-deps", "-e", "."])
    require("tests on the lowest versions", [str(PYTHON), "-m", "pytest", "-q", *arguments])


if __name__ == "__main__":
    main()
