"""One line on a terminal that shows the progress of a turn."""

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Final, Self

import click
from rich.cells import cell_len, set_cell_size

from agentic_cli.model.sessions import Session
from agentic_cli.output.conversation import describe_progress
from agentic_cli.output.terminal import wants_colour

_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAME_SECONDS: Final = 0.125
_CLEAR: Final = "\r\x1b[2K"


class ProgressLine:
    """Draws one line on standard error until it is closed; ``pause`` clears it for a question.

    A thread draws, and the main thread only starts and ends it: Ctrl-C may come at any moment and leaves no half of it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._session: Session | None = None
        self._begun = time.monotonic()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def show(self, session: Session) -> None:
        """Draw this state from now on."""
        self._session = session

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Leave the terminal to a question."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    def _start(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._draw, args=(self._ended,), daemon=True)
        self._thread.start()

    def _stop(self) -> None:
        self._ended.set()
        if self._thread is not None:
            # Ctrl-C may have come before the thread began: then there is none to wait for.
            with suppress(RuntimeError):
                self._thread.join()

    def _draw(self, ended: threading.Event) -> None:
        if os.environ.get("TERM") == "dumb":
            # It cannot erase what was drawn.
            return
        while not ended.wait(_FRAME_SECONDS):
            if self._session is not None:
                click.echo(f"{_CLEAR}{self._render(self._session)}", nl=False, err=True, color=True)
        click.echo(_CLEAR, nl=False, err=True, color=True)

    def _render(self, session: Session) -> str:
        seconds = time.monotonic() - self._begun
        frame = _FRAMES[int(seconds / _FRAME_SECONDS) % len(_FRAMES)]
        text = fit_line(
            f"{frame} {describe_progress(session, self._name, seconds)}", shutil.get_terminal_size().columns
        )
        return click.style(text, dim=True) if wants_colour(sys.stderr) else text


def fit_line(text: str, columns: int) -> str:
    """Return a text that stays on one line of a terminal: cut before its last column, by the width of characters."""
    return text if cell_len(text) < columns else f"{set_cell_size(text, max(1, columns - 2)).rstrip()}…"
