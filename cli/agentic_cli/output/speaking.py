"""Prints what a session says while its state is shown, too: two threads, one terminal."""

import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import click

from agentic_cli.model.sessions import Session
from agentic_cli.model.turns import find_turn
from agentic_cli.output.progress import ProgressLine, fit_line
from agentic_cli.output.spoken import Line, Spoken, Words
from agentic_cli.output.terminal import note, printable, wants_colour
from agentic_core.display import show_text

if TYPE_CHECKING:
    from agentic_client import Message


class Shown(Protocol):
    """A view of a session's state."""

    def show(self, session: Session) -> None:
        """Show this state."""

    def pause(self) -> AbstractContextManager[None]:
        """Leave the terminal to something else."""


class Printer:
    """Prints parts of texts as they come, or each text once it is whole (``is_live`` False, for pipes)."""

    def __init__(self, *, is_live: bool) -> None:
        self._is_live = is_live
        self._held: list[str] = []
        self._is_within = False

    def print(self, piece: Words | Line) -> None:
        """Print a piece: words to standard output, lines about tools to standard error."""
        match piece:
            case Words(text):
                self._held.append(text)
                if self._is_live:
                    self._flush()
            case Line(""):
                self._flush()
                self.end_line()
            case Line(text):
                self.end_line()
                self._print_line(text)

    def end_line(self) -> None:
        """End the line that words are on."""
        if self._is_within:
            click.echo("")
            self._is_within = False

    def _flush(self) -> None:
        text = show_text("".join(self._held))
        self._held.clear()
        if text:
            click.echo(text, nl=False)
            sys.stdout.flush()
            self._is_within = not text.endswith("\n")

    def _print_line(self, text: str) -> None:
        text = printable(text)
        if sys.stderr.isatty():
            text = fit_line(text, shutil.get_terminal_size().columns)
        click.echo(click.style(text, dim=True), err=True, color=wants_colour(sys.stderr))


class SpeakingView:
    """A view of a session's state, and what the session says between the states."""

    def __init__(self, view: Shown, *, is_live: bool) -> None:
        self._view = view
        self._printer = Printer(is_live=is_live)
        self._spoken = Spoken()
        self._lock = threading.Lock()
        self._is_paused = False
        self._held: list[Message] = []
        self._is_over = threading.Event()

    def show(self, session: Session) -> None:
        """Show this state, on lines of its own."""
        with self._lock:
            self._printer.end_line()
            self._view.show(session)

    def hear(self, message: "Message") -> None:
        """Show what a message says; after the question, if one is asked."""
        with self._lock:
            self._held.append(message)
            self._print()

    def tell(self, text: str) -> None:
        """Tell something about the stream itself."""
        with self._lock:
            self._printer.end_line()
            note(text)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Leave the terminal to a question."""
        with self._lock:
            self._is_paused = True
            self._printer.end_line()
        try:
            with self._view.pause():
                yield
        finally:
            with self._lock:
                self._is_paused = False
                self._print()

    def finish(self, seconds: float) -> None:
        """Wait for the last words, for so long at most."""
        self._is_over.wait(seconds)
        with self._lock:
            self._printer.end_line()

    def _print(self) -> None:
        if self._is_paused:
            return
        for message in self._held:
            for piece in self._spoken.take(message):
                self._printer.print(piece)
        self._held.clear()
        if self._spoken.is_over:
            self._is_over.set()


class SpeakingLine:
    """The progress of a turn until it speaks, then its words; a call of a tool is a line, and the progress goes on."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._progress = ProgressLine(name)
        self._printer = Printer(is_live=True)
        self._spoken: Spoken | None = None
        self._lock = threading.Lock()
        self._halt: ExitStack | None = None
        self._is_paused = False
        self._held: list[Message] = []
        self._is_over = threading.Event()

    def __enter__(self) -> Self:
        self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._is_paused = True
            self._printer.end_line()
            self._go_on()
            self._progress.__exit__(kind, error, trace)

    @property
    def reply(self) -> str:
        """The last text that was said to its end."""
        return self._spoken.reply if self._spoken is not None else ""

    def show(self, session: Session) -> None:
        """Draw this state from now on; the turn's number tells which messages are its own."""
        self._progress.show(session)
        turn = find_turn(session, self._name)
        if turn is not None and turn.number and self._spoken is None:
            with self._lock:
                self._spoken = Spoken(turn.number)
                self._print()

    def hear(self, message: "Message") -> None:
        """Show what a message says; once the turn's number is known, and after the question that is asked."""
        with self._lock:
            self._held.append(message)
            self._print()

    def tell(self, text: str) -> None:
        """Tell something about the stream itself."""
        with self._lock:
            self._stop()
            self._printer.end_line()
            note(text)
            self._go_on()

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Leave the terminal to a question."""
        with self._lock:
            self._is_paused = True
            self._printer.end_line()
            self._go_on()
        try:
            with self._progress.pause():
                yield
        finally:
            with self._lock:
                self._is_paused = False
                self._print()

    def finish(self, seconds: float) -> None:
        """Wait for the last words, for so long at most."""
        self._is_over.wait(seconds)

    def _print(self) -> None:
        if self._is_paused or self._spoken is None:
            return
        for message in self._held:
            self._show(self._spoken.take(message))
        self._held.clear()
        if self._spoken.is_over:
            self._is_over.set()

    def _show(self, pieces: Sequence[Words | Line]) -> None:
        for piece in pieces:
            self._stop()
            self._printer.print(piece)
            if isinstance(piece, Line) and piece.text:
                # Until the tool has ended, nothing is said.
                self._go_on()

    def _stop(self) -> None:
        """Clear the progress: words go there."""
        if self._halt is None:
            self._halt = ExitStack()
            self._halt.enter_context(self._progress.pause())

    def _go_on(self) -> None:
        if self._halt is not None:
            self._halt.close()
            self._halt = None
