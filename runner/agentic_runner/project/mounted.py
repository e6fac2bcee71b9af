"""Code comes from the image: what its pod mounts holds data, and nothing is loaded from there.

An admin decides which images run. A file of a ConfigMap that stands in for the project, or for a module of it, would
make that decision worth nothing; so would a path that leads there by a link.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agentic_core.errors import GraphLoadError

VARIABLE: Final = "MOUNTED_PATHS"


def refuse_mounted(path: Path, what: str, environ: Mapping[str, str] = os.environ) -> None:
    """Raise :class:`GraphLoadError` if ``path`` is in a folder that is mounted into the pod."""
    real = path.resolve()
    for folder in filter(None, environ.get(VARIABLE, "").split(":")):
        if real.is_relative_to(Path(folder).resolve()):
            raise GraphLoadError(
                f"{what} lies in {folder!r}, which is mounted into the pod: code is loaded from the image alone; copy"
                " it into the image"
            )
