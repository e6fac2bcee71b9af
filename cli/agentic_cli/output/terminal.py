"""Terminal output: progress on stderr, results on stdout, colours for people alone."""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, Final

import click

from agentic_core.display import escape_json, hides, show_line, show_text
from agentic_core.errors import InvalidResource

if TYPE_CHECKING:
    from agentic_store.dsn import Dsn

# Colours and weights, except the attribute "conceal".
_STYLES: Final = re.compile(
    "(\x1b\\[(?:(?:0?[0-7]|9|2[0-9]|[349][0-9]|10[0-7]|[34]8;5;[0-9]{1,3}|[34]8;2(?:;[0-9]{1,3}){3})(?:;(?=[0-9])|(?=m)))*m)"
)
_MAX_CELL: Final = 80
_MIN_CELL: Final = 8
_WHOLE: Final = frozenset({"NAMESPACE", "NAME", "CHECKPOINT", "PHASE"})
_EXPENDABLE: Final = ("REASON", "NODE", "PROGRESS", "LANGGRAPH", "VERSION", "IMAGE")
_PHASE_COLOURS: Final = {
    "Completed": "green",
    "Failed": "red",
    "Stopped": "yellow",
    "WaitingForInput": "magenta",
    "Suspended": "yellow",
    "Running": "cyan",
    "Idle": "blue",
}


def wants_colour(stream: IO[str], environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether ``stream`` is a terminal whose user did not ask for plain text (``NO_COLOR``)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def is_interactive() -> bool:
    """Return whether somebody can be asked: questions go to standard error, answers come from standard input."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def build_reporter(dsn: "Dsn") -> Callable[[str], None]:
    """Return what prints a progress line to standard error, with the password of ``dsn`` taken out of it."""
    arrow = click.style("==>", fg="cyan", bold=True)

    def report(line: str) -> None:
        click.echo(f"{arrow} {dsn.redact(line)}", err=True, color=wants_colour(sys.stderr))

    return report


def fail(message: str) -> None:
    """Print an error as one line to standard error."""
    click.echo(
        f"{click.style('error:', fg='red', bold=True)} {printable(message)}", err=True, color=wants_colour(sys.stderr)
    )


def explain(error: Exception) -> str:
    """Return an error as one line: what is wrong, where, and what to do."""
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, InvalidResource):
        return "; ".join(f"{problem.pointer}: {problem.message}".removeprefix(": ") for problem in error.problems)
    return str(error)


def note(message: str) -> None:
    """Print a message for people to standard error."""
    click.echo(printable(message), err=True, color=wants_colour(sys.stderr))


def note_styled(text: str) -> None:
    """Print lines with their styles to standard error."""
    click.echo(show_styled(text), err=True, color=wants_colour(sys.stderr))


def say(text: str) -> None:
    """Print a line to standard output, with styles only on a terminal."""
    click.echo(show_styled(text), color=wants_colour(sys.stdout))


def show_styled(text: str) -> str:
    """Return ``text`` as a terminal may be given it: with its colours, and nothing else that could steer one."""
    parts = _STYLES.split(text)
    return "".join(part if index % 2 else show_text(part) for index, part in enumerate(parts))


def printable(text: str) -> str:
    """Return ``text`` as one line that cannot steer a terminal: what does not show is escaped."""
    return show_line(text)


def style_phase(phase: str) -> str:
    """Return a phase in its colour."""
    colour = _PHASE_COLOURS.get(phase)
    return click.style(phase, fg=colour) if colour else printable(phase)


def print_json(value: Any) -> None:
    """Print JSON, indented; characters that could steer a terminal are escaped, as JSON allows."""
    click.echo(escape_json(json.dumps(value, indent=2, ensure_ascii=False)))


def print_yaml(value: Any) -> None:
    """Print YAML, members in their order; characters that could steer a terminal are escaped, as YAML allows."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Quotes every text that holds such a character: only there YAML has escapes."""

    def represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if hides(text) else None)

    Dumper.add_representer(str, represent)
    text: str = yaml.dump(
        value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False
    )
    click.echo(show_text(text), nl=False)


def fit_columns(rows: Sequence[Sequence[str]], width: int) -> list[tuple[str, ...]]:
    """Return a table with cells cut so that no row is wider than ``width`` (0: unlimited), and none over 80 characters.

    Names and phases stay whole, because people copy or act on them; no other column gets narrower than its header or
    eight characters. If that is not enough, empty columns are left out, then those that say least.
    """
    fitted = _shrink(rows, width)
    for name in ("", *_EXPENDABLE):
        if not width or _measure(fitted) <= width:
            break
        header = rows[0]
        kept = [
            column
            for column, title in enumerate(header)
            if title in _WHOLE or (any(row[column] for row in rows[1:]) if not name else title != name)
        ]
        rows = [tuple(row[column] for column in kept) for row in rows]
        fitted = _shrink(rows, width)
    return fitted


def _shrink(rows: Sequence[Sequence[str]], width: int) -> list[tuple[str, ...]]:
    header = rows[0]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    free = [column for column, name in enumerate(header) if name not in _WHOLE]
    for column in free:
        widths[column] = min(widths[column], _MAX_CELL)
    least = [max(len(name), _MIN_CELL) for name in header]
    while width and free and sum(widths) + 2 * (len(widths) - 1) > width:
        widest = max(free, key=lambda column: widths[column] - least[column])
        if widths[widest] <= least[widest]:
            break
        widths[widest] -= 1
    return [tuple(_cut(cell, limit) for cell, limit in zip(row, widths, strict=True)) for row in rows]


def _measure(rows: Sequence[Sequence[str]]) -> int:
    return sum(max(map(len, column)) for column in zip(*rows, strict=True)) + 2 * (len(rows[0]) - 1)


def _cut(cell: str, limit: int) -> str:
    return cell if len(cell) <= limit else f"{cell[: limit - 1]}…"


class GrowingTable:
    """A table whose rows come one by one: the first ones say how wide its columns are; what is longer is not cut."""

    def __init__(self, *, fits: bool) -> None:
        self._fits = fits
        self._shown: tuple[str, ...] = ()
        self._widths: list[int] = []

    def add(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows, and the header before the first ones."""
        if not rows:
            return
        colour = wants_colour(sys.stdout)
        if not self._widths:
            table: Sequence[Sequence[str]] = [header, *rows]
            if sys.stdout.isatty():
                table = fit_columns(table, shutil.get_terminal_size().columns if self._fits else 0)
            self._shown = tuple(table[0])
            self._widths = [max(len(row[column]) for row in table) for column in range(len(self._shown))]
            click.echo(show_styled(click.style(self._align(self._shown), bold=True)), color=colour)
        for row in rows:
            cells = dict(zip(header, row, strict=True))
            click.echo(show_styled(self._align([cells[title] for title in self._shown])), color=colour)
        sys.stdout.flush()

    def _align(self, row: Sequence[str]) -> str:
        fitted = (
            _cut(cell, width) if title not in _WHOLE and sys.stdout.isatty() else cell
            for title, cell, width in zip(self._shown, row, self._widths, strict=True)
        )
        return "  ".join(cell.ljust(width) for cell, width in zip(fitted, self._widths, strict=True)).rstrip()


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, fits: bool = True) -> None:
    """Print columns as wide as their longest cell; on a terminal, cut cells so that a row is one line.

    If it need not be (``fits`` is False), only very long cells are cut. For programs nothing is.
    """
    if sys.stdout.isatty():
        columns = shutil.get_terminal_size().columns if fits else 0
        header, *rows = fit_columns([header, *rows], columns)
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    colour = wants_colour(sys.stdout)
    for number, row in enumerate((header, *rows)):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        click.echo(show_styled(click.style(line, bold=True) if number == 0 else line), color=colour)
