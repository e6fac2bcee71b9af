"""Masks secrets in what the process prints, below every way to print.

Handlers of the project's own logging, ``print`` and tracebacks all end at ``sys.stdout`` and ``sys.stderr``, whatever
the project does to the root logger. Not masked is what goes past them: file descriptors that code writes to itself, and
programs that it starts.
"""

import io
import os
import sys
import threading
from typing import BinaryIO, TextIO

from agentic_runner.output.redaction import Redactor

# A line longer than this is written in pieces.
_LONGEST_LINE = 64 * 1024


class MaskedOutput(io.RawIOBase):
    """Bytes in, masked bytes out, line by line.

    A flush writes the started line, except for an end that may be the beginning of a secret.
    """

    def __init__(self, target: BinaryIO, redactor: Redactor) -> None:
        self._target = target
        self._redactor = redactor
        self._begun = ""
        self._lock = threading.RLock()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._target.fileno()

    def isatty(self) -> bool:
        return self._target.isatty()

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        text = bytes(data).decode("utf-8", errors="surrogateescape")
        with self._lock:
            self._begun += text
            whole, newline, rest = self._begun.rpartition("\n")
            if newline:
                self._begun = rest
                self._put(self._redactor.redact(whole + newline))
            if len(self._begun) > _LONGEST_LINE:
                self._let_out()
        return len(data)

    def flush(self) -> None:
        if self.closed:
            return
        with self._lock:
            self._let_out()
            self._target.flush()

    def close(self) -> None:
        """Write the rest; the target stays open."""
        if not self.closed:
            with self._lock:
                text, self._begun = self._begun, ""
                self._put(self._redactor.redact(text))
                self._target.flush()
            super().close()

    def _let_out(self) -> None:
        text = self._redactor.redact(self._begun)
        kept = self._redactor.count_begun(text)
        self._begun = text[len(text) - kept :]
        self._put(text[: len(text) - kept])

    def _put(self, text: str) -> None:
        """Write text that is already masked."""
        if text:
            self._target.write(text.encode("utf-8", errors="surrogateescape"))
            self._target.flush()


def open_masked(descriptor: int, redactor: Redactor) -> TextIO:
    """Return a stream of text on a descriptor, which stays open with it or without."""
    output = MaskedOutput(os.fdopen(descriptor, "wb", closefd=False), redactor)
    return io.TextIOWrapper(output, encoding="utf-8", errors="backslashreplace", write_through=True)  # type: ignore[type-var]


def mask_output(redactor: Redactor) -> None:
    """Replace the process's own streams by masked ones; repeatable."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, f"__{name}__")
        if stream is None or isinstance(getattr(stream, "buffer", None), MaskedOutput):
            continue
        stream.flush()
        # Not the old stream's buffer, which is closed with the stream.
        masked = open_masked(stream.fileno(), redactor)
        setattr(sys, f"__{name}__", masked)
        setattr(sys, name, masked)
