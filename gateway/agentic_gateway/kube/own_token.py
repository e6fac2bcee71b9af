"""The token of the gateway's own account, read again whenever the kubelet has replaced it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

REREAD_SECONDS: Final = 60.0


class OwnToken:
    """The token in a file."""

    def __init__(self, file: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._read: tuple[float, str] | None = None

    def read(self) -> str:
        """Return the token; raises ``OSError`` if there is no such file."""
        if self._read is None or self._read[0] <= self._clock():
            self._read = self._clock() + REREAD_SECONDS, self._file.read_text(encoding="ascii").strip()
        return self._read[1]
