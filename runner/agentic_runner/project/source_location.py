"""Finds the line of the author's code that raised an exception."""

import sys
import sysconfig
from pathlib import Path
from types import TracebackType
from typing import Final

_KINDS: Final = ("stdlib", "platstdlib", "purelib", "platlib")
_LIBRARIES: Final = tuple({str(Path(path).resolve()) for kind in _KINDS if (path := sysconfig.get_path(kind))})
_OURS: Final = ("agentic_runner", "agentic_core", "agentic_store")


def find_source(error: BaseException, root: Path | None) -> str:
    """Return ``file:line`` of the last frame in the author's own files; empty if there is none.

    Files below ``root`` are named from there, others of the author's (a library beside it) by their last parts.
    """
    found = ""
    tb: TracebackType | None = error.__traceback__
    while tb is not None:
        if (name := _name_file(tb, root)) is not None:
            found = f"{name}:{tb.tb_lineno}"
        tb = tb.tb_next
    return found


def _name_file(tb: TracebackType, root: Path | None) -> str | None:
    """Return the name of a frame's file; None for files of libraries, our own, and none at all."""
    module = str(tb.tb_frame.f_globals.get("__name__", ""))
    text = tb.tb_frame.f_code.co_filename
    if module.partition(".")[0] in _OURS or text.startswith("<"):
        return None
    file = Path(text)
    if not file.is_absolute() or "site-packages" in file.parts or "dist-packages" in file.parts:
        return None
    try:
        file = file.resolve()
    except OSError:
        return None
    if root is not None and file.is_relative_to(root.resolve()):
        return str(file.relative_to(root.resolve()))
    if str(file).startswith(_LIBRARIES) or file.is_relative_to(Path(sys.prefix).resolve()):
        return None
    return "/".join(file.parts[-2:])
