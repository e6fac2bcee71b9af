"""Programs that try an OpenAPI document from outside, in an environment of their own."""

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from hack.cluster.folders import cache_folder
from tests.support.commands import ROOT

REQUIREMENTS = ROOT / "requirements" / "openapi-tools.txt"


def find_tool(name: str) -> Path:
    """Return a program of the environment, which is made from the locked requirements where it is not there yet."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = cache_folder(os.environ) / f"openapi-tools-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "openapi-tools.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            uv = Path(sys.executable).with_name("uv")
            python = folder / "bin" / "python"
            subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, folder], check=True)
            subprocess.run([uv, "pip", "sync", "-q", "--python", python, "--require-hashes", REQUIREMENTS], check=True)
            (folder / "done").touch()
    return folder / "bin" / name
