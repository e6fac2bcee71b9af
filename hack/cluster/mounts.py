"""Finds and removes the mounts below the state folder: root file systems, volumes, network namespaces."""

import ctypes
import os
from pathlib import Path

_DETACH = 2


def parse_mounts(mountinfo: str, below: Path) -> list[Path]:
    """List the mount points below a folder, the deepest and latest first."""
    points = []
    for line in mountinfo.splitlines():
        point = Path(line.split(" ")[4].replace(r"\040", " "))
        if point.is_relative_to(below):
            points.append(point)
    return sorted(points, key=lambda point: len(point.parts), reverse=True)


def mounts_below(folder: Path) -> list[Path]:
    return parse_mounts(Path("/proc/self/mountinfo").read_text(), folder)


def unmount_below(folder: Path) -> None:
    """Detach every mount below a folder, even one that a dying process still uses."""
    library = ctypes.CDLL(None, use_errno=True)
    for point in mounts_below(folder):
        if library.umount2(os.fsencode(point), _DETACH) != 0 and point in mounts_below(folder):
            raise OSError(ctypes.get_errno(), f"cannot unmount {str(point)!r}")
