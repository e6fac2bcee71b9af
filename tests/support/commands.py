"""Run the project's own commands as a person does: as processes, with an environment and nothing else."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def clean_environment(**variables: str) -> dict[str, str]:
    """Return an environment without this one's variables, apart from what a process needs to start."""
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **variables}


def run_agentic(*arguments: str, env: Mapping[str, str], timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run ``agentic`` with ``arguments`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "agentic_cli", *arguments],
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )
