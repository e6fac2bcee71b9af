"""How the command speaks: progress on one kind of line, results on standard output, colours only for people."""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from agentic_store.dsn import Dsn

# What could steer a terminal or turn a line around, beyond what JSON escapes by itself.
_STEERING: Final = re.compile("[\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_PHASE_COLOURS: Final = {
    "Completed": "green",
    "Failed": "red",
    "Stopped": "yellow",
    "WaitingForInput": "magenta",
    "Suspended": "yellow",
    "Running": "cyan",
}


def wants_colour(stream: IO[str], environ: Mapping[str, str] = os.environ) -> bool:
    """Say whether ``stream`` is a terminal whose user did not ask for plain text (``NO_COLOR``)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def is_interactive() -> bool:
    """Say whether somebody can be asked: questions go to standard error, answers come from standard input."""
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


def note(message: str) -> None:
    """Print what a person should know, and no program reads, to standard error."""
    click.echo(printable(message), err=True, color=wants_colour(sys.stderr))


def say(text: str) -> None:
    """Print a line to standard output; styles are left out where it is no terminal."""
    click.echo(text, color=wants_colour(sys.stdout))


def printable(text: str) -> str:
    """Return ``text`` as one line that cannot steer a terminal: what does not print is escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c in "\n\t" else repr(c)[1:-1] for c in text)


def style_phase(phase: str) -> str:
    """Return a phase in its colour."""
    colour = _PHASE_COLOURS.get(phase)
    return click.style(phase, fg=colour) if colour else printable(phase)


def print_json(value: Any) -> None:
    """Print JSON, indented; characters that could steer a terminal are escaped, as JSON allows."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    click.echo(_STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def print_yaml(value: Any) -> None:
    """Print YAML, members in their order."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(
        value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False
    )
    click.echo(text, nl=False)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns as wide as their longest cell."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    colour = wants_colour(sys.stdout)
    for number, row in enumerate((header, *rows)):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        click.echo(click.style(line, bold=True) if number == 0 else line, color=colour)
