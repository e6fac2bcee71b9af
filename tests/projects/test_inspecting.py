"""Every project is inspected as its own process, started isolated as in its image."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentic_core.inspection import find_report
from tests.projects.cases import CASES, GATE, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_project_of_each_kind_is_inspected(case: Case, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-u", "-m", "agentic_runner", "inspect"],
        cwd=case.root,
        env={
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(GATE),
            "PYTHONDONTWRITEBYTECODE": "1",
            "GRAPH": case.graph,
            "TERMINATION_LOG": str(tmp_path / "termination"),
            **case.variables,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = find_report(done.stdout)
    assert report is not None
    assert report["nodes"]
    assert report["ignored"] == []
    assert "notes" not in report
