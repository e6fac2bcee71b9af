"""Tells the person in front of the terminal what happens, without flooding a log file."""

import sys
import time
from typing import TextIO


class Progress:
    """Prints lines; a status line is rewritten on a terminal and repeated every 15 seconds elsewhere."""

    def __init__(self, stream: TextIO = sys.stderr, *, quiet_seconds: float = 15) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._quiet_seconds = quiet_seconds
        self._begun = time.monotonic()
        self._said_at = self._begun
        self._open_line = False

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def say(self, text: str) -> None:
        self._close_line()
        print(f"[{self.seconds:5.1f} s] {text}", file=self._stream, flush=True)
        self._said_at = time.monotonic()

    def status(self, text: str) -> None:
        """Show a passing state, such as a count."""
        if self._terminal:
            print(f"\r\x1b[K[{self.seconds:5.1f} s] {text}", end="", file=self._stream, flush=True)
            self._open_line = True
        elif time.monotonic() - self._said_at >= self._quiet_seconds:
            self.say(text)

    def _close_line(self) -> None:
        if self._open_line:
            print("\r\x1b[K", end="", file=self._stream)
            self._open_line = False
