"""Run the project's own commands as a person does: as processes, with an environment and nothing else."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[2]

# As in its image, which has no Kubernetes client: Kopf would import the one of these tests at every start.
_OPERATOR = """\
import runpy, sys
sys.modules.update(dict.fromkeys(("kubernetes", "kubernetes_asyncio")))
runpy.run_module("agentic_operator", run_name="__main__", alter_sys=True)
"""
OPERATOR = (sys.executable, "-c", _OPERATOR)
"""The command that starts the operator."""


def clean_environment(**variables: str) -> dict[str, str]:
    """Return an environment without this one's variables, apart from what a process needs to start."""
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **variables}


def run_agentic(
    *arguments: str, env: Mapping[str, str], timeout: float = PATIENCE_SECONDS
) -> subprocess.CompletedProcess[str]:
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
