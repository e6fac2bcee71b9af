"""How the command speaks: progress on one kind of line, results on standard output, colours only for people."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import IO

import click

from agentic_store.dsn import Dsn


def wants_colour(stream: IO[str], environ: Mapping[str, str] = os.environ) -> bool:
    """Say whether ``stream`` is a terminal whose user did not ask for plain text (``NO_COLOR``)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def build_reporter(dsn: Dsn) -> Callable[[str], None]:
    """Return what prints a progress line to standard error, with the password of ``dsn`` taken out of it."""
    arrow = click.style("==>", fg="cyan", bold=True)

    def report(line: str) -> None:
        click.echo(f"{arrow} {dsn.redact(line)}", err=True, color=wants_colour(sys.stderr))

    return report


def fail(message: str) -> None:
    """Print an error as one line to standard error."""
    click.echo(f"{click.style('error:', fg='red', bold=True)} {message}", err=True, color=wants_colour(sys.stderr))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns as wide as their longest cell."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    colour = wants_colour(sys.stdout)
    for number, row in enumerate((header, *rows)):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        click.echo(click.style(line, bold=True) if number == 0 else line, color=colour)
