"""Each Python that a base image may have: what we lock can be installed there, without a compiler."""

import subprocess
import sys
from pathlib import Path

import pytest

from hack.kubectl import ROOT


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize("lock", ["runner", "operator", "langgraph-base"])
def test_what_is_locked_has_wheels(tmp_path: Path, python: str, lock: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    options = ["--dry-run", "--no-config", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    target = ["--python-version", python, "--python-platform", "x86_64-manylinux_2_28", "--target", str(tmp_path)]
    requirements = ROOT / "requirements" / f"{lock}.txt"
    done = subprocess.run(
        [uv, "pip", "install", *options, *target, "-r", requirements], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
