"""The one file that holds the secret: whole or absent, readable by its owner alone, and in memory."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agentic_vault.errors import ExitCode, Missing

MODE = 0o400
_IN_MEMORY = ("tmpfs", "ramfs")


def write(path: Path, text: str) -> None:
    """Put ``text`` into a file of mode 0400, replacing an earlier one in one step; raise ``Missing`` where it fails."""
    with beside(path, text) as unfinished:
        try:
            unfinished.chmod(MODE)
            unfinished.rename(path)
        except OSError as error:
            raise _refused(path, error) from error


@contextlib.contextmanager
def beside(path: Path, text: str) -> Iterator[Path]:
    """Lend a file with ``text`` in the same folder, readable by nobody else; it goes unless it was renamed."""
    unfinished = ""
    try:
        try:
            # Made with 0600 by mkstemp, under a name that nobody knows.
            descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise _refused(path, error) from error
        yield Path(unfinished)
    finally:
        if unfinished:
            Path(unfinished).unlink(missing_ok=True)


def _refused(path: Path, error: OSError) -> Missing:
    return Missing(
        ExitCode.NOT_WRITTEN,
        f"cannot write {str(path)!r}: {error.strerror}: mount an emptyDir with `medium: Memory` there, with an "
        "fsGroup of this user",
    )


def find_disk(path: Path, mounts: str) -> str:
    """Return the kind of file system that would put ``path`` on a disk; empty if it is in memory.

    ``mounts`` is the text of ``/proc/self/mountinfo``.
    """
    best, kind = "", ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = left.split(" ")[4].encode().decode("unicode_escape") if left.count(" ") > 4 else ""
        is_above = point == "/" or str(path.parent) == point or str(path.parent).startswith(f"{point}/")
        # Later ones cover earlier ones at the same point.
        if point and is_above and len(point) >= len(best):
            best, kind = point, right.partition(" ")[0]
    return "" if kind in _IN_MEMORY else kind
