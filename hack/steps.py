"""One step of a longer piece of work: a command with its output shown, its time and its status."""

import os
import subprocess
import time
from collections.abc import Sequence

from hack.kubectl import ROOT


def step(title: str, command: Sequence[str], **environment: str) -> int:
    """Run one command and say how long it took; return its exit status."""
    print(f"==> {title}", flush=True)
    began = time.monotonic()
    variables = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
    status = subprocess.run(command, cwd=ROOT, check=False, env=variables).returncode
    print(f"    {title}: {time.monotonic() - began:.0f} s, status {status}", flush=True)
    return status
