"""The command line as a person installs it: the built wheel with one extra, in an environment of its own."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from hack.kubectl import ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of programs after `pip install 'agentic-operator[cli]'`."""
    folder = tmp_path_factory.mktemp("wheel")
    run(Path(sys.executable).with_name("uv"), "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT))
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv/bin"
    run(programs / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", f"{wheel}[cli]")
    return programs


def run(program: Path, *arguments: str, status: int = 0) -> str:
    """Run a program outside of this checkout, without what this environment has; return its output."""
    environment = {"HOME": "/nonexistent", "PATH": "/usr/bin:/bin"} if program.parent.parent.name == "venv" else None
    done = subprocess.run(
        [program, *arguments], cwd="/", env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_wheel_with_the_extra_cli_gives_a_command_that_works(installed: Path) -> None:
    assert "agentic" in run(installed / "agentic", "--version")
    listed = run(installed / "agentic", "--help")
    commands = [line.split()[0] for line in listed.partition("Commands:")[2].splitlines() if line.startswith("  ")]
    assert {"run", "list", "get", "retry", "migrate", "audit", "completion"} <= set(commands)
    for command in commands:
        assert "Usage:" in run(installed / "agentic", command, "--help"), command
    # Each command's code is there, and all that it imports: a cluster is what is missing.
    assert "kubeconfig" in run(installed / "agentic", "list", status=1)
    assert "#compdef" in run(installed / "agentic", "completion", "zsh")
    assert "list" in run(installed / "kubectl-agentic", "--help")


def test_the_extra_cli_brings_no_framework(installed: Path) -> None:
    listed = json.loads(run(installed / "python", "-m", "pip", "list", "--format=json", "--disable-pip-version-check"))
    names = {each["name"] for each in listed}
    assert "agentic-operator" in names
    assert not names & {"kopf", "langgraph", "langchain-core", "kubernetes", "kubernetes-asyncio", "fastapi"}
