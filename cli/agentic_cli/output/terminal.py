"""Terminal output: progress on stderr, results on stdout, colours for people alone."""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, Final

import click

from agentic_core.display import escape_json, hides, show_line, show_text

if TYPE_CHECKING:
    from agentic_store.dsn import Dsn

# Colours and weights, but for what conceals.
_STYLES: Final = re.compile(
    "(\x1b\\[(?:(?:0?[0-7]|9|2[0-9]|[349][0-9]|10[0-7]|[34]8;5;[0-9]{1,3}|[34]8;2(?:;[0-9]{1,3}){3})(?:;(?=[0-9])|(?=m)))*m)"
)
_PHASE_COLOURS: Final = {
    "Completed": "green",
    "Failed": "red",
    "Stopped": "yellow",
    "WaitingForInput": "magenta",
    "Suspended": "yellow",
    "Running": "cyan",
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


def note(message: str) -> None:
    """Print what a person should know, and no program reads, to standard error."""
    click.echo(printable(message), err=True, color=wants_colour(sys.stderr))


def say(text: str) -> None:
    """Print a line to standard output; styles are left out where it is no terminal."""
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


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns as wide as their longest cell."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    colour = wants_colour(sys.stdout)
    for number, row in enumerate((header, *rows)):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        click.echo(show_styled(click.style(line, bold=True) if number == 0 else line), color=colour)
