"""The commands of a guide, as its reader would paste them."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.commands import ROOT

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def read_commands(page: str) -> list[str]:
    """Return the blocks of shell commands of a page in `docs/`, in their order."""
    return _BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))


def run_commands(commands: str, *, env: Mapping[str, str], folder: Path) -> str:
    """Run a block in a shell that stops at the first failure; return what it printed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        env=dict(env),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr
