"""The environment that the operator has in its image: what its own lock names, and our sources."""

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hack.kubectl import ROOT

LOCK: Final = ROOT / "requirements" / "operator.txt"
PARTS: Final = ("core", "store", "operator", "cli", "vault")


def make_operator_environment(beside: Sequence[str] = ()) -> Path:
    """Return the Python of such an environment below ``.venv``; made where it is new, which takes a minute.

    ``beside`` is installed as well, to see what the mere presence of packages costs.
    """
    name = hashlib.sha256(LOCK.read_bytes() + repr(sorted(beside)).encode()).hexdigest()[:12]
    folder = ROOT / ".venv" / "operator" / name
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        added = "".join(f" and {each}" for each in beside)
        print(f"==> an environment with {LOCK.relative_to(ROOT)}{added}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = (str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check")
        subprocess.run([*pip, "--require-hashes", "-r", str(LOCK)], check=True)
        if beside:
            subprocess.run([*pip, *beside], check=True)
        # As in the image, our sources are on the path and are no packages that are installed.
        (packages,) = folder.glob("lib/python*/site-packages")
        (packages / "agentic.pth").write_text("".join(f"{ROOT / part}\n" for part in PARTS), encoding="utf-8")
        complete.touch()
    return python
