"""Paths inside a container at which a definition may have something mounted: which are well-formed, which are ours.

A path is refused rather than rewritten: what is written in a definition is what is mounted. A mount on a folder hides
what lies there, one below a folder changes it, and one above a folder hides all of it; so a path is ours in all three
cases. Symbolic links of an image are its own affair: who builds the image decides about all of its code anyway.
"""

import re
from typing import Final

from agentic_core.contract import WORKSPACE_DIR

# One part of a path: neither empty nor made of dots alone, so that no path leaves its folder.
SEGMENT: Final = r"\.{0,2}[A-Za-z0-9_@+-][A-Za-z0-9._@+-]*"
RELATIVE: Final = rf"{SEGMENT}(/{SEGMENT})*"
MAX_PATH_LENGTH: Final = 512
# Where a definition may have its own volumes: all of an image that is elsewhere stays as it was built.
VOLUME_ROOTS: Final = ("/mnt", "/data", "/cache", "/etc/agentic")
VOLUME_PATH: Final = rf"({'|'.join(VOLUME_ROOTS)})(/{SEGMENT})*"

# The runner's program, its secrets, the folders that every pod has, and what the container runtime mounts. In images
# whose /var/run is a link, the secrets lie in both places.
RESERVED: Final = (
    "/opt/agentic",
    "/var/run/secrets",
    "/run/secrets",
    "/tmp",  # noqa: S108  (the pod's own emptyDir)
    WORKSPACE_DIR,
    "/proc",
    "/sys",
    "/dev",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
)
_ABSOLUTE: Final = re.compile(rf"(/{SEGMENT})+")
_RELATIVE: Final = re.compile(RELATIVE)
_VOLUME: Final = re.compile(VOLUME_PATH)


def explain_bad_path(path: str, *, is_relative: bool = False) -> str | None:
    """Return why ``path`` is not well-formed; None if it is."""
    if len(path) > MAX_PATH_LENGTH:
        return f"the path has {len(path)} characters; at most {MAX_PATH_LENGTH} are possible"
    if is_relative:
        wanted, form = "a path below the working directory, such as data/cache", _RELATIVE
    else:
        wanted, form = "an absolute path, such as /data/models", _ABSOLUTE
    if form.fullmatch(path) is None:
        return (
            f"{path!r} is not {wanted}: letters, digits and '._@+-', parts joined by single slashes, none of them "
            "'.' or '..'"
        )
    return None


def explain_bad_volume_path(path: str) -> str | None:
    """Return why no volume may be mounted at ``path``; None if one may."""
    if fault := explain_bad_path(path):
        return fault
    if _VOLUME.fullmatch(path) is None:
        return f"{path!r} is not below {', '.join(VOLUME_ROOTS)}: mount the volume there"
    return None


def find_reserved(path: str) -> str | None:
    """Return the reserved folder that a mount at the well-formed absolute ``path`` would touch; None for none."""
    return next((folder for folder in RESERVED if is_within(path, folder) or is_within(folder, path)), None)


def is_within(path: str, folder: str) -> bool:
    """Return whether ``path`` is ``folder`` or below it; both well-formed and absolute."""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
