"""``checkpoints``: lists the checkpoints of a session's status, from which it can be forked."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import click

from agentic_cli.commands.completions import complete_sessions
from agentic_cli.commands.options import output_option, target_options
from agentic_cli.interaction.target import Target
from agentic_cli.model.sessions import Session
from agentic_cli.output import terminal
from agentic_cli.output.durations import format_age, utc_now
from agentic_cli.output.rendering import Row
from agentic_cli.output.terminal import printable

HEADER: Final = ("CHECKPOINT", "STEP", "NODE", "NEXT", "AGE")


@click.command()
@click.argument("name", metavar="SESSION", shell_complete=complete_sessions)
@output_option("table", "json", "yaml", default="table")
@target_options
def checkpoints(target: Target, name: str, output: str) -> None:
    """List a session's last checkpoints, newest first: which nodes wrote each, and which run after it.

    `agentic fork SESSION --checkpoint ID` starts a new session from any of them.

    \b
    Examples:
      agentic checkpoints outliers-x7k2p
      agentic checkpoints outliers-x7k2p -o json | jq -r '.[] | select(.node == "detect") | .id'
    """
    with target.open() as project:
        session = project.fetch_session(project.name_session(name))
    history = read_history(session)
    match output:
        case "json":
            terminal.print_json(history)
        case "yaml":
            terminal.print_yaml(history)
        case _ if not history:
            terminal.note(f"session {session.name!r} has no checkpoint yet")
        case _:
            terminal.print_table(HEADER, [build_row(entry, utc_now()) for entry in history])


def read_history(session: Session) -> list[Mapping[str, Any]]:
    """Return the checkpoints of the status, newest first."""
    return list(reversed(session.status.get("history") or ()))


def build_row(entry: Mapping[str, Any], now: datetime) -> Row:
    """Return a checkpoint's line in the table."""
    step, at = entry.get("step"), entry.get("at") or ""
    return (
        printable(entry["id"]),
        "" if step is None else str(step),
        printable(entry.get("node") or ""),
        printable(entry.get("next") or ""),
        format_age(at, now),
    )
