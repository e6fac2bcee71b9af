"""Where a graph stops until a test lets it go on: only where GATE names a folder."""

import os
import time
from pathlib import Path


def wait_here() -> None:
    """Say that this point is reached, and wait for the file ``go``."""
    if not (folder := os.environ.get("GATE")):
        return
    (Path(folder) / "reached").touch()
    while not (Path(folder) / "go").exists():
        time.sleep(0.01)
