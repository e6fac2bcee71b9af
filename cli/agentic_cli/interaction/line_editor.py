"""Reading lines from a terminal: editing, history, pastes of several lines, and no loss of what was typed.

Lines are read by readline: a terminal in its canonical mode truncates a line after 4,095 bytes.
"""

import sys
from types import ModuleType
from typing import Final

import click

from agentic_cli.interaction.interrupts import interruptible
from agentic_cli.interaction.prompting import NoAnswer, TerminalDialogue
from agentic_cli.output import terminal

_GO_ON: Final = "\\"


class LineEditor:
    """The prompt of a chat."""

    def __init__(self) -> None:
        self._readline = _find_readline()
        self._restored = ""

    def restore(self, text: str) -> None:
        """Put a text that could not be sent back on the next prompt."""
        self._restored = text
        if text and self._readline is None:
            terminal.note(f"not sent: {text}")

    def add_history(self, text: str) -> None:
        """Add a text to what the arrow keys bring back."""
        if self._readline is not None and text:
            self._readline.add_history(text)

    def read(self, prompt: str) -> str:
        r"""Return a line, or several if all but the last end with ``\``.

        Raises ``NoAnswer`` at the end of input (Ctrl-D) and ``KeyboardInterrupt`` for Ctrl-C; what was typed before is
        added to the history.
        """
        lines = [self._read(prompt)]
        while lines[-1].endswith(_GO_ON):
            lines[-1] = lines[-1].removesuffix(_GO_ON)
            lines.append(self._read("." * (len(prompt) - 1) + " "))
        return "\n".join(lines)

    def _read(self, prompt: str) -> str:
        if self._readline is None:
            return TerminalDialogue().ask(prompt.strip())
        restored, self._restored = self._restored, ""
        if restored:
            self._readline.set_startup_hook(lambda: self._insert(restored))
        try:
            with interruptible():
                return input(_style(prompt))
        except EOFError:
            terminal.note("")
            raise NoAnswer from None
        except KeyboardInterrupt:
            self.add_history(self._readline.get_line_buffer())
            raise
        finally:
            self._readline.set_startup_hook(None)

    def _insert(self, text: str) -> None:
        assert self._readline is not None  # noqa: S101  (only then there is a hook)
        self._readline.insert_text(text)


def _find_readline() -> ModuleType | None:
    """Return readline; None if input or output is no terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    try:
        import readline
    except ImportError:
        return None
    # A paste of several lines is one text; Python disables this by default.
    readline.parse_and_bind("set enable-bracketed-paste on")
    # Tab inserts a tab here and completes no file names.
    readline.parse_and_bind("tab: tab-insert")
    return readline


def _style(prompt: str) -> str:
    r"""Return the prompt in bold; readline is told which characters take no room (between \001 and \002)."""
    if not terminal.wants_colour(sys.stdout):
        return prompt
    styled = click.style(prompt.rstrip(), fg="cyan", bold=True)
    start, end = styled.split(prompt.rstrip())
    return f"\001{start}\002{prompt.rstrip()}\001{end}\002 "
